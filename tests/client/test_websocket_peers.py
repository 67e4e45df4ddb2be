"""What servers do to WebSockets that they should not, done by scripted peers over real sockets."""

from __future__ import annotations

import re
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import h2.events
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, GoAwayFrame, RstStreamFrame
from websockets.utils import accept_key

import plait
from plait.errors import (
    ConnectionLost,
    ExchangeReset,
    NoCommonProtocol,
    ReadTimeout,
    Timeout,
    WebSocketClosed,
    WebSocketRefused,
    WriteTimeout,
)
from tests.support.faces import Face
from tests.support.h1_peer import OK, h1_server, request
from tests.support.raw_h2 import Peer, raw_server
from tests.support.websocket_client_line import from_server as frame
from tests.support.websocket_line import BINARY, CLOSE, PING, TEXT

Make = Callable[..., Face]
TUNNELS = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
CLOSED = frame(CLOSE, b"\x03\xe8")


def switch(sock: socket.socket, *behind: bytes, accept: str | None = None) -> None:
    """Answer a request to switch, and send what is behind that in the same segment."""
    key = re.search(rb"sec-websocket-key: (\S+)", request(sock))
    assert key is not None
    answer = accept or accept_key(key[1].decode())
    lines = f"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {answer}\r\n"
    sock.sendall(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode() + b"".join(behind))


def drain(sock: socket.socket) -> bytes:
    """Read until the client leaves."""
    received = b""
    try:
        while data := sock.recv(65_536):
            received += data
    except ConnectionError:
        pass
    return received


def goodbye(sock: socket.socket) -> None:
    """Close in good order."""
    sock.sendall(CLOSED)
    sock.shutdown(socket.SHUT_WR)
    drain(sock)


def accepted(peer: Peer) -> int:
    """Wait for a request for a tunnel, open it, and return its stream."""
    (event,) = peer.wait_for(h2.events.RequestReceived)
    assert (":protocol", "websocket") in event.headers
    peer.engine.send_headers(event.stream_id, [(":status", "200")])
    peer.flush()
    return event.stream_id


# -- HTTP/1.1 --------------------------------------------------------------------------------------


def test_messages_in_the_segment_of_the_101_are_not_lost(make_client: Make) -> None:
    def eager(sock: socket.socket) -> None:
        switch(sock, frame(TEXT, b"at once"), frame(TEXT, b"and then"), CLOSED)

    with h1_server(eager) as url, make_client() as client, client.websocket(url) as websocket:
        assert list(websocket) == ["at once", "and then"]


def test_a_wrong_accept_opens_nothing(make_client: Make) -> None:
    def wrong(sock: socket.socket) -> None:
        switch(sock, accept="AAAA")
        drain(sock)

    with (
        h1_server(wrong) as url,
        make_client() as client,
        pytest.raises(ConnectionLost, match="does not answer the key"),
    ):
        client.websocket(url).__enter__()


def test_a_200_opens_nothing_over_http1(make_client: Make) -> None:
    def polite(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(OK)
        assert b"GET /next" in request(sock)
        sock.sendall(OK)

    with h1_server(polite) as url, make_client(url) as client:
        with pytest.raises(WebSocketRefused, match="200 OK and opened no WebSocket") as caught:
            client.websocket("/").__enter__()
        assert caught.value.response.content == b"ok"
        assert client.get("/next").content == b"ok"
        assert client.statistics.connections_opened == 1


def test_an_idle_connection_that_the_server_closes_costs_one_more_attempt(make_client: Make) -> None:
    def closing(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(OK)
        request(sock)

    def opening(sock: socket.socket) -> None:
        switch(sock, frame(TEXT, b"second"))
        goodbye(sock)

    with h1_server(closing, opening) as url, make_client(url) as client:
        assert client.get("/").content == b"ok"
        with client.websocket("/") as websocket:
            assert websocket.recv() == "second"


@pytest.mark.parametrize("abruptly", [False, True])
def test_a_server_that_vanishes_is_an_error_and_no_hang(make_client: Make, abruptly: bool) -> None:
    def vanishing(sock: socket.socket) -> None:
        switch(sock, frame(TEXT, b"last words"))
        sock.recv(1)
        if abruptly:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with h1_server(vanishing) as url, make_client() as client, client.websocket(url) as websocket:
        assert websocket.recv() == "last words"
        websocket.send("are you there?")
        with pytest.raises(WebSocketClosed) as caught:
            websocket.recv()
        assert caught.value.code == websocket.close_code == 1006
        with pytest.raises(WebSocketClosed):
            websocket.ping()


def test_a_server_that_says_nothing_is_found_out_by_pings(make_client: Make) -> None:
    heard: list[bytes] = []

    def mute(sock: socket.socket) -> None:
        switch(sock)
        heard.append(drain(sock))

    with (
        h1_server(mute) as url,
        make_client() as client,
        client.websocket(url, ping_interval=0.05, ping_timeout=0.05) as websocket,
    ):
        with pytest.raises(WebSocketClosed, match="keepalive ping timeout") as caught:
            websocket.recv()
        assert caught.value.code == 1011
    assert heard[0][0] == 0x80 | PING


def test_a_server_that_answers_pings_is_kept(make_client: Make) -> None:
    def answering(sock: socket.socket) -> None:
        switch(sock)
        for _ in range(5):
            assert sock.recv(100)[0] == 0x80 | PING
            sock.sendall(frame(0xA))
        sock.sendall(frame(TEXT, b"enough"))
        goodbye(sock)

    with (
        h1_server(answering) as url,
        make_client() as client,
        client.websocket(url, ping_interval=0.02, ping_timeout=20) as websocket,
    ):
        assert websocket.recv() == "enough"


@pytest.mark.parametrize("answers", [False, True])
def test_a_close_that_the_server_does_not_finish_is_over_in_time(make_client: Make, answers: bool) -> None:
    def stubborn(sock: socket.socket) -> None:
        switch(sock)
        sock.recv(100)
        if answers:
            sock.sendall(CLOSED)
        drain(sock)

    with (
        h1_server(stubborn) as url,
        make_client() as client,
        client.websocket(url, close_timeout=0.1) as websocket,
    ):
        websocket.close()
        assert websocket.close_code == 1000


def test_a_server_that_reads_nothing_is_given_up_after_the_write_timeout(make_client: Make) -> None:
    done = threading.Event()

    def deaf(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        switch(sock)
        done.wait(60)

    options: dict[str, Any] = {"ping_interval": None, "close_timeout": 0.1, "compression": None}
    with h1_server(deaf) as url, make_client(write_timeout=0.2) as client:
        with client.websocket(url, **options) as websocket:
            with pytest.raises(WriteTimeout):
                deque((websocket.send(bytes(1_000_000)) for _ in range(100)), maxlen=0)
            with pytest.raises(WebSocketClosed):
                websocket.send("more")
        done.set()


def test_a_message_over_the_limit_closes_with_1009(make_client: Make) -> None:
    heard: list[bytes] = []

    def chatty(sock: socket.socket) -> None:
        switch(sock, frame(BINARY, bytes(1001)))
        heard.append(drain(sock))

    with (
        h1_server(chatty) as url,
        make_client() as client,
        client.websocket(url, max_message_size=1000) as websocket,
    ):
        with pytest.raises(WebSocketClosed) as caught:
            websocket.recv()
        assert caught.value.code == 1009
    assert heard[0][0] == 0x80 | CLOSE


def test_a_flood_that_nobody_takes_stays_with_the_server(make_client: Make) -> None:
    sent = [0]
    done = threading.Event()

    def flooding(sock: socket.socket) -> None:
        switch(sock)
        sock.settimeout(0.4)
        try:
            while sent[0] < 200_000_000:
                sent[0] += sock.send(frame(BINARY, bytes(100_000)))
        except TimeoutError:
            pass
        done.set()
        sock.settimeout(20)
        drain(sock)

    with (
        h1_server(flooding) as url,
        make_client(stream_window=65_536) as client,
        client.websocket(url, close_timeout=0.1, ping_interval=None) as websocket,
    ):
        assert websocket.recv() == bytes(100_000)
        with pytest.raises(Timeout, match="no answer to a ping"):
            websocket.ping(timeout=0.2)
        assert done.wait(20)
    assert sent[0] < 50_000_000


# -- HTTP/2 ----------------------------------------------------------------------------------------


def test_a_client_waits_for_the_settings_before_it_asks(make_client: Make) -> None:
    def slow(peer: Peer) -> None:
        threading.Event().wait(0.1)
        peer.start(TUNNELS)
        stream_id = accepted(peer)
        peer.engine.send_data(stream_id, frame(TEXT, b"patience") + CLOSED, end_stream=True)
        peer.flush()
        peer.drain()

    with (
        raw_server(slow) as server,
        make_client(server.url, http="2") as client,
        client.websocket("/") as websocket,
    ):
        assert websocket.recv() == "patience"
        assert websocket.http_version == "HTTP/2"


def test_a_server_that_never_sends_settings_is_a_timeout(make_client: Make) -> None:
    def mute(peer: Peer) -> None:
        drain(peer.socket)

    with (
        raw_server(mute) as server,
        make_client(server.url, http="2", read_timeout=0.1) as client,
        pytest.raises(ReadTimeout),
    ):
        client.websocket("/").__enter__()


def test_a_server_that_leaves_before_its_settings_is_tried_once_more(make_client: Make) -> None:
    def leaving(peer: Peer) -> None:
        peer.socket.recv(65_536)

    def staying(peer: Peer) -> None:
        peer.start(TUNNELS)
        stream_id = accepted(peer)
        peer.engine.send_data(stream_id, frame(TEXT, b"here") + CLOSED, end_stream=True)
        peer.flush()
        peer.drain()

    with (
        raw_server(leaving, staying) as server,
        make_client(server.url, http="2") as client,
        client.websocket("/") as websocket,
    ):
        assert websocket.recv() == "here"
    with raw_server(leaving) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ConnectionLost):
            client.websocket("/").__enter__()
        assert server.connections == 2


def test_settings_that_come_late_can_still_say_no(make_client: Make) -> None:
    def plain(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(plain) as server, make_client(server.url, http="2") as client:
        assert client.get("/").content == b"ok"
        with pytest.raises(NoCommonProtocol):
            client.websocket("/").__enter__()
        assert client.get("/").content == b"ok"


def test_a_refused_stream_is_asked_for_once_more(make_client: Make) -> None:
    def refusing(peer: Peer) -> None:
        peer.start(TUNNELS)
        for _ in range(2):
            (event,) = peer.wait_for(h2.events.RequestReceived)
            peer.send(RstStreamFrame(event.stream_id, error_code=7))
        peer.drain()

    with raw_server(refusing) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ExchangeReset) as caught:
            client.websocket("/").__enter__()
        assert caught.value.unprocessed


def test_a_goaway_lets_an_open_websocket_go_on(make_client: Make) -> None:
    def leaving(peer: Peer) -> None:
        peer.start(TUNNELS)
        stream_id = accepted(peer)
        peer.send(GoAwayFrame(0, last_stream_id=stream_id, error_code=0))
        peer.wait_for(h2.events.DataReceived)
        peer.send(DataFrame(stream_id, frame(TEXT, b"still here") + CLOSED))
        peer.drain()

    with (
        raw_server(leaving) as server,
        make_client(server.url, http="2") as client,
        client.websocket("/", close_timeout=0.2) as websocket,
    ):
        websocket.send("hello?")
        assert websocket.recv() == "still here"


def test_a_refusal_whose_content_does_not_end_resets_its_stream_and_harms_no_other(make_client: Make) -> None:
    def refusing(peer: Peer) -> None:
        peer.start(TUNNELS)
        (event,) = peer.wait_for(h2.events.RequestReceived)
        peer.engine.send_headers(event.stream_id, [(":status", "404")])
        peer.engine.send_data(event.stream_id, b"not here")
        peer.flush()
        peer.wait_for(h2.events.StreamReset)
        peer.serve()

    with raw_server(refusing) as server, make_client(server.url, http="2") as client:
        with pytest.raises(WebSocketRefused, match="404 Not Found") as caught:
            client.websocket("/", timeout=plait.Timeouts(read=1)).__enter__()
        assert caught.value.response.content == b"not here"
        assert client.get("/").content == b"ok"


def test_a_reset_ends_one_websocket_of_two(make_client: Make) -> None:
    def resetting(peer: Peer) -> None:
        peer.start(TUNNELS)
        first, second = accepted(peer), accepted(peer)
        peer.send(RstStreamFrame(first, error_code=2))
        peer.engine.send_data(second, frame(TEXT, b"still here") + CLOSED, end_stream=True)
        peer.flush()
        peer.drain()

    with (
        raw_server(resetting) as server,
        make_client(server.url, http="2") as client,
        client.websocket("/") as one,
        client.websocket("/") as other,
    ):
        with pytest.raises(WebSocketClosed) as caught:
            one.recv()
        assert "INTERNAL_ERROR" in str(caught.value.__cause__)
        assert other.recv() == "still here"


def test_a_small_window_makes_a_sender_wait_and_not_its_siblings(make_client: Make) -> None:
    received: list[int] = []

    def slow(peer: Peer) -> None:
        peer.start(TUNNELS)
        stream_id = accepted(peer)
        (event,) = peer.wait_for(h2.events.RequestReceived)
        peer.respond(event.stream_id, content=b"sibling")
        total = 0
        while total < 300_000:
            for data in peer.wait_for(h2.events.DataReceived):
                total += len(data.data)
                peer.engine.acknowledge_received_data(data.flow_controlled_length, data.stream_id)
                peer.flush()
        received.append(total)
        peer.engine.send_data(stream_id, CLOSED, end_stream=True)
        peer.flush()
        peer.drain()

    with (
        raw_server(slow) as server,
        make_client(server.url, http="2") as client,
        client.websocket("/", compression=None) as websocket,
    ):
        pending = client.submit("GET", "/")
        for _ in range(3):
            websocket.send(bytes(100_000))
        assert pending.result().content == b"sibling"
        assert list(websocket) == []
    assert received[0] >= 300_000
