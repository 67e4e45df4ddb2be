"""What a server's frames lead to, case by case in bytes, after the manner of the Autobahn test suite."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate

from tests.support.websocket_client_line import TERMS, ClientLine
from tests.support.websocket_client_line import from_server as frame
from tests.support.websocket_line import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame
from tests.support.websocket_line import frame as masked

SIZES = (0, 1, 125, 126, 127, 128, 65_535, 65_536, 131_072)
BAD_TEXT = (
    b"\xff",
    b"\xc0\xaf",  # overlong
    b"\xed\xa0\x80",  # half of a surrogate pair
    b"\xf4\x90\x80\x80",  # beyond U+10FFFF
    b"good until \xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"cut \xe2\x82",
)
GOOD_TEXT = "κόσμε 𝄞 \0 \U0010ffff \ufffe"
GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def closing(code: int) -> bytes:
    return code.to_bytes(2, "big")


Case = tuple[list[bytes], list[Any], list[Frame], int | None]

#: By name: what the server sends, the messages of it, what the client answers, and with what it ends.
CASES: dict[str, Case] = {
    # 1: framing
    **{f"text of {size}": ([frame(TEXT, b"x" * size)], ["x" * size], [], None) for size in SIZES},
    **{f"bytes of {size}": ([frame(BINARY, b"\xfe" * size)], [b"\xfe" * size], [], None) for size in SIZES},
    "65536 bytes in pieces of 997": (cut(frame(BINARY, bytes(65_536)), 997), [bytes(65_536)], [], None),
    "text byte by byte": (cut(frame(TEXT, GOOD_TEXT.encode()), 1), [GOOD_TEXT], [], None),
    # 2: pings and pongs
    "a ping": ([frame(PING)], [], [Frame(PONG, b"")], None),
    "a ping with a payload": ([frame(PING, b"\0\xff\xfe")], [], [Frame(PONG, b"\0\xff\xfe")], None),
    "a ping of 125": ([frame(PING, bytes(125))], [], [Frame(PONG, bytes(125))], None),
    "a ping of 126": ([frame(PING, bytes(126))], [], [], 1002),
    "a ping byte by byte": (cut(frame(PING, b"payload"), 1), [], [Frame(PONG, b"payload")], None),
    "ten pings": (
        [frame(PING, b"%d" % n) for n in range(10)],
        [],
        [Frame(PONG, b"%d" % n) for n in range(10)],
        None,
    ),
    "a pong nobody asked for": ([frame(PONG, b"hello"), frame(PING)], [], [Frame(PONG, b"")], None),
    # 3: reserved bits, 4: reserved opcodes
    **{f"reserved bits {bits}": ([frame(TEXT, b"x", rsv=bits)], [], [], 1002) for bits in range(1, 8)},
    "reserved bits of a ping": ([frame(PING, rsv=4)], [], [], 1002),
    **{
        f"opcode {opcode}": ([frame(TEXT, b"before"), frame(opcode)], ["before"], [], 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "a frame with a mask": ([masked(TEXT, b"masked")], [], [], 1002),
    # 5: fragmentation
    "text in two": ([frame(TEXT, b"a", fin=False), frame(CONT, b"b")], ["ab"], [], None),
    "bytes in three, one empty": (
        [frame(BINARY, b"a", fin=False), frame(CONT, fin=False), frame(CONT, b"b")],
        [b"ab"],
        [],
        None,
    ),
    "a ping in between": (
        [frame(TEXT, b"a", fin=False), frame(PING, b"p"), frame(CONT, b"b")],
        ["ab"],
        [Frame(PONG, b"p")],
        None,
    ),
    "a ping in two": ([frame(PING, b"a", fin=False), frame(CONT, b"b")], [], [], 1002),
    "a pong in two": ([frame(PONG, b"a", fin=False), frame(CONT, b"b")], [], [], 1002),
    "a continuation of nothing": ([frame(CONT, b"b")], [], [], 1002),
    "a continuation that does not end": ([frame(CONT, b"b", fin=False)], [], [], 1002),
    "a message in a message": ([frame(TEXT, b"a", fin=False), frame(TEXT, b"b")], [], [], 1002),
    "two after another": (
        [frame(TEXT, b"a", fin=False), frame(CONT, b"b"), frame(BINARY, b"c", fin=False), frame(CONT)],
        ["ab", b"c"],
        [],
        None,
    ),
    # 6: UTF-8
    "text cut within a letter": (
        [frame(TEXT, "é".encode()[:1], fin=False), frame(CONT, "é".encode()[1:])],
        ["é"],
        [],
        None,
    ),
    **{f"bad text {text!r}": ([frame(TEXT, text)], [], [], 1007) for text in BAD_TEXT},
    **{
        f"bad text {text!r} in fragments": (
            [frame(TEXT, text[:1], fin=False), frame(CONT, text[1:])],
            [],
            [],
            1007,
        )
        for text in BAD_TEXT
    },
    "bad text is refused before its end": ([frame(TEXT, b"\xed\xa0\x80", fin=False)], [], [], 1007),
    "bytes need not be text": ([frame(BINARY, b"\xff")], [b"\xff"], [], None),
    # 7: closing
    "an empty Close": ([frame(CLOSE)], [], [Frame(CLOSE, b"")], 1005),
    "messages before a Close": (
        [frame(TEXT, b"a") + frame(CLOSE, closing(1000)) + frame(TEXT, b"b")],
        ["a"],
        [Frame(CLOSE, closing(1000))],
        1000,
    ),
    "a Close in a message": (
        [frame(TEXT, b"a", fin=False), frame(CLOSE, closing(1001))],
        [],
        [Frame(CLOSE, closing(1001))],
        1001,
    ),
    "two Closes": ([frame(CLOSE), frame(CLOSE)], [], [Frame(CLOSE, b"")], 1005),
    "a ping behind a Close": ([frame(CLOSE), frame(PING)], [], [Frame(CLOSE, b"")], 1005),
    "a Close of one byte": ([frame(CLOSE, b"\x03")], [], [], 1002),
    "a Close with the longest reason": (
        [frame(CLOSE, closing(1000) + b"x" * 123)],
        [],
        [Frame(CLOSE, closing(1000) + b"x" * 123)],
        1000,
    ),
    "a Close with one too long": ([frame(CLOSE, closing(1000) + b"x" * 124)], [], [], 1002),
    "a Close with a reason that is no text": ([frame(CLOSE, closing(1000) + b"\xff")], [], [], 1007),
    **{
        f"close code {code}": ([frame(CLOSE, closing(code))], [], [Frame(CLOSE, closing(code))], code)
        for code in GOOD_CODES
    },
    **{f"close code {code}": ([frame(CLOSE, closing(code))], [], [], 1002) for code in BAD_CODES},
    # 9: limits
    "a message of the largest size": ([frame(BINARY, bytes(1_000_000))], [bytes(1_000_000)], [], None),
    "a message of one byte more": ([frame(BINARY, bytes(1_000_001))], [], [], 1009),
    "one that says it will be": ([frame(BINARY, b"", length=1_000_001)], [], [], 1009),
    "one that says so in all the bits there are": ([frame(BINARY, b"", length=2**63)], [], [], 1009),
    "fragments that are too much together": (
        [frame(BINARY, bytes(600_000), fin=False), frame(CONT, bytes(600_000))],
        [],
        [],
        1009,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_servers_frames_lead_to(name: str) -> None:
    pieces, messages, frames, code = CASES[name]
    line = ClientLine()
    found = line.outcome(pieces)
    if not frames and code is not None:
        # The client ends the WebSocket itself: with this code, and a word of its own on why.
        last = found[1].pop()
        assert (last.opcode, last.payload[:2]) == (CLOSE, closing(code))
    assert found == (messages, frames, code)
    assert line.session.open is (code is None)
    line.end()
    assert line.endpoint.closed
    assert not line.session.open


# -- 12 and 13: permessage-deflate (RFC 7692) --------------------------------------------------------


def deflated(data: bytes, level: int = 6) -> bytes:
    engine = zlib.compressobj(level, wbits=-15)
    return (engine.compress(data) + engine.flush(zlib.Z_SYNC_FLUSH))[:-4]


SMALL = deflated(b"hello")
COMPRESSED: dict[str, Case] = {
    "text": ([frame(TEXT, SMALL, rsv=4)], ["hello"], [], None),
    "text that is not compressed": ([frame(TEXT, b"hello")], ["hello"], [], None),
    "in fragments": (
        [frame(TEXT, SMALL[:2], rsv=4, fin=False), frame(CONT, SMALL[2:])],
        ["hello"],
        [],
        None,
    ),
    "empty": ([frame(TEXT, deflated(b""), rsv=4)], [""], [], None),
    "of 200 letters, none compressed": ([frame(TEXT, deflated(b"x" * 200, 0), rsv=4)], ["x" * 200], [], None),
    "the bit in a continuation": (
        [frame(TEXT, SMALL[:2], rsv=4, fin=False), frame(CONT, SMALL[2:], rsv=4)],
        [],
        [],
        1002,
    ),
    "the bit in a ping": ([frame(PING, b"x", rsv=4)], [], [], 1002),
    "another bit": ([frame(TEXT, SMALL, rsv=6)], [], [], 1002),
    "what is not compressed and says so": ([frame(TEXT, b"\xff" * 50, rsv=4)], [], [], 1002),
    "text that is none once it is inflated": ([frame(TEXT, deflated(b"\xff"), rsv=4)], [], [], 1007),
    "a bomb": ([frame(BINARY, deflated(bytes(50_000_000)), rsv=4)], [], [], 1009),
    "a bomb in fragments": (
        [
            frame(BINARY, deflated(bytes(50_000_000))[:20_000], rsv=4, fin=False),
            frame(CONT, deflated(bytes(50_000_000))[20_000:]),
        ],
        [],
        [],
        1009,
    ),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_servers_compressed_frames_lead_to(name: str) -> None:
    pieces, messages, frames, code = COMPRESSED[name]
    line = ClientLine([PerMessageDeflate(True, True, 15, 15)], terms=TERMS)
    found = line.outcome(pieces)
    if code is not None:
        last = found[1].pop()
        assert (last.opcode, last.payload[:2]) == (CLOSE, closing(code))
    assert found == (messages, frames, code)
