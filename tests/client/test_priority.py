"""How urgent a response is: said with the request, and said otherwise later (RFC 9218)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import h2.events
import pytest
from hyperframe.frame import DataFrame
from hypothesis import given
from hypothesis import strategies as st

import plait
from plait.errors import LocalProtocolError
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.events import Role
from plait.protocol.h2 import H2Connection
from plait.protocol.negotiation import ALPN_H2, server_connection
from plait.protocol.priorities import Priority, parse_priority, priority_value
from plait.protocol.server_endpoint import ServerEndpoint
from plait.server_config import Limits
from tests.support.faces import AsyncFace, Face
from tests.support.h1_peer import OK, h1_server, request
from tests.support.pairs import frames, request_fields
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, serve_app

Make = Callable[..., Face]

PRIORITY_UPDATE = 0x10
NO_RFC7540_PRIORITIES = 0x09


@pytest.mark.parametrize(
    ("priority", "value"),
    [
        (Priority(), b""),
        (Priority(urgency=1), b"u=1"),
        (Priority(incremental=True), b"i"),
        (Priority(0, True), b"u=0, i"),
        ("u=5, i", b"u=5, i"),
        ("u=2;x=1, i=?0, other=(1 2)", b"u=2;x=1, i=?0, other=(1 2)"),
        ("", b""),
    ],
)
def test_a_priority_is_said_as_short_as_it_can_be_or_as_the_caller_says_it(
    priority: Priority | str, value: bytes
) -> None:
    assert priority_value(priority) == value


@pytest.mark.parametrize(
    "priority",
    [Priority(8), Priority(-1), Priority("1"), Priority(1, "yes"), "u=8", "u=a", "u", "u=(1 2)", "i=1",
     "i=\n", "urgent!", "ü=1", ",", "u=1," + " " * 1025, (1, True), 1, None, b"u=1"],
)  # fmt: skip
def test_what_is_no_priority_is_refused(priority: Any) -> None:
    with pytest.raises(LocalProtocolError, match=r"priority|urgency"):
        priority_value(priority)


@given(st.builds(Priority, st.integers(0, 7), st.booleans()))
def test_what_is_said_is_understood(priority: Priority) -> None:
    assert parse_priority(priority_value(priority)) == priority


def test_the_field_goes_with_the_request(make_client: Make) -> None:
    seen = []

    def looking(peer: Peer) -> None:
        peer.start()
        for _ in range(4):
            (head,) = peer.wait_for(h2.events.RequestReceived)
            seen.append(dict(head.headers).get("priority"))
            peer.respond(head.stream_id)
        peer.drain()

    with (
        raw_server(looking) as server,
        make_client(server.url, http="2", headers={"priority": "u=6"}) as client,
    ):
        client.get("/")
        client.get("/", priority=plait.Priority(urgency=1, incremental=True))
        client.get("/", priority="u=0")
        client.get("/", priority=plait.Priority())
        with pytest.raises(LocalProtocolError, match="not both"):
            client.get("/", priority="u=0", headers={"priority": "u=1"})
        with pytest.raises(LocalProtocolError, match="is no priority"):
            client.get("/", priority="u=9")
    assert seen == ["u=6", "u=1, i", "u=0", None]


def parts(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield type, stream and payload of each whole frame behind the preface."""
    data = data[24:]
    while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
        end = 9 + int.from_bytes(data[:3], "big")
        yield data[3], int.from_bytes(data[5:9], "big"), data[9:end]
        data = data[end:]


def test_a_later_priority_is_a_priority_update(make_client: Make) -> None:
    """The bytes are read by hand: what the frame looks like is RFC 9218 §7.1's business and no engine's."""
    updates: list[tuple[int, bytes]] = []

    def reading(peer: Peer) -> None:
        peer.start({NO_RFC7540_PRIORITIES: 1})
        data = b""
        while len(updates) < 3:
            piece = peer.socket.recv(65536)
            assert piece
            data += piece
            peer.events += peer.engine.receive_data(piece)
            peer.flush()
            updates[:] = [(stream, body) for kind, stream, body in parts(data) if kind == PRIORITY_UPDATE]
        peer.respond(*peer.requests(2))
        peer.drain()

    with raw_server(reading) as server, make_client(server.url, http="2") as client:
        first, second = (client.submit("GET", f"/{n}", priority="u=5") for n in range(2))
        with pytest.raises(TimeoutError):
            first.result(timeout=0.05)  # both are on their way now
        with pytest.raises(LocalProtocolError, match="is no priority"):
            second.reprioritize("u=9")
        second.reprioritize(plait.Priority(urgency=0, incremental=True))
        first.reprioritize("u=7")
        first.reprioritize(plait.Priority())
        assert [first.result().status, second.result().status] == [200, 200]
        second.reprioritize("u=1")  # it is over: nothing is sent
        assert client.statistics.connections_opened == 1
    stream = (1).to_bytes(4, "big"), (3).to_bytes(4, "big")
    assert updates == [(0, stream[1] + b"u=0, i"), (0, stream[0] + b"u=7"), (0, stream[0] + b"u=3")]


def test_a_server_that_schedules_by_other_rules_gets_no_priority_updates(make_client: Make) -> None:
    """RFC 9218 §2.1.1: it would ignore them."""

    def looking(peer: Peer) -> None:
        peer.start()
        peer.serve(1)
        first, second = peer.requests(2)
        assert not any(isinstance(event, h2.events.UnknownFrameReceived) for event in peer.events)
        peer.respond(first, second)
        peer.drain()

    with raw_server(looking) as server, make_client(server.url, http="2") as client:
        assert client.get("/").status == 200  # from now on the client knows
        first = client.submit("GET", "/")
        with pytest.raises(TimeoutError):
            first.result(timeout=0.05)
        first.reprioritize("u=0")
        assert client.get("/").status == 200
        assert first.result().status == 200


def test_who_still_waits_for_a_connection_goes_out_with_the_later_priority(make_client: Make) -> None:
    seen = []

    def looking(peer: Peer) -> None:
        peer.start()
        for _ in range(2):
            (head,) = peer.wait_for(h2.events.RequestReceived)
            seen.append(dict(head.headers).get("priority"))
            peer.respond(head.stream_id)
        peer.drain()

    with (
        raw_server(looking) as server,
        make_client(server.url, http="2", max_in_flight=1, max_h2_connections=1) as client,
    ):
        first = client.submit("GET", "/")
        second = client.submit("GET", "/", priority="u=5")
        second.reprioritize("u=1")
        assert [first.result().status, second.result().status] == [200, 200]
    assert seen == [None, "u=1"]


def test_over_http1_a_later_priority_is_nothing_to_send(make_client: Make) -> None:
    seen = []

    def looking(sock: socket.socket) -> None:
        seen.append(request(sock))
        sock.sendall(OK)
        assert request(sock) == b""

    with (
        h1_server(looking) as url,
        make_client(url) as client,
        client.stream("GET", "/", priority="u=1") as stream,
    ):
        stream.reprioritize("u=7")
        assert stream.read() == b"ok"
    assert b"priority: u=1\r\n" in seen[0]


def fetch_together(client: Face, priorities: list[str]) -> list[plait.Response]:
    """Fetch by several priorities, all requests in one write."""
    if not isinstance(client, AsyncFace):
        return [one.result() for one in [client.submit("GET", "/", priority=one) for one in priorities]]

    async def fetch(client: plait.AsyncClient) -> list[plait.Response]:
        return [await one for one in [client.submit("GET", "/", priority=one) for one in priorities]]

    return client.run(fetch(client.client))


def test_plait_serve_sends_the_urgent_one_first(make_client: Make, certificate: Certificate) -> None:
    with (
        serve_app("weighty_app:app", certificate=certificate) as server,
        # Windows with room for everything: then it is the server alone who says what comes first.
        make_client(server.url(), verify=certificate.ca, http="2", stream_window=1 << 26) as client,
    ):
        client.get("/")  # so that all go at once
        done = [response.timing.done for response in fetch_together(client, ["u=7", "u=7", "u=0"])]
        assert done[2] == min(done)


def test_plaits_server_heeds_the_priority_updates_of_plaits_client() -> None:
    connection = H2Connection(
        Role.CLIENT,
        max_concurrent_streams=100,
        max_header_fields=100,
        max_header_size=65_536,
        stream_window=1 << 20,
        connection_window=1 << 20,
    )
    client = ClientEndpoint(connection)
    server = ServerEndpoint(server_connection(ALPN_H2, Limits(), "https"), Limits(), 0.0)
    server.receive_data(client.data_to_send(), 0.0)
    client.receive_data(server.data_to_send())  # its SETTINGS
    first, second = (client.open_exchange(request_fields(), end_stream=True) for _ in range(2))
    server.receive_data(client.data_to_send(), 0.0)
    server.data_to_send()
    for accepted in server.take_accepted():
        accepted.send_whole_response(200, [], bytes(40_000))
    connection.update_priority(second.stream_id, b"u=0")
    server.receive_data(client.data_to_send(), 0.0)
    sent = [frame.stream_id for frame in frames(server.data_to_send()) if isinstance(frame, DataFrame)]
    assert sent == [second.stream_id] * 3 + [first.stream_id] * 3
