"""How an HTTP/2 connection ends: in two steps, at once, or because the peer is gone."""

from __future__ import annotations

import pytest
from hpack import Encoder
from hyperframe.frame import GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame

from plait.errors import ConnectionLost
from plait.protocol.events import ErrorCode
from tests.support.pairs import ServerPair, frames, request_fields

LAST = 2**31 - 1


def test_a_shutdown_gives_notice_and_names_the_last_stream_a_round_trip_later() -> None:
    """RFC 9113 §6.8."""
    pair = ServerPair()
    stream = pair.request()
    pair.endpoint.shut_down()
    notice = frames(pair.output())
    assert [type(frame) for frame in notice] == [GoAwayFrame, PingFrame]
    assert (notice[0].last_stream_id, notice[0].error_code) == (LAST, ErrorCode.NO_ERROR)
    # A request that was on its way when the notice came is served.
    block = pair.peer.encoder.encode(request_fields(b"GET", b"/raced"))
    pair.send(HeadersFrame(3, block, flags=["END_HEADERS", "END_STREAM"]).serialize())
    (first, raced) = pair.accepted
    assert raced.request is not None
    assert raced.request.target == b"/raced"
    pair.send(PingFrame(0, opaque_data=notice[1].opaque_data, flags=["ACK"]).serialize())
    (final,) = [frame for frame in frames(pair.output()) if isinstance(frame, GoAwayFrame)]
    assert (final.last_stream_id, final.error_code) == (3, ErrorCode.NO_ERROR)
    assert not pair.endpoint.closed
    pair.answer(first, b"one")
    assert not pair.endpoint.closed
    pair.answer(raced, b"two")
    answers = frames(pair.output())
    assert {frame.stream_id for frame in answers if "END_STREAM" in frame.flags} == {stream, 3}
    pair.output()
    assert pair.endpoint.closed
    assert first.error is None
    assert raced.error is None


def test_a_request_after_the_final_goaway_starts_nothing() -> None:
    pair = ServerPair()
    pair.request()
    pair.endpoint.shut_down()
    pair.endpoint.shut_down()
    pair.output()
    block = pair.peer.encoder.encode(request_fields())
    pair.send(HeadersFrame(3, block, flags=["END_HEADERS", "END_STREAM"]).serialize())
    assert len(pair.accepted) == 1
    assert not [frame for frame in pair.sent(GoAwayFrame) if frame.error_code != ErrorCode.NO_ERROR]


def test_a_client_that_ignores_the_ping_gets_the_final_goaway_all_the_same() -> None:
    pair = ServerPair()
    stream = pair.request()
    pair.endpoint.shut_down()
    pair.output()
    pair.endpoint.expire(1.0)
    pair.output()
    pair.endpoint.expire(2.0)
    pair.output()
    assert [frame.last_stream_id for frame in pair.sent(GoAwayFrame)] == [LAST, stream]
    pair.answer(pair.accepted[0])
    pair.output()
    pair.output()
    assert pair.endpoint.closed


def test_last_stream_ids_never_rise() -> None:
    pair = ServerPair()
    for _ in range(3):
        pair.request()
    pair.endpoint.shut_down()
    (ping,) = [frame for frame in frames(pair.output()) if isinstance(frame, PingFrame)]
    pair.send(PingFrame(0, opaque_data=ping.opaque_data, flags=["ACK"]).serialize())
    for exchange in pair.accepted:
        pair.answer(exchange)
        pair.output()
    assert [frame.last_stream_id for frame in pair.sent(GoAwayFrame)] == [LAST, 5]
    assert pair.endpoint.closed


def test_an_idle_connection_closes_after_its_final_goaway() -> None:
    pair = ServerPair()
    pair.answer(pair.exchange_of(pair.request()))
    pair.move()
    pair.endpoint.shut_down()
    pair.output()
    pair.after(2)
    pair.output()
    assert [frame.last_stream_id for frame in pair.sent(GoAwayFrame)] == [LAST, 1]
    assert pair.endpoint.closed


def test_a_client_that_says_goodbye_with_its_answer_is_let_go() -> None:
    pair = ServerPair()
    pair.answer(pair.exchange_of(pair.request()))
    pair.move()
    pair.endpoint.shut_down()
    (ping,) = [frame for frame in frames(pair.output()) if isinstance(frame, PingFrame)]
    answer = PingFrame(0, opaque_data=ping.opaque_data, flags=["ACK"])
    goodbye = GoAwayFrame(0, last_stream_id=0, error_code=0)
    pair.send(answer.serialize() + goodbye.serialize())
    pair.output()
    assert pair.endpoint.closed


def test_a_shutdown_before_the_first_request_closes_in_time() -> None:
    pair = ServerPair()
    pair.endpoint.shut_down()
    pair.after(3)
    assert pair.endpoint.closed


def test_a_goaway_of_the_client_lets_its_requests_finish() -> None:
    pair = ServerPair()
    stream = pair.request()
    pair.send(GoAwayFrame(0, last_stream_id=0, error_code=0).serialize())
    pair.answer(pair.accepted[0], b"still")
    pair.move()
    assert pair.messages[stream].content == b"still"
    pair.after(3)
    assert pair.endpoint.closed


def test_a_client_that_is_gone_ends_its_exchanges() -> None:
    pair = ServerPair()
    pair.request()
    pair.request(b"POST", content=b"half", end_stream=False)
    woken: list[int] = []
    for exchange in pair.accepted:
        exchange.on_progress = lambda number=exchange.stream_id: woken.append(number)  # type: ignore[misc]
    pair.endpoint.receive_eof()
    assert woken == [1, 3]
    for exchange in pair.accepted:
        assert exchange.closed
        assert isinstance(exchange.error, ConnectionLost)
    upload = pair.accepted[1]
    assert upload.read() == b"half"
    with pytest.raises(ConnectionLost):
        upload.read()
    with pytest.raises(ConnectionLost):
        upload.send_response(200, [])
    pair.endpoint.finished(upload)
    assert pair.endpoint.exchanges == {}


def test_a_lost_transport_ends_its_exchanges() -> None:
    pair = ServerPair()
    pair.request()
    pair.endpoint.connection_lost("the cable was cut")
    (exchange,) = pair.accepted
    assert isinstance(exchange.error, ConnectionLost)
    assert "cable" in str(exchange.error)
    pair.endpoint.finished(exchange)
    pair.endpoint.connection_lost("again")
    assert "cable" in str(pair.endpoint.error)


def test_an_end_at_once_says_so_and_ends_all_exchanges() -> None:
    pair = ServerPair()
    pair.request()
    pair.endpoint.terminate(ErrorCode.INTERNAL_ERROR)
    (goaway,) = [frame for frame in frames(pair.output()) if isinstance(frame, GoAwayFrame)]
    assert (goaway.last_stream_id, goaway.error_code) == (1, ErrorCode.INTERNAL_ERROR)
    assert pair.endpoint.closed
    assert pair.accepted[0].closed
    for call in (pair.endpoint.shut_down, pair.endpoint.terminate, pair.endpoint.receive_eof):
        call()
    assert pair.output() == b""


def test_a_connection_error_names_the_streams_that_were_begun() -> None:
    """RFC 9113 §6.8: those up to the last stream may have been acted on."""
    pair = ServerPair()
    for _ in range(3):
        pair.request()
    pair.send(b"\xff" * 100)
    pair.output()
    assert pair.endpoint.closed
    (goaway,) = pair.sent(GoAwayFrame)
    assert goaway.last_stream_id == 5
    for exchange in pair.accepted:
        assert isinstance(exchange.error, ConnectionLost)


def test_a_reset_after_the_end_of_a_stream_is_free() -> None:
    """It raced the end of the response: that is no fault of the client's."""
    pair = ServerPair()
    for number in range(2000):
        stream = pair.request()
        pair.answer(pair.accepted.pop(), b"ok")
        pair.output()
        pair.send(RstStreamFrame(stream, error_code=8).serialize())
        pair.peer.clear_outbound_data_buffer()
        pair.peer.reset_stream(stream)
        pair.peer.clear_outbound_data_buffer()
        pair.messages.clear()
        assert not pair.endpoint.closed, number


def test_a_request_behind_the_last_goaway_is_not_named_by_another() -> None:
    """It was not looked at, and its client may send it again (RFC 9113 §6.8)."""
    pair = ServerPair()
    encoder = Encoder()
    fields = request_fields()

    def get(stream: int) -> bytes:
        frame = HeadersFrame(stream, encoder.encode(fields), flags=["END_HEADERS", "END_STREAM"])
        data: bytes = frame.serialize()
        return data

    pair.send(get(1))
    pair.endpoint.shut_down()
    pair.endpoint.shut_down()
    pair.answer(pair.accepted.pop(), b"the last")
    pair.output()
    pair.send(get(3))
    pair.send(get(5))
    pair.output()
    assert [frame.last_stream_id for frame in pair.sent(GoAwayFrame)][-1] == 1
    assert {frame.error_code for frame in pair.sent(GoAwayFrame)} == {ErrorCode.NO_ERROR}
    assert pair.endpoint.closed
