"""Several addresses of one host: a slow one holds nobody up (RFC 8305)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

import pytest

from plait.drivers.eyeballs import DELAY, Race, alternating
from plait.errors import ConnectFailed
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import free_port

Make = Callable[..., Face]


def v4(n: int) -> Any:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{n}", 443))


def v6(n: int) -> Any:
    return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (f"2001:db8::{n}", 443, 0, 0))


def test_families_take_turns_beginning_with_the_first() -> None:
    assert alternating([v6(1), v6(2), v6(3), v4(1)]) == [v6(1), v4(1), v6(2), v6(3)]
    assert alternating([v4(1), v6(1), v6(2)]) == [v4(1), v6(1), v6(2)]
    assert alternating([v4(1), v4(2)]) == [v4(1), v4(2)]


def test_the_next_address_is_tried_after_a_while() -> None:
    race = Race([v6(1), v4(1)], 10.0)
    assert race.take(10.0) == v6(1)
    assert race.due == 10.0 + DELAY
    assert race.take(10.2) is None
    assert race.take(10.0 + DELAY) == v4(1)
    assert race.due == inf
    assert race.take(20.0) is None


def test_the_next_address_is_tried_at_once_when_one_fails() -> None:
    race = Race([v6(1), v4(1)], 10.0)
    race.take(10.0)
    race.failed(10.01)
    assert race.take(10.01) == v4(1)
    race.failed(10.02)
    assert race.due == inf


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Have a name in the tests' own domain stand for certain addresses and ports."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        if host != "several.test":
            return real(host, *args, **options)
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", one) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second(
    make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    # A port whose queue is full answers nobody.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, raw_server(ordinary) as server:
        deaf = listening.getsockname()
        held = [socket.socket() for _ in range(4)]
        for sock in held:
            sock.setblocking(False)
            sock.connect_ex(deaf)
        working = int(server.url.rpartition(":")[2])
        resolve_to(monkeypatch, ("127.0.0.1", deaf[1]), ("127.0.0.1", working))
        began = monotonic()
        with make_client("http://several.test", http="2") as client:
            assert client.get("/").content == b"ok"
        assert monotonic() - began < 5
        for sock in held:
            sock.close()
        assert server.connections == 1


def test_an_address_that_refuses_costs_nothing(make_client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(ordinary) as server:
        working = int(server.url.rpartition(":")[2])
        resolve_to(monkeypatch, *[("127.0.0.1", free_port()) for _ in range(3)], ("127.0.0.1", working))
        with make_client("http://several.test", http="2") as client:
            assert client.get("/").content == b"ok"


def test_when_none_answers_the_last_reason_is_told(
    make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, *[("127.0.0.1", free_port()) for _ in range(3)])
    with (
        make_client("http://several.test:99") as client,
        pytest.raises(ConnectFailed, match=r"cannot connect to several\.test:99: Connection refused"),
    ):
        client.get("/")
