"""The client's end of an HTTP/1.1 connection (RFC 9112): one exchange at a time, no pipelining."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from httptools import HttpResponseParser

from plait.errors import LocalProtocolError, RemoteProtocolError
from plait.fields import Field
from plait.protocol.events import (
    DataReceived,
    ErrorCode,
    Fields,
    InformationalResponseReceived,
    ResponseReceived,
)
from plait.protocol.exchange import WITHOUT_CONTENT
from plait.protocol.h1 import (
    CHUNKED,
    CLOSE,
    ENDED,
    LENGTH,
    NO_ERROR,
    NONE,
    H1Connection,
    field_line,
    field_lines,
)
from plait.protocol.h1_content import UntilCloseReader
from plait.protocol.h1_parser import HeadReader

if TYPE_CHECKING:
    from plait.protocol.field_bytes import FieldBytes, FieldCount

__all__ = ["H1Client"]

#: Methods whose request says that it has no content (RFC 9110 §8.6).
_CONTENT_EXPECTED = frozenset({b"POST", b"PUT", b"PATCH"})


class _Tunnel(Enum):
    """Whether the request being answered makes a tunnel of the connection (RFC 9110 §7.8)."""

    NONE = "none"
    ASKED = "asked"
    OPEN = "open"
    HALF = "half"  # the server has ended it


_NO_TUNNEL, _ASKED, _OPEN, _HALF = _Tunnel


class H1Client(H1Connection):
    """A client's connection; see :class:`plait.protocol.connection.Connection`.

    Args:
        max_header_fields: Fields in one response.
        max_header_size: Bytes of one response's field section.
        stream_window: Bytes of unread content one response may hold.
        field_count: What counts field sections, or None.
        through_proxy: Whether the other end is a proxy, which wants to hear the whole URL.
        proxy_authorization: What it wants to hear as well, or None.
    """

    __slots__ = (
        "_field_count", "_head_only", "_key", "_protocol", "_proxy_lines", "_responded", "_through_proxy",
        "_tunnel",
    )  # fmt: skip

    def __init__(
        self,
        *,
        max_header_fields: int,
        max_header_size: int,
        stream_window: int,
        field_count: FieldCount | None = None,
        through_proxy: bool = False,
        proxy_authorization: bytes | None = None,
    ) -> None:
        super().__init__(
            HeadReader(
                HttpResponseParser,
                max_fields=max_header_fields,
                max_size=max_header_size,
                max_target=max_header_size,  # a response has none
            ),
            max_header_fields=max_header_fields,
            max_header_size=max_header_size,
            stream_window=stream_window,
        )
        self._field_count = field_count
        self._through_proxy = through_proxy
        self._proxy_lines: list[bytes] = []
        if proxy_authorization is not None:
            self._proxy_lines.append(field_line((b"proxy-authorization", proxy_authorization)))
        self._head_only = False
        #: Whether the response is complete; the request may still be on its way.
        self._responded = False
        self._tunnel = _NO_TUNNEL
        #: What is to be spoken in the tunnel, and the key that its opening has to answer.
        self._protocol = self._key = b""

    @property
    def capacity(self) -> int:
        """1 when a request can be sent now, otherwise 0."""
        return 0 if self._active or self.closing else 1

    @property
    def field_bytes(self) -> FieldBytes | None:
        count = self._field_count
        return None if count is None else count.total(count.request, count.response)

    @property
    def wants_read(self) -> bool:
        if self._closed:
            return False
        return self._reader is None or self._unacknowledged < self._stream_window

    # -- sending ---------------------------------------------------------------------------------

    def send_request(self, fields: Fields, *, end_stream: bool) -> int:
        """Queue a request, pseudo-fields first, and frame its content.

        Extended CONNECT becomes a request to switch protocols (RFC 6455 §4.1).

        Raises:
            LocalProtocolError: An exchange is going on, the connection is closing, or the method is
                CONNECT and not extended.
        """
        if not self.capacity:
            raise LocalProtocolError("the connection can take no request now")
        control: dict[bytes, bytes] = {}
        lines = [b""]
        length: int | None = None
        for field in fields:
            name, value = field
            if name.startswith(b":"):
                control[name] = value
                continue
            if name == b"host":
                control.setdefault(b":authority", value)
                continue
            if name == b"content-length":
                length = int(value)
            elif name == b"te":
                lines.append(b"connection: te\r\n")  # RFC 9110 §10.1.4
            lines.append(field_lines.get(field) or field_line(field))
        method = control[b":method"]
        if method == b"CONNECT":
            method = self._ask_for_tunnel(control, lines)
        target = control[b":path"]
        authority = control.get(b":authority", b"")
        if self._through_proxy:
            # RFC 9112 §3.2.2: a proxy has to be told where to go.
            target = b"%b://%b%b" % (control[b":scheme"], authority, target)
            lines += self._proxy_lines
        lines[0] = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method, target, authority)
        if self._tunnel is _ASKED:
            framing = NONE
        elif length is not None:
            framing = LENGTH
        elif not end_stream:
            framing = CHUNKED
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            framing = NONE
            if method in _CONTENT_EXPECTED:
                lines.append(b"content-length: 0\r\n")
        self._active = True
        self._stream_id += 2
        self._responded = False
        self._head_only = method == b"HEAD"
        self._unacknowledged = 0
        self._queue_head(lines, framing, length or 0, end_stream=end_stream)
        if self._field_count is not None:
            self._field_count.request += sum(map(len, lines))
        return self._stream_id

    def _ask_for_tunnel(self, control: dict[bytes, bytes], lines: list[bytes]) -> bytes:
        """Ask to switch to another protocol, and return the method to ask with."""
        self._protocol = control.get(b":protocol", b"")
        if not self._protocol:
            raise LocalProtocolError("an HTTP/1.1 connection opens no tunnels to another server")
        from plait.protocol.websocket_key import new_key

        self._tunnel = _ASKED
        self._key = new_key()
        lines.append(b"connection: Upgrade\r\nupgrade: %b\r\n" % self._protocol)
        lines.append(b"sec-websocket-key: %b\r\n" % self._key)
        return b"GET"

    def send_response(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """Refuse: a client sends no responses."""
        raise LocalProtocolError("a client sends no responses")

    def send_informational_response(self, stream_id: int, fields: Fields) -> None:
        """Refuse: a client sends no responses."""
        raise LocalProtocolError("a client sends no responses")

    def open_tunnel(self, stream_id: int, fields: Fields) -> int:
        """Refuse: a client sends no responses."""
        raise LocalProtocolError("a client sends no responses")

    def _end_exchange(self) -> None:
        # A tunnel ends both ways at once: transports have no end of one direction.
        if self._responded or self._tunnel is not _NO_TUNNEL:
            self._finish()

    # -- receiving -------------------------------------------------------------------------------

    def _advance(self) -> None:
        try:
            while self._buffer:
                if (reader := self._reader) is not None:
                    if not self._read_content(reader):
                        break
                    if self._field_count is not None and reader.trailers:
                        self._field_count.add_trailers(reader.trailers)
                    self._end_response()
                elif not self._active or self._responded:
                    raise RemoteProtocolError("The server sent bytes that nobody had asked for.")
                else:
                    self._buffer = self._head.read(self._buffer)
                    if not self._head.complete:
                        break
                    self._begin_response()
        except RemoteProtocolError as error:
            # A response that is complete stays good, whatever follows it.
            code = NO_ERROR if self._responded else error.error_code
            if self._active:
                self._close_stream(code)
            self._close(error.error_code, str(error).encode())

    def _begin_response(self) -> None:
        head = self._head
        status = head.status
        headers = ((b":status", b"%d" % status), *head.fields)
        if self._field_count is not None:
            self._field_count.response += head.size
        if status < 200:
            self._take_interim(status, headers)
            return
        if self._tunnel is not _NO_TUNNEL:
            self._tunnel = _NO_TUNNEL
            self._sending = ENDED  # the request was all that there was to send
        self._keep_alive = head.keep_alive
        ended = self._head_only or status in WITHOUT_CONTENT
        if not ended:
            # RFC 9112 §6.3: chunks, then length, then all that comes until the connection closes.
            self._reader = self._content_reader()
            if self._reader is None and head.content_length is None:
                self._reader = UntilCloseReader()
                self._keep_alive = False
            ended = self._reader is None
        head.start()
        self._events.append(ResponseReceived(self._stream_id, headers, ended))
        if ended:
            self._end_response()

    def _take_interim(self, status: int, headers: tuple[Field, ...]) -> None:
        """Take what is no final response: an interim one, or the word to switch protocols."""
        if status < 100 or (status == 101 and self._tunnel is _NO_TUNNEL):
            # RFC 9110 §15.2.2: only a client that asked for another protocol may be told to switch.
            raise RemoteProtocolError(f"The server answered {status}, which nobody had asked for.")
        if status != 101:
            self._events.append(InformationalResponseReceived(self._stream_id, headers))
        elif problem := self._problem_of_switch():
            self._close(ErrorCode.PROTOCOL_ERROR, problem)
            return
        else:
            self._tunnel = _OPEN
            self._keep_alive = False
            self._framing = CLOSE
            self._reader = UntilCloseReader()
            self._events.append(ResponseReceived(self._stream_id, headers, False))
        self._head.start()

    def _problem_of_switch(self) -> bytes:
        """Say what is wrong with the word to switch protocols (RFC 6455 §4.1)."""
        from plait.protocol.websocket_key import accept_of

        if list(self._head.upgrade) != [self._protocol]:
            return b"The server switched to something else than it was asked to"
        answers = [value for name, value in self._head.fields if name == b"sec-websocket-accept"]
        if answers != [accept_of(self._key)]:
            return b"The server's Sec-WebSocket-Accept does not answer the key it was sent"
        return b""

    def _end_response(self) -> None:
        self._responded = True
        # A server that closes takes no more of the request either.
        if self._sending is ENDED or not self._keep_alive:
            self._finish()

    def _finish(self) -> None:
        self._close_stream(NO_ERROR)
        if not self._keep_alive or self._shutting_down:
            self._close(NO_ERROR, b"")

    def receive_eof(self) -> None:
        """Take note that the server sends nothing more: the end of some responses, no end for others."""
        if not self._active:
            self._close(NO_ERROR, b"")
        elif self._tunnel is _OPEN:
            self._tunnel = _HALF
            self._stream_window = 0  # there is nothing more to read
            self._events.append(DataReceived(self._stream_id, b"", True))
        elif self._responded or self._tunnel is _HALF:
            self._keep_alive = False
            self._finish()
        elif isinstance(self._reader, UntilCloseReader):
            self._events.append(DataReceived(self._stream_id, b"", True))
            self._finish()
        elif self._reader is not None or self._head.started or self._buffer:
            self._fail(
                ErrorCode.INTERNAL_ERROR, b"The server closed the connection in the middle of a response."
            )
        else:
            # No StreamClosed: the exchange was lost with its connection, not broken off by itself.
            self._close(ErrorCode.INTERNAL_ERROR, b"The server closed the connection before it answered.")

    def shut_down(self) -> None:
        """Close at once when idle, otherwise after the exchange going on."""
        self._shutting_down = True
        if not self._active:
            self._close(NO_ERROR, b"")
