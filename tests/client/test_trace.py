"""What a client tells of its frames, against peers whose every byte is known."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable
from itertools import pairwise
from time import monotonic
from typing import Any

import h2.events
import pytest
from hyperframe.frame import GoAwayFrame, HeadersFrame, PingFrame, WindowUpdateFrame

import plait
from plait.client.trace import Direction
from plait.errors import ConfigError, ConnectFailed, ExchangeError
from tests.support.faces import Face
from tests.support.h1_peer import h1_server, read_until
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer

Make = Callable[..., Face]
Events = list[plait.FrameEvent]


def frames(events: Events, direction: Direction) -> list[str]:
    """Return the lines of what went one way."""
    return [str(event) for event in events if event.direction is direction]


def answering(peer: Peer) -> None:
    peer.start({4: 70_000})
    (stream,) = peer.requests()
    peer.wait_for(h2.events.SettingsAcknowledged)
    peer.respond(stream, fields=(("set-cookie", "basket=42"),))
    peer.drain()


# -- HTTP/2 --------------------------------------------------------------------------------------


def test_every_frame_is_told_of_in_the_order_of_the_wire(make_client: Make) -> None:
    events: Events = []
    before = monotonic()
    with raw_server(answering) as server, make_client(server.url, http="2", trace=events.append) as client:
        assert client.post("/books?id=1", content=b"hello").status == 200
    assert frames(events, Direction.SENT) == [
        "#1 > PREFACE",
        "#1 > SETTINGS: INITIAL_WINDOW_SIZE=2097152 MAX_HEADER_LIST_SIZE=262144 ENABLE_PUSH=0",
        "#1 > WINDOW_UPDATE: +536805377",
        f"#1 > HEADERS stream 1 END_HEADERS: {sizes(events, Direction.SENT)}",
        "#1 > DATA stream 1 END_STREAM: 5 bytes",
        "#1 > SETTINGS ACK",
        "#1 > GOAWAY: NO_ERROR, last stream 0",
    ]
    settings, *others = frames(events, Direction.RECEIVED)
    assert re.fullmatch("#1 < SETTINGS: .*INITIAL_WINDOW_SIZE=70000.*", settings)
    assert others == [
        "#1 < SETTINGS ACK",
        f"#1 < HEADERS stream 1 END_HEADERS: {sizes(events, Direction.RECEIVED)}",
        "#1 < DATA stream 1 END_STREAM: 2 bytes",
    ]
    times = [before, *(event.time for event in events), monotonic()]
    assert all(one <= other for one, other in pairwise(times))


def sizes(events: Events, direction: Direction) -> str:
    """Return what is said of the only field section that went one way."""
    (event,) = [one for one in events if one.type == "HEADERS" and one.direction is direction]
    return f"{event.length} bytes for {sum(len(name) + len(value) for name, value in event.fields)}"


def test_fields_are_told_as_they_are_and_shown_without_secrets(make_client: Make) -> None:
    events: Events = []
    with raw_server(answering) as server, make_client(server.url, http="2", trace=events.append) as client:
        client.get("/", headers={"authorization": "Bearer abc", "cookie": "a=1", "x": "kept"})
    request, response = [event for event in events if event.type == "HEADERS"]
    assert (b"authorization", b"Bearer abc") in request.fields
    shown = request.describe().split("\n    ")
    assert shown[0] == str(request)
    assert ":method: GET" in shown
    assert "x: kept" in shown
    assert "authorization: (10 bytes hidden)" in shown
    assert "cookie: (3 bytes hidden)" in shown
    assert "set-cookie: (9 bytes hidden)" in response.describe()
    assert "Bearer abc" not in "".join(event.describe() for event in events)
    assert "Bearer abc" in request.describe(secrets=True)


def test_what_the_server_ends_a_connection_with_is_told_in_words(make_client: Make) -> None:
    def leaving(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.send(
            PingFrame(0, b"8 bytes."),
            WindowUpdateFrame(0, 1000),
            GoAwayFrame(0, last_stream_id=0, error_code=11, additional_data=b"calm\x1bdown"),
        )

    events: Events = []
    with (
        raw_server(leaving) as server,
        make_client(server.url, http="2", trace=events.append) as client,
        pytest.raises(ExchangeError),
    ):
        client.post("/", content=iter([b"once"])) if isinstance(client, plait.Client) else client.post("/")
    received = frames(events, Direction.RECEIVED)
    assert "#1 < PING: 382062797465732e" in received
    assert "#1 < WINDOW_UPDATE: +1000" in received
    assert r"#1 < GOAWAY: ENHANCE_YOUR_CALM, last stream 0, 'calm\x1bdown'" in received
    assert any(event.type == "CLOSED" for event in events)


def test_a_response_that_the_client_refuses_can_be_seen(make_client: Make) -> None:
    """RFC 9113 §8.2.1: a name in upper case."""

    def shouting(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        block = peer.engine.encoder.encode([(":status", "200"), ("SERVER", "loud\x1b[2J")])
        frame = HeadersFrame(stream, block)
        frame.flags.add("END_HEADERS")
        frame.flags.add("END_STREAM")
        peer.send(frame)
        peer.drain()

    events: Events = []
    with (
        raw_server(shouting) as server,
        make_client(server.url, http="2", trace=events.append) as client,
        pytest.raises(ExchangeError),
    ):
        client.get("/")
    (response,) = [one for one in events if one.type == "HEADERS" and one.direction is Direction.RECEIVED]
    assert (b"SERVER", b"loud\x1b[2J") in response.fields
    assert r"SERVER: loud\x1b[2J" in response.describe()  # nothing that a terminal obeys
    assert "#1 > RST_STREAM stream 1: PROTOCOL_ERROR" in frames(events, Direction.SENT)


def test_the_frames_with_fields_are_as_long_as_the_statistics_say(
    make_client: Make, plait_server: RunningServer, certificate: Certificate
) -> None:
    events: Events = []
    options: dict[str, Any] = {"trace": events.append, "count_fields": True, "verify": certificate.ca}
    with make_client(plait_server.url(""), **options) as client:
        for _ in range(5):
            client.get("/", params={"a": "b" * 100})
        (one,) = client.statistics.connections
    assert one.fields is not None
    for direction, counted in (
        (Direction.SENT, one.fields.request_wire),
        (Direction.RECEIVED, one.fields.response_wire),
    ):
        found = [event for event in events if event.type == "HEADERS" and event.direction is direction]
        assert len(found) == 5
        assert sum(9 + event.length for event in found) == counted


# -- HTTP/1.1 ------------------------------------------------------------------------------------


def test_over_http_1_the_heads_are_told_of_and_how_long_the_content_is(make_client: Make) -> None:
    def chunked(sock: socket.socket) -> None:
        read_until(sock, b"hello")
        sock.sendall(
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n"
        )
        sock.sendall(b"4\r\nfour\r\n0\r\nx: y\r\n\r\n")

    events: Events = []
    with h1_server(chunked) as url, make_client(url, http="1", trace=events.append) as client:
        assert client.post("/books", content=b"hello", headers={"cookie": "a=1"}).content == b"four"
    sent = [event for event in events if event.direction is Direction.SENT]
    assert [str(event) for event in sent] == [
        "#1 > REQUEST stream 1: POST /books HTTP/1.1",
        "#1 > CONTENT stream 1: 5 bytes",
    ]
    assert sent[0].fields[0] == (b"host", url.removeprefix("http://").encode())
    assert (b"cookie", b"a=1") in sent[0].fields
    assert "a=1" not in sent[0].describe()
    received = [event for event in events if event.direction is Direction.RECEIVED]
    assert [str(event) for event in received] == [
        "#1 < INTERIM stream 1: HTTP/1.1 103",
        "#1 < RESPONSE stream 1: HTTP/1.1 200",
        "#1 < CONTENT stream 1: 4 bytes",
        "#1 < TRAILERS stream 1",
    ]
    assert received[0].fields == ((b"link", b"</a>"),)
    assert received[3].fields == ((b"x", b"y"),)


# -- the connection itself -----------------------------------------------------------------------


def test_how_a_connection_came_to_be_and_ended_is_told(
    make_client: Make, plait_server: RunningServer, certificate: Certificate
) -> None:
    events: Events = []
    with make_client(plait_server.url(""), verify=certificate.ca, trace=events.append) as client:
        client.get("/")
        (one,) = client.statistics.connections
    notes = [event for event in events if event.direction is Direction.NEITHER]
    assert [event.type for event in notes] == ["RESOLVED", "CONNECTED", "SECURED", "CERTIFICATE", "CLOSED"]
    resolved, connected, secured, presented, closed = notes
    assert re.fullmatch(rf"localhost is {one.address}, \d+\.\d ms", resolved.detail)
    assert re.fullmatch(
        rf"to {one.address} port {plait_server.port} from port {one.port}, \d+\.\d ms", connected.detail
    )
    assert re.fullmatch(r"TLSv1\.3, TLS_\w+, ALPN h2, \d+\.\d ms", secured.detail)
    assert re.fullmatch(r".+, issued by .+, ends \d{4}-\d\d-\d\d \d\d:\d\d UTC", presented.detail)
    assert (resolved.time, connected.time, secured.time) == (one.started, one.connected, one.secured)
    assert closed is events[-1]


def test_a_connection_that_never_came_to_be_is_told_of(make_client: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    events: Events = []
    with make_client(trace=events.append) as client, pytest.raises(ConnectFailed) as caught:
        client.get(f"http://127.0.0.1:{port}/")
    (event,) = events
    assert (event.connection, event.type) == (0, "FAILED")
    assert event.detail == str(caught.value)


def test_an_application_in_this_process_is_told_of_like_any_other(make_client: Make) -> None:
    from tests.support.session_app import app

    events: Events = []
    transport = plait.AppTransport(app)
    with make_client("https://shop.example", transport=transport, trace=events.append) as client:
        client.get("/")
    assert str(events[0]) == "#1 * CONNECTED: to an application in this process"
    assert any(event.type == "HEADERS" for event in events)


# -- who is told ---------------------------------------------------------------------------------


def test_one_who_cannot_be_told_is_told_no_more_and_the_request_goes_on(
    make_client: Make, caplog: pytest.LogCaptureFixture
) -> None:
    told: Events = []

    def failing(event: plait.FrameEvent) -> None:
        told.append(event)
        raise ValueError("no room")

    with raw_server(answering) as server, make_client(server.url, http="2", trace=failing) as client:
        assert client.get("/").content == b"ok"
    assert len(told) == 1
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert record.name == "plait.client"
    assert record.getMessage() == "trace raised an error; it is not called any more"


@pytest.mark.parametrize("option", ["trace", "record"])
def test_what_is_told_goes_to_a_function(make_client: Make, option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} must be a function, not 'yes'"):
        make_client(**{option: "yes"})
