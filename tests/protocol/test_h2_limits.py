"""What a client may not do to a server over HTTP/2: too much, too many, too slowly."""

from __future__ import annotations

import os
from io import BytesIO

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Exchange
from plait.protocol.h2 import PREFACE
from plait.protocol.negotiation import ALPN_H2, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.server_config import Limits
from tests.support.pairs import ServerPair, frames, request_fields, serialized

GET = request_fields()


def headers(stream: int, *, end_stream: bool = True, encoder: Encoder | None = None) -> Frame:
    """Return a whole request of one frame; its field section is in no table."""
    block = (encoder or Encoder()).encode(request_fields(b"GET" if end_stream else b"POST"))
    flags = ["END_HEADERS", "END_STREAM"] if end_stream else ["END_HEADERS"]
    return HeadersFrame(stream, block, flags=flags)


def goaways(pair: ServerPair) -> list[int]:
    """Return the error codes of the GOAWAY frames the server sent."""
    pair.output()
    return [frame.error_code for frame in pair.sent(GoAwayFrame)]


def sent_until_closed(pair: ServerPair, data: bytes) -> int:
    """Send the same bytes until the server ends the connection; return how often."""
    for count in range(1, 20_001):
        pair.send(data)
        pair.output()
        if pair.endpoint.closed:
            return count
    raise AssertionError("the server put up with all of it")


def serves(pair: ServerPair) -> bool:
    """Whether the server still answers on this connection."""
    stream = pair.request()
    if pair.accepted and not pair.accepted[-1].closed:
        pair.answer(pair.accepted[-1], b"ok")
        pair.move()
    return stream in pair.messages and pair.messages[stream].content == b"ok"


# -- streams ----------------------------------------------------------------------------------------


def test_a_stream_over_the_limit_is_refused_and_its_siblings_go_on() -> None:
    pair = ServerPair(max_concurrent_streams=2)
    encoder = Encoder()
    pair.send(serialized(headers(1, encoder=encoder), headers(3, encoder=encoder)))
    # Its field section enters the table of HPACK all the same (RFC 9113 §4.3).
    refused = encoder.encode([*request_fields(), (b"x-new", b"in the table from here")])
    pair.send(HeadersFrame(5, refused, flags=["END_HEADERS", "END_STREAM"]).serialize())
    pair.output()
    assert [(f.stream_id, f.error_code) for f in pair.sent(RstStreamFrame)] == [(5, ErrorCode.REFUSED_STREAM)]
    assert len(pair.accepted) == 2
    for exchange in pair.accepted:
        pair.answer(exchange)
    pair.output()
    later = encoder.encode([*request_fields(), (b"x-new", b"in the table from here")])
    pair.send(HeadersFrame(7, later, flags=["END_HEADERS", "END_STREAM"]).serialize())
    (seventh,) = pair.accepted[2:]
    assert seventh.request is not None
    assert (b"x-new", b"in the table from here") in seventh.request.fields
    assert goaways(pair) == []


def test_work_that_outlives_its_stream_counts_against_the_limit() -> None:
    pair = ServerPair(max_concurrent_streams=2)
    encoder = Encoder()
    for stream in (1, 3):
        pair.send(serialized(headers(stream, encoder=encoder), WindowUpdateFrame(0, window_increment=1)))
        pair.send(RstStreamFrame(stream, error_code=8).serialize())
    assert [exchange.closed for exchange in pair.accepted] == [True, True]
    assert pair.endpoint.running == 2
    pair.send(headers(5, encoder=encoder).serialize())
    pair.output()
    assert [f.error_code for f in pair.sent(RstStreamFrame)] == [ErrorCode.REFUSED_STREAM]
    pair.endpoint.finished(pair.accepted[0])
    pair.send(headers(7, encoder=encoder).serialize())
    assert pair.accepted[-1].stream_id == 7


def test_a_burst_of_streams_over_the_limit_is_refused_one_by_one() -> None:
    pair = ServerPair(max_concurrent_streams=100)
    encoder = Encoder()
    pair.send(serialized(*(headers(stream, encoder=encoder) for stream in range(1, 401, 2))))
    pair.output()
    assert len(pair.accepted) == 100
    refused = pair.sent(RstStreamFrame)
    assert [frame.stream_id for frame in refused] == list(range(201, 401, 2))
    assert {frame.error_code for frame in refused} == {ErrorCode.REFUSED_STREAM}
    assert not pair.endpoint.closed


# -- resets -----------------------------------------------------------------------------------------


def test_a_flood_of_resets_ends_the_connection() -> None:
    """CVE-2023-44487."""
    pair = ServerPair()
    encoder = Encoder()
    for stream in range(1, 20_001, 2):
        pair.send(serialized(headers(stream, encoder=encoder), RstStreamFrame(stream, error_code=8)))
        pair.output()
        if pair.endpoint.closed:
            break
    assert goaways(pair) == [ErrorCode.ENHANCE_YOUR_CALM]
    assert stream < 2 * 3 * pair.limits.max_concurrent_streams
    assert pair.accepted == []


def test_a_flood_of_resets_in_one_read_ends_the_connection() -> None:
    pair = ServerPair()
    encoder = Encoder()
    pair.send(
        serialized(
            *(
                frame
                for stream in range(1, 2001, 2)
                for frame in (headers(stream, encoder=encoder), RstStreamFrame(stream, error_code=8))
            )
        )
    )
    assert goaways(pair) == [ErrorCode.ENHANCE_YOUR_CALM]


@pytest.mark.parametrize(
    "provocation",
    [
        lambda stream: WindowUpdateFrame(stream, window_increment=2**31 - 1),
        lambda stream: DataFrame(stream, b"after the end"),
        lambda stream: HeadersFrame(stream, b"", flags=["END_HEADERS", "END_STREAM"]),
    ],
    ids=["window overflow", "data after the end", "headers after the end"],
)
def test_a_flood_of_resets_the_client_provokes_ends_the_connection(provocation) -> None:  # type: ignore[no-untyped-def]
    """MadeYouReset, CVE-2025-8671."""
    pair = ServerPair()
    encoder = Encoder()
    for stream in range(1, 20_001, 2):
        pair.send(serialized(headers(stream, encoder=encoder), provocation(stream)))
        pair.output()
        for exchange in pair.accepted:
            pair.endpoint.finished(exchange)
        pair.accepted.clear()
        if pair.endpoint.closed:
            break
    assert len(goaways(pair)) == 1
    assert stream < 2 * 3 * pair.limits.max_concurrent_streams


def test_a_flood_of_malformed_requests_ends_the_connection() -> None:
    pair = ServerPair()
    encoder = Encoder()
    for stream in range(1, 20_001, 2):
        block = encoder.encode([*GET, (b"connection", b"close")])
        pair.send(HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"]).serialize())
        pair.output()
        if pair.endpoint.closed:
            break
    assert goaways(pair) == [ErrorCode.ENHANCE_YOUR_CALM]
    assert stream < 2 * 3 * pair.limits.max_concurrent_streams


def test_honest_aborts_among_completed_requests_go_on_for_ten_thousand() -> None:
    pair = ServerPair()
    for number in range(5_000):
        stream = pair.request()
        pair.answer(pair.accepted.pop(), b"ok")
        pair.move()
        stream = pair.request()
        exchange = pair.accepted.pop()
        exchange.send_response(200, [])
        pair.peer.reset_stream(stream, ErrorCode.CANCEL)
        pair.move()
        pair.endpoint.finished(exchange)
        pair.messages.clear()
        assert not pair.endpoint.closed, number
    assert serves(pair)


def test_honest_aborts_spread_over_time_go_on() -> None:
    pair = ServerPair(max_concurrent_streams=10)
    for number in range(1000):
        stream = pair.request()
        pair.peer.reset_stream(stream, ErrorCode.CANCEL)
        pair.move()
        pair.endpoint.finished(pair.accepted.pop())
        pair.after(1)
        assert not pair.endpoint.closed, number
    assert serves(pair)


def test_an_application_that_fails_does_not_cost_its_clients_the_connection() -> None:
    pair = ServerPair()
    for number in range(2000):
        stream = pair.request()
        exchange = pair.accepted.pop()
        exchange.send_response(200, [])
        pair.endpoint.finished(exchange)  # before the end: a reset
        pair.move()
        assert pair.messages.pop(stream).reset == ErrorCode.INTERNAL_ERROR
        assert not pair.endpoint.closed, number
    assert serves(pair)


# -- frames that carry nothing ----------------------------------------------------------------------

CONTROL = {
    "PING": PingFrame(0, opaque_data=b"12345678"),
    "SETTINGS": SettingsFrame(0),
    "WINDOW_UPDATE": WindowUpdateFrame(0, window_increment=1),
}


@pytest.mark.parametrize("kind", CONTROL)
@pytest.mark.parametrize("at_once", [1, 100])
def test_a_flood_of_control_frames_ends_the_connection(kind: str, at_once: int) -> None:
    """CVE-2019-9512, CVE-2019-9515."""
    pair = ServerPair(max_control_frames=1000)
    frame = CONTROL[kind].serialize()
    assert 900 <= at_once * sent_until_closed(pair, frame * at_once) <= 2000
    assert goaways(pair) == [ErrorCode.ENHANCE_YOUR_CALM]


@pytest.mark.parametrize("kind", CONTROL)
def test_a_request_behind_a_flood_starts_nothing(kind: str) -> None:
    """What began on a connection that has ended would never be told of the end."""
    pair = ServerPair(max_control_frames=10)
    flood = CONTROL[kind].serialize() * 1000
    pair.send(headers(1).serialize() + flood + headers(3, end_stream=False).serialize())
    assert pair.endpoint.closed
    assert pair.accepted == []
    assert pair.endpoint.exchanges == {}
    assert pair.endpoint.running == 0


def test_a_flood_of_empty_data_ends_the_connection() -> None:
    """CVE-2019-9518."""
    pair = ServerPair(max_control_frames=1000)
    pair.send(headers(1, end_stream=False).serialize())
    assert 900 <= sent_until_closed(pair, DataFrame(1).serialize()) <= 2000
    assert goaways(pair) == [ErrorCode.ENHANCE_YOUR_CALM]


def test_a_flood_of_priority_frames_costs_nothing_or_ends_the_connection() -> None:
    """CVE-2019-9513: the tree of RFC 7540 is not used, so there is nothing to churn."""
    pair = ServerPair()
    frame = PriorityFrame(1, depends_on=3, stream_weight=5, exclusive=False).serialize()
    for _ in range(20_000):
        pair.send(frame)
        pair.output()
    assert pair.endpoint.closed or serves(pair)
    assert len(pair.written) < 1000


def test_a_calm_client_pings_for_ever() -> None:
    pair = ServerPair(max_control_frames=10, keep_alive=1e6, handshake_timeout=1e6)
    for _ in range(1000):
        pair.peer.ping(b"12345678")
        pair.move()
        pair.after(2)
    assert serves(pair)


def test_a_client_that_acknowledges_each_piece_of_a_download_is_no_flood() -> None:
    """100 MB, a WINDOW_UPDATE for the stream and the connection after every DATA frame."""
    pair = ServerPair()
    pair.credits = False
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    size, received = 100_000_000, 0
    left = size
    while received < size:
        if left and not exchange.queued:
            piece = min(left, 65_536)
            left -= piece
            exchange.send_data(bytes(piece), end_stream=not left)
        updates = b""
        for frame in frames(pair.output()):
            if isinstance(frame, DataFrame) and frame.data:
                received += len(frame.data)
                for target in (0, stream):
                    updates += WindowUpdateFrame(target, window_increment=len(frame.data)).serialize()
        pair.written.clear()
        assert not pair.endpoint.closed, received
        pair.send(updates)
    assert exchange.closed
    assert exchange.error is None


def test_an_upload_in_small_pieces_is_no_flood() -> None:
    pair = ServerPair()
    pair.send(headers(1, end_stream=False).serialize())
    (exchange,) = pair.accepted
    for _ in range(20_000):
        pair.send(DataFrame(1, b"x").serialize())
        pair.output()
        exchange.read()
    assert not pair.endpoint.closed


def test_unread_content_in_small_pieces_is_held_in_one_buffer() -> None:
    pair = ServerPair(stream_window=20_000)
    pair.send(headers(1, end_stream=False).serialize())
    pair.send(DataFrame(1, b"x").serialize() * 20_000)
    (exchange,) = pair.accepted
    assert isinstance(exchange.content, BytesIO)
    assert exchange.read() == b"x" * 20_000


# -- field sections ---------------------------------------------------------------------------------


def test_a_flood_of_continuations_ends_the_connection() -> None:
    """VU#421644, and its empty form."""
    for payload in (b"", b"\x00\x01a\x01b"):
        pair = ServerPair()
        pair.send(HeadersFrame(1, Encoder().encode(GET)).serialize())
        assert sent_until_closed(pair, ContinuationFrame(1, payload).serialize()) < 20_000
        assert len(goaways(pair)) == 1
        assert pair.accepted == []


@pytest.mark.parametrize(
    "fields",
    [
        [(b"x", b"1")] * 5000,
        [(b"cookie", b"a=1")] * 5000,
        [(b"x-%d" % number, b"v" * 1000) for number in range(400)],
    ],
    ids=["fields", "crumbs", "size"],
)
def test_a_field_section_far_over_the_limit_is_refused_or_ends_the_connection(
    fields: list[tuple[bytes, bytes]],
) -> None:
    pair = ServerPair()
    block = Encoder().encode([*GET, *fields])
    pieces = [block[start : start + 16_384] for start in range(0, len(block), 16_384)]
    some: list[Frame] = [HeadersFrame(1, pieces[0], flags=["END_STREAM"])]
    some += [ContinuationFrame(1, piece) for piece in pieces[1:]]
    some[-1].flags.add("END_HEADERS")
    pair.send(serialized(*some))
    pair.output()
    if pair.accepted:
        request = pair.accepted[0].request
        assert request is not None
        assert request.refusal is not None
        assert request.refusal[0] == 431
    else:
        assert goaways(pair) == [ErrorCode.ENHANCE_YOUR_CALM]


def test_a_bomb_of_references_into_the_table_is_defused() -> None:
    """CVE-2026-49975: one large field, then thousands of one-byte references to it."""
    pair = ServerPair()
    encoder = Encoder()
    encoder.header_table_size = 4096
    block = encoder.encode([*GET, (b"x-large", b"v" * 3900)])
    block += encoder.encode([(b"x-large", b"v" * 3900)]) * 10_000
    pair.send(HeadersFrame(1, block[:16_384], flags=["END_HEADERS", "END_STREAM"]).serialize())
    assert pair.accepted == []
    assert goaways(pair) == [ErrorCode.ENHANCE_YOUR_CALM]


# -- deadlines --------------------------------------------------------------------------------------


def test_a_client_that_never_sends_a_request_is_let_go() -> None:
    pair = ServerPair(handshake_timeout=5, keep_alive=75)
    pair.after(4)
    assert goaways(pair) == []
    pair.after(3)
    assert goaways(pair) != []
    assert set(goaways(pair)) == {ErrorCode.NO_ERROR}


def test_a_client_that_sends_no_preface_is_let_go() -> None:
    limits = Limits(handshake_timeout=5)
    endpoint = ServerEndpoint(server_connection(ALPN_H2, limits, "https"), limits, 0.0)
    endpoint.receive_data(PREFACE[:10], 1.0)
    for now in range(1, 200):
        endpoint.expire(float(now))
        endpoint.data_to_send()
        if endpoint.closed:
            break
    assert now < 90


def test_an_idle_connection_is_let_go_after_keep_alive() -> None:
    pair = ServerPair(keep_alive=20)
    assert serves(pair)
    pair.after(19)
    assert goaways(pair) == []
    pair.after(2)
    assert set(goaways(pair)) == {ErrorCode.NO_ERROR}
    assert pair.sent(GoAwayFrame)[-1].last_stream_id == 1
    pair.after(20)
    assert pair.endpoint.closed


def test_keep_alive_counts_from_the_last_exchange_not_the_first() -> None:
    pair = ServerPair(keep_alive=20)
    for _ in range(10):
        assert serves(pair)
        pair.after(15)


def test_keep_alive_counts_from_the_last_byte_sent() -> None:
    pair = ServerPair(keep_alive=5, write_timeout=60)
    pair.credits = False
    stream = pair.request()
    pair.answer(pair.accepted.pop(), bytes(100_000))
    pair.move()
    pair.after(30)
    assert goaways(pair) == []
    pair.peer.increment_flow_control_window(100_000)
    pair.peer.increment_flow_control_window(100_000, stream)
    pair.move()
    assert len(pair.messages[stream].content) == 100_000
    assert pair.messages[stream].ended


def test_an_exchange_that_takes_long_is_not_idle() -> None:
    pair = ServerPair(keep_alive=5)
    stream = pair.request()
    pair.after(300)
    pair.answer(pair.accepted.pop(), b"at last")
    pair.move()
    assert pair.messages[stream].content == b"at last"


def test_a_field_section_that_never_ends_is_given_up() -> None:
    pair = ServerPair(header_timeout=10, keep_alive=1000, handshake_timeout=1000)
    assert serves(pair)
    pair.send(HeadersFrame(3, Encoder().encode(GET)).serialize())
    pair.after(8)
    assert not pair.endpoint.closed
    pair.after(4)
    assert pair.endpoint.closed
    assert goaways(pair) == [ErrorCode.ENHANCE_YOUR_CALM]


def test_a_field_section_that_drips_is_given_up() -> None:
    pair = ServerPair(header_timeout=10, keep_alive=1000, handshake_timeout=1000)
    frame = headers(1).serialize()
    for position in range(len(frame)):
        if pair.endpoint.closed:
            break
        pair.send(frame[position : position + 1])
        pair.after(2)
    assert pair.endpoint.closed
    assert pair.accepted == []


def test_a_client_whose_requests_are_always_in_transit_is_not_given_up() -> None:
    """Each look at the clock finds some field section half-way, never the same one twice."""
    pair = ServerPair(header_timeout=3, keep_alive=1000, handshake_timeout=1000)
    encoder = Encoder()
    half = b""
    for stream in range(1, 101, 2):
        frame = headers(stream, encoder=encoder).serialize()
        pair.send(half + frame[:10])
        half = frame[10:]
        assert pair.endpoint.connection.receiving_head
        while pair.accepted:
            pair.answer(pair.accepted.pop())
        pair.endpoint.expire(float(stream))
        assert not pair.endpoint.closed, stream


def waits(exchange: Exchange) -> None:
    """Say that the application waits for content, as the server's bridge does."""
    exchange.waiting_since = exchange.endpoint.now  # type: ignore[attr-defined]


def test_an_upload_that_stalls_is_reset_and_its_siblings_go_on() -> None:
    pair = ServerPair(read_timeout=10, keep_alive=1000)
    stream = pair.request(b"POST", content=b"some", end_stream=False)
    exchange = pair.accepted.pop()
    assert exchange.read() == b"some"
    waits(exchange)
    woken: list[bool] = []
    exchange.on_progress = lambda: woken.append(True)
    pair.after(9)
    assert not exchange.closed
    pair.after(2)
    assert exchange.closed
    assert woken
    assert pair.messages[stream].reset == ErrorCode.CANCEL
    assert serves(pair)


def test_an_upload_that_trickles_is_not_reset() -> None:
    pair = ServerPair(read_timeout=10, keep_alive=1000)
    stream = pair.request(b"POST", end_stream=False)
    exchange = pair.accepted.pop()
    for _ in range(20):
        waits(exchange)
        pair.after(8)
        pair.peer.send_data(stream, b"x")
        pair.move()
        assert exchange.read() == b"x"
    assert not exchange.closed


def test_an_upload_nobody_waits_for_is_not_reset() -> None:
    pair = ServerPair(read_timeout=10, keep_alive=1000)
    pair.request(b"POST", end_stream=False)
    pair.after(100)
    assert not pair.accepted[0].closed


def test_a_client_that_takes_nothing_of_a_response_is_reset() -> None:
    pair = ServerPair(write_timeout=10, keep_alive=1000)
    pair.credits = False
    stream = pair.request()
    exchange = pair.accepted.pop()
    exchange.send_response(200, [])
    exchange.send_data(bytes(100_000))
    pair.move()
    pair.after(8)
    assert not exchange.closed
    pair.after(5)
    assert exchange.closed
    assert pair.messages[stream].reset == ErrorCode.CANCEL
    pair.peer.increment_flow_control_window(100_000)  # for the sibling, which gets a window of its own
    assert serves(pair)


def test_a_response_nobody_takes_is_reset_after_its_application_has_ended() -> None:
    pair = ServerPair(write_timeout=10, keep_alive=1000)
    pair.credits = False
    stream = pair.request()
    pair.answer(pair.accepted.pop(), bytes(100_000))
    pair.move()
    pair.after(15)
    assert pair.messages[stream].reset == ErrorCode.CANCEL
    assert pair.endpoint.exchanges == {}


def test_a_client_that_takes_a_response_slowly_is_served() -> None:
    pair = ServerPair(write_timeout=10, keep_alive=1000)
    pair.credits = False
    stream = pair.request()
    pair.answer(pair.accepted.pop(), bytes(65_535 + 100))
    pair.move()
    pair.peer.increment_flow_control_window(1000)
    for _ in range(100):
        pair.after(8)
        pair.peer.increment_flow_control_window(1, stream)
        pair.move()
    assert pair.messages[stream].ended


def test_an_application_that_sends_slowly_is_not_a_client_that_stalls() -> None:
    pair = ServerPair(write_timeout=10, keep_alive=1000)
    stream = pair.request()
    exchange = pair.accepted.pop()
    exchange.send_response(200, [])
    for _ in range(10):
        pair.after(30)
        exchange.send_data(b"x")
        pair.move()
    assert len(pair.messages[stream].content) == 10


# -- garbage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 100,
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        PREFACE[:-1] + b"x",
        bytes(10_000),
    ],
)
def test_garbage_instead_of_a_preface_ends_the_connection(first: bytes) -> None:
    limits = Limits()
    for piece in (len(first), 1):
        endpoint = ServerEndpoint(server_connection(ALPN_H2, limits, "https"), limits, 0.0)
        for start in range(0, len(first), piece):
            endpoint.receive_data(first[start : start + piece], 0.0)
        output = b""
        while data := endpoint.data_to_send():
            output += data
        assert endpoint.closed
        assert endpoint.error is not None
        last = frames(output)[-1]
        assert isinstance(last, GoAwayFrame)
        assert last.error_code == ErrorCode.PROTOCOL_ERROR


def test_a_first_frame_that_is_not_settings_ends_the_connection() -> None:
    """RFC 9113 §3.4."""
    limits = Limits()
    endpoint = ServerEndpoint(server_connection(ALPN_H2, limits, "https"), limits, 0.0)
    endpoint.receive_data(PREFACE + headers(1).serialize(), 0.0)
    endpoint.data_to_send()
    assert endpoint.closed
    assert endpoint.take_accepted() == []


@pytest.mark.parametrize(
    ("broken", "codes"),
    [
        (b"\x00\x40\x01" + b"\x00\x00" + b"\0\0\0\x01" + bytes(16_385), {ErrorCode.FRAME_SIZE_ERROR}),
        (b"\0\0\x07\x06\0\0\0\0\0" + bytes(7), {ErrorCode.FRAME_SIZE_ERROR}),
        (DataFrame(99, b"idle").serialize(), {ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED}),
        (headers(2).serialize(), {ErrorCode.PROTOCOL_ERROR}),
        (WindowUpdateFrame(0, window_increment=2**31 - 1).serialize(), {ErrorCode.FLOW_CONTROL_ERROR}),
        (b"\0\0\x04\x08\0\0\0\0\0" + bytes(4), {ErrorCode.PROTOCOL_ERROR}),
        (SettingsFrame(0, settings={2: 2}).serialize(), {ErrorCode.PROTOCOL_ERROR}),
        (SettingsFrame(0, settings={4: 2**31}).serialize(), {ErrorCode.FLOW_CONTROL_ERROR}),
        (HeadersFrame(1, b"\xff" * 5, flags=["END_HEADERS"]).serialize(), {ErrorCode.COMPRESSION_ERROR}),
        (HeadersFrame(1, b"\x82").serialize() + PingFrame(0).serialize(), {ErrorCode.PROTOCOL_ERROR}),
        (ContinuationFrame(1, b"\x82").serialize(), {ErrorCode.PROTOCOL_ERROR}),
        (RstStreamFrame(1).serialize(), {ErrorCode.PROTOCOL_ERROR}),
    ],
    ids=[
        "frame too large", "short ping", "data on an idle stream", "even stream", "window overflow",
        "zero window update", "bad push setting", "bad window setting", "bad hpack", "frame inside a block",
        "stray continuation", "reset of an idle stream",
    ],
)  # fmt: skip
def test_a_broken_frame_ends_the_connection_with_the_right_code(broken: bytes, codes: set[ErrorCode]) -> None:
    pair = ServerPair()
    pair.send(broken)
    (code,) = goaways(pair)
    assert code in codes
    assert pair.endpoint.closed
    pair.send(os.urandom(100))  # what comes after is passed over
    assert pair.output() == b""
