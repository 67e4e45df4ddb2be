"""Reading the heads of HTTP/1.1 messages (RFC 9112 §2 to §6), on httptools.

httptools is a grammar, not a connection. It is given the head only, byte for byte as far as the
empty line, so that where a message ends is never in doubt. What it leaves out is here: every limit,
on input that is still incomplete too, and the rules for the fields that frame a message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)

from plait.errors import RemoteProtocolError
from plait.fields import Field

__all__ = ["EMPTY_LINE", "HeadReader"]

#: The end of the last line and the empty one that ends a section.
EMPTY_LINE = b"\r\n\r\n"
#: Most bytes of a head handed to the parser before the limits are looked at again.
_SLICE = 16_384
#: What a start line has beside its target: the longest method, spaces, version, the empty line.
_START_LINE = 64
#: The end of a line that the next one continues (obs-fold, RFC 9112 §5.2).
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_FRAMING_FIELDS = frozenset(
    {b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade"}
)


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
        host: The value of ``Host``, two of them as a list, or None.
        content_length: The value of ``Content-Length``, or None.
        chunked: Whether the content is chunked.
        keep_alive: Whether the sender keeps the connection open afterwards (RFC 9112 §9.3).
        expects_continue: Whether the client waits for a 100 (RFC 9110 §10.1.1).
        upgrade: What the sender would rather speak on this connection, in lower-case (RFC 9110 §7.8).
    """

    __slots__ = (
        "_max_fields",
        "_max_size",
        "_max_target",
        "_parser",
        "_parser_type",
        "_reusable",
        "_size",
        "_surely_fits",
        "_unfolds",
        "chunked",
        "complete",
        "content_length",
        "expects_continue",
        "fields",
        "host",
        "keep_alive",
        "target",
        "upgrade",
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
        #: A head no longer than this is within both limits on bytes.
        self._surely_fits = min(max_size, max_target)
        #: A request parser stays in step over messages without content; any other message, which
        #: it would read on in a way of its own, is left to a new one.
        self._parser: Any = None
        self._reusable = True
        # RFC 9112 §5.2: a user agent takes a field value over several lines, a server refuses it. The parser
        # refuses it; a line's end is kept back until it is known what follows, and so a fold is always whole.
        self._unfolds = parser_type is HttpResponseParser
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
    def size(self) -> int:
        """How many bytes of the head have come."""
        return self._size

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
            end = data.find(EMPTY_LINE)
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
                if len(data) < 4 and not self.complete and EMPTY_LINE.startswith(data):
                    break
            if self.complete:
                self._interpret()
                break
        return data

    def _feed(self, data: bytes) -> None:
        if self._unfolds and (b"\r\n " in data or b"\r\n\t" in data):
            data = _FOLD.sub(b"  ", data)
        parser = self._parser
        if parser is None:
            parser = self._parser = self._parser_type(self)
        try:
            size = len(data)
            if size <= _SLICE:
                self._size += size
                parser.feed_data(data)
            else:
                for start in range(0, len(data), _SLICE):
                    piece = data[start : start + _SLICE]
                    self._size += len(piece)
                    parser.feed_data(piece)
                    self._check_limits()
        except HttpParserUpgrade:
            self._reusable = False  # RFC 9110 §7.8: whoever reads the head may ignore it
        except HttpParserError as error:
            if not self.complete:
                raise self._malformed(error) from None
            # The head is whole and only its framing displeased: _interpret refuses it in its words.
        if self._size > self._surely_fits or len(self.fields) > self._max_fields:
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
        self.upgrade: Sequence[bytes] = ()
        options = upgrade = b""
        for name, value in self.fields:
            if name not in _FRAMING_FIELDS:
                continue
            if name == b"host":
                # Two are one list (RFC 9110 §5.3), which no server takes for a host.
                self.host = value if self.host is None else self.host + b", " + value
            elif name == b"connection":
                options = options + b"," + value if options else value
            elif name == b"content-length":
                if self.content_length is not None or not value.isdigit():
                    raise RemoteProtocolError("Content-Length is not one number.")
                self.content_length = int(value)
            elif name == b"expect":
                self.expects_continue = value.lower() == b"100-continue" and version == "1.1"
            elif name == b"upgrade":
                upgrade = upgrade + b"," + value if upgrade else value
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
        options = options.lower()
        if not options or options == b"keep-alive":
            self.keep_alive = version == "1.1" or bool(options)
        else:
            tokens = [token.strip(b" \t") for token in options.split(b",")]
            self.keep_alive = b"close" not in tokens and (version == "1.1" or b"keep-alive" in tokens)
            if upgrade and b"upgrade" in tokens and version == "1.1":
                self.upgrade = [name.strip(b" \t") for name in upgrade.lower().split(b",")]


def _wrong_version() -> RemoteProtocolError:
    return RemoteProtocolError("The version is not HTTP/1.1 or HTTP/1.0.", status_hint=505)
