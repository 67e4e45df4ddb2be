"""What is sent first (RFC 9218)."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import LocalProtocolError
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Exchange
from plait.protocol.priorities import Priority, parse_priority
from plait.protocol.server_exchange import ServerExchange
from tests.support.memory_h1 import H1Memory
from tests.support.pairs import ServerPair, frames, request_fields

WINDOW = 1 << 30
CHUNK = b"x" * 32_768


def priority_update(stream: int, value: bytes, *, on: int = 0) -> bytes:
    """Return a PRIORITY_UPDATE frame (RFC 9218 §7.1)."""
    return extension(stream.to_bytes(4, "big") + value, on=on)


def extension(payload: bytes, *, on: int = 0) -> bytes:
    """Return a frame of PRIORITY_UPDATE's type with any payload."""
    return len(payload).to_bytes(3, "big") + b"\x10\0" + on.to_bytes(4, "big") + payload


def pair(**limits: float) -> ServerPair:
    """Return a pair whose client gives all the credit there is."""
    made = ServerPair(**limits)
    made.peer.update_settings({4: WINDOW})
    made.peer.increment_flow_control_window(WINDOW)
    made.move()
    return made


def request(pair: ServerPair, priority: bytes | None = None) -> ServerExchange:
    """Send a request and return its exchange."""
    fields = [] if priority is None else [(b"priority", priority)]
    exchange = pair.exchange_of(pair.request(b"GET", b"/", *fields))
    assert isinstance(exchange, ServerExchange)
    return exchange


def begin(*exchanges: Exchange, content: bytes = b"x" * 65_536) -> None:
    """Begin responses, all before a byte of them leaves."""
    for exchange in exchanges:
        exchange.send_response(200, [])
        exchange.send_data(content, end_stream=True)


def order(pair: ServerPair) -> list[int]:
    """Return the streams of the DATA frames that leave now, in order, neighbours once."""
    streams: list[int] = []
    for frame in frames(pair.output()):
        if isinstance(frame, DataFrame) and (not streams or streams[-1] != frame.stream_id):
            streams.append(frame.stream_id)
    return streams


# -- the order on the wire -----------------------------------------------------------------------


def test_responses_without_priorities_are_sent_in_the_order_of_their_requests() -> None:
    both = pair()
    first, second, third = request(both), request(both), request(both)
    begin(third, first, second)

    assert order(both) == [1, 3, 5]


def test_the_more_urgent_is_sent_first() -> None:
    both = pair()
    low, middle, high = request(both, b"u=7"), request(both), request(both, b"u=0")
    begin(low, middle, high)

    assert order(both) == [5, 3, 1]


def test_incremental_responses_share_the_connection() -> None:
    both = pair()
    begin(request(both, b"i"), request(both, b"u=3, i"))

    assert order(both) == [1, 3, 1, 3, 1, 3, 1, 3]


def test_an_urgent_response_that_begins_later_overtakes_what_is_queued() -> None:
    both = pair()
    first, urgent = request(both, b"u=5"), request(both, b"u=1")
    begin(first, content=b"x" * 1_000_000)
    assert _streams(both, both.endpoint.data_to_send()) == [1] * 5
    begin(urgent)

    streams = _streams(both, both.output())
    # At most the frame that was being written goes before.
    assert streams[:2] == [1, 3]
    assert streams.count(1) == 57


def test_an_update_moves_what_is_queued() -> None:
    both = pair()
    first, second = request(both), request(both)
    begin(first, second, content=b"x" * 500_000)
    both.send(priority_update(3, b"u=0"))

    assert second.priority == Priority(0)
    assert order(both) == [3, 1]


def test_an_update_may_come_before_its_request_and_outweighs_its_field() -> None:
    both = pair()
    both.send(priority_update(3, b"u=1, i"))
    first, second = request(both, b"u=2"), request(both, b"u=6")

    assert second.priority == Priority(1, True)
    begin(first, second)
    assert order(both) == [3, 1]


def test_the_last_update_before_the_request_holds() -> None:
    both = pair()
    both.send(priority_update(1, b"u=7") + priority_update(1, b"u=2") + priority_update(1, b"u="))

    assert request(both).priority == Priority(2)


def test_the_response_has_the_last_word_on_what_it_names() -> None:
    both = pair()
    first, second = request(both, b"u=1, i"), request(both, b"u=2")
    first.send_response(200, [(b"priority", b"u=5")])
    first.send_data(b"x" * 65_536, end_stream=True)
    second.send_whole_response(200, [(b"priority", b"i=?1, u=9")], b"x" * 65_536)

    assert first.priority == Priority(5, True)
    assert second.priority == Priority(2, True)
    assert order(both) == [3, 1]


def test_a_small_response_overtakes_what_waits_when_it_says_so() -> None:
    both = pair()
    waiting, small = request(both, b"u=1"), request(both, b"u=5")
    waiting.send_response(200, [])
    waiting.send_data(b"x" * 65_536)
    both.endpoint.waiting_to_write.add(waiting)
    small.send_whole_response(200, [(b"priority", b"u=0")], b"small")

    assert order(both) == [3, 1]


def test_an_application_may_prioritize() -> None:
    both = pair()
    first, second = request(both), request(both)
    second.prioritize(2, False)
    begin(first, second)

    assert order(both) == [3, 1]
    with pytest.raises(LocalProtocolError):
        first.prioritize(8, False)


def test_a_pushed_response_can_be_prioritized_by_both_ends() -> None:
    both = pair()
    parent = request(both)
    promised = parent.push(request_fields(b"GET", b"/a.css"))
    assert promised is not None
    both.endpoint.take_accepted()
    promised.prioritize(6, False)
    assert promised.priority == Priority(6)
    both.move()

    both.send(priority_update(promised.stream_id, b"u=2"))

    assert promised.priority == Priority(2)


class Application:
    """Sends chunks until there is no room, as a gateway does, and goes on when it is woken.

    Args:
        pair: Where it runs.
        exchange: What it answers.
        chunks: How many it has.
    """

    def __init__(self, pair: ServerPair, exchange: Exchange, chunks: int) -> None:
        self.endpoint = pair.endpoint
        self.limit = pair.limits.write_buffer
        self.exchange = exchange
        self.chunks = chunks
        self.woken = False
        exchange.on_progress = self.wake
        exchange.send_response(200, [])
        self.run()

    def wake(self) -> None:
        # As with a task, it goes on in the next turn of the loop.
        self.woken = True

    def run(self) -> None:
        self.woken = False
        while self.chunks:
            self.chunks -= 1
            self.exchange.send_data(CHUNK, end_stream=not self.chunks)
            if self.exchange.queued > self.limit:
                self.endpoint.waiting_to_write.add(self.exchange)
                return


def run(both: ServerPair, *applications: Application) -> list[int]:
    """Take output as the driver does, a flush a turn; return the streams of DATA frames in order."""
    streams: list[int] = []
    pending = True

    def on_output() -> None:
        nonlocal pending
        pending = True

    both.endpoint.on_output = on_output
    while pending:
        pending = False
        for _ in range(3):  # what the transport has room for
            data = both.endpoint.data_to_send()
            streams += _streams(both, data)
            if len(data) < 98_304:
                break
        else:
            pending = True
        for application in applications:
            if application.woken:
                application.run()
                pending = True
    return streams


_left: dict[int, bytes] = {}


def _streams(both: ServerPair, data: bytes) -> list[int]:
    """Take the frames that are whole out of the output."""
    data = _left.pop(id(both), b"") + data
    streams = []
    while len(data) >= 9 and len(data) >= 9 + (length := int.from_bytes(data[:3], "big")):
        if data[3] == 0:
            streams.append(int.from_bytes(data[5:9], "big"))
        data = data[9 + length :]
    _left[id(both)] = data
    return streams


def test_the_order_holds_while_applications_wait_for_room() -> None:
    both = pair()
    requests = [request(both, b"u=5") for _ in range(3)] + [request(both, b"u=1")]
    *low, high = [Application(both, exchange, 40) for exchange in requests]

    streams = run(both, *low, high)

    urgent = high.exchange.stream_id
    last = len(streams) - 1 - streams[::-1].index(urgent)
    before = [stream for stream in streams[:last] if stream != urgent]
    assert len([stream for stream in streams if stream == urgent]) >= 80
    # One frame at each of its refills may be another's.
    assert len(before) <= 16, streams


def test_incremental_responses_share_while_applications_wait_for_room() -> None:
    both = pair()
    requests = [request(both, b"i") for _ in range(4)]
    applications = [Application(both, exchange, 40) for exchange in requests]

    streams = run(both, *applications)

    half = streams[: len(streams) // 2]
    shares = [half.count(application.exchange.stream_id) for application in applications]
    assert min(shares) > 0.7 * max(shares), shares


def test_an_application_that_is_slow_to_go_on_holds_up_nobody() -> None:
    both = pair()
    stuck, other = request(both, b"u=0"), request(both, b"u=5")
    stuck.send_response(200, [])
    stuck.send_data(b"x" * 70_000)
    both.endpoint.waiting_to_write.add(stuck)
    application = Application(both, other, 10)

    streams = run(both, application)

    assert streams.count(other.stream_id) >= 20
    assert other.closed


# -- frames that are wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (priority_update(0, b"u=1"), ErrorCode.PROTOCOL_ERROR),
        (priority_update(1, b"u=1", on=1), ErrorCode.PROTOCOL_ERROR),
        (priority_update(2, b"u=1"), ErrorCode.PROTOCOL_ERROR),
        (extension(b"\0\0\1"), ErrorCode.FRAME_SIZE_ERROR),
    ],
    ids=["stream zero", "on a stream", "idle push", "too short"],
)
def test_a_malformed_update_ends_the_connection(frame: bytes, code: ErrorCode) -> None:
    both = pair()
    request(both)
    both.send(frame)
    both.output()

    assert [frame.error_code for frame in both.sent(GoAwayFrame)] == [code]
    assert both.endpoint.closed


@pytest.mark.parametrize("value", [b"u=", b"\xff", b"u=1,", b"U=1", b"(", b"u=1 i", b"x" * 5000])
def test_an_update_that_cannot_be_read_is_ignored(value: bytes) -> None:
    both = pair()
    exchange = request(both, b"u=2")
    both.send(priority_update(exchange.stream_id, value))

    assert exchange.priority == Priority(2)
    assert not both.endpoint.closed


def test_an_update_for_a_stream_that_is_over_is_ignored() -> None:
    both = pair()
    exchange = request(both)
    both.answer(exchange, b"ok")
    both.move()
    both.send(priority_update(exchange.stream_id, b"u=0"))

    assert not both.endpoint.closed
    assert not both.endpoint._early_priorities


def test_no_more_streams_are_prioritized_than_may_be_open() -> None:
    both = pair(max_concurrent_streams=10)
    request(both)
    for stream in range(3, 21, 2):
        both.send(priority_update(stream, b"u=0"))
    assert not both.endpoint.closed

    both.send(priority_update(21, b"u=0"))

    both.output()
    assert [frame.error_code for frame in both.sent(GoAwayFrame)] == [ErrorCode.PROTOCOL_ERROR]


def test_streams_that_were_passed_over_are_forgotten() -> None:
    both = pair(max_concurrent_streams=4)
    for start in range(1, 41, 8):
        for stream in range(start, start + 6, 2):
            both.send(priority_update(stream, b"u=0"))
        both.peer.highest_outbound_stream_id = start + 4
        stream = start + 6
        both.peer.send_headers(stream, request_fields(), end_stream=True)
        both.move()
        both.answer(both.exchange_of(stream))
        both.move()

    assert not both.endpoint.closed
    assert not both.endpoint._early_priorities


def test_a_flood_of_updates_ends_the_connection() -> None:
    both = pair(max_control_frames=100)
    exchange = request(both)
    for count in range(200):
        both.send(priority_update(exchange.stream_id, b"u=%d" % (count % 8)))
        if both.endpoint.closed:
            break

    both.output()
    assert [frame.error_code for frame in both.sent(GoAwayFrame)] == [ErrorCode.ENHANCE_YOUR_CALM]


# -- field values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", Priority()),
        (b"u=0", Priority(0)),
        (b"u=7,i", Priority(7, True)),
        (b"  u=2 ,\ti=?1 ", Priority(2, True)),
        (b"i=?1, i=?0", Priority()),
        (b"u=1, u=4", Priority(4)),
        (b"u=8", Priority()),
        (b"u=-1", Priority()),
        (b"u=1.5", Priority()),
        (b'u="1"', Priority()),
        (b"i=1", Priority()),
        (b"i;a=1", Priority(3, True)),
        (b'u=1;x="a,b", y=(a "b" 1;q), z=:YQ==:, d=@1, t=a/b:c', Priority(1)),
        (b"u", Priority()),
    ],
)
def test_a_field_value_is_read_as_a_dictionary(value: bytes, expected: Priority) -> None:
    assert parse_priority(value) == expected


def test_what_is_longer_than_anybody_needs_is_no_priority() -> None:
    assert parse_priority(b"u=1" + b",a" * 510) == Priority(1)
    assert parse_priority(b"u=1" + b",a" * 511) is None


@pytest.mark.parametrize(
    "value", [b",", b"u=1,", b"u=", b"=1", b"u=1 i", b"U=1", b'a="', b"a=(1", b"\xc3\xa4"]
)
def test_what_is_no_dictionary_is_no_priority(value: bytes) -> None:
    assert parse_priority(value) is None


@given(st.binary(max_size=60) | st.text(alphabet='ui=?01,; 3a"()', max_size=40).map(str.encode))
def test_any_bytes_are_a_priority_or_none(value: bytes) -> None:
    found = parse_priority(value)
    assert found is None or (0 <= found.urgency <= 7 and isinstance(found.incremental, bool))


def test_http_1_tells_the_priority_and_schedules_nothing() -> None:
    exchange = H1Memory().request(b"priority: u=1, i")

    assert exchange.priority == Priority(1, True)
    exchange.prioritize(5, False)
    assert exchange.priority == Priority(1, True)
