"""What both ends of an HTTP/1.1 connection have in common: output, content, credit, the end.

The two ends are ``H1Server`` (``h1_server.py``) and ``H1Client`` (``h1_client.py``). An exchange goes
on from ``RequestReceived`` or ``send_request`` until its ``StreamClosed``, and there is one at a time.
"""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

from plait.errors import LocalProtocolError
from plait.fields import Field
from plait.protocol.events import (
    ConnectionClosed,
    DataReceived,
    ErrorCode,
    Event,
    Fields,
    StreamClosed,
    TrailersReceived,
)
from plait.protocol.h1_content import ChunkedReader, ContentReader, LengthReader
from plait.protocol.h1_parser import HeadReader

if TYPE_CHECKING:
    from plait.protocol.field_bytes import FieldBytes
    from plait.protocol.priorities import Priority

__all__ = [
    "Sending",
    "TO_SEND",
    "CONTENT",
    "ENDED",
    "Framing",
    "NONE",
    "LENGTH",
    "CHUNKED",
    "CLOSE",
    "NO_ERROR",
    "H1Connection",
    "field_line",
    "field_lines",
    "status_line",
]


class Sending(Enum):
    """How far this end's message has come."""

    TO_SEND = "to send"  # its head is still to come
    CONTENT = "content"  # the head is sent, content follows
    ENDED = "ended"


class Framing(Enum):
    """How the end of sent content is told (RFC 9112 §6)."""

    NONE = "none"  # there is none, whatever the fields say
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


# Python 3.11 looks up members of an enum slowly, and these are looked at several times an exchange.
TO_SEND, CONTENT, ENDED = Sending
NONE, LENGTH, CHUNKED, CLOSE = Framing
NO_ERROR = ErrorCode.NO_ERROR


#: Encoded field lines met lately: most responses of a site share most of their fields.
field_lines: dict[Field, bytes] = {}
_FIELD_LINES_MAX = 4096
_FIELD_VALUE_MAX = 256
_status_lines = {b"%d" % status: f"HTTP/1.1 {status:d} {status.phrase}\r\n".encode() for status in HTTPStatus}


def field_line(field: Field) -> bytes:
    """Encode one line of a field section, and keep it in ``field_lines``."""
    name, value = field
    line = b"%b: %b\r\n" % (name, value)
    # Secrets are no plain tuples (NeverIndexedHeader); they do not stay in memory.
    if type(field) is tuple and len(value) <= _FIELD_VALUE_MAX:
        if len(field_lines) >= _FIELD_LINES_MAX:
            field_lines.clear()
        field_lines[field] = line
    return line


def status_line(status: bytes) -> bytes:
    """Return the status line, for a code without a name as well (RFC 9112 §4)."""
    return _status_lines.get(status) or b"HTTP/1.1 %b \r\n" % status


class H1Connection:
    """The common part of :class:`H1Server` and :class:`H1Client`.

    Args:
        head: Reads the heads the peer sends.
        max_header_fields: Fields in a trailer section.
        max_header_size: Bytes of a trailer section.
        stream_window: Bytes of unread content one message may hold before ``wants_read`` is False.

    Attributes:
        http_version: ``"1.1"``, or for a server the version of the request being answered.
    """

    __slots__ = (
        "_active",
        "_buffer",
        "_closed",
        "_events",
        "_framing",
        "_head",
        "_keep_alive",
        "_left",
        "_max_header_fields",
        "_max_header_size",
        "_output",
        "_queued",
        "_reader",
        "_sending",
        "_shutting_down",
        "_stream_id",
        "_stream_window",
        "_unacknowledged",
        "failure",
        "http_version",
    )

    #: HTTP/1.1 has neither streams to push on nor streams to schedule.
    push_allowed = False
    push_limit = 0
    #: What follows then is this side's to read past or to cut off.
    ends_early = True
    #: There is no such thing in HTTP/1.1.
    resets_sent = resets_received = goaway_code = 0
    #: It is HTTP/1.1 itself that has room for one exchange.
    limited_by_peer = False
    stream_limit = 1
    #: The head is read here, within its limits.
    head_limits: tuple[int, int] | None = None
    #: Whoever is asked to switch may say no.
    opens_tunnels = True

    def __init__(
        self, head: HeadReader, *, max_header_fields: int, max_header_size: int, stream_window: int
    ) -> None:
        self.http_version = "1.1"
        self._head = head
        self._max_header_fields = max_header_fields
        self._max_header_size = max_header_size
        self._stream_window = stream_window
        self._events: list[Event] = []
        self._output: list[bytes] = []
        self._queued = 0
        #: Received and not used yet.
        self._buffer = b""
        self._reader: ContentReader | None = None
        self._unacknowledged = 0
        self._stream_id = -1
        #: Whether an exchange is going on.
        self._active = False
        self._sending = ENDED
        self._framing = NONE
        #: Content still to be sent under LENGTH.
        self._left = 0
        self._keep_alive = True
        self._shutting_down = False
        self._closed = False
        self.failure = b""

    @property
    def closing(self) -> bool:
        return self._closed or self._shutting_down or not self._keep_alive

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def receiving_head(self) -> bool:
        return self._head.started

    @property
    def field_bytes(self) -> FieldBytes | None:
        return None

    def left_behind(self, stream_id: int) -> bool:
        """Return False: no request is sent here before the last one was answered."""
        return False

    def was_reset(self, stream_id: int) -> bool:
        """Return True: there is nobody but the peer who breaks off an exchange without saying why."""
        return True

    def ended_before(self, stream_id: int) -> bool:
        """Return False, for the same reason."""
        return False

    def events(self) -> list[Event]:
        """Return the events since the last call, in order."""
        events = self._events
        self._events = []
        return events

    def data_to_send(self, amount: int = 0) -> bytes:
        """Return all bytes to write now, as one piece."""
        output = self._output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        self._queued = 0
        return data

    def receive_data(self, data: bytes) -> None:
        """Take bytes the peer sent."""
        if not self._closed:
            self._buffer = self._buffer + data if self._buffer else data
            self._advance()

    def _advance(self) -> None:
        """Use as much of the buffer as can be used now."""
        raise NotImplementedError

    def _end_exchange(self) -> None:
        """Act on the end of this end's message."""
        raise NotImplementedError

    # -- receiving content -----------------------------------------------------------------------

    def _content_reader(self) -> ChunkedReader | LengthReader | None:
        """Return what reads the content of a message that says itself where it ends."""
        head = self._head
        if head.chunked:
            return ChunkedReader(max_fields=self._max_header_fields, max_size=self._max_header_size)
        return LengthReader(head.content_length) if head.content_length else None

    def _read_content(self, reader: ContentReader) -> bool:
        """Announce the content in the buffer; return whether it is complete."""
        content, self._buffer, complete = reader.read(self._buffer)
        trailers = reader.trailers
        if content or (complete and not trailers):
            self._unacknowledged += len(content)
            self._events.append(DataReceived(self._stream_id, content, complete and not trailers))
        if complete:
            self._reader = None
            if trailers:
                self._events.append(TrailersReceived(self._stream_id, trailers))
        return complete

    def acknowledge_received_data(self, amount: int, stream_id: int) -> None:
        """Give the peer credit for bytes of content that were consumed or thrown away."""
        if stream_id == self._stream_id:
            self._unacknowledged = max(0, self._unacknowledged - amount)

    # -- sending content -------------------------------------------------------------------------

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool = False) -> None:
        """Queue content.

        Raises:
            LocalProtocolError: No message on this stream is waiting for content, or there is more of
                it than content-length said.
        """
        if stream_id != self._stream_id or self._sending is not CONTENT:
            raise LocalProtocolError(f"no message on stream {stream_id} is waiting for content")
        framing = self._framing
        if data and framing is not NONE:
            if framing is LENGTH:
                if len(data) > self._left:
                    raise LocalProtocolError("the content is longer than its content-length")
                self._left -= len(data)
                self._output.append(data)
            elif framing is CHUNKED:
                self._output += (b"%x\r\n" % len(data), data, b"\r\n")
            else:
                self._output.append(data)
            self._queued += len(data)
        if end_stream:
            if framing is CHUNKED:
                self._output.append(b"0\r\n\r\n")
            elif framing is LENGTH and self._left:
                # The peer must not take what came for the whole (RFC 9112 §8).
                self._fail(ErrorCode.INTERNAL_ERROR, b"The content was shorter than its content-length.")
                return
            self._sending = ENDED
            self._end_exchange()

    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        """Queue a trailer section; only chunked content has room for one (RFC 9112 §7.1.2).

        Raises:
            LocalProtocolError: No message on this stream is waiting for content.
        """
        if self._framing is not CHUNKED or stream_id != self._stream_id or self._sending is not CONTENT:
            self.send_data(stream_id, b"", end_stream=True)
            return
        self._output += (b"0\r\n", *map(field_line, fields), b"\r\n")
        self._sending = ENDED
        self._end_exchange()

    def send_push_promise(self, stream_id: int, fields: Fields) -> int:
        """Refuse: there is nothing to push on."""
        raise LocalProtocolError("HTTP/1.1 has no server push")

    def priority_of(self, stream_id: int) -> tuple[int, bool] | None:
        """Return None: one response is sent at a time."""
        return None

    def prioritize(self, stream_id: int, priority: Priority) -> None:
        """Do nothing: one response is sent at a time."""

    def update_priority(self, stream_id: int, value: bytes) -> None:
        """Do nothing: one response is sent at a time."""

    def measure(self) -> None:
        """Do nothing: TCP's own window is all there is."""

    def open_window(self, stream_id: int, size: int) -> None:
        """Do nothing: TCP's own window is all there is."""

    def queued_body_size(self, stream_id: int) -> int:
        """Return the bytes of content queued that ``data_to_send`` has not returned yet."""
        return self._queued if stream_id == self._stream_id else 0

    def may_send(self, stream_id: int) -> bool:
        """Return False: it is not said, and there is no other stream whose turn it could be."""
        return False

    # -- the end ---------------------------------------------------------------------------------

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """End one exchange at once; the connection, which has no other way to say so, closes."""
        if stream_id > self._stream_id:
            raise LocalProtocolError(f"stream {stream_id} was never opened")
        if self._active and stream_id == self._stream_id:
            self._close_stream(error_code)
            self._close(NO_ERROR, b"The exchange was given up.")

    def terminate(self, error_code: int) -> None:
        """End the connection now; what was queued may still be written."""
        self._close(error_code, b"")

    def _close_stream(self, error_code: int) -> None:
        self._active = False
        self._sending = ENDED
        self._events.append(StreamClosed(self._stream_id, error_code, None))

    def _close(self, error_code: int, reason: bytes) -> None:
        if not self._closed:
            self._closed = True
            self._active = False
            self._sending = ENDED
            self._reader = None
            self._buffer = b""
            self._head.stop()
            if error_code:
                self.failure = reason
            self._events.append(ConnectionClosed(error_code, reason))

    def _fail(self, error_code: int, reason: bytes) -> None:
        """Break off the exchange, if there is one, and the connection."""
        if self._active:
            self._close_stream(error_code)
        self._close(error_code, reason)

    # -- heads -----------------------------------------------------------------------------------

    def _queue_head(self, lines: list[bytes], framing: Framing, left: int, *, end_stream: bool) -> None:
        """Queue a head, and get ready for the content it announces."""
        lines.append(b"\r\n")
        self._output += lines
        self._framing = framing
        self._left = left
        self._sending = CONTENT
        if end_stream:
            self.send_data(self._stream_id, b"", end_stream=True)
