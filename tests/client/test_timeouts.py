"""Every step of a request has a limit of its own, and what it ends is that request alone."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import h2.events
import pytest
from h2.settings import SettingCodes

import plait
from plait.errors import (
    ConfigError,
    ConnectTimeout,
    PoolTimeout,
    ReadTimeout,
    Timeout,
    TlsTimeout,
    TotalTimeout,
    WriteTimeout,
)
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, raw_server

Make = Callable[..., Face]

CANCEL = 8


def silent(peer: Peer) -> None:
    peer.start()
    peer.drain()


@contextmanager
def deaf() -> Iterator[int]:
    """Listen on a port whose queue is full, so that nobody gets through to it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(listening.getsockname())
            waiting.append(sock)
        yield listening.getsockname()[1]
        for sock in waiting:
            sock.close()


@contextmanager
def mute() -> Iterator[int]:
    """Listen on a port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("options", [{"connect_timeout": 0.2}, {}])
def test_connecting_has_a_limit(make_client: Make, options: dict[str, float]) -> None:
    with deaf() as port, make_client(f"http://127.0.0.1:{port}", **options) as client:
        timeout = None if options else plait.Timeouts(connect=0.2)
        with pytest.raises(ConnectTimeout) as caught:
            client.get("/", timeout=timeout)
        assert caught.value.unprocessed
        assert not isinstance(caught.value, TlsTimeout)


@pytest.mark.parametrize("options", [{"tls_timeout": 0.2}, {"connect_timeout": 0.2}, {}])
def test_a_handshake_has_a_limit(make_client: Make, options: dict[str, float]) -> None:
    with mute() as port, make_client(f"https://127.0.0.1:{port}", **options) as client:
        timeout = None if options else plait.Timeouts(tls=0.2)
        with pytest.raises(TlsTimeout, match="the TLS handshake did not end"):
            client.get("/", timeout=timeout)


def test_who_has_more_patience_waits_on_when_another_request_gives_up(make_client: Make) -> None:
    with mute() as port, make_client(f"https://127.0.0.1:{port}", connect_timeout=20) as client:
        patient = client.submit("GET", "/")
        hasty = client.submit("GET", "/", timeout=plait.Timeouts(connect=0.1))
        with pytest.raises(
            ConnectTimeout, match=r"no connection to https://127\.0\.0\.1:\d+ within 0\.1 seconds"
        ):
            hasty.result()
        with pytest.raises(TimeoutError):
            patient.result(timeout=0.05)
        assert patient.error is None


def test_waiting_for_a_connection_is_not_waiting_for_room(make_client: Make) -> None:
    with (
        mute() as port,
        make_client(f"https://127.0.0.1:{port}", connect_timeout=20) as client,
        pytest.raises(ConnectTimeout),
    ):
        client.get("/", timeout=plait.Timeouts(connect=0.2, pool=0.01))


def test_waiting_for_room_has_a_limit_of_each_request(make_client: Make) -> None:
    def full(peer: Peer) -> None:
        peer.start({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        peer.drain()

    with raw_server(full) as server, make_client(server.url, http="2", max_in_flight=1) as client:
        client.submit("GET", "/")
        queued = client.submit("GET", "/", timeout=plait.Timeouts(pool=0.2))
        with pytest.raises(PoolTimeout) as caught:
            queued.result()
        assert caught.value.unprocessed


@pytest.mark.parametrize("options", [{"write_timeout": 0.2}, {}])
def test_sending_content_has_a_limit(make_client: Make, options: dict[str, float]) -> None:
    reset = []

    def stuck(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        (event,) = peer.wait_for(h2.events.StreamReset)
        reset.append((event.stream_id == stream, event.error_code))
        peer.serve()

    with raw_server(stuck) as server, make_client(server.url, http="2", **options) as client:
        timeout = None if options else plait.Timeouts(write=0.2)
        with pytest.raises(WriteTimeout, match=r"took nothing for 0\.2 seconds"):
            client.post("/", content=bytes(1 << 20), timeout=timeout)
        assert client.get("/").status == 200
        assert client.statistics.connections_opened == 1
    assert reset == [(True, CANCEL)]


def test_content_that_is_taken_slowly_is_taken(make_client: Make) -> None:
    """Every piece comes in time, and all of them together take longer than one may."""

    def slow(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        taken = 0
        while True:
            (event,) = peer.wait_for(h2.events.DataReceived)
            taken += event.flow_controlled_length
            if event.stream_ended:
                break
            if taken % 65536 < event.flow_controlled_length:
                threading.Event().wait(0.15)  # time is what is tested
            peer.engine.acknowledge_received_data(event.flow_controlled_length, stream)
            peer.flush()
        peer.respond(stream)
        peer.drain()

    with (
        raw_server(slow) as server,
        make_client(server.url, http="2", write_timeout=0.4, read_timeout=20) as client,
    ):
        assert client.post("/", content=bytes(6 * 65536)).status == 200


def test_a_silent_server_has_a_limit_of_each_request(make_client: Make) -> None:
    with raw_server(silent) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ReadTimeout, match=r"sent nothing for 0\.2 seconds") as caught:
            client.get("/", timeout=plait.Timeouts(read=0.2))
        assert not caught.value.unprocessed
        assert not isinstance(caught.value, TotalTimeout)


@pytest.mark.parametrize(
    ("timeout", "error"), [(0.2, TotalTimeout), (plait.Timeouts(read=0.2, total=20), ReadTimeout)]
)
def test_a_client_may_be_told_what_a_request_may(
    make_client: Make, timeout: float | plait.Timeouts, error: type[Timeout]
) -> None:
    with raw_server(silent) as server, make_client(server.url, http="2", timeout=timeout) as client:
        with pytest.raises(error) as caught:
            client.get("/")
        assert type(caught.value) is error
        with pytest.raises(ReadTimeout, match=r"sent nothing for 0\.1 seconds"):
            client.get("/", timeout=plait.Timeouts(read=0.1, total=10))


def test_everything_together_has_a_limit(make_client: Make) -> None:
    def dripping(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200")])
        try:
            while not peer.events:
                peer.engine.send_data(stream, b".")
                peer.flush()
                peer.socket.settimeout(0.05)
                try:
                    peer.receive()
                except TimeoutError:
                    pass
                peer._forget([e for e in peer.events if not isinstance(e, h2.events.StreamReset)])
        except OSError:
            pass
        peer.socket.settimeout(20)
        peer.serve()

    with raw_server(dripping) as server, make_client(server.url, http="2", total_timeout=0.4) as client:
        with pytest.raises(TotalTimeout, match=r"no complete response within 0\.4 seconds"):
            client.get("/")
        assert client.get("/", timeout=20).status == 200


def test_a_request_that_never_had_a_connection_says_so(make_client: Make) -> None:
    with deaf() as port, make_client(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(Timeout) as caught:
            client.get("/", timeout=0.2)
        assert caught.value.unprocessed


def test_no_limit_is_a_limit_too(make_client: Make) -> None:
    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    options = {f"{step}_timeout": math.inf for step in ("connect", "tls", "pool", "read", "write", "total")}
    with raw_server(ordinary) as server, make_client(server.url, http="2", **options) as client:
        assert client.get("/").status == 200
        assert client.get("/", timeout=plait.Timeouts(read=math.inf, total=20)).status == 200
        assert client.get("/", timeout=10**400).status == 200


@pytest.mark.parametrize(
    ("timeout", "sentence"),
    [
        (0, "the timeout total must be greater than zero seconds, not 0"),
        (-1.5, r"total .* not -1\.5"),
        ("5", "total .* not '5'"),
        (math.nan, "total .* not nan"),
        (plait.Timeouts(read=0), "the timeout read must be greater"),
    ],
)
def test_a_time_that_is_none_is_refused(make_client: Make, timeout: float, sentence: str) -> None:
    with make_client("http://127.0.0.1:9") as client, pytest.raises(ConfigError, match=sentence):
        client.get("/", timeout=timeout)
