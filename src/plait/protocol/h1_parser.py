"""Reading HTTP/1.1 messages (RFC 9112): heads on httptools, content by its framing.

httptools is a grammar, not a connection. It reads the head only, byte for byte as far as the empty
line, so that where a message ends is never in doubt. What it leaves out is here: every limit, on
input that is still incomplete too, and the rules for the fields that frame a message.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)

from plait.errors import RemoteProtocolError
from plait.fields import Field

__all__ = ["HeadReader", "ContentReader", "LengthReader", "ChunkedReader", "UntilCloseReader"]

_EMPTY_LINE = b"\r\n\r\n"
#: Most bytes of a head handed to the parser before the limits are looked at again.
_SLICE = 16_384
#: What a start line has beside its target: the longest method, spaces, version, the empty line.
_START_LINE = 64
_FRAMING_FIELDS = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding", b"expect"})


class HeadReader:
    """Reads one head after another: the start line and the field section.

    Args:
        parser_type: ``HttpRequestParser`` or ``HttpResponseParser``.
        max_fields: Fields in one section; more are refused with 431.
        max_size: Bytes of a head without its target; more are refused with 431.
        max_target: Bytes of the request target; more are refused with 414.

    Attributes:
        complete: Whether the head is whole; the rest is meaningful only then.
        started: Whether any byte of it has come.
        target: The request target as received.
        fields: The fields in the order received, names in lower-case.
        version: ``"1.0"`` or ``"1.1"``.
        host: The value of ``Host``, or None.
        content_length: The value of ``Content-Length``, or None.
        chunked: Whether the content is chunked.
        keep_alive: Whether the sender keeps the connection open afterwards (RFC 9112 §9.3).
        expects_continue: Whether the client waits for a 100 (RFC 9110 §10.1.1).
    """

    __slots__ = (
        "_max_fields",
        "_max_size",
        "_max_target",
        "_parser",
        "_parser_type",
        "_reusable",
        "_size",
        "chunked",
        "complete",
        "content_length",
        "expects_continue",
        "fields",
        "host",
        "keep_alive",
        "target",
        "version",
    )

    def __init__(
        self,
        parser_type: type[HttpRequestParser] | type[HttpResponseParser],
        *,
        max_fields: int,
        max_size: int,
        max_target: int,
    ) -> None:
        self._parser_type = parser_type
        self._max_fields = max_fields
        self._max_size = max_size
        self._max_target = max_target
        #: A request parser stays in step over messages without content; any other message, which
        #: it would read on in a way of its own, is left to a new one.
        self._parser: Any = None
        self._reusable = True
        self.start()

    def start(self) -> None:
        """Make ready for the next head."""
        if not self._reusable:
            self._parser = None
        self._reusable = self._parser_type is HttpRequestParser
        self.complete = False
        self.target = b""
        self.fields: list[Field] = []
        self._size = 0

    def stop(self) -> None:
        """Let go of the parser, which refers back to this object."""
        self._parser = None

    @property
    def started(self) -> bool:
        return self._size > 0

    @property
    def method(self) -> bytes:
        """The request method."""
        method: bytes = self._parser.get_method()
        return method

    @property
    def status(self) -> int:
        """The status code of the response."""
        status: int = self._parser.get_status_code()
        return status

    # -- what httptools calls --------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # The white space before the line's end is not part of the value (RFC 9112 §5.1).
        self.fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True

    # -- reading ---------------------------------------------------------------------------------

    def read(self, data: bytes) -> bytes:
        """Take bytes of a head.

        Args:
            data: What was received, beginning with what the last call returned.

        Returns:
            Bytes that were not used: what follows the head when it is complete, otherwise at most
            three bytes that may be the beginning of its end.

        Raises:
            RemoteProtocolError: The head is malformed or over a limit.
        """
        while data:
            end = data.find(_EMPTY_LINE)
            if end >= 0:
                end += 4
            elif data.endswith(b"\r"):
                end = len(data) - (3 if data.endswith(b"\r\n\r") else 1)
            else:
                end = len(data) - (2 if data.endswith(b"\r\n") else 0)
            if end == len(data):
                self._feed(data)
                data = b""
            else:
                if end:
                    self._feed(data[:end])
                data = data[end:]
                if len(data) < 4 and not self.complete and _EMPTY_LINE.startswith(data):
                    break
            if self.complete:
                self._interpret()
                break
        return data

    def _feed(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            parser = self._parser = self._parser_type(self)
        try:
            if len(data) <= _SLICE:
                self._size += len(data)
                parser.feed_data(data)
            else:
                for start in range(0, len(data), _SLICE):
                    piece = data[start : start + _SLICE]
                    self._size += len(piece)
                    parser.feed_data(piece)
                    self._check_limits()
        except HttpParserUpgrade:
            self._reusable = False  # RFC 9110 §7.8: a server may ignore Upgrade, and this one does
        except HttpParserError as error:
            if not self.complete:
                raise self._malformed(error) from None
            # The head is whole and only its framing displeased: _interpret refuses it in its words.
        self._check_limits()

    def _check_limits(self) -> None:
        if len(self.target) > self._max_target:
            raise RemoteProtocolError(
                f"The request target is longer than {self._max_target} bytes.", status_hint=414
            )
        if len(self.fields) > self._max_fields:
            raise RemoteProtocolError(
                f"The field section has more than {self._max_fields} fields.", status_hint=431
            )
        if self._size - len(self.target) > self._max_size + _START_LINE:
            raise RemoteProtocolError(
                f"The field section is longer than {self._max_size} bytes.", status_hint=431
            )

    @staticmethod
    def _malformed(error: HttpParserError) -> RemoteProtocolError:
        reason = str(error)
        if isinstance(error, HttpParserInvalidMethodError):
            return RemoteProtocolError("The request method is not known here.", status_hint=501)
        if reason in ("Invalid HTTP version", "Pause on PRI/Upgrade"):
            return _wrong_version()
        return RemoteProtocolError(f"The message is malformed: {reason}.")

    def _interpret(self) -> None:
        """Read the fields that frame the message (RFC 9112 §6) and the connection's options."""
        version = self.version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _wrong_version()
        self.host = None
        self.content_length = None
        self.chunked = False
        self.expects_continue = False
        options = b""
        for name, value in self.fields:
            if name not in _FRAMING_FIELDS:
                continue
            if name == b"host":
                if self.host is not None:
                    raise RemoteProtocolError("The request has two Host fields.")
                self.host = value
            elif name == b"connection":
                options += b"," + value
            elif name == b"content-length":
                if self.content_length is not None or not value.isdigit():
                    raise RemoteProtocolError("Content-Length is not one number.")
                self.content_length = int(value)
            elif name == b"expect":
                self.expects_continue = value.lower() == b"100-continue" and version == "1.1"
            elif version == "1.0":
                # RFC 9112 §6.1: the framing of such a message is faulty.
                raise RemoteProtocolError("Transfer-Encoding does not exist in HTTP/1.0.")
            elif self.chunked or value.lower() != b"chunked":
                raise RemoteProtocolError("The only transfer coding known here is chunked.", status_hint=501)
            else:
                self.chunked = True
        if self.chunked and self.content_length is not None:
            # RFC 9112 §6.3: the mark of request smuggling.
            raise RemoteProtocolError("The message has both Transfer-Encoding and Content-Length.")
        if self.chunked or self.content_length:
            self._reusable = False
        if options:
            tokens = [token.strip(b" \t") for token in options.lower().split(b",")]
            self.keep_alive = b"close" not in tokens and (version == "1.1" or b"keep-alive" in tokens)
        else:
            self.keep_alive = version == "1.1"


def _wrong_version() -> RemoteProtocolError:
    return RemoteProtocolError("The version is not HTTP/1.1 or HTTP/1.0.", status_hint=505)


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
#: A field line (RFC 9112 §5), its value without the white space around it.
_FIELD_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
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
        end = data.find(_EMPTY_LINE)
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
