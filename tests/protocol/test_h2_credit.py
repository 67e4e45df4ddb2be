"""Flow control by hand, both roles: no byte of credit is lost, whatever happens to a stream."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hpack import Encoder
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame, WindowUpdateFrame

from plait.errors import ExchangeReset
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Exchange, Half
from tests.support.pairs import ClientPair, ServerPair, frames, request_fields

SMALL = {"stream_window": 65_535, "max_stream_window": 65_535, "max_concurrent_streams": 2}


def credit(pair: ServerPair | ClientPair) -> int:
    """Return what the peer may still send on the connection."""
    pair.move()
    window: int = pair.peer.outbound_flow_control_window
    return window


def read_all(exchange: Exchange) -> bytes:
    content = b""
    while piece := exchange.read():
        content += piece
    return content


def assert_credit_is_whole(pair: ServerPair | ClientPair, before: int) -> None:
    """Assert that no more than the engine's threshold for a WINDOW_UPDATE is outstanding.

    Credit is given back in batches of half a window, so a single figure proves little: the same loss
    many times over would show. Callers repeat what they test until it would.
    """
    assert credit(pair) >= before // 2


# -- the server receives ----------------------------------------------------------------------------


def test_credit_waits_for_the_application() -> None:
    pair = ServerPair(stream_window=1000)
    stream = pair.request(b"POST", content=bytes(1000), end_stream=False)
    assert pair.peer.local_flow_control_window(stream) == 0
    pair.exchange_of(stream).read()
    pair.move()
    assert pair.peer.local_flow_control_window(stream) == 1000


def test_an_unread_upload_leaves_its_siblings_served() -> None:
    pair = ServerPair(stream_window=16_384, max_concurrent_streams=4)
    for _ in range(3):
        stream = pair.request(b"POST", content=bytes(16_384), end_stream=False)
        assert pair.peer.local_flow_control_window(stream) == 0
    for _ in range(50):
        stream = pair.request(b"POST", content=bytes(16_384))
        exchange = pair.exchange_of(stream)
        assert len(read_all(exchange)) == 16_384
        pair.answer(exchange, b"ok")
        pair.move()
        assert pair.messages[stream].content == b"ok"


def test_ten_thousand_uploads_leave_a_connection_that_works() -> None:
    pair = ServerPair(serve=lambda exchange: None, **SMALL)
    before = credit(pair)
    for number in range(10_000):
        stream = pair.request(b"POST", content=bytes(number % 2000))
        exchange = pair.accepted.pop()
        assert len(read_all(exchange)) == number % 2000
        pair.answer(exchange, b"x" * (number % 100))
        pair.move()
        assert pair.messages.pop(stream).ended
    assert_credit_is_whole(pair, before)
    assert pair.endpoint.exchanges == {}
    assert pair.endpoint.running == 0


@pytest.mark.parametrize("padding", [0, 200])
def test_padding_is_credited_too(padding: int) -> None:
    """RFC 9113 §6.1: the whole payload, padding included, is flow-controlled."""
    pair = ServerPair(**SMALL)
    before = credit(pair)
    for _ in range(1000):
        stream = pair.request(b"POST", end_stream=False)
        pair.peer.send_data(stream, bytes(50), pad_length=padding, end_stream=True)
        pair.move()
        exchange = pair.accepted.pop()
        assert len(read_all(exchange)) == 50
        pair.answer(exchange)
        pair.move()
    assert_credit_is_whole(pair, before)


def answer_unread(pair: ServerPair, exchange: Exchange) -> None:
    pair.answer(exchange, b"enough")
    if exchange.received is not Half.ENDED:
        pair.peer.send_data(exchange.stream_id, bytes(1000))
    pair.after(3)
    assert exchange.closed


def fail(pair: ServerPair, exchange: Exchange) -> None:
    pair.endpoint.finished(exchange)


def fail_in_the_middle(pair: ServerPair, exchange: Exchange) -> None:
    exchange.send_response(200, [])
    exchange.send_data(b"part")
    pair.endpoint.finished(exchange)


def abandon(pair: ServerPair, exchange: Exchange) -> None:
    exchange.abandon()
    pair.endpoint.finished(exchange)


def be_reset(pair: ServerPair, exchange: Exchange) -> None:
    pair.peer.reset_stream(exchange.stream_id)
    pair.move()
    pair.endpoint.finished(exchange)


def be_reset_after_the_response(pair: ServerPair, exchange: Exchange) -> None:
    exchange.send_response(200, [], end_stream=True)
    pair.peer.reset_stream(exchange.stream_id)
    pair.endpoint.finished(exchange)


ENDS = [answer_unread, fail, fail_in_the_middle, abandon, be_reset, be_reset_after_the_response]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("end", ENDS)
def test_content_nobody_reads_is_credited(end: Callable[[ServerPair, Exchange], None], whole: bool) -> None:
    pair = ServerPair(**SMALL)
    before = credit(pair)
    for _ in range(200):
        pair.request(b"POST", content=bytes(3000), end_stream=whole)
        end(pair, pair.accepted.pop())
        answered = pair.request()  # a budget of resets is earned by what is completed
        pair.answer(pair.accepted.pop(), b"ok")
        pair.move()
        assert pair.messages[answered].ended
    assert_credit_is_whole(pair, before)


class Ledger:
    """An end of a connection that makes its frames by hand and counts the connection's credit.

    Attributes:
        owed: Bytes of content sent that no WINDOW_UPDATE of the connection has given back.
        resets: Error code of each RST_STREAM, by stream.
    """

    def __init__(self, pair: ServerPair | ClientPair) -> None:
        self.pair = pair
        self.owed = 0
        self.resets: dict[int, int] = {}
        self._encoder = Encoder()

    def headers(self, stream: int, fields: list[tuple[bytes, bytes]]) -> bytes:
        block = self._encoder.encode(fields)
        return HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()

    def data(self, stream: int, size: int, *, end_stream: bool = False, padding: int = 0) -> bytes:
        frame = DataFrame(stream, bytes(size))
        if padding:
            frame.flags.add("PADDED")
            frame.pad_length = padding
        if end_stream:
            frame.flags.add("END_STREAM")
        self.owed += frame.flow_controlled_length
        return frame.serialize()

    def read(self) -> None:
        """Take what plait has written."""
        for frame in frames(self.pair.output()):
            if isinstance(frame, WindowUpdateFrame) and frame.stream_id == 0:
                self.owed -= frame.window_increment
            elif isinstance(frame, RstStreamFrame):
                assert frame.stream_id not in self.resets
                self.resets[frame.stream_id] = frame.error_code


def test_content_that_races_a_reset_is_credited() -> None:
    pair = ServerPair(**SMALL)
    ledger = Ledger(pair)
    for stream in range(1, 401, 2):
        pair.send(ledger.headers(stream, request_fields(b"POST")))
        exchange = pair.accepted.pop()
        exchange.abandon(ErrorCode.NO_ERROR)
        pair.endpoint.finished(exchange)
        ledger.read()
        pair.send(ledger.data(stream, 3000) + ledger.data(stream, 3000, end_stream=True))
        ledger.read()
    assert not pair.endpoint.closed
    assert ledger.owed <= 2 * 65_535


def test_content_for_a_refused_stream_is_credited() -> None:
    pair = ServerPair(stream_window=65_535, max_stream_window=65_535, max_concurrent_streams=1)
    ledger = Ledger(pair)
    pair.send(ledger.headers(1, request_fields(b"POST")))
    for stream in range(3, 403, 2):
        pair.send(
            ledger.headers(stream, request_fields(b"POST")) + ledger.data(stream, 3000, end_stream=True)
        )
        ledger.read()
        assert ledger.resets[stream] == ErrorCode.REFUSED_STREAM
        pair.after(10)  # refusals cost of a budget that time renews
    assert ledger.owed <= 65_535


@pytest.mark.parametrize("padding", [0, 9])
@pytest.mark.parametrize("before", [0, 100])
def test_a_reset_in_the_middle_of_a_frame_loses_no_credit_on_a_server(before: int, padding: int) -> None:
    """The frame is cut after every byte, those of its header included."""
    size = 1000
    pair = ServerPair(stream_window=65_535, max_stream_window=65_535, max_concurrent_streams=2)
    ledger = Ledger(pair)
    for cut in range(9 + size + (padding and padding + 1) + 1):
        stream = 2 * cut + 1
        pair.send(ledger.headers(stream, request_fields(b"POST")))
        if before:
            pair.send(ledger.data(stream, before))
        frame = ledger.data(stream, size, padding=padding)
        exchange = pair.accepted.pop()
        pair.send(frame[:cut])
        exchange.abandon(ErrorCode.NO_ERROR)
        pair.endpoint.finished(exchange)
        ledger.read()
        # The rest of the frame comes with the next one, as TCP would have it.
        pair.send(frame[cut:] + ledger.data(stream, 10))
        ledger.read()
        assert ledger.resets[stream] == ErrorCode.NO_ERROR, cut
        assert not pair.endpoint.closed
    assert ledger.owed <= 2 * 65_535


def test_a_reset_on_a_server_while_its_last_frame_arrives_loses_no_credit() -> None:
    size = 1000
    pair = ServerPair(stream_window=65_535, max_stream_window=65_535, max_concurrent_streams=2)
    ledger = Ledger(pair)
    for cut in range(9 + size + 1):
        stream = 2 * cut + 1
        pair.send(ledger.headers(stream, request_fields(b"POST")))
        frame = ledger.data(stream, size, end_stream=True)
        exchange = pair.accepted.pop()
        pair.send(frame[:cut])
        exchange.send_response(200, [], end_stream=True)
        pair.endpoint.finished(exchange)
        ledger.read()
        pair.send(frame[cut:])
        ledger.read()
        assert not pair.endpoint.closed
        assert pair.endpoint.exchanges == {}
    assert ledger.owed <= 2 * 65_535


@pytest.mark.parametrize("before", [0, 100])
def test_a_reset_in_the_middle_of_a_frame_loses_no_credit_on_a_client(before: int) -> None:
    size = 1000
    pair = ClientPair(stream_window=65_535, connection_window=131_070)
    ledger = Ledger(pair)
    for cut in range(9 + size + 1):
        exchange = pair.endpoint.open_exchange(request_fields(), end_stream=True)
        stream = exchange.stream_id
        ledger.read()
        pair.send(ledger.headers(stream, [(b":status", b"200")]))
        if before:
            pair.send(ledger.data(stream, before))
        frame = ledger.data(stream, size)
        pair.send(frame[:cut])
        exchange.abandon()
        ledger.read()
        pair.send(frame[cut:] + ledger.data(stream, 10))
        ledger.read()
        assert ledger.resets[stream] == ErrorCode.CANCEL, cut
        assert not pair.endpoint.closed
        assert pair.endpoint.capacity == 100
    assert ledger.owed <= 131_070


def test_two_resets_while_one_frame_arrives_both_go_out() -> None:
    pair = ServerPair()
    ledger = Ledger(pair)
    for stream in (1, 3):
        pair.send(ledger.headers(stream, request_fields(b"POST")))
    frame = ledger.data(3, 1000)
    pair.send(frame[:500])
    for exchange in pair.accepted:
        exchange.abandon()
        pair.endpoint.finished(exchange)
    ledger.read()
    assert ledger.resets == {1: ErrorCode.CANCEL}
    pair.send(frame[500:])
    ledger.read()
    assert ledger.resets == {1: ErrorCode.CANCEL, 3: ErrorCode.CANCEL}


def test_a_window_overrun_ends_in_error() -> None:
    """RFC 9113 §6.9.1."""
    pair = ServerPair(stream_window=1000)
    ledger = Ledger(pair)
    pair.send(ledger.headers(1, request_fields(b"POST")) + ledger.data(1, 1001))
    ledger.read()
    (exchange,) = pair.accepted
    assert exchange.closed
    assert exchange.error is not None
    assert pair.endpoint.closed or ledger.resets == {1: ErrorCode.FLOW_CONTROL_ERROR}


# -- the client receives ----------------------------------------------------------------------------


def test_ten_thousand_downloads_leave_a_connection_that_works() -> None:
    pair = ClientPair(connection_window=65_535)
    before = credit(pair)
    for number in range(10_000):
        exchange = pair.open()
        pair.respond(exchange, bytes(number % 2000))
        assert len(read_all(exchange)) == number % 2000
        assert exchange.closed
        assert exchange.error is None
        pair.messages.clear()
    assert_credit_is_whole(pair, before)
    assert pair.endpoint.exchanges == {}
    assert pair.endpoint.capacity == 100


def test_responses_closed_early_leave_a_connection_that_works() -> None:
    pair = ClientPair(stream_window=1 << 20, connection_window=1 << 21)
    before = credit(pair)
    for _ in range(200):
        exchange = pair.open()
        pair.peer.send_headers(exchange.stream_id, [(b":status", b"200")])
        for _ in range(64):
            pair.peer.send_data(exchange.stream_id, bytes(16_384))
        pair.move()
        exchange.read()
        exchange.abandon()
        pair.move()
        assert pair.messages[exchange.stream_id].reset == ErrorCode.CANCEL
    assert_credit_is_whole(pair, before)
    exchange = pair.open()
    pair.respond(exchange, b"still here")
    assert read_all(exchange) == b"still here"


def test_a_response_dropped_unread_is_credited() -> None:
    pair = ClientPair(stream_window=65_535, connection_window=65_535)
    before = credit(pair)
    for _ in range(100):
        exchange = pair.open()
        pair.respond(exchange, bytes(3000))
        exchange.release()
    assert_credit_is_whole(pair, before)


def test_a_collected_response_is_credited_as_it_arrives() -> None:
    pair = ClientPair(stream_window=65_535, connection_window=65_535)
    for _ in range(10):
        exchange = pair.open()
        exchange.collect(1 << 30)
        pair.peer.send_headers(exchange.stream_id, [(b":status", b"200")])
        for _ in range(20):
            pair.peer.send_data(exchange.stream_id, bytes(16_384))
            pair.move()
        pair.peer.end_stream(exchange.stream_id)
        pair.move()
        assert len(exchange.read() or b"") == 20 * 16_384
        assert exchange.read() == b""


def test_content_read_after_the_end_of_the_stream_is_credited() -> None:
    pair = ClientPair(stream_window=65_535, connection_window=65_535)
    before = credit(pair)
    for _ in range(100):
        exchanges = [pair.open() for _ in range(10)]
        for exchange in exchanges:
            pair.respond(exchange, bytes(3000))
        for exchange in exchanges:
            assert exchange.closed
            assert len(read_all(exchange)) == 3000
    assert_credit_is_whole(pair, before)


def test_a_truncated_response_is_credited_and_raises() -> None:
    pair = ClientPair(stream_window=65_535, connection_window=65_535)
    before = credit(pair)
    for _ in range(100):
        exchange = pair.open()
        pair.peer.send_headers(exchange.stream_id, [(b":status", b"200")])
        pair.peer.send_data(exchange.stream_id, bytes(3000))
        pair.peer.reset_stream(exchange.stream_id, ErrorCode.INTERNAL_ERROR)
        pair.move()
        assert len(exchange.read() or b"") == 3000
        with pytest.raises(ExchangeReset):
            exchange.read()
    assert_credit_is_whole(pair, before)
