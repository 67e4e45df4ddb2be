"""Undoes content codings (RFC 9110 §8.4): gzip, deflate, and br and zstd where their libraries are.

Every step makes a bounded piece, so that no more is in memory at once however little it was made of.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from plait.errors import ContentDecodingError

__all__ = ["CODINGS", "PIECE", "Decoder", "decode"]

#: Bytes of decoded content made at once, more or less.
PIECE = 262_144
#: Codings of one response, one upon the other, that are undone; curl's limit, too.
_STACK_MAX = 5
#: Bytes that may come between two codings for each that was fed, and bytes that may come anyhow. What is
#: coded twice is hardly larger in between; a bomb is, and may come to nothing in the end, but not soon.
_BETWEEN_MAX = 10
_BETWEEN_FREE = 1 << 20
#: Of zstd's windows: 8 MiB, which is all that HTTP allows (RFC 9659 §3).
_ZSTD_WINDOW_LOG = 23


class _Engine(Protocol):
    """Undoes one coding, up to its end.

    Attributes:
        full: Whether it can make more without being given any.
        ended: Whether the coding's own end has come.
        rest: What came behind that.
    """

    full: bool
    ended: bool
    rest: bytes

    def make(self, data: bytes) -> bytes:
        """Take coded bytes, and return about ``PIECE`` bytes at most."""


class _Zlib:
    """A member of gzip, or deflate, in zlib's wrapping or none."""

    def __init__(self, window_bits: int) -> None:
        self._inflater = zlib.decompressobj(window_bits)
        self.full = self.ended = False
        self.rest = b""

    def make(self, data: bytes) -> bytes:
        inflater = self._inflater
        piece = inflater.decompress(inflater.unconsumed_tail + data, PIECE)
        self.ended = inflater.eof
        self.rest = inflater.unused_data
        self.full = not self.ended and (len(piece) == PIECE or bool(inflater.unconsumed_tail))
        return piece


def _gzip(start: bytes) -> _Engine:
    return _Zlib(16 + zlib.MAX_WBITS)


def _deflate(start: bytes) -> _Engine:
    # RFC 9110 §8.4.1.2: zlib's wrapping (RFC 1950 §2.2) is part of it, and some servers leave it out.
    wrapped = start[0] & 0x0F == 8 and int.from_bytes(start[:2]) % 31 == 0
    return _Zlib(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


class _Brotli:
    """br."""

    def __init__(self, start: bytes) -> None:
        import brotli

        self._decompressor = brotli.Decompressor()
        self.full = self.ended = False
        self.rest = b""

    def make(self, data: bytes) -> bytes:
        piece: bytes = self._decompressor.process(data, output_buffer_limit=PIECE)
        self.ended = self._decompressor.is_finished()
        self.full = not self.ended and bool(piece or not self._decompressor.can_accept_more_data())
        return piece


class _Zstd:
    """One frame of zstd (RFC 8878)."""

    def __init__(self, start: bytes) -> None:
        zstd = _zstd()
        self._decompressor = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        )
        self.full = self.ended = False
        self.rest = b""

    def make(self, data: bytes) -> bytes:
        piece: bytes = self._decompressor.decompress(data, PIECE)
        self.ended = self._decompressor.eof
        self.rest = self._decompressor.unused_data
        self.full = not self.ended and not self._decompressor.needs_input
        return piece


def _zstd() -> Any:
    import sys
    from importlib import import_module

    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


class _Coding:
    """How a coding is undone.

    Args:
        make_engine: Makes what undoes it, out of the first bytes.
        again: What the next member begins with, where there may be several; None for none.
        needs: How many of them it needs.
    """

    __slots__ = ("again", "make_engine", "needs")

    def __init__(
        self, make_engine: Callable[[bytes], _Engine], again: bytes | None = None, needs: int = 1
    ) -> None:
        self.make_engine = make_engine
        self.again = again
        self.needs = needs


#: By the name in content-encoding.
CODINGS = {
    "gzip": _Coding(_gzip, again=b"\x1f"),  # RFC 1952 §2.2
    "x-gzip": _Coding(_gzip, again=b"\x1f"),
    "deflate": _Coding(_deflate, needs=2),
    "br": _Coding(_Brotli),
    "zstd": _Coding(_Zstd, again=b""),  # RFC 8878 §3.1: frames are simply put together
}


class _Step:
    """Undoes one coding of content that comes in pieces."""

    __slots__ = ("_coding", "_data", "_engine", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._coding = CODINGS[name]
        self._engine: _Engine | None = None
        self._data = b""

    def feed(self, data: bytes) -> None:
        """Take coded bytes."""
        self._data += data

    def take(self) -> bytes:
        """Return decoded bytes; ``b""`` when more has to be fed."""
        while True:
            engine = self._engine
            if engine is None:
                if len(self._data) < self._coding.needs:
                    return b""
                engine = self._engine = self._coding.make_engine(self._data)
            elif engine.ended:
                again = self._coding.again
                if not self._data:
                    return b""
                if again is None or not self._data.startswith(again):
                    self._data = b""  # padding: gzip leaves it out of account, and so do browsers
                    return b""
                self._engine = None
                continue
            elif not self._data and not engine.full:
                return b""
            data, self._data = self._data, b""
            piece = engine.make(data)
            if engine.ended:
                self._data = engine.rest
            if piece:
                return piece

    @property
    def is_whole(self) -> bool:
        """Whether it may end here."""
        return self._engine is not None and self._engine.ended and not self._data


class Decoder:
    """Undoes the codings of content that comes in pieces.

    Args:
        codings: Names of them, in the order in which they were applied.
    """

    def __init__(self, codings: Sequence[str]) -> None:
        if len(codings) > _STACK_MAX:
            raise ContentDecodingError(f"the content is coded {len(codings)} times, one upon the other")
        self._steps = [_Step(name) for name in reversed(codings)]
        self._is_empty = True
        self._allowance = _BETWEEN_FREE * (len(codings) - 1)

    def feed(self, data: bytes) -> None:
        """Take content as it came."""
        self._is_empty = self._is_empty and not data
        self._allowance += _BETWEEN_MAX * len(data)
        self._steps[0].feed(data)

    def take(self) -> bytes:
        """Return decoded content; ``b""`` when more has to be fed.

        Raises:
            ContentDecodingError: It is not in the coding that it says, or is far larger between two of them.
        """
        return self._take(len(self._steps) - 1)

    def _take(self, at: int) -> bytes:
        step = self._steps[at]
        while True:
            try:
                piece = step.take()
            except Exception as error:  # each library has its own
                raise ContentDecodingError(f"the content is not {step.name}: {error}") from error
            if piece or at == 0:
                return piece
            data = self._take(at - 1)
            if not data:
                return b""
            self._allowance -= len(data)
            if self._allowance < 0:
                raise ContentDecodingError(f"the content is blown up before it comes to its {step.name}")
            step.feed(data)

    def finish(self) -> None:
        """Take note of the content's end.

        Raises:
            ContentDecodingError: It is not the end of what it is coded in.
        """
        for step in self._steps:
            if not step.is_whole and not self._is_empty:
                raise ContentDecodingError(f"the content broke off in the middle of its {step.name}")


def decode(content: bytes, codings: Sequence[str], limit: int) -> bytes:
    """Undo the codings of content.

    Args:
        content: It, as it came; nothing is nothing, however it is said to be coded.
        codings: Names of them, in the order in which they were applied.
        limit: Bytes that it may have once decoded.

    Raises:
        ContentDecodingError: It is not in the coding that it says, or is larger.
    """
    decoder = Decoder(codings)
    pieces: list[bytes] = []
    size = 0
    for at in range(0, len(content), PIECE):  # what is fed and not taken yet is copied every time
        decoder.feed(content[at : at + PIECE])
        while piece := decoder.take():
            size += len(piece)
            if size > limit:
                raise ContentDecodingError(
                    f"{len(content)} bytes of content are more than {limit} once decoded"
                )
            pieces.append(piece)
    decoder.finish()
    return b"".join(pieces)
