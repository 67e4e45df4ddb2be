"""Trailer sections, both ways, over both versions (RFC 9110 §6.5, RFC 9113 §8.1, RFC 9112 §7.1.2)."""

from __future__ import annotations

import pytest

from plait.errors import ExchangeError, LocalProtocolError
from plait.protocol.events import ErrorCode
from tests.support.memory_h1 import H1Memory
from tests.support.pairs import ClientPair, ServerPair

CHECKSUM = [(b"x-checksum", b"abc"), (b"grpc-status", b"0")]


def test_trailers_end_a_response_over_http_2() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)

    exchange.send_response(200, [])
    exchange.send_data(b"content")
    exchange.send_trailers([(b"X-Checksum", b" abc "), (b"grpc-status", b"0"), (b"connection", b"close")])
    pair.endpoint.finished(exchange)
    pair.move()

    message = pair.messages[stream]
    assert (message.content, message.trailers, message.ended) == (b"content", CHECKSUM, True)
    assert exchange.closed
    assert exchange.error is None


def test_trailers_follow_content_that_waits_for_the_window() -> None:
    pair = ServerPair()
    pair.credits = False
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    exchange.send_data(b"x" * 100_000)
    exchange.send_trailers(CHECKSUM)
    pair.move()
    assert pair.messages[stream].trailers is None

    pair.peer.increment_flow_control_window(200_000)
    pair.peer.increment_flow_control_window(200_000, stream)
    pair.move()

    assert len(pair.messages[stream].content) == 100_000
    assert pair.messages[stream].trailers == CHECKSUM
    assert pair.messages[stream].ended


def test_trailers_alone_may_follow_the_head() -> None:
    pair = ServerPair()
    stream = pair.request()
    pair.exchange_of(stream).send_response(200, [])
    pair.exchange_of(stream).send_trailers(CHECKSUM)
    pair.move()

    assert pair.messages[stream].trailers == CHECKSUM
    assert pair.messages[stream].ended


def test_an_empty_trailer_section_is_a_plain_end() -> None:
    pair = ServerPair()
    stream = pair.request()
    pair.exchange_of(stream).send_response(200, [])
    pair.exchange_of(stream).send_trailers([])
    pair.move()

    assert pair.messages[stream].trailers is None
    assert pair.messages[stream].ended


def test_trailers_are_held_back_until_the_request_is_through() -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", content=b"begin", end_stream=False)
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    exchange.send_data(b"content")
    exchange.send_trailers(CHECKSUM)
    pair.endpoint.finished(exchange)
    pair.move()
    assert pair.messages[stream].content == b"content"
    assert not pair.messages[stream].ended

    pair.peer.end_stream(stream)
    pair.move()

    assert pair.messages[stream].trailers == CHECKSUM
    assert pair.messages[stream].ended


def test_held_trailers_go_before_the_rest_of_the_request_is_refused() -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", content=b"begin", end_stream=False)
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    exchange.send_trailers(CHECKSUM)
    pair.endpoint.finished(exchange)
    pair.move()

    pair.after(5)

    assert pair.messages[stream].trailers == CHECKSUM
    assert pair.messages[stream].reset == ErrorCode.NO_ERROR


@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_response_without_content_has_no_trailers(status: int) -> None:
    pair = ServerPair()
    stream = pair.request(b"HEAD" if status == 200 else b"GET")
    pair.exchange_of(stream).send_response(status, [])
    pair.exchange_of(stream).send_trailers(CHECKSUM)
    pair.move()

    assert pair.messages[stream].trailers is None
    assert pair.messages[stream].ended


@pytest.mark.parametrize(
    "field",
    [
        (b":status", b"200"),
        (b"content-length", b"3"),
        (b"Host", b"b.example"),
        (b"trailer", b"x"),
        (b"content-type", b"text/plain"),
        (b"set-cookie", b"a=b"),
        (b"x y", b"1"),
        (b"x", b"a\r\nb: c"),
    ],
)
def test_a_field_without_a_place_in_trailers_is_refused(field: tuple[bytes, bytes]) -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])

    with pytest.raises(LocalProtocolError, match=r"trailer section|field name|control character"):
        exchange.send_trailers([field])

    exchange.send_trailers(CHECKSUM)
    pair.move()
    assert pair.messages[stream].trailers == CHECKSUM


def test_content_shorter_than_its_length_is_no_better_for_trailers() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [(b"content-length", b"10")], content_length=10)
    exchange.send_data(b"short")

    with pytest.raises(LocalProtocolError, match="shorter than its content-length"):
        exchange.send_trailers(CHECKSUM)

    pair.move()
    assert pair.messages[stream].reset == ErrorCode.INTERNAL_ERROR


def test_trailers_before_the_head_or_after_the_end_are_refused() -> None:
    pair = ServerPair()
    exchange = pair.exchange_of(pair.request())
    with pytest.raises(LocalProtocolError):
        exchange.send_trailers(CHECKSUM)
    exchange.send_response(200, [])
    exchange.send_trailers(CHECKSUM)
    with pytest.raises(LocalProtocolError):
        exchange.send_trailers(CHECKSUM)


def test_trailers_of_a_stream_that_was_reset_say_so() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    pair.peer.reset_stream(stream)
    pair.move()

    with pytest.raises(ExchangeError):
        exchange.send_trailers(CHECKSUM)


def test_a_client_sends_trailers_after_its_content() -> None:
    pair = ClientPair()
    exchange = pair.open(b"POST", end_stream=False)
    exchange.send_data(b"content")
    exchange.send_trailers(CHECKSUM)
    pair.move()

    message = pair.messages[exchange.stream_id]
    assert (message.content, message.trailers, message.ended) == (b"content", CHECKSUM, True)


def test_request_trailers_end_the_request_over_http_2() -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", content=b"content", end_stream=False)
    exchange = pair.exchange_of(stream)
    pair.peer.send_headers(stream, CHECKSUM, end_stream=True)
    pair.move()

    assert exchange.read() == b"content"
    assert exchange.read() == b""
    assert exchange.trailers == CHECKSUM


@pytest.mark.parametrize("limits", [{"max_header_fields": 10}, {"max_header_size": 2000}])
def test_request_trailers_over_a_limit_reset_the_stream(limits: dict[str, float]) -> None:
    pair = ServerPair(**limits)
    stream = pair.request(b"POST", content=b"content", end_stream=False)
    other = pair.request()
    exchange = pair.exchange_of(stream)

    pair.peer.send_headers(stream, [(b"x-%d" % n, b"v" * 200) for n in range(11)], end_stream=True)
    pair.move()

    assert exchange.trailers is None
    assert pair.messages[stream].reset == ErrorCode.ENHANCE_YOUR_CALM
    pair.answer(pair.exchange_of(other), b"ok")
    pair.move()
    assert pair.messages[other].content == b"ok"


# -- HTTP/1.1 ------------------------------------------------------------------------------------


def test_trailers_end_a_chunked_response_over_http_1() -> None:
    memory = H1Memory()
    exchange = memory.request()
    exchange.send_response(200, [])
    exchange.send_data(b"content")
    exchange.send_trailers(CHECKSUM)
    memory.endpoint.finished(exchange)

    head, _, content = memory.output().partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert content == b"7\r\ncontent\r\n0\r\nx-checksum: abc\r\ngrpc-status: 0\r\n\r\n"
    # And the connection goes on.
    assert memory.request(start=b"GET /next HTTP/1.1").request.target == b"/next"


@pytest.mark.parametrize(
    ("start", "length", "end"),
    [
        (b"GET / HTTP/1.1", 7, b"\r\n\r\ncontent"),
        (b"GET / HTTP/1.0", None, b"\r\n\r\ncontent"),
        (b"HEAD / HTTP/1.1", None, b"\r\n\r\n"),
    ],
    ids=["length", "until-close", "head"],
)
def test_framing_without_room_for_trailers_drops_them(start: bytes, length: int | None, end: bytes) -> None:
    memory = H1Memory()
    exchange = memory.request(start=start)
    fields = [] if length is None else [(b"content-length", b"%d" % length)]
    exchange.send_response(200, fields, content_length=length)
    exchange.send_data(b"content")
    exchange.send_trailers(CHECKSUM)

    output = memory.output()
    assert output.endswith(end)
    assert b"x-checksum" not in output
    assert exchange.closed


def test_request_trailers_end_the_request_over_http_1() -> None:
    memory = H1Memory()
    (exchange,) = memory.send(
        b"POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n"
        b"7\r\ncontent\r\n0\r\nX-Checksum: abc\r\ngrpc-status: 0\r\n\r\n"
    )

    assert exchange.read() == b"content"
    assert exchange.read() == b""
    assert exchange.trailers == CHECKSUM
