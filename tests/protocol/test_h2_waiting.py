"""Who waits for whom over HTTP/2, and for how long: turns, frames that never end, responses held back."""

from __future__ import annotations

import random

import pytest
from hpack import Encoder
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, WindowUpdateFrame

from plait.protocol.events import ErrorCode
from plait.protocol.server_exchange import ServerExchange
from tests.support.pairs import ServerPair, frames, request_fields


def take(pair: ServerPair, amount: int) -> None:
    """Let the client take so many bytes of whatever comes."""
    pair.peer.increment_flow_control_window(amount)
    pair.move()


def test_a_response_that_waits_for_its_turn_is_not_one_that_nobody_takes() -> None:
    pair = ServerPair(write_timeout=10, keep_alive=1000)
    pair.credits = False
    first, second = pair.request(), pair.request()
    for exchange in list(pair.accepted):
        pair.answer(exchange, bytes(200_000))
    pair.peer.increment_flow_control_window(200_000, first)
    pair.move()
    for _ in range(13):
        pair.after(8)
        take(pair, 10_000)
    assert len(pair.messages[first].content) > 190_000
    assert pair.messages[second].content == b""
    take(pair, 300_000)
    pair.peer.increment_flow_control_window(200_000, second)
    pair.move()
    assert len(pair.messages[second].content) == 200_000
    assert pair.messages[second].ended


def test_a_response_without_a_window_has_no_turn_to_wait_for() -> None:
    pair = ServerPair(write_timeout=10, keep_alive=1000)
    pair.credits = False
    stalled = pair.request()
    pair.answer(pair.accepted.pop(), bytes(100_000))
    pair.move()
    pair.peer.increment_flow_control_window(1_000_000)
    for _ in range(10):
        pair.after(2)
        pair.request()
        pair.answer(pair.accepted.pop(), b"others")
        pair.move()
    assert pair.messages[stalled].reset == ErrorCode.CANCEL


def test_turns_come_to_nothing_where_nothing_is_taken_at_all() -> None:
    pair = ServerPair(write_timeout=10, keep_alive=1000)
    pair.credits = False
    for _ in range(3):
        pair.request()
    for exchange in list(pair.accepted):
        pair.answer(exchange, bytes(60_000))
    pair.move()
    pair.after(15)
    assert pair.endpoint.exchanges == {}


def test_a_client_that_acknowledges_every_event_of_a_stream_is_no_flood() -> None:
    """Server-sent events: little pieces for ever, and two WINDOW_UPDATEs for each."""
    pair = ServerPair(max_control_frames=100)
    pair.credits = False
    exchange = pair.exchange_of(pair.request())
    exchange.send_response(200, [])
    for _ in range(5000):
        exchange.send_data(b"data: tick\n\n")
        for frame in frames(pair.output()):
            if isinstance(frame, DataFrame):
                for target in (0, exchange.stream_id):
                    pair.send(WindowUpdateFrame(target, window_increment=len(frame.data)).serialize())
    assert not pair.endpoint.closed


def test_a_frame_that_never_ends_does_not_keep_a_connection_for_ever() -> None:
    """Its stream was reset, which waits for the end of the frame."""
    pair = ServerPair(read_timeout=10, keep_alive=1000)
    head = HeadersFrame(1, Encoder().encode(request_fields(b"POST")), flags=["END_HEADERS"])
    pair.send(head.serialize() + DataFrame(1, bytes(1000)).serialize()[:500])
    exchange = pair.accepted.pop()
    exchange.abandon()
    pair.endpoint.finished(exchange)
    pair.after(8)
    assert not pair.endpoint.closed
    pair.after(8)
    assert pair.endpoint.closed
    assert pair.endpoint.exchanges == {}


def test_a_response_ends_although_its_application_goes_on_and_reads_nothing() -> None:
    """A task behind a response, say: the request, which fills its window, is then refused."""
    pair = ServerPair()
    stream = pair.request(b"POST", content=bytes(65_535), end_stream=False)
    exchange = pair.accepted.pop()
    exchange.send_whole_response(200, [], b"done")
    pair.move()
    pair.after(5)
    assert pair.messages[stream].content == b"done"
    assert pair.messages[stream].ended
    assert pair.messages[stream].reset == ErrorCode.NO_ERROR
    pair.endpoint.finished(exchange)
    assert pair.endpoint.running == 0


def test_a_flood_of_trailers_over_the_limit_ends_the_connection() -> None:
    """Each makes the server reset a stream (MadeYouReset)."""
    pair = ServerPair(max_resets=20, max_header_fields=10)
    encoder = Encoder()
    for stream in range(1, 101, 2):
        if pair.endpoint.closed:
            break
        head = HeadersFrame(stream, encoder.encode(request_fields(b"POST")), flags=["END_HEADERS"])
        trailers = encoder.encode([(b"x-%d" % number, b"") for number in range(20)])
        end = HeadersFrame(stream, trailers, flags=["END_HEADERS", "END_STREAM"])
        pair.send(head.serialize() + end.serialize())
        pair.output()
        for exchange in pair.accepted:
            pair.endpoint.finished(exchange)
        pair.accepted.clear()
    assert pair.endpoint.closed
    assert [frame.error_code for frame in pair.sent(GoAwayFrame)] == [ErrorCode.ENHANCE_YOUR_CALM]


@pytest.mark.parametrize("seed", range(20))
def test_priorities_and_credit_in_any_order_bring_every_response_through(seed: int) -> None:
    rnd = random.Random(seed)
    pair = ServerPair(write_timeout=10, keep_alive=1000)
    pair.credits = False
    sizes: dict[int, int] = {}
    running: list[ServerExchange] = []
    for _ in range(10):
        priority = (b"priority", b"u=%d%s" % (rnd.randint(0, 7), rnd.choice([b"", b",i"])))
        stream = pair.request(b"GET", b"/", priority)
        sizes[stream] = rnd.choice([0, 10, 30_000, 150_000])
        running.append(pair.accepted.pop())
    for exchange in running:
        pair.answer(exchange, bytes(sizes[exchange.stream_id]))
    for stream in sizes:
        pair.peer.increment_flow_control_window(200_000, stream)
    for _ in range(100):
        take(pair, 20_000)
        pair.after(rnd.choice([1, 4]))
    assert {stream: len(message.content) for stream, message in pair.messages.items()} == sizes
    assert all(message.ended for message in pair.messages.values())
