"""Tells the frames of one direction apart (RFC 9113 §4.1), for who wants to look on; it judges nothing.

The engine does not say what it read and wrote frame by frame. Only a client that was asked to tell of
its frames, or to count what is in them, imports this.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, IntFlag
from struct import Struct
from typing import NamedTuple

from plait.protocol.h2_frames import FRAME_HEADER

__all__ = ["Flag", "Frame", "FrameReader", "FrameType", "promised_stream"]

#: Length and type in one word, flags, stream (RFC 9113 §4.1).
_HEADER = Struct(">IBI").unpack_from
_STREAM_BITS = 2**31 - 1


class FrameType(IntEnum):
    """Types of frames (RFC 9113 §6, RFC 7838 §4, RFC 8336 §2, RFC 9218 §7.1)."""

    DATA = 0x00
    HEADERS = 0x01
    PRIORITY = 0x02
    RST_STREAM = 0x03
    SETTINGS = 0x04
    PUSH_PROMISE = 0x05
    PING = 0x06
    GOAWAY = 0x07
    WINDOW_UPDATE = 0x08
    CONTINUATION = 0x09
    ALTSVC = 0x0A
    ORIGIN = 0x0C
    PRIORITY_UPDATE = 0x10


class Flag(IntFlag):
    """Flags of frames; the first is called ACK in SETTINGS and PING (RFC 9113 §6.5, §6.7)."""

    END_STREAM = 0x01
    END_HEADERS = 0x04
    PADDED = 0x08
    PRIORITY = 0x20


class Frame(NamedTuple):
    """One frame.

    Attributes:
        type: Its type, one of :class:`FrameType` or any other number.
        flags: Its flags, see :class:`Flag`.
        stream_id: Its stream, 0 for the connection.
        length: Bytes of its payload.
        payload: The payload; of DATA only the length of the padding, where there is some.
    """

    type: int
    flags: int
    stream_id: int
    length: int
    payload: bytes


def promised_stream(frame: Frame) -> int:
    """Return the stream that a PUSH_PROMISE promises, 0 where it is broken off (RFC 9113 §6.6)."""
    at = 1 if frame.flags & Flag.PADDED else 0
    return int.from_bytes(frame.payload[at : at + 4]) & _STREAM_BITS


class FrameReader:
    """Makes frames of the bytes of one direction.

    Args:
        preface: Bytes that come before the first frame.
    """

    __slots__ = ("_left", "_pending")

    def __init__(self, preface: int) -> None:
        #: Bytes to pass over: the preface, what is left of DATA.
        self._left = preface
        self._pending = b""

    def read(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, and yield the frames that they complete, each DATA frame once its content begins."""
        if self._left >= len(data):
            self._left -= len(data)
            return
        data = self._pending + data[self._left :]
        self._left = position = 0
        size = len(data)
        while position + FRAME_HEADER <= size:
            word, flags, stream = _HEADER(data, position)
            kind, length = word & 0xFF, word >> 8
            wanted = length if kind != FrameType.DATA else min(length, (flags & Flag.PADDED) // Flag.PADDED)
            content = position + FRAME_HEADER
            if content + wanted > size:
                break
            yield Frame(kind, flags, stream & _STREAM_BITS, length, data[content : content + wanted])
            position = content + length
        self._pending = data[position:]
        self._left = max(0, position - size)
