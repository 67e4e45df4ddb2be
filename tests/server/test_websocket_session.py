"""Credit, time and wild input on one WebSocket session, in memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets import frames
from websockets.extensions.permessage_deflate import PerMessageDeflate

from tests.support.websocket_line import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Frame,
    Line,
    close,
    frame,
)

KEEPALIVE = Frame(CLOSE, b"\x03\xf3keepalive ping timeout")


def ended(line: Line) -> tuple[int, str]:
    assert line.session.ended is not None
    return int(line.session.ended.code), line.session.ended.reason


# -- signs of life ---------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [10, 60])
def test_a_quiet_client_is_asked_for_a_sign_of_life_again_and_again(timeout: float) -> None:
    line = Line(ws_ping_interval=20, ws_ping_timeout=timeout)
    for _ in range(5):
        line.after(19.9)
        assert line.frames() == []
        line.after(0.1)
        assert line.frames() == [Frame(PING, b"")]
        line.receive(frame(PONG))
    assert line.session.open


def test_a_client_that_gives_none_is_closed_with_1011() -> None:
    line = Line(ws_ping_interval=20, ws_ping_timeout=10)
    line.after(29.9)
    assert line.frames() == [Frame(PING, b"")]
    line.after(0.1)
    assert line.frames() == [KEEPALIVE]
    assert line.closed
    assert ended(line) == (1011, "keepalive ping timeout")
    assert line.clock.pending == 0


def test_any_byte_is_a_sign_of_life() -> None:
    line = Line(ws_ping_interval=20, ws_ping_timeout=10)
    line.after(20)
    line.receive(frame(BINARY, bytes(100))[:50])  # the pong has to wait behind it
    line.after(11)
    assert line.session.open
    assert line.frames() == [Frame(PING, b"")]


def test_a_client_whose_messages_wait_for_the_application_is_alive() -> None:
    line = Line(echo=False, ws_ping_interval=20, ws_ping_timeout=10)
    line.receive(frame(BINARY, bytes(70_000)))
    line.receive(frame(PONG))
    line.after(100)
    assert line.session.open
    assert line.frames() == [Frame(PING, b"")]
    assert line.session.receive() == bytes(70_000)
    line.after(100)
    assert not line.session.open


def test_a_client_that_is_busy_reading_is_not_asked() -> None:
    line = Line(ws_ping_interval=20, ws_ping_timeout=10)
    line.takes = False
    line.session.send(bytes(10_000))
    line.after(100)
    assert line.session.open
    line.takes = True
    assert line.frames() == [Frame(BINARY, bytes(10_000))]
    line.after(20)
    assert line.frames() == [Frame(PING, b"")]


def test_no_pings_where_none_are_wanted() -> None:
    line = Line(ws_ping_interval=0)
    line.after(10_000)
    assert line.frames() == []
    assert line.session.open


# -- closing ---------------------------------------------------------------------------------------


def test_a_close_waits_for_the_clients() -> None:
    line = Line()
    line.session.close(4000, "enough")
    assert line.frames() == [Frame(CLOSE, b"\x0f\xa0enough")]
    assert not line.session.open
    assert not line.session.over
    line.receive(frame(TEXT, b"crossed it on the way"), close(4000))
    assert line.session.receive() is None
    assert line.closed
    assert ended(line) == (4000, "enough")


def test_a_close_does_not_wait_for_ever() -> None:
    line = Line()
    line.session.close(1000)
    line.after(9.9)
    assert not line.closed
    line.after(0.1)
    assert line.closed


def test_a_server_that_stops_closes_with_1001() -> None:
    line = Line()
    line.endpoint.shut_down()
    assert line.frames() == [Frame(CLOSE, b"\x03\xe9")]
    assert ended(line) == (1001, "")
    assert not line.closed
    line.receive(close(1001))
    assert line.closed


def test_nothing_is_left_ticking_after_the_end() -> None:
    for last in (close(1000), frame(15), frame(TEXT, b"\xff")):
        line = Line()
        line.receive(last)
        assert line.closed
        assert line.clock.pending == 0


# -- credit ----------------------------------------------------------------------------------------


def test_messages_nobody_takes_stop_the_reading() -> None:
    line = Line(echo=False, stream_window=65_536)
    sent = 0
    while line.endpoint.connection.wants_read:
        line.receive(frame(BINARY, bytes(10_000)))
        sent += 1
        assert sent < 100
    taken = 0
    while line.session.receive() is not None:
        taken += 1
    assert taken == sent
    assert line.endpoint.connection.wants_read


def test_a_client_that_does_not_read_its_pongs_is_not_read_either() -> None:
    line = Line(stream_window=65_536, write_buffer=10_000)
    line.takes = False
    sent = 0
    while line.endpoint.connection.wants_read:
        line.receive(frame(PING, bytes(125)))
        sent += 1
        assert sent < 10_000
    line.takes = True
    assert len(line.frames()) == sent
    assert line.endpoint.connection.wants_read


def test_small_fragments_take_no_more_memory_than_their_bytes() -> None:
    line = Line(echo=False)
    line.receive(frame(TEXT, b"a", fin=False))
    piece = frame(CONT, b"a", fin=False) * 1000 + frame(CONT, b"", fin=False) * 1000
    tracemalloc.start()
    for _ in range(15):
        line.receive(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 300_000
    line.receive(frame(CONT))
    assert line.session.receive() == "a" * 15_001


def test_small_messages_that_decompress_to_large_ones_are_not_all_held() -> None:
    factory = PerMessageDeflate(True, True, 15, 15)
    sender = PerMessageDeflate(True, True, 15, 15)
    small = bytes(sender.encode(frames.Frame(frames.Opcode.BINARY, bytes(1_000_000))).data)
    assert len(small) < 2_000
    line = Line([factory], echo=False, max_message_size=1_000_000)
    line.receive(frame(BINARY, small, rsv=4) * 200)
    tracemalloc.start()
    taken = 0
    while line.session.receive() is not None:
        taken += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken == 200
    assert peak < 40_000_000


# -- wild input ------------------------------------------------------------------------------------

FRAMES = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=200),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 4, 1]),
    mask=st.sampled_from([b"\1\2\3\4", b"\0\0\0\0", None]),
    length=st.sampled_from([None, None, None, None, 0, 126, 70_000, 2**63]),
)
GOOD = st.builds(frame, st.sampled_from([CONT, TEXT, BINARY, PING, PONG]), st.binary(max_size=200))
PARTS = st.lists(st.one_of(GOOD, FRAMES, st.binary(max_size=20)), max_size=20)


@pytest.mark.parametrize("compressed", [False, True])
@settings(max_examples=150, deadline=None)
@given(parts=PARTS, cut=st.integers(1, 50), takes=st.booleans(), eof=st.booleans())
def test_whatever_comes_the_session_goes_on_or_ends(
    compressed: bool, parts: list[bytes], cut: int, takes: bool, eof: bool
) -> None:
    extensions = [PerMessageDeflate(False, False, 12, 12)] if compressed else []
    line = Line(extensions, max_message_size=10_000, ws_ping_interval=20)
    line.takes = takes
    data = b"".join(parts)
    line.receive(*(data[i : i + cut] for i in range(0, len(data), cut)))
    if eof and not line.endpoint.closed:
        line.endpoint.receive_eof()
    line.takes = True
    found = line.frames()
    closes = [number for number, one in enumerate(found) if one.opcode == CLOSE]
    assert closes in ([], [len(found) - 1])
    assert line.closed is bool(closes or eof)
    assert line.session.open is not line.closed
    line.after(1000)
    assert line.closed
    assert line.clock.pending == 0
