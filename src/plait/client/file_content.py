"""A file as a request's content."""

from __future__ import annotations

from collections.abc import Iterator
from io import TextIOBase
from typing import Any

from plait.errors import LocalProtocolError

__all__ = ["FileContent"]

#: Bytes read at once.
_PIECE = 65_536


class FileContent:
    """What is left in a file, from where it stands: as often as it is asked for, where the file can be
    read again.

    Args:
        file: An open file, in binary mode.

    Attributes:
        length: Bytes of it, None where that cannot be told; it is read no further, should it grow.
        replayable: Whether it can be read again.

    Raises:
        LocalProtocolError: It was opened in text mode.
    """

    __slots__ = ("_file", "_start", "length", "replayable")

    def __init__(self, file: Any) -> None:
        if isinstance(file, TextIOBase) or isinstance(getattr(file, "encoding", None), str):
            raise LocalProtocolError("a file to send must be opened in binary mode")
        self._file = file
        self._start = 0
        self.length: int | None = None
        try:
            self._start = file.tell()
            self.length = max(0, file.seek(0, 2) - self._start)
            file.seek(self._start)
        except (AttributeError, OSError, ValueError, TypeError):
            self.length = None  # a pipe, or what only has read()
        self.replayable = self.length is not None

    def __iter__(self) -> Iterator[bytes]:
        if self.length is None:
            # Iterating over a file would yield its lines.
            yield from iter(lambda: self._file.read(_PIECE), b"")
            return
        at, left = self._start, self.length
        while left:
            # Whoever read it last time may be at it still.
            self._file.seek(at)
            piece = self._file.read(min(_PIECE, left))
            if not piece:
                return  # it has shrunk: the upload will say so
            at += len(piece)
            left -= len(piece)
            yield piece
