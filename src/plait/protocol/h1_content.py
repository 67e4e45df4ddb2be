"""Reading the content of HTTP/1.1 messages by its framing (RFC 9112 §6 and §7)."""

from __future__ import annotations

import re
from typing import Protocol

from plait.errors import RemoteProtocolError
from plait.fields import Field
from plait.protocol.h1_parser import EMPTY_LINE

__all__ = ["ContentReader", "LengthReader", "ChunkedReader", "UntilCloseReader"]


class ContentReader(Protocol):
    """Takes content out of the bytes received.

    Attributes:
        left: Bytes still to come, or None where that is not known.
        trailers: The trailer section, once the content is complete.
    """

    left: int | None
    trailers: tuple[Field, ...]

    def read(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Return the content in ``data``, the bytes not used, and whether the message is complete.

        Raises:
            RemoteProtocolError: The framing is malformed or over a limit.
        """


class LengthReader:
    """Content with a Content-Length (RFC 9112 §6.2)."""

    __slots__ = ("left",)
    trailers: tuple[Field, ...] = ()

    def __init__(self, length: int) -> None:
        self.left: int | None = length

    def read(self, data: bytes) -> tuple[bytes, bytes, bool]:
        left = self.left
        assert left is not None
        if len(data) <= left:
            self.left = left - len(data)
            return data, b"", len(data) == left
        self.left = 0
        return data[:left], data[left:], True


class UntilCloseReader:
    """Content that ends where the connection does (RFC 9112 §6.3, rule 8)."""

    __slots__ = ()
    left: int | None = None
    trailers: tuple[Field, ...] = ()

    def read(self, data: bytes) -> tuple[bytes, bytes, bool]:
        return data, b"", False


#: A chunk's size and its extensions, which nobody here reads (RFC 9112 §7.1). Sixteen digits are
#: more than any content and fewer than an overflow elsewhere.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?").fullmatch
_CHUNK_LINE_MAX = 1024
#: Bytes of chunk extensions in one message: they have no use that would need more.
_EXTENSIONS_MAX = 16_384
#: A field line (RFC 9112 §5), its value without the white space around it. Possessive, so that the time it
#: takes grows with the line and not with its square.
_FIELD_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*+((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
    rb"[\x21-\x7e\x80-\xff])?)?)[ \t]*"
).fullmatch


class ChunkedReader:
    """Content in chunks (RFC 9112 §7.1).

    Args:
        max_fields: Fields in the trailer section.
        max_size: Bytes of the trailer section.
    """

    __slots__ = ("_chunk", "_extensions", "_in_trailers", "_max_fields", "_max_size", "trailers")
    left: int | None = None

    def __init__(self, *, max_fields: int, max_size: int) -> None:
        self._max_fields = max_fields
        self._max_size = max_size
        #: Bytes left of the chunk and the CRLF after it; 0 between chunks.
        self._chunk = 0
        self._extensions = 0
        self._in_trailers = False
        self.trailers: tuple[Field, ...] = ()

    def read(self, data: bytes) -> tuple[bytes, bytes, bool]:
        content: list[bytes] = []
        position, size = 0, len(data)
        while position < size and not self._in_trailers:
            chunk = self._chunk
            if chunk > 2:
                piece = data[position : position + chunk - 2]
                content.append(piece)
                position += len(piece)
                self._chunk = chunk - len(piece)
            elif chunk:
                end = data[position : position + chunk]
                if not b"\r\n"[2 - chunk :].startswith(end):
                    raise RemoteProtocolError("A chunk does not end where its size says.")
                position += len(end)
                self._chunk = chunk - len(end)
            else:
                end_of_line = data.find(b"\r\n", position, position + _CHUNK_LINE_MAX)
                if end_of_line < 0:
                    if size - position >= _CHUNK_LINE_MAX:
                        raise RemoteProtocolError("The line with a chunk's size is too long.")
                    break
                self._begin_chunk(data[position:end_of_line])
                position = end_of_line + 2
        rest = data[position:]
        complete = False
        if self._in_trailers:
            rest, complete = self._read_trailers(rest)
        return content[0] if len(content) == 1 else b"".join(content), rest, complete

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE(line)
        if match is None:
            raise RemoteProtocolError("A chunk's size is malformed.")
        digits = match[1]
        self._extensions += len(line) - len(digits)
        if self._extensions > _EXTENSIONS_MAX:
            raise RemoteProtocolError("The content has too many chunk extensions.")
        length = int(digits, 16)
        if length:
            self._chunk = length + 2
        else:
            self._in_trailers = True

    def _read_trailers(self, data: bytes) -> tuple[bytes, bool]:
        if data.startswith(b"\r\n"):
            return data[2:], True
        end = data.find(EMPTY_LINE)
        if (len(data) if end < 0 else end) > self._max_size:
            raise RemoteProtocolError(
                f"The trailer section is longer than {self._max_size} bytes.", status_hint=431
            )
        if end < 0:
            return data, False
        lines = data[:end].split(b"\r\n")
        if len(lines) > self._max_fields:
            raise RemoteProtocolError(
                f"The trailer section has more than {self._max_fields} fields.", status_hint=431
            )
        trailers: list[Field] = []
        for line in lines:
            match = _FIELD_LINE(line)
            if match is None:
                raise RemoteProtocolError("A trailer field is malformed.")
            trailers.append((match[1].lower(), match[2]))
        self.trailers = tuple(trailers)
        return data[end + 4 :], True
