"""Frames of every kind on a session that echoes: by the categories of the Autobahn test suite."""

from __future__ import annotations

import zlib

import pytest
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
    parse,
)

KOSME = "κόσμε"
PROTOCOL_ERROR, BAD_DATA, TOO_BIG = 1002, 1007, 1009


def failed(code: int, *pieces: bytes, line: Line | None = None, before: tuple[Frame, ...] = ()) -> None:
    """Check that the server closes with a code after answering what came before, and says no more."""
    line = line or Line()
    *answers, last = line.outcome(pieces)
    assert tuple(answers) == before
    assert last.opcode == CLOSE
    assert int.from_bytes(last.payload[:2], "big") == code
    assert line.closed


def echoed(*pieces: bytes, line: Line | None = None) -> list[Frame]:
    """Return what comes back, and check that the session goes on."""
    line = line or Line()
    found = line.outcome(pieces)
    assert line.session.open
    assert line.outcome([frame(PING, b"?")]) == [Frame(PONG, b"?")]
    return found


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# -- 1: framing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536])
def test_messages_come_back_whatever_their_size(opcode: int, size: int) -> None:
    whole = frame(opcode, b"*" * size)
    assert echoed(whole) == [Frame(opcode, b"*" * size)]
    assert echoed(whole[:1], whole[1:3], whole[3:]) == [Frame(opcode, b"*" * size)]
    if size <= 128:
        assert echoed(*bytewise(whole)) == [Frame(opcode, b"*" * size)]


def test_many_messages_in_one_piece_come_back_in_order() -> None:
    messages = [b"%d" % number for number in range(1000)]
    assert echoed(b"".join(frame(TEXT, one) for one in messages)) == [Frame(TEXT, one) for one in messages]


def test_a_length_that_no_message_has_is_too_big() -> None:
    failed(TOO_BIG, frame(BINARY, length=2**63))


def test_a_frame_without_a_mask_is_an_error() -> None:
    failed(PROTOCOL_ERROR, frame(TEXT, b"hello", mask=None))


# -- 2: pings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(range(256))[:125]])
def test_a_ping_is_answered_with_what_it_carries(payload: bytes) -> None:
    assert echoed(frame(PING, payload)) == [Frame(PONG, payload)]
    assert echoed(*bytewise(frame(PING, payload))) == [Frame(PONG, payload)]


def test_ten_pings_are_answered_one_by_one() -> None:
    pings = [frame(PING, b"%d" % number) for number in range(10)]
    assert echoed(*pings) == [Frame(PONG, b"%d" % number) for number in range(10)]
    assert echoed(b"".join(pings)) == [Frame(PONG, b"%d" % number) for number in range(10)]


@pytest.mark.parametrize("payload", [b"", b"unsolicited"])
def test_a_pong_nobody_asked_for_is_ignored(payload: bytes) -> None:
    assert echoed(frame(PONG, payload)) == []


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_of_more_than_125_bytes_is_an_error(opcode: int) -> None:
    failed(PROTOCOL_ERROR, frame(opcode, b"\x03\xe8" + b"x" * 124))


# -- 3: reserved bits, 4: opcodes ------------------------------------------------------------------


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
def test_reserved_bits_are_an_error(opcode: int, rsv: int) -> None:
    good = frame(TEXT, b"before")
    failed(PROTOCOL_ERROR, good, frame(opcode, rsv=rsv), before=(Frame(TEXT, b"before"),))


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes_are_an_error(opcode: int) -> None:
    good = frame(TEXT, b"before")
    failed(PROTOCOL_ERROR, good, frame(opcode, b"x"), before=(Frame(TEXT, b"before"),))


# -- 5: fragmentation ------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frames_cannot_be_fragmented(opcode: int) -> None:
    failed(PROTOCOL_ERROR, frame(opcode, fin=False))


@pytest.mark.parametrize("between", [[], [frame(PING, b"p")], [frame(PONG)]])
def test_fragments_become_one_message_with_control_frames_in_between(between: list[bytes]) -> None:
    pieces = [
        frame(TEXT, b"a", fin=False),
        *between,
        frame(CONT, b"b", fin=False),
        *between,
        frame(CONT, b"", fin=False),
        frame(CONT, b"c"),
    ]
    pongs = [Frame(PONG, b"p")] * (2 if between and between[0] == frame(PING, b"p") else 0)
    assert echoed(*pieces) == [*pongs, Frame(TEXT, b"abc")]
    assert echoed(b"".join(pieces)) == [*pongs, Frame(TEXT, b"abc")]
    assert echoed(*bytewise(b"".join(pieces))) == [*pongs, Frame(TEXT, b"abc")]


@pytest.mark.parametrize(
    "pieces",
    [
        [frame(CONT, b"a")],
        [frame(CONT, b"a", fin=False)],
        [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")],
        [frame(TEXT, b"a", fin=False), frame(BINARY, b"b", fin=False)],
    ],
)
def test_fragments_out_of_order_are_an_error(pieces: list[bytes]) -> None:
    failed(PROTOCOL_ERROR, *pieces)
    good = frame(TEXT, b"before")
    failed(PROTOCOL_ERROR, good, *pieces, before=(Frame(TEXT, b"before"),))


# -- 6: UTF-8 --------------------------------------------------------------------------------------

VALID = ["", KOSME, "\U0010ffff", "\ud7ff\ue000￿", "😀 é \0 z̈"]
INVALID = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe\xfe\xff\xff",
    b"cut off \xe2\x82",
]


@pytest.mark.parametrize("text", VALID)
def test_good_text_comes_back_wherever_it_is_cut(text: str) -> None:
    data = text.encode()
    assert echoed(frame(TEXT, data)) == [Frame(TEXT, data)]
    pieces = [frame(TEXT, fin=False), *(frame(CONT, one, fin=False) for one in bytewise(data)), frame(CONT)]
    assert echoed(*pieces) == [Frame(TEXT, data)]


@pytest.mark.parametrize("data", INVALID)
def test_bad_text_is_refused(data: bytes) -> None:
    failed(BAD_DATA, frame(TEXT, data))
    failed(BAD_DATA, frame(TEXT, data[:1], fin=False), frame(CONT, data[1:]))


def test_bad_text_is_refused_before_the_message_is_whole() -> None:
    failed(BAD_DATA, frame(TEXT, KOSME.encode(), fin=False), frame(CONT, b"\xf4\x90", fin=False))


def test_binary_is_not_looked_at() -> None:
    assert echoed(frame(BINARY, INVALID[0])) == [Frame(BINARY, INVALID[0])]


# -- 7: close --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_a_close_is_answered_in_kind(code: int) -> None:
    line = Line()
    assert line.outcome([close(code, b"x" * 123)]) == [Frame(CLOSE, code.to_bytes(2, "big") + b"x" * 123)]
    assert line.closed
    assert line.session.ended is not None
    assert (line.session.ended.code, line.session.ended.reason) == (code, "x" * 123)


def test_a_close_without_a_code_is_answered_without_one() -> None:
    line = Line()
    assert line.outcome([close()]) == [Frame(CLOSE, b"")]
    assert line.session.ended is not None
    assert line.session.ended.code == 1005


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_a_close_with_a_code_nobody_may_send_is_an_error(code: int) -> None:
    failed(PROTOCOL_ERROR, close(code))


def test_a_close_of_one_byte_is_an_error() -> None:
    failed(PROTOCOL_ERROR, frame(CLOSE, b"\x03"))


def test_a_close_whose_reason_is_no_text_is_bad_data() -> None:
    failed(BAD_DATA, close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"))


@pytest.mark.parametrize("after", [close(1000), frame(PING), frame(TEXT, b"late"), frame(15), b"\xff" * 100])
def test_what_comes_after_a_close_is_ignored(after: bytes) -> None:
    for pieces in ([close(1000), after], [close(1000) + after]):
        line = Line()
        assert line.outcome(pieces) == [Frame(CLOSE, b"\x03\xe8")]
        assert line.closed


def test_a_close_in_the_middle_of_a_message_is_a_close() -> None:
    line = Line()
    assert line.outcome([frame(TEXT, b"a", fin=False), close(1000)]) == [Frame(CLOSE, b"\x03\xe8")]
    assert line.closed


def test_a_message_right_before_a_close_is_heard() -> None:
    line = Line(echo=False)
    line.receive(frame(TEXT, b"last words") + close(1000))
    assert line.session.receive() == "last words"
    assert line.session.ended is not None


# -- 9: limits -------------------------------------------------------------------------------------


def test_a_message_may_have_just_the_size_that_is_allowed() -> None:
    line = Line(max_message_size=1000)
    assert echoed(frame(BINARY, bytes(1000)), line=line) == [Frame(BINARY, bytes(1000))]
    pieces = [frame(BINARY, bytes(600), fin=False), frame(CONT, bytes(400), fin=False), frame(CONT)]
    assert echoed(*pieces, line=line) == [Frame(BINARY, bytes(1000))]


@pytest.mark.parametrize(
    "pieces",
    [
        [frame(BINARY, bytes(1001))],
        [frame(BINARY, length=1001)],
        [frame(TEXT, bytes(600), fin=False), frame(CONT, bytes(401), fin=False)],
        [frame(BINARY, bytes(1), fin=False), *[frame(CONT, bytes(1), fin=False)] * 1000],
    ],
)
def test_one_byte_more_is_too_big(pieces: list[bytes]) -> None:
    failed(TOO_BIG, *pieces, line=Line(max_message_size=1000))


# -- 12 and 13: compression ------------------------------------------------------------------------


def deflate(takeover: bool = True, window: int = 15) -> PerMessageDeflate:
    """What a server has once permessage-deflate was granted."""
    return PerMessageDeflate(not takeover, not takeover, window, window)


class Deflater:
    """The client's side, on nothing but zlib (RFC 7692 §7.2)."""

    def __init__(self, *, takeover: bool = True, window: int = 15) -> None:
        self._takeover = takeover
        self._window = window
        self._start()

    def _start(self) -> None:
        self._out = zlib.compressobj(9, zlib.DEFLATED, -self._window)
        self._in = zlib.decompressobj(-self._window)

    def compress(self, data: bytes) -> bytes:
        if not self._takeover:
            self._start()
        return (self._out.compress(data) + self._out.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")

    def decompress(self, data: bytes) -> bytes:
        return self._in.decompress(data + b"\0\0\xff\xff")


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("window", [9, 12, 15])
@pytest.mark.parametrize("size", [0, 16, 1024, 65_536, 131_072])
def test_compressed_messages_come_back_compressed(takeover: bool, window: int, size: int) -> None:
    line = Line([deflate(takeover, window)])
    client = Deflater(takeover=takeover, window=window)
    for number in range(10):
        message = (b"%d, " % number * size)[:size]
        (answer,) = line.outcome([frame(TEXT, client.compress(message), rsv=4)])
        assert (answer.opcode, answer.rsv) == (TEXT, 4)
        if not takeover:
            client._start()
        assert client.decompress(answer.payload) == message


def test_a_compressed_message_may_be_fragmented_and_control_frames_are_never_compressed() -> None:
    line, client = Line([deflate()]), Deflater()
    data = client.compress(KOSME.encode() * 100)
    pieces = [frame(TEXT, data[:5], fin=False, rsv=4), frame(PING, b"p"), frame(CONT, data[5:])]
    pong, answer = line.outcome(pieces)
    assert pong == Frame(PONG, b"p")
    assert client.decompress(answer.payload) == KOSME.encode() * 100


def test_a_message_may_go_uncompressed() -> None:
    line, client = Line([deflate()]), Deflater()
    (answer,) = line.outcome([frame(TEXT, b"plain")])
    assert client.decompress(answer.payload) == b"plain"


@pytest.mark.parametrize(
    "pieces",
    [
        [frame(TEXT, b"\xff\xff\xff", rsv=4)],
        [frame(BINARY, b"\x06\x01\x02", rsv=4)],
        [frame(TEXT, Deflater().compress(b"abc"), rsv=4, fin=False), frame(CONT, b"", rsv=4)],
        [frame(TEXT, b"", rsv=2)],
        [frame(PING, b"", rsv=4)],
    ],
)
def test_what_is_not_well_compressed_is_an_error(pieces: list[bytes]) -> None:
    failed(PROTOCOL_ERROR, *pieces, line=Line([deflate()]))


def test_compressed_text_that_is_no_text_is_bad_data() -> None:
    failed(BAD_DATA, frame(TEXT, Deflater().compress(b"\xff"), rsv=4), line=Line([deflate()]))


def test_what_decompresses_to_too_much_is_too_big() -> None:
    bomb = Deflater().compress(bytes(10_000_000))
    assert len(bomb) < 16_000
    failed(TOO_BIG, frame(BINARY, bomb, rsv=4), line=Line([deflate()], max_message_size=1_000_000))
    pieces = [frame(BINARY, bomb[:100], rsv=4, fin=False), frame(CONT, bomb[100:])]
    failed(TOO_BIG, *pieces, line=Line([deflate()], max_message_size=1_000_000))


def test_the_parser_of_these_tests_reads_what_the_rfc_shows() -> None:
    # RFC 6455 §5.7.
    assert frame(TEXT, b"Hello") == bytes.fromhex("818537fa213d7f9f4d5158")
    assert parse(bytes.fromhex("810548656c6c6f")) == [Frame(TEXT, b"Hello")]
