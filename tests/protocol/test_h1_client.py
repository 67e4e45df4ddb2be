"""The client's end of HTTP/1.1: bytes in, events and bytes out; every response is split everywhere."""

from __future__ import annotations

import pytest

from plait.errors import LocalProtocolError
from plait.protocol.events import (
    ConnectionClosed,
    DataReceived,
    ErrorCode,
    Event,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamClosed,
    TrailersReceived,
)
from plait.protocol.h1_client import H1Client
from plait.protocol.h1_server import H1Server
from tests.support.h1 import OK, Pair, Record, client, request_fields, splits

DONE = ("StreamClosed", 1, 0, None)


def asking(method: bytes = b"GET", **limits: int) -> tuple[H1Client, int]:
    """Return a client that has sent a request without content, and the stream's id."""
    connection = client(**limits)
    stream_id = connection.send_request(request_fields(method), end_stream=True)
    connection.data_to_send()
    return connection, stream_id


def receive_every_way(message: bytes, *, method: bytes = b"GET", eof: bool = False, **limits: int) -> Record:
    """Feed a response split in every way, assert that it makes no difference, return the outcome."""
    records = []
    for pieces in splits(message):
        record = Record(asking(method, **limits)[0])
        for piece in pieces:
            record.connection.receive_data(piece)
            record.take()
        if eof:
            record.connection.receive_eof()
            record.take()
        records.append(record)
    first, *others = records
    for other in others:
        assert other.described == first.described
        assert other.connection.closed == first.connection.closed
    return first


# -- requests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "content", "expected"),
    [
        (request_fields(), [], b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n"),
        (
            request_fields(b"HEAD", b"/p?q", (b"a", b"b")),
            [],
            b"HEAD /p?q HTTP/1.1\r\nhost: a.example\r\na: b\r\n\r\n",
        ),
        (request_fields(b"OPTIONS", b"*"), [], b"OPTIONS * HTTP/1.1\r\nhost: a.example\r\n\r\n"),
        (request_fields(b"POST"), [], b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n"),
        (
            request_fields(b"POST", b"/", (b"content-length", b"3")),
            [b"abc"],
            b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3\r\n\r\nabc",
        ),
        (
            request_fields(b"PUT"),
            [b"abc", b"", b"d"],
            b"PUT / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
        ),
        (
            [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b"host", b"h")],
            [],
            b"GET / HTTP/1.1\r\nhost: h\r\n\r\n",
        ),
    ],
)
def test_a_request_is_framed(
    fields: list[tuple[bytes, bytes]], content: list[bytes], expected: bytes
) -> None:
    connection = client()
    stream_id = connection.send_request(fields, end_stream=not content)
    for number, piece in enumerate(content, 1):
        connection.send_data(stream_id, piece, end_stream=number == len(content))
    assert connection.data_to_send() == expected


def test_one_exchange_goes_on_at_a_time() -> None:
    connection = client()
    assert connection.capacity == 1
    assert connection.send_request(request_fields(), end_stream=True) == 1
    assert connection.capacity == 0
    with pytest.raises(LocalProtocolError):
        connection.send_request(request_fields(), end_stream=True)
    connection.receive_data(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert connection.capacity == 1
    assert connection.send_request(request_fields(), end_stream=True) == 3


def test_what_a_client_cannot_send_is_the_callers_mistake() -> None:
    connection = client()
    with pytest.raises(LocalProtocolError):
        connection.send_request(request_fields(b"CONNECT"), end_stream=True)
    with pytest.raises(LocalProtocolError):
        connection.send_data(1, b"a")
    with pytest.raises(LocalProtocolError):
        connection.send_response(1, [OK], end_stream=True)
    with pytest.raises(LocalProtocolError):
        connection.send_informational_response(1, [OK])
    with pytest.raises(LocalProtocolError):
        connection.reset_stream(1, 0)


def test_content_shorter_than_its_length_breaks_the_request_off() -> None:
    connection = client()
    fields = request_fields(b"POST", b"/", (b"content-length", b"3"))
    stream_id = connection.send_request(fields, end_stream=False)
    connection.send_data(stream_id, b"ab", end_stream=True)
    closed = connection.events()[0]
    assert isinstance(closed, StreamClosed)
    assert closed.error_code == ErrorCode.INTERNAL_ERROR
    assert connection.closed


# -- responses --------------------------------------------------------------------------------------


def test_a_response_with_a_length() -> None:
    record = receive_every_way(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b \r\n\r\nhello")
    assert record.described == [
        ("ResponseReceived", 1, ((b":status", b"200"), (b"content-length", b"5"), (b"x-a", b"b")), False),
        ("data", 1, b"hello", True),
        DONE,
    ]
    assert record.connection.capacity == 1  # type: ignore[attr-defined]


def test_a_field_of_a_response_may_go_on_over_several_lines() -> None:
    record = receive_every_way(
        b"HTTP/1.1 200 OK\r\na: one\r\n two\r\n\tthree\r\nb:\r\n x\r\ncontent-length: 2\r\n\r\nok"
    )
    fields = ((b":status", b"200"), (b"a", b"one   two  \tthree"), (b"b", b"x"), (b"content-length", b"2"))
    assert record.described == [("ResponseReceived", 1, fields, False), ("data", 1, b"ok", True), DONE]


def test_a_response_in_chunks_with_trailers() -> None:
    record = receive_every_way(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"
    )
    assert record.described[1:] == [
        ("data", 1, b"abcde", False),
        ("TrailersReceived", 1, ((b"x", b"y"),)),
        DONE,
    ]
    assert not record.connection.closed


def test_a_response_that_ends_with_the_connection() -> None:
    record = receive_every_way(b"HTTP/1.1 200 OK\r\n\r\nhello", eof=True)
    assert record.described[1:] == [("data", 1, b"hello", True), DONE, ("ConnectionClosed", 0, b"")]


@pytest.mark.parametrize(
    ("method", "head"),
    [
        (b"HEAD", b"200 OK\r\nContent-Length: 5\r\n"),
        (b"HEAD", b"200 OK\r\nTransfer-Encoding: chunked\r\n"),
        (b"HEAD", b"200 OK\r\n"),
        (b"GET", b"204 No Content\r\n"),
        (b"GET", b"304 Not Modified\r\nContent-Length: 5\r\n"),
        (b"GET", b"200 OK\r\nContent-Length: 0\r\n"),
        (b"GET", b"200\r\nContent-Length: 0\r\n"),
        (b"GET", b"999 What\r\nContent-Length: 0\r\n"),
    ],
)
def test_a_response_without_content_keeps_the_connection(method: bytes, head: bytes) -> None:
    record = receive_every_way(b"HTTP/1.1 " + head + b"\r\n", method=method)
    (response,) = record.of(ResponseReceived)
    assert response.end_stream
    assert record.described[1:] == [DONE]
    assert not record.connection.closing


def test_interim_responses_come_before_the_final_one() -> None:
    record = receive_every_way(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No\r\n\r\n"
    )
    assert [type(event) for event in record.events] == [
        InformationalResponseReceived,
        InformationalResponseReceived,
        ResponseReceived,
        StreamClosed,
    ]
    assert record.events[1].headers == ((b":status", b"103"), (b"link", b"</a>"))


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: x , CLOSE\r\n", True),
        (b"HTTP/1.0 200 OK\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", False),
    ],
)
def test_the_connection_is_kept_as_the_server_says(head: bytes, closes: bool) -> None:
    record = receive_every_way(head + b"Content-Length: 2\r\n\r\nok")
    assert DONE in record.described
    assert record.connection.closed is closes


@pytest.mark.parametrize(
    "message",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_malformed_response_breaks_the_exchange_off(message: bytes) -> None:
    record = receive_every_way(message)
    assert [type(event) for event in record.events] == [StreamClosed, ConnectionClosed]
    assert record.events[0].error_code == record.closed_with == ErrorCode.PROTOCOL_ERROR
    assert record.events[1].debug_data.endswith(b".")
    assert record.output == b""


def test_malformed_chunks_break_the_exchange_off() -> None:
    for pieces in splits(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"):
        record = Record(asking()[0])
        for piece in pieces:
            record.connection.receive_data(piece)
        record.take()
        assert record.closed_with == ErrorCode.PROTOCOL_ERROR
        assert record.of(StreamClosed)[0].error_code == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "endless",
    [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nE: f\r\nG: "],
)
def test_an_endless_head_is_given_up(endless: bytes) -> None:
    record = receive_every_way(endless + b"a" * 200, max_header_size=64, max_header_fields=2)
    assert record.closed_with == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "part",
    [
        b"H",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ],
)
def test_a_response_that_is_cut_off_never_ends_cleanly(part: bytes) -> None:
    record = receive_every_way(part, eof=True)
    (closed,) = record.of(StreamClosed)
    assert closed.error_code == ErrorCode.INTERNAL_ERROR
    assert record.closed_with == ErrorCode.INTERNAL_ERROR
    assert not any(event.end_stream for event in record.of(DataReceived))


def test_a_connection_that_closes_before_the_response_is_lost_with_its_exchange() -> None:
    record = receive_every_way(b"HTTP/1.1 100 Continue\r\n\r\n", eof=True)
    assert record.of(StreamClosed) == []
    assert record.closed_with == ErrorCode.INTERNAL_ERROR


def test_an_idle_connection_may_close() -> None:
    connection = client()
    connection.receive_eof()
    assert connection.closed
    assert connection.capacity == 0
    assert connection.events()[0].error_code == 0


def test_bytes_nobody_asked_for_close_the_connection() -> None:
    connection = client()
    connection.receive_data(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    (ended,) = connection.events()
    assert ended.error_code == ErrorCode.PROTOCOL_ERROR
    assert connection.closed


def test_bytes_after_a_response_spoil_the_connection_but_not_the_response() -> None:
    record = receive_every_way(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + b"HTTP/1.1 200 OK\r\n\r\n")
    assert record.described[1:3] == [("data", 1, b"ok", True), DONE]
    assert record.closed_with == ErrorCode.PROTOCOL_ERROR


def test_reading_stops_at_the_window_and_goes_on_with_credit() -> None:
    connection, stream_id = asking(stream_window=10)
    connection.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789")
    assert not connection.wants_read
    connection.acknowledge_received_data(10, stream_id)
    assert connection.wants_read
    connection.receive_data(b"0123456789")
    assert connection.wants_read  # the response is whole: only the end of the connection is awaited


# -- a response before the request is whole ---------------------------------------------------------


def test_an_early_response_waits_for_the_rest_of_the_request() -> None:
    connection = client()
    stream_id = connection.send_request(request_fields(b"POST"), end_stream=False)
    connection.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert [type(event) for event in connection.events()] == [ResponseReceived, DataReceived]
    assert connection.capacity == 0
    connection.send_data(stream_id, b"abc", end_stream=True)
    assert [type(event) for event in connection.events()] == [StreamClosed]
    assert connection.capacity == 1


def test_an_early_response_of_a_server_that_closes_ends_the_request() -> None:
    connection = client()
    connection.send_request(request_fields(b"POST"), end_stream=False)
    connection.receive_data(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    types = [type(event) for event in connection.events()]
    assert types == [ResponseReceived, StreamClosed, ConnectionClosed]


@pytest.mark.parametrize("ending", ["eof", "reset", "bytes"])
def test_an_early_response_stays_good_whatever_ends_the_connection(ending: str) -> None:
    connection = client()
    stream_id = connection.send_request(request_fields(b"POST"), end_stream=False)
    connection.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    if ending == "eof":
        connection.receive_eof()
    elif ending == "reset":
        connection.reset_stream(stream_id, ErrorCode.NO_ERROR)
    else:
        connection.receive_data(b"HTTP/1.1 200 OK\r\n\r\n")
    _, closed, ended = connection.events()
    assert isinstance(closed, StreamClosed)
    assert closed.error_code == 0
    assert isinstance(ended, ConnectionClosed)


# -- the end ----------------------------------------------------------------------------------------


def test_shutting_down_lets_the_current_exchange_finish() -> None:
    connection, _ = asking()
    connection.shut_down()
    assert connection.capacity == 0
    assert not connection.closed
    connection.receive_data(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert connection.closed
    idle = client()
    idle.shut_down()
    assert idle.closed


def test_a_reset_closes_the_connection() -> None:
    connection, stream_id = asking()
    connection.reset_stream(stream_id, ErrorCode.CANCEL)
    closed, ended = connection.events()
    assert closed.error_code == ErrorCode.CANCEL
    assert isinstance(ended, ConnectionClosed)
    assert connection.closed
    assert not connection.wants_read


# -- both ends --------------------------------------------------------------------------------------


def echo(server: H1Server, event: Event) -> None:
    """Answer a request without content with its target, and content with the same in chunks."""
    if isinstance(event, RequestReceived):
        target = event.headers[3][1]
        fields = [OK, (b"content-length", b"%d" % len(target))] if event.end_stream else [OK]
        server.send_response(event.stream_id, fields, end_stream=False)
        if event.end_stream:
            server.send_data(event.stream_id, target, end_stream=True)
    elif isinstance(event, DataReceived):
        server.send_data(event.stream_id, event.data, end_stream=event.end_stream)


def test_a_thousand_exchanges_share_one_connection() -> None:
    pair = Pair(echo)
    for number in range(1000):
        path = b"/%d" % number
        if number % 4 == 3:
            stream_id = pair.client.send_request(request_fields(b"POST", path), end_stream=False)
            pair.client.send_data(stream_id, path)
            pair.client.send_data(stream_id, bytes(number), end_stream=True)
            expected = path + bytes(number)
        else:
            method = b"HEAD" if number % 4 == 1 else b"GET"
            stream_id = pair.client.send_request(request_fields(method, path), end_stream=True)
            expected = b"" if method == b"HEAD" else path
        received = pair.exchange()
        content = b"".join(event.data for event in received if isinstance(event, DataReceived))
        assert content == expected
        assert isinstance(received[-1], StreamClosed)
        assert received[-1].stream_id == stream_id == 2 * number + 1
    assert pair.client.capacity == 1
    assert not pair.server.closing


def test_trailers_of_a_response_are_not_mistaken_for_the_next_one() -> None:
    connection, _ = asking()
    message = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n"
    for _ in range(3):
        connection.receive_data(message)
        assert [type(event) for event in connection.events()] == [
            ResponseReceived,
            TrailersReceived,
            StreamClosed,
        ]
        connection.send_request(request_fields(), end_stream=True)
