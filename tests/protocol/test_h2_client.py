"""The client's end of HTTP/2, with ``h2`` as the server."""

from __future__ import annotations

import pytest
from hyperframe.frame import (
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
)

from plait.errors import ConnectionLost, ExchangeReset, LocalProtocolError
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Exchange, Half
from plait.protocol.h2 import PREFACE
from tests.support.pairs import ClientPair, request_fields


def read_all(exchange: Exchange) -> bytes:
    content = b""
    while piece := exchange.read():
        content += piece
    return content


def test_the_preface_comes_first_and_push_is_off() -> None:
    pair = ClientPair(stream_window=100_000)
    assert pair.written.startswith(PREFACE)
    first = pair.sent(SettingsFrame)[0]
    assert first.settings[SettingsFrame.ENABLE_PUSH] == 0
    assert first.settings[SettingsFrame.INITIAL_WINDOW_SIZE] == 100_000


def test_a_request_arrives_as_it_was_meant() -> None:
    pair = ClientPair()
    fields = request_fields(b"GET", b"/book?id=1", (b"accept", b"*/*"))
    exchange = pair.endpoint.open_exchange(fields, end_stream=True)
    pair.move()
    message = pair.messages[exchange.stream_id]
    assert message.head == fields
    assert message.ended


def test_a_response_is_read_to_its_end() -> None:
    pair = ClientPair()
    exchange = pair.open()
    assert exchange.read() is None
    assert exchange.received is Half.HEAD
    pair.respond(exchange, b"hello")
    assert exchange.status == 200
    assert read_all(exchange) == b"hello"
    assert exchange.read() == b""
    assert exchange.closed
    assert exchange.error is None


def test_a_request_with_content_waits_for_the_window() -> None:
    pair = ClientPair()
    pair.credits = False
    exchange = pair.open(b"POST", end_stream=False)
    exchange.send_data(bytes(100_000), end_stream=True)
    pair.move()
    message = pair.messages[exchange.stream_id]
    assert len(message.content) == 65_535
    assert exchange.queued == 100_000 - 65_535
    pair.peer.increment_flow_control_window(100_000)
    pair.peer.increment_flow_control_window(100_000, exchange.stream_id)
    pair.move()
    assert len(message.content) == 100_000
    assert message.ended
    assert exchange.queued == 0


def test_responses_come_in_any_order() -> None:
    pair = ClientPair()
    exchanges = [pair.open(path=b"/%d" % number) for number in range(50)]
    for exchange in reversed(exchanges):
        pair.respond(exchange, b"answer to %d" % exchange.stream_id)
    for exchange in exchanges:
        assert read_all(exchange) == b"answer to %d" % exchange.stream_id


def test_interim_responses_come_before_the_final_one() -> None:
    pair = ClientPair()
    exchange = pair.open()
    pair.peer.send_headers(exchange.stream_id, [(b":status", b"103"), (b"link", b"</a>")])
    pair.move()
    assert exchange.received is Half.HEAD
    assert exchange.aside is not None
    assert exchange.aside.interim == [((b":status", b"103"), (b"link", b"</a>"))]
    pair.respond(exchange, b"final")
    assert exchange.status == 200
    assert read_all(exchange) == b"final"


def test_a_storm_of_interim_responses_ends_one_exchange_only() -> None:
    pair = ClientPair()
    exchange, sibling = pair.open(), pair.open()
    for _ in range(200):
        pair.peer.send_headers(exchange.stream_id, [(b":status", b"103")])
        pair.output()
        pair.send(pair.peer.data_to_send())
    assert exchange.closed
    assert isinstance(exchange.error, ExchangeReset)
    pair.respond(sibling, b"ok")
    assert read_all(sibling) == b"ok"


def test_trailers_are_kept_apart_from_the_fields() -> None:
    pair = ClientPair()
    exchange = pair.open()
    pair.peer.send_headers(exchange.stream_id, [(b":status", b"200"), (b"x-a", b"1")])
    pair.peer.send_data(exchange.stream_id, b"content")
    pair.peer.send_headers(exchange.stream_id, [(b"x-sum", b"7")], end_stream=True)
    pair.move()
    assert exchange.fields == ((b"x-a", b"1"),)
    assert read_all(exchange) == b"content"
    assert exchange.trailers == [(b"x-sum", b"7")]
    assert exchange.error is None


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_a_response_without_content_ends_with_its_head(status: bytes) -> None:
    pair = ClientPair()
    exchange = pair.open()
    pair.respond(exchange, status=status)
    assert exchange.status == int(status)
    assert exchange.read() == b""
    assert exchange.closed


def test_a_response_to_head_may_name_a_length() -> None:
    pair = ClientPair()
    exchange = pair.open(b"HEAD")
    head = [(b":status", b"200"), (b"content-length", b"1000")]
    pair.peer.send_headers(exchange.stream_id, head, end_stream=True)
    pair.move()
    assert exchange.status == 200
    assert exchange.read() == b""
    assert exchange.error is None


@pytest.mark.parametrize("content", [b"1234", b"123456"])
def test_content_other_than_its_length_is_never_a_clean_end(content: bytes) -> None:
    """RFC 9113 §8.1.1."""
    pair = ClientPair()
    exchange = pair.open()
    pair.peer.send_headers(exchange.stream_id, [(b":status", b"200"), (b"content-length", b"5")])
    pair.peer.send_data(exchange.stream_id, content, end_stream=True)
    pair.move()
    assert isinstance(exchange.error, ExchangeReset)
    with pytest.raises(ExchangeReset):
        read_all(exchange)
    assert not pair.endpoint.closed


def test_a_reset_in_the_middle_is_raised_after_what_came_before_it() -> None:
    pair = ClientPair()
    exchange = pair.open()
    pair.peer.send_headers(exchange.stream_id, [(b":status", b"200")])
    pair.peer.send_data(exchange.stream_id, b"part")
    pair.peer.reset_stream(exchange.stream_id, ErrorCode.INTERNAL_ERROR)
    pair.move()
    assert exchange.read() == b"part"
    with pytest.raises(ExchangeReset) as caught:
        exchange.read()
    assert caught.value.error_code == ErrorCode.INTERNAL_ERROR
    assert not caught.value.unprocessed


def test_a_refused_stream_is_known_to_be_unprocessed() -> None:
    """RFC 9113 §8.7."""
    pair = ClientPair()
    exchange = pair.open()
    pair.peer.reset_stream(exchange.stream_id, ErrorCode.REFUSED_STREAM)
    pair.move()
    assert isinstance(exchange.error, ExchangeReset)
    assert exchange.error.unprocessed


def test_a_reset_without_error_after_the_response_is_no_failure() -> None:
    """RFC 9113 §8.1: the server does not want the rest of the request."""
    pair = ClientPair()
    exchange = pair.open(b"POST", end_stream=False)
    exchange.send_data(bytes(100))
    pair.respond(exchange, b"enough")
    pair.peer.reset_stream(exchange.stream_id, ErrorCode.NO_ERROR)
    pair.move()
    assert exchange.closed
    assert exchange.error is None
    assert read_all(exchange) == b"enough"


def test_a_reset_without_error_before_the_response_is_a_failure() -> None:
    pair = ClientPair()
    exchange = pair.open()
    pair.peer.reset_stream(exchange.stream_id, ErrorCode.NO_ERROR)
    pair.move()
    assert isinstance(exchange.error, ExchangeReset)


def test_capacity_keeps_to_both_limits() -> None:
    pair = ClientPair(max_concurrent_streams=5)
    assert pair.endpoint.capacity == 5
    exchanges = [pair.open() for _ in range(3)]
    assert pair.endpoint.capacity == 2
    pair.peer.update_settings({SettingsFrame.MAX_CONCURRENT_STREAMS: 4})
    pair.move()
    assert pair.endpoint.capacity == 1
    pair.respond(exchanges[0])
    assert pair.endpoint.capacity == 2
    exchanges[1].abandon()
    pair.move()
    assert pair.endpoint.capacity == 3
    pair.peer.update_settings({SettingsFrame.MAX_CONCURRENT_STREAMS: 0})
    pair.move()
    assert pair.endpoint.capacity <= 0


def test_a_goaway_lets_older_exchanges_finish_and_frees_newer_ones_for_another_connection() -> None:
    """RFC 9113 §6.8."""
    pair = ClientPair()
    exchanges = [pair.open() for _ in range(3)]
    pair.send(GoAwayFrame(0, last_stream_id=3, error_code=0).serialize())
    assert pair.endpoint.capacity == 0
    with pytest.raises(LocalProtocolError):
        pair.endpoint.open_exchange(request_fields(), end_stream=True)
    assert exchanges[2].closed
    assert isinstance(exchanges[2].error, ExchangeReset | ConnectionLost)
    assert exchanges[2].error.unprocessed
    for exchange in exchanges[:2]:
        assert not exchange.closed
        pair.respond(exchange, b"ok")
        assert read_all(exchange) == b"ok"
    pair.output()
    assert pair.endpoint.closed


def test_a_notice_of_shutdown_lets_all_exchanges_finish() -> None:
    pair = ClientPair()
    exchange = pair.open()
    pair.send(GoAwayFrame(0, last_stream_id=2**31 - 1, error_code=0).serialize())
    assert pair.endpoint.capacity == 0
    assert not exchange.closed
    pair.respond(exchange, b"ok")
    assert read_all(exchange) == b"ok"


def test_a_server_that_is_gone_ends_all_exchanges() -> None:
    pair = ClientPair()
    begun, waiting, done = pair.open(), pair.open(), pair.open()
    pair.peer.send_headers(begun.stream_id, [(b":status", b"200")])
    pair.peer.send_data(begun.stream_id, b"part")
    pair.respond(done, b"whole")
    pair.endpoint.receive_eof()
    assert pair.endpoint.closed
    assert begun.read() == b"part"
    for exchange in (begun, waiting):
        with pytest.raises(ConnectionLost):
            exchange.read()
    assert read_all(done) == b"whole"
    with pytest.raises(LocalProtocolError):
        pair.endpoint.open_exchange(request_fields(), end_stream=True)


def test_a_connection_error_tells_the_server_and_ends_all_exchanges() -> None:
    pair = ClientPair()
    exchange = pair.open()
    pair.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    pair.output()
    assert pair.endpoint.closed
    assert isinstance(exchange.error, ConnectionLost)
    assert isinstance(pair.sent(GoAwayFrame)[-1], GoAwayFrame)


def test_a_push_is_refused() -> None:
    """RFC 9113 §8.4: with ENABLE_PUSH at 0 a promise is a connection error."""
    pair = ClientPair()
    exchange = pair.open()
    block = pair.peer.encoder.encode(request_fields())
    pair.send(
        PushPromiseFrame(
            exchange.stream_id, promised_stream_id=2, data=block, flags=["END_HEADERS"]
        ).serialize()
    )
    pair.output()
    assert pair.endpoint.closed or [frame.stream_id for frame in pair.sent(RstStreamFrame)] == [2]


def test_a_ping_is_answered() -> None:
    pair = ClientPair()
    pair.send(PingFrame(0, opaque_data=b"12345678").serialize())
    pair.output()
    assert pair.sent(PingFrame)[-1].opaque_data == b"12345678"
    assert "ACK" in pair.sent(PingFrame)[-1].flags


@pytest.mark.parametrize(
    "head",
    [
        [(b"x-a", b"1")],
        [(b":status", b"abc")],
        [(b":status", b"200"), (b":status", b"200")],
        [(b":status", b"200"), (b"connection", b"close")],
        [(b":status", b"200"), (b"X-Upper", b"1")],
        [(b":status", b"200"), (b":path", b"/")],
        [(b":status", b"101")],
    ],
)
def test_a_malformed_response_ends_its_exchange_only(head: list[tuple[bytes, bytes]]) -> None:
    """RFC 9113 §8.1.1."""
    pair = ClientPair()
    exchange, sibling = pair.open(), pair.open()
    block = pair.peer.encoder.encode(head)
    pair.send(HeadersFrame(exchange.stream_id, block, flags=["END_HEADERS", "END_STREAM"]).serialize())
    pair.output()
    assert exchange.closed
    assert isinstance(exchange.error, ExchangeReset)
    pair.respond(sibling, b"ok")
    assert read_all(sibling) == b"ok"


def test_a_response_for_an_abandoned_exchange_is_passed_over() -> None:
    pair = ClientPair()
    exchange = pair.open()
    pair.peer.send_headers(exchange.stream_id, [(b":status", b"200")])
    pair.peer.send_data(exchange.stream_id, b"late", end_stream=True)
    exchange.abandon()
    pair.output()
    pair.send(pair.peer.data_to_send())
    assert not pair.endpoint.closed
    assert pair.endpoint.capacity == 100
    assert exchange.status == 0
    with pytest.raises(ExchangeReset):
        exchange.read()


def test_a_shutdown_lets_exchanges_finish_and_takes_no_more() -> None:
    pair = ClientPair()
    exchange = pair.open()
    pair.endpoint.shut_down()
    assert pair.endpoint.capacity == 0
    pair.output()
    pair.peer.send_headers(exchange.stream_id, [(b":status", b"200")])
    pair.peer.send_data(exchange.stream_id, b"ok", end_stream=True)
    pair.send(pair.peer.data_to_send())
    assert read_all(exchange) == b"ok"
    pair.output()
    pair.output()
    assert pair.endpoint.closed
