"""The server's end of HTTP/1.1: bytes in, events and bytes out; every message is split everywhere."""

from __future__ import annotations

import pytest

from plait.errors import LocalProtocolError
from plait.protocol.events import (
    ConnectionClosed,
    DataReceived,
    ErrorCode,
    RequestReceived,
    StreamClosed,
    TrailersReceived,
)
from plait.protocol.h1_server import H1Server
from tests.support.h1 import OK, Record, run_server, server, splits

HOST = b"Host: a.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST


def run_every_way(message: bytes, *, eof: bool = False, **limits: int) -> Record:
    """Feed a message split in every way, assert that it makes no difference, and return the outcome."""
    first, *others = (run_server(server(**limits), pieces, eof=eof) for pieces in splits(message))
    for other in others:
        assert other.described == first.described
        assert other.output == first.output
        assert other.connection.closed == first.connection.closed
    return first


def begun(message: bytes = GET, **limits: int) -> tuple[H1Server, int]:
    """Return a server that has received a message, and the stream's id."""
    connection = server(**limits)
    connection.receive_data(message)
    event = connection.events()[0]
    assert isinstance(event, RequestReceived)
    return connection, event.stream_id


# -- requests ---------------------------------------------------------------------------------------


def test_a_request_is_announced_with_pseudo_fields_first() -> None:
    fields = b"Host: a.example:8443\r\nX-A:  one\t \r\nx-a: two\r\n"
    record = run_every_way(b"GET /book?id=1 HTTP/1.1\r\n" + fields + b"\r\n")
    assert record.described[0] == (
        "RequestReceived",
        1,
        (
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"a.example:8443"),
            (b":path", b"/book?id=1"),
            (b"host", b"a.example:8443"),
            (b"x-a", b"one"),
            (b"x-a", b"two"),
        ),
        True,
    )
    assert record.described[1:] == [("StreamClosed", 1, 0, None)]
    assert record.output == b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n/book?id=1"
    assert not record.connection.closed


def test_content_with_a_length_arrives_whole() -> None:
    record = run_every_way(POST + b"Content-Length: 5\r\n\r\nhello")
    assert record.described[1:] == [("data", 1, b"hello", True), ("StreamClosed", 1, 0, None)]


def test_a_length_of_zero_is_no_content() -> None:
    (request,) = run_every_way(POST + b"Content-Length: 0\r\n\r\n").of(RequestReceived)
    assert request.end_stream


def test_chunked_content_arrives_without_its_framing() -> None:
    record = run_every_way(
        POST + b"Transfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n00A ; c\r\n0123456789\r\n0\r\n\r\n"
    )
    assert record.described[1:] == [("data", 1, b"hello0123456789", True), ("StreamClosed", 1, 0, None)]


def test_trailers_end_the_request() -> None:
    record = run_every_way(
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: \t7 8\t\r\nY:\r\n\r\n" + GET
    )
    assert record.described[1:4] == [
        ("data", 1, b"a", False),
        ("TrailersReceived", 1, ((b"x-sum", b"7 8"), (b"y", b""))),
        ("StreamClosed", 1, 0, None),
    ]
    assert len(record.of(RequestReceived)) == 2


def test_pipelined_requests_are_answered_in_order() -> None:
    message = b"".join(
        [
            b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\n",
            b"POST /2 HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc",
            b"POST /3 HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"GET /4 HTTP/1.1\r\n" + HOST + b"\r\n",
        ]
    )
    record = run_every_way(message)
    assert [event.stream_id for event in record.of(RequestReceived)] == [1, 3, 5, 7]
    assert record.output == b"".join(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/%d" % number for number in (1, 2, 3, 4)
    )


def test_a_pipelined_request_waits_for_the_response_before_it() -> None:
    connection, first = begun(GET + GET)
    connection.send_response(first, [OK], end_stream=False)
    assert connection.events() == []
    connection.send_data(first, b"", end_stream=True)
    closed, request = connection.events()
    assert isinstance(closed, StreamClosed)
    assert isinstance(request, RequestReceived)
    assert request.stream_id == 3


def test_reading_stops_when_enough_requests_are_read_ahead() -> None:
    connection, stream_id = begun(GET, max_pipelined=2)
    connection.receive_data(GET)
    assert connection.wants_read
    connection.receive_data(GET)
    assert not connection.wants_read
    connection.send_response(stream_id, [OK], end_stream=True)
    assert connection.wants_read


def test_reading_stops_when_enough_bytes_are_read_ahead() -> None:
    connection, _ = begun()
    connection.receive_data(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999\r\n\r\n" + bytes(70_000))
    assert not connection.wants_read


def test_empty_lines_before_a_request_are_ignored() -> None:
    assert len(run_every_way(b"\r\n\r\n" + GET + b"\r\n" + GET).of(RequestReceived)) == 2


def test_upgrade_is_ignored() -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab"
    record = run_every_way(POST + upgrade + GET)
    assert len(record.of(RequestReceived)) == 2
    assert record.closed_with is None


def test_the_version_answered_is_the_version_of_the_request() -> None:
    connection, _ = begun(b"GET / HTTP/1.0\r\n\r\n")
    assert connection.http_version == "1.0"


# -- targets and hosts (RFC 9112 §3.2, RFC 9110 §7.2) -------------------------------------------------


@pytest.mark.parametrize(
    ("request_line", "authority", "path"),
    [
        (b"GET http://b.example:81/p?q HTTP/1.1", b"b.example:81", b"/p?q"),
        (b"GET HTTPS://b.example HTTP/1.1", b"b.example", b"/"),
        (b"GET http://b.example?q=/ HTTP/1.1", b"b.example", b"/?q=/"),
        (b"OPTIONS http://b.example HTTP/1.1", b"b.example", b"*"),
        (b"OPTIONS * HTTP/1.1", b"a.example", b"*"),
        (b"OPTIONS /p HTTP/1.1", b"a.example", b"/p"),
    ],
)
def test_each_form_of_target_gives_authority_and_path(
    request_line: bytes, authority: bytes, path: bytes
) -> None:
    (request,) = run_every_way(request_line + b"\r\n" + HOST + b"\r\n").of(RequestReceived)
    assert request.headers[2:5] == ((b":authority", authority), (b":path", path), (b"host", authority))


@pytest.mark.parametrize(
    "host", [b"a.example", b"a.example:", b"a.example:1", b"[::1]:8443", b"127.0.0.1", b"", b"a_b%20c"]
)
def test_a_well_formed_host_is_the_authority(host: bytes) -> None:
    (request,) = run_every_way(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").of(RequestReceived)
    assert request.headers[2] == (b":authority", host)


def test_http_1_0_needs_no_host() -> None:
    (request,) = run_every_way(b"GET / HTTP/1.0\r\n\r\n").of(RequestReceived)
    assert request.headers[2] == (b":authority", b"")


# -- refusals ---------------------------------------------------------------------------------------

MALFORMED = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host beside an absolute target": b"GET http://a.example/ HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "a list of hosts": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "a host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a host with a user": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "a host with a word as port": b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "a target with a user": b"GET http://u@a/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target without a host": b"GET http:///p HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target of another scheme": b"GET ftp://a/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a fragment": b"GET /#f HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk for GET": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a relative target": b"GET p HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a control character in the target": b"GET /a\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tab in the target": b"GET /a\t HTTP/1.1\r\n" + HOST + b"\r\n",
    "an octet above ASCII in the target": b"GET /\xe9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a lower-case protocol": b"GET / http/1.1\r\n" + HOST + b"\r\n",
    "a space after the version": b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n",
    "a bare LF after the request line": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "a bare LF after a field": b"GET / HTTP/1.1\r\nHost: a\n\r\n",
    "a bare CR in a field": b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\nX: a\r\n b\r\n" + HOST + b"\r\n",
    "a space before the first field": b"GET / HTTP/1.1\r\n X: a\r\n" + HOST + b"\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nX : a\r\n" + HOST + b"\r\n",
    "no colon": b"GET / HTTP/1.1\r\nX\r\n" + HOST + b"\r\n",
    "no name": b"GET / HTTP/1.1\r\n: a\r\n" + HOST + b"\r\n",
    "a name that is no token": b"GET / HTTP/1.1\r\nX(: a\r\n" + HOST + b"\r\n",
    "a name above ASCII": b"GET / HTTP/1.1\r\nX\xe9: a\r\n" + HOST + b"\r\n",
    "a NUL in a value": b"GET / HTTP/1.1\r\nX: a\x00b\r\n" + HOST + b"\r\n",
    "a DEL in a value": b"GET / HTTP/1.1\r\nX: a\x7fb\r\n" + HOST + b"\r\n",
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\n",
    "a signed length": POST + b"Content-Length: +5\r\n\r\n",
    "a negative length": POST + b"Content-Length: -5\r\n\r\n",
    "a hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\n",
    "an empty length": POST + b"Content-Length:\r\n\r\n",
    "a length no content has": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_is_refused(message: bytes) -> None:
    record = run_every_way(message)
    assert record.output.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nconnection: close\r\n\r\n" in record.output
    assert record.of(RequestReceived) == []
    assert record.closed_with == ErrorCode.PROTOCOL_ERROR
    assert record.connection.closed


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"CONNECT a.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 501),  # a TLS handshake
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505),
        (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 505),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 505),
    ],
)
def test_what_this_server_does_not_speak_is_refused_by_name(message: bytes, status: int) -> None:
    record = run_every_way(message)
    assert record.output.startswith(b"HTTP/1.1 %d " % status)
    assert record.closed_with == ErrorCode.PROTOCOL_ERROR


MALFORMED_CONTENT = {
    "no digits": b"\r\n",
    "a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "an underscore": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "a space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a space after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "a size that overflows": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "a control character in an extension": b"5;a=\x01\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "a chunk that ends with a bare LF": b"5\r\nhello\n0\r\n\r\n",
    "a chunk that ends with a bare CR": b"5\r\nhello\r0\r\n\r\n",
    "a folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
    "a trailer with a space before the colon": b"0\r\nX : a\r\n\r\n",
    "a trailer without a colon": b"0\r\nX\r\n\r\n",
    "a trailer with a bare LF": b"0\r\nX: a\nY: b\r\n\r\n",
    "a trailer with a bare CR": b"0\r\nX: a\rY: b\r\n\r\n",
    "a trailer with a NUL": b"0\r\nX: a\x00\r\n\r\n",
}


@pytest.mark.parametrize("content", MALFORMED_CONTENT.values(), ids=MALFORMED_CONTENT.keys())
def test_malformed_chunks_are_refused_while_no_response_was_begun(content: bytes) -> None:
    for pieces in splits(POST + b"Transfer-Encoding: chunked\r\n\r\n" + content):
        record = run_server(server(), pieces)
        assert record.output.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        request, *_, closed, ended = record.events
        assert isinstance(request, RequestReceived)
        assert isinstance(closed, StreamClosed)
        assert closed.error_code == ErrorCode.PROTOCOL_ERROR
        assert isinstance(ended, ConnectionClosed)
        assert ended.debug_data.endswith(b".")


def test_malformed_chunks_after_the_response_began_break_it_off() -> None:
    connection, stream_id = begun(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    connection.send_response(stream_id, [OK], end_stream=False)
    connection.data_to_send()
    connection.receive_data(b"x\r\n")
    assert connection.data_to_send() == b""
    assert [type(event) for event in connection.events()] == [StreamClosed, ConnectionClosed]
    assert connection.closed


def test_a_malformed_request_is_answered_after_those_before_it() -> None:
    record = run_every_way(GET + b"GET / HTTP/1.1\r\n\r\n" + GET)
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n/"
    assert record.output.startswith(ok + b"HTTP/1.1 400 Bad Request\r\n")
    assert len(record.of(RequestReceived)) == 1


def test_a_refusal_of_a_head_request_has_no_content() -> None:
    record = run_every_way(b"HEAD / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n")
    assert record.output.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert record.output.endswith(b"\r\n\r\n")


# -- limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("endless", [b"GET /aaaaaaaa", b"GET http://a.example/aaa"])
def test_an_endless_target_is_refused_before_its_end(endless: bytes) -> None:
    record = run_every_way(endless + b"a" * 100, max_target_size=64)
    assert record.output.startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    "endless", [b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nX:  ", b"GET / HTTP/1.1\r\n", b"GET /"]
)
def test_an_endless_field_line_is_refused_before_its_end(endless: bytes) -> None:
    filler = b" " if endless.endswith((b"  ", b"/")) else b"a"
    for pieces in splits(endless + filler * 200):
        record = run_server(server(max_header_size=64), pieces)
        assert record.output.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
        assert record.connection.closed


def test_endless_empty_lines_are_refused() -> None:
    assert run_every_way(b"\r\n" * 100, max_header_size=64).output.startswith(b"HTTP/1.1 431 ")


def test_too_many_fields_are_refused_before_their_end() -> None:
    fields = b"".join(b"X-%d: a\r\n" % number for number in range(12))
    record = run_every_way(b"GET / HTTP/1.1\r\n" + HOST + fields, max_header_fields=10)
    assert record.output.startswith(b"HTTP/1.1 431 ")


def test_as_many_fields_as_allowed_are_taken() -> None:
    fields = b"".join(b"X-%d: a\r\n" % number for number in range(9))
    record = run_every_way(b"GET / HTTP/1.1\r\n" + HOST + fields + b"\r\n", max_header_fields=10)
    assert record.output.startswith(b"HTTP/1.1 200 ")


def test_a_long_head_within_the_limits_is_taken() -> None:
    fields = b"Cookie: " + b"a" * 60_000 + b"\r\nX: y\r\n"
    record = run_server(server(), [b"GET / HTTP/1.1\r\n" + HOST + fields + b"\r\n" + GET])
    first, second = record.of(RequestReceived)
    assert first.headers[-1] == (b"x", b"y")
    assert second.headers[-1] == (b"host", b"a.example")


def test_a_huge_head_in_one_piece_is_refused() -> None:
    record = run_server(server(), [b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 1_000_000])
    assert record.output.startswith(b"HTTP/1.1 431 ")


def test_an_endless_chunk_size_is_refused() -> None:
    record = run_server(server(), [POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 2000])
    assert record.output.startswith(b"HTTP/1.1 400 ")


def test_endless_chunk_extensions_are_refused() -> None:
    chunks = (b"1;" + b"a" * 900 + b"\r\nx\r\n") * 20
    record = run_server(server(), [POST + b"Transfer-Encoding: chunked\r\n\r\n", chunks])
    assert record.output.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("trailers", [b"X: " + b"a" * 100, b"A: b\r\n" * 6 + b"\r\n"])
def test_trailers_beyond_the_limits_are_refused(trailers: bytes) -> None:
    for pieces in splits(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + trailers):
        record = run_server(server(max_header_size=64, max_header_fields=5), pieces)
        assert record.output.startswith(b"HTTP/1.1 431 ")
        assert record.of(TrailersReceived) == []


def test_reading_stops_at_the_window_and_goes_on_with_credit() -> None:
    connection, stream_id = begun(POST + b"Content-Length: 100\r\n\r\n", stream_window=10)
    connection.receive_data(b"123456789")
    assert connection.wants_read
    connection.receive_data(b"0")
    assert not connection.wants_read
    connection.acknowledge_received_data(1, stream_id)
    assert connection.wants_read


def test_a_window_that_is_full_does_not_hold_up_the_next_request() -> None:
    connection, stream_id = begun(POST + b"Content-Length: 10\r\n\r\n0123456789", stream_window=10)
    connection.send_response(stream_id, [OK], end_stream=True)
    connection.acknowledge_received_data(10, stream_id)
    connection.receive_data(POST + b"Content-Length: 10\r\n\r\n012345678")
    assert connection.wants_read
    connection.acknowledge_received_data(10, stream_id)  # late credit for the first request
    connection.receive_data(b"9")
    assert connection.wants_read


# -- responses --------------------------------------------------------------------------------------

CLOSE = b"connection: close\r\n"


def answer(request: bytes, fields: list[tuple[bytes, bytes]], *content: bytes) -> tuple[bytes, bool]:
    """Answer one request, and return the bytes sent and whether the connection closed."""
    connection, stream_id = begun(request)
    connection.send_response(stream_id, fields, end_stream=not content)
    for number, piece in enumerate(content, 1):
        connection.send_data(stream_id, piece, end_stream=number == len(content))
    closed = [event for event in connection.events() if isinstance(event, StreamClosed)]
    assert [event.error_code for event in closed] == [0]
    return connection.data_to_send(), connection.closed


HEAD = b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
OLD_KEPT = b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: x, Close\r\n\r\n"
LENGTH = (b"content-length", b"3")


@pytest.mark.parametrize(
    ("request_", "fields", "content", "expected", "closes"),
    [
        (GET, [OK, LENGTH], [b"abc"], b"200 OK\r\ncontent-length: 3\r\n\r\nabc", False),
        (GET, [OK], [], b"200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (
            GET,
            [OK],
            [b"abc", b"", b"0123456789abcdef", b""],
            b"200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
            False,
        ),
        (GET, [(b":status", b"204")], [], b"204 No Content\r\n\r\n", False),
        (GET, [(b":status", b"204"), (b"content-length", b"0")], [], b"204 No Content\r\n\r\n", False),
        (GET, [(b":status", b"304"), LENGTH], [], b"304 Not Modified\r\ncontent-length: 3\r\n\r\n", False),
        (GET, [(b":status", b"599")], [], b"599 \r\ncontent-length: 0\r\n\r\n", False),
        (HEAD, [OK, LENGTH], [], b"200 OK\r\ncontent-length: 3\r\n\r\n", False),
        (HEAD, [OK], [b"abc"], b"200 OK\r\n\r\n", False),
        (OLD, [OK], [b"abc", b""], b"200 OK\r\n" + CLOSE + b"\r\nabc", True),
        (OLD, [OK, LENGTH], [b"abc"], b"200 OK\r\ncontent-length: 3\r\n" + CLOSE + b"\r\nabc", True),
        (OLD_KEPT, [OK], [b"abc", b""], b"200 OK\r\n" + CLOSE + b"\r\nabc", True),
        (
            OLD_KEPT,
            [OK, LENGTH],
            [b"abc"],
            b"200 OK\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nabc",
            False,
        ),
        (LAST, [OK], [], b"200 OK\r\ncontent-length: 0\r\n" + CLOSE + b"\r\n", True),
    ],
)
def test_a_response_is_framed_for_its_request(
    request_: bytes, fields: list[tuple[bytes, bytes]], content: list[bytes], expected: bytes, closes: bool
) -> None:
    assert answer(request_, fields, *content) == (b"HTTP/1.1 " + expected, closes)


def test_content_shorter_than_its_length_never_ends_cleanly() -> None:
    connection, stream_id = begun()
    connection.send_response(stream_id, [OK, LENGTH], end_stream=False)
    connection.send_data(stream_id, b"ab", end_stream=True)
    closed, ended = connection.events()
    assert isinstance(closed, StreamClosed)
    assert closed.error_code == ErrorCode.INTERNAL_ERROR
    assert isinstance(ended, ConnectionClosed)
    assert connection.closed


def test_content_longer_than_its_length_is_the_callers_mistake() -> None:
    connection, stream_id = begun()
    connection.send_response(stream_id, [OK, LENGTH], end_stream=False)
    with pytest.raises(LocalProtocolError):
        connection.send_data(stream_id, b"abcd")


def test_queued_content_is_counted_until_it_is_taken() -> None:
    connection, stream_id = begun()
    connection.send_response(stream_id, [OK], end_stream=False)
    connection.send_data(stream_id, b"abc")
    assert connection.queued_body_size(stream_id) == 3
    connection.data_to_send()
    assert connection.queued_body_size(stream_id) == 0


def test_sending_on_a_stream_that_does_not_wait_for_it_is_the_callers_mistake() -> None:
    connection, stream_id = begun()
    with pytest.raises(LocalProtocolError):
        connection.send_data(stream_id, b"a")
    with pytest.raises(LocalProtocolError):
        connection.send_response(stream_id + 2, [OK], end_stream=True)
    with pytest.raises(LocalProtocolError):
        connection.reset_stream(stream_id + 2, 0)
    with pytest.raises(LocalProtocolError):
        connection.send_request([], end_stream=True)
    connection.send_response(stream_id, [OK], end_stream=True)
    with pytest.raises(LocalProtocolError):
        connection.send_response(stream_id, [OK], end_stream=True)
    with pytest.raises(LocalProtocolError):
        connection.send_informational_response(stream_id, [(b":status", b"103")])


def test_an_interim_response_comes_before_the_final_one() -> None:
    connection, stream_id = begun()
    connection.send_informational_response(stream_id, [(b":status", b"103"), (b"link", b"</a>")])
    connection.send_response(stream_id, [OK], end_stream=True)
    assert connection.data_to_send() == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    )


def test_http_1_0_gets_no_interim_response() -> None:
    connection, stream_id = begun(OLD)
    connection.send_informational_response(stream_id, [(b":status", b"103")])
    assert connection.data_to_send() == b""


# -- content that nobody waits for ------------------------------------------------------------------

EXPECTS = POST + b"Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n"


def test_content_that_was_asked_for_keeps_the_connection() -> None:
    connection, stream_id = begun(EXPECTS)
    connection.send_informational_response(stream_id, [(b":status", b"100")])
    assert connection.data_to_send() == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.receive_data(b"abc")
    connection.send_response(stream_id, [OK], end_stream=True)
    assert CLOSE not in connection.data_to_send()
    assert not connection.closing


def test_a_response_before_content_was_asked_for_closes_the_connection() -> None:
    connection, stream_id = begun(EXPECTS)
    connection.send_response(stream_id, [(b":status", b"413")], end_stream=True)
    assert CLOSE in connection.data_to_send()
    assert connection.closed


def test_a_little_content_left_over_is_thrown_away() -> None:
    for pieces in splits(b"hello" + GET):
        connection, stream_id = begun(POST + b"Content-Length: 5\r\n\r\n")
        connection.send_response(stream_id, [OK], end_stream=True)
        (closed,) = connection.events()
        assert isinstance(closed, StreamClosed)
        assert connection.wants_read
        for piece in pieces:
            connection.receive_data(piece)
        (request,) = connection.events()
        assert isinstance(request, RequestReceived)


def test_chunks_left_over_are_thrown_away_up_to_a_limit() -> None:
    connection, stream_id = begun(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    connection.send_response(stream_id, [OK], end_stream=True)
    for _ in range(70):
        assert not connection.closed
        connection.receive_data(b"400\r\n" + bytes(1024) + b"\r\n")
        if connection.closed:
            break
    assert connection.closed
    assert [type(event) for event in connection.events()] == [StreamClosed, ConnectionClosed]


def test_malformed_chunks_left_over_only_close_the_connection() -> None:
    connection, stream_id = begun(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    connection.send_response(stream_id, [OK], end_stream=True)
    connection.data_to_send()
    connection.receive_data(b"x\r\n")
    assert connection.data_to_send() == b""
    assert [type(event) for event in connection.events()] == [StreamClosed, ConnectionClosed]


def test_much_content_left_over_closes_the_connection() -> None:
    connection, stream_id = begun(POST + b"Content-Length: 1000000\r\n\r\n")
    connection.send_response(stream_id, [OK], end_stream=True)
    assert CLOSE in connection.data_to_send()
    assert connection.closed


def test_much_content_left_over_after_a_streamed_response_closes_the_connection() -> None:
    connection, stream_id = begun(POST + b"Content-Length: 1000000\r\n\r\n")
    connection.send_response(stream_id, [OK], end_stream=False)
    connection.receive_data(b"abc")
    connection.send_data(stream_id, b"", end_stream=True)
    assert connection.closed


# -- the end ----------------------------------------------------------------------------------------


def test_eof_when_idle_is_a_proper_end() -> None:
    assert run_every_way(GET, eof=True).closed_with == ErrorCode.NO_ERROR


@pytest.mark.parametrize("part", [b"G", b"GET / HT", b"GET / HTTP/1.1\r\n", GET[:-1]])
def test_eof_in_a_head_ends_the_connection(part: bytes) -> None:
    record = run_every_way(part, eof=True)
    assert record.closed_with == ErrorCode.CANCEL
    assert record.output == b""


def test_eof_in_content_ends_the_exchange() -> None:
    record = run_every_way(POST + b"Content-Length: 5\r\n\r\nhell", eof=True)
    data, closed = record.described[1:-1]
    assert data == ("data", 1, b"hell", False)
    assert closed == ("StreamClosed", 1, ErrorCode.CANCEL, None)
    assert record.closed_with == ErrorCode.CANCEL
    assert record.output == b""


def test_a_client_that_closes_its_half_is_still_answered() -> None:
    connection, first = begun(GET + GET)
    connection.receive_eof()
    connection.send_response(first, [OK], end_stream=True)
    _, request = connection.events()
    connection.send_response(request.stream_id, [OK], end_stream=True)
    output = connection.data_to_send()
    assert output.count(b"HTTP/1.1 200 OK") == 2
    assert output.count(CLOSE) == 1
    assert connection.closed


def test_shutting_down_when_idle_closes_at_the_second_call() -> None:
    connection = server()
    connection.shut_down()
    assert connection.closing
    assert not connection.closed
    connection.shut_down()
    assert connection.closed
    assert connection.events()[0].error_code == 0


def test_shutting_down_answers_a_request_that_raced_it() -> None:
    """RFC 9112 §9.5."""
    connection = server()
    connection.shut_down()
    connection.receive_data(GET)
    connection.send_response(1, [OK], end_stream=True)
    assert CLOSE in connection.data_to_send()
    assert connection.closed


def test_shutting_down_answers_what_was_pipelined() -> None:
    connection, stream_id = begun(GET + GET)
    connection.shut_down()
    connection.shut_down()
    connection.send_response(stream_id, [OK], end_stream=True)
    assert CLOSE not in connection.data_to_send()
    connection.send_response(stream_id + 2, [OK], end_stream=True)
    assert CLOSE in connection.data_to_send()
    assert connection.closed


def test_shutting_down_lets_the_current_exchange_finish() -> None:
    connection, stream_id = begun()
    connection.shut_down()
    connection.shut_down()
    assert connection.closing
    assert not connection.closed
    connection.send_response(stream_id, [OK], end_stream=True)
    assert [type(event) for event in connection.events()] == [StreamClosed, ConnectionClosed]
    assert CLOSE in connection.data_to_send()


def test_shutting_down_lets_a_response_that_began_finish() -> None:
    connection, stream_id = begun()
    connection.send_response(stream_id, [OK], end_stream=False)
    connection.shut_down()
    connection.send_data(stream_id, b"a", end_stream=True)
    assert connection.data_to_send().endswith(b"0\r\n\r\n")
    # It did not say that it would close: the next request may be on its way.
    assert not connection.closed
    connection.shut_down()
    assert connection.closed


def test_shutting_down_answers_a_request_that_is_on_its_way() -> None:
    connection = server()
    connection.receive_data(GET[:10])
    assert connection.receiving_head
    connection.shut_down()
    connection.receive_data(GET[10:])
    assert not connection.receiving_head
    connection.send_response(1, [OK], end_stream=True)
    assert CLOSE in connection.data_to_send()
    assert connection.closed


def test_a_reset_before_the_response_sends_nothing() -> None:
    connection, stream_id = begun()
    connection.reset_stream(stream_id, ErrorCode.INTERNAL_ERROR)
    closed, ended = connection.events()
    assert isinstance(closed, StreamClosed)
    assert closed.error_code == ErrorCode.INTERNAL_ERROR
    assert isinstance(ended, ConnectionClosed)
    assert connection.data_to_send() == b""
    assert connection.closed


def test_a_reset_within_the_response_leaves_it_incomplete() -> None:
    connection, stream_id = begun()
    connection.send_response(stream_id, [OK], end_stream=False)
    connection.send_data(stream_id, b"abc")
    connection.reset_stream(stream_id, ErrorCode.INTERNAL_ERROR)
    assert connection.data_to_send().endswith(b"\r\n\r\n3\r\nabc\r\n")
    assert connection.closed


def test_a_reset_after_the_response_changes_nothing() -> None:
    connection, stream_id = begun()
    connection.send_response(stream_id, [OK], end_stream=True)
    connection.reset_stream(stream_id, ErrorCode.NO_ERROR)
    assert [type(event) for event in connection.events()] == [StreamClosed]
    assert not connection.closed


def test_termination_ends_all_with_one_event() -> None:
    connection, stream_id = begun()
    connection.terminate(ErrorCode.ENHANCE_YOUR_CALM)
    connection.terminate(ErrorCode.NO_ERROR)
    connection.receive_data(GET)
    connection.receive_eof()
    (ended,) = connection.events()
    assert isinstance(ended, ConnectionClosed)
    assert ended.error_code == ErrorCode.ENHANCE_YOUR_CALM
    assert not connection.wants_read
    with pytest.raises(LocalProtocolError):
        connection.send_response(stream_id, [OK], end_stream=True)


def test_a_large_upload_is_handed_on_as_it_comes() -> None:
    connection, _ = begun(POST + b"Content-Length: 1048576\r\n\r\n")
    piece = bytes(262_144)
    for _ in range(4):
        connection.receive_data(piece)
    events = connection.events()
    assert all(isinstance(event, DataReceived) and event.data is piece for event in events)
    assert [event.end_stream for event in events] == [False, False, False, True]


@pytest.mark.parametrize("line", [b"A:" + b" " * 4_000_000, b"A: b" + b" c" * 2_000_000])
def test_a_long_trailer_takes_no_longer_than_its_length(line: bytes) -> None:
    """What takes the square of it is not through in an hour."""
    record = run_server(
        server(max_header_size=8_000_000),
        [POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + line + b"\x00\r\n\r\n"],
    )
    assert record.connection.closed
