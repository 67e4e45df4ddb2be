"""The server's end of an HTTP/1.1 connection (RFC 9112).

One request at a time: the bytes of those that were pipelined behind it stay bytes until its exchange
is over, so responses are in order, and a malformed request is answered after those before it.
"""

from __future__ import annotations

import re
from enum import Enum

from httptools import HttpRequestParser

from plait.errors import LocalProtocolError, RemoteProtocolError
from plait.fields import Field
from plait.protocol.events import DataReceived, ErrorCode, Fields, RequestReceived, TrailersReceived
from plait.protocol.h1 import (
    CHUNKED,
    CLOSE,
    LENGTH,
    NO_ERROR,
    NONE,
    TO_SEND,
    H1Connection,
    field_line,
    field_lines,
    status_line,
)
from plait.protocol.h1_content import ContentReader, UntilCloseReader
from plait.protocol.h1_parser import EMPTY_LINE, HeadReader
from plait.protocol.h2 import PREFACE
from plait.protocol.h2c import MakeUpgraded, Upgrade, Upgraded, requested_settings
from plait.server_config import Limits

__all__ = ["H1Server"]

#: RFC 9110 §7.2: uri-host [ ":" port ], no user name.
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
).fullmatch
#: RFC 9112 §3.2.2; the fragment that is no part of it was refused before.
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?]+)(/[^?]*)?(\?.*)?", re.IGNORECASE | re.DOTALL).fullmatch
_WEBSOCKET = (b":protocol", b"websocket")
#: "#" as a number, which is looked for in bytes several times as fast as b"#" is.
_NUMBER_SIGN = 0x23
#: Bytes of requests read ahead of the one being answered.
_READ_AHEAD_MAX = 65_536
#: Bytes of content read and thrown away after the response, to keep the connection.
_DISCARD_MAX = 65_536


class _Tunnel(Enum):
    """Whether the request being answered makes a tunnel of the connection (RFC 9110 §7.8)."""

    NONE = "none"
    ASKED = "asked"
    OPEN = "open"


_NO_TUNNEL, _ASKED, _OPEN = _Tunnel


class H1Server(H1Connection):
    """A server's connection; see :class:`plait.protocol.connection.Connection`.

    Args:
        limits: What is taken from one connection.
        scheme: ``b"https"`` or ``b"http"``, as the transport is; no request can say otherwise.
        websockets: Whether requests to speak WebSocket are passed on as such.
        alt_svc: The value of Alt-Svc in every response (RFC 7838), or ``b""``.
        make_upgraded: Makes the connection of a client that asks for HTTP/2 with its first request,
            None where that is ignored.
    """

    __slots__ = (
        "_alt_svc",
        "_awaits_continue",
        "_discard",
        "_eof",
        "_good_host",
        "_head_only",
        "_make_upgraded",
        "_max_pipelined",
        "_scheme",
        "_tunnel",
        "_upgrade",
        "_upgrade_max",
        "_websockets",
    )

    def __init__(
        self,
        limits: Limits,
        scheme: bytes,
        *,
        websockets: bool = False,
        alt_svc: bytes = b"",
        make_upgraded: MakeUpgraded | None = None,
    ) -> None:
        super().__init__(
            HeadReader(
                HttpRequestParser,
                max_fields=limits.max_header_fields,
                max_size=limits.max_header_size,
                max_target=limits.max_target_size,
            ),
            max_header_fields=limits.max_header_fields,
            max_header_size=limits.max_header_size,
            stream_window=limits.stream_window,
        )
        self._max_pipelined = limits.max_pipelined
        self._scheme = (b":scheme", scheme)
        self._good_host: bytes | None = None
        self._head_only = False
        #: Whether the client holds its content back until it is asked for it.
        self._awaits_continue = False
        #: Bytes still thrown away of a request that was answered before it was whole.
        self._discard = 0
        self._eof = False
        self._websockets = websockets
        self._tunnel = _NO_TUNNEL
        self._alt_svc = field_line((b"alt-svc", alt_svc)) if alt_svc else b""
        self._make_upgraded = make_upgraded
        self._upgrade_max = min(limits.stream_window, limits.max_content_size or limits.stream_window)
        #: The request that asks for HTTP/2, while its content is gathered.
        self._upgrade: Upgrade | None = None

    @property
    def capacity(self) -> int:
        """None: a server sends no requests."""
        return 0

    @property
    def closing(self) -> bool:
        return (self._eof and not self._buffer) or super().closing

    @property
    def wants_read(self) -> bool:
        if not self._active:
            return not self._closed
        if self._reader is not None:
            return self._unacknowledged < self._stream_window
        buffer = self._buffer
        return not buffer or (
            len(buffer) < _READ_AHEAD_MAX and buffer.count(EMPTY_LINE) < self._max_pipelined
        )

    # -- receiving -------------------------------------------------------------------------------

    def receive_eof(self) -> None:
        """Take note that the client sends nothing more; what it asked for whole is still answered."""
        if self._closed:
            return
        self._eof = True
        if self._tunnel is _OPEN:
            self._end_tunnel()
        elif self._reader is not None or self._tunnel is _ASKED:
            self._fail(ErrorCode.CANCEL, b"The client closed the connection in the middle of a request.")
        elif not self._active:
            self._close_at_eof()

    def _end_tunnel(self) -> None:
        self._reader = None
        self._events.append(DataReceived(self._stream_id, b"", True))

    def _close_at_eof(self) -> None:
        if self._head.started or self._buffer:
            self._close(ErrorCode.CANCEL, b"The client closed the connection in the middle of a request.")
        else:
            self._close(NO_ERROR, b"")

    def _advance(self) -> None:
        try:
            while self._buffer:
                if self._reader is not None:
                    if self._upgrade is not None:
                        if not self._gather(self._reader, self._upgrade):
                            break
                    elif self._active:
                        self._awaits_continue = False
                        if not self._read_content(self._reader):
                            break
                    elif not self._throw_content_away():
                        break
                elif self._active:
                    break
                else:
                    self._buffer = self._head.read(self._buffer)
                    if not self._head.complete:
                        break
                    self._begin_exchange()
        except RemoteProtocolError as error:
            self._refuse(error)
        if self._eof and not self._active and not self._closed:
            self._close_at_eof()

    def _begin_exchange(self) -> None:
        head = self._head
        method = head.method
        authority, target = self._control_data(method)
        reader = self._content_reader() if head.chunked or head.content_length else None
        self._reader = reader
        self._active = True
        self._stream_id += 2
        self._unacknowledged = 0
        self._sending = TO_SEND
        self._head_only = method == b"HEAD"
        self._awaits_continue = head.expects_continue and reader is not None
        self._keep_alive = head.keep_alive
        self.http_version = head.version
        headers = (
            (b":method", method),
            self._scheme,
            (b":authority", authority),
            (b":path", target),
            *head.fields,
        )
        ends = reader is None
        self._tunnel = _NO_TUNNEL
        if head.upgrade and ends and method == b"GET" and self._websockets and b"websocket" in head.upgrade:
            self._tunnel = _ASKED
            headers = (*headers[:4], _WEBSOCKET, *headers[4:])
            ends = False
        elif head.upgrade and self._make_upgraded is not None and self._stream_id == 1:
            self._upgrade = self._upgrade_of(headers)
        head.start()
        if self._upgrade is None:
            self._events.append(RequestReceived(self._stream_id, headers, ends))
        elif ends:
            self._switch(self._upgrade, ())

    def _upgrade_of(self, headers: tuple[Field, ...]) -> Upgrade | None:
        """Return what the request says if it asks for HTTP/2 and can have it (RFC 7540 §3.2)."""
        settings = requested_settings(self._head)
        if (
            settings is None
            or self._awaits_continue
            or (self._head.content_length or 0) > self._upgrade_max
            # Pipelined requests would be lost.
            or (self._reader is None and not PREFACE.startswith(self._buffer[: len(PREFACE)]))
        ):
            return None
        return Upgrade(settings, headers)

    def _gather(self, reader: ContentReader, upgrade: Upgrade) -> bool:
        """Read the content of a request that asks for HTTP/2; return whether it is complete."""
        content, self._buffer, complete = reader.read(self._buffer)
        upgrade.content += content
        if len(upgrade.content) > self._upgrade_max:
            # More than may be in memory unread, or in a request at all: answered over HTTP/1.1.
            self._upgrade = None
            self._unacknowledged = len(upgrade.content)
            ends = complete and not reader.trailers
            self._events.append(RequestReceived(self._stream_id, upgrade.headers, False))
            self._events.append(DataReceived(self._stream_id, upgrade.content, ends))
            if complete and not ends:
                self._events.append(TrailersReceived(self._stream_id, reader.trailers))
        elif complete:
            self._switch(upgrade, reader.trailers)
        if complete:
            self._reader = None
        return complete

    def _switch(self, upgrade: Upgrade, trailers: Fields) -> None:
        assert self._make_upgraded is not None
        connection = self._make_upgraded(upgrade.settings, self._head_only)
        self._events.append(Upgraded(connection, upgrade, trailers, self._buffer))
        self._buffer = b""
        self._head.stop()

    def _control_data(self, method: bytes) -> tuple[bytes, bytes]:
        """Return authority and target (RFC 9112 §3.2 and §3.3)."""
        head = self._head
        host, target = head.host, head.target
        if host is None:
            if head.version != "1.0":
                raise RemoteProtocolError("The request has no Host field.")
            host = b""
        elif host != self._good_host:
            if not _HOST(host):
                raise RemoteProtocolError("The Host field is malformed.")
            self._good_host = host
        if method == b"CONNECT":
            raise RemoteProtocolError("This server opens no tunnels.", status_hint=501)
        if _NUMBER_SIGN in target:
            raise RemoteProtocolError("The request target is malformed.")
        if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
            return host, target
        absolute = _ABSOLUTE_FORM(target)
        if absolute is None or not _HOST(absolute[1]):
            raise RemoteProtocolError("The request target is malformed.")
        authority, path, query = absolute.groups(b"")
        if not path:
            # RFC 9112 §3.2.4: this is how OPTIONS * reaches an origin through a proxy.
            path = b"*" if method == b"OPTIONS" and not query else b"/"
        # RFC 9112 §3.2.2: the Host field received is replaced.
        head.fields = [(name, authority if name == b"host" else value) for name, value in head.fields]
        return authority, path + query

    def _throw_content_away(self) -> bool:
        """Read content nobody wants any more; return whether it is complete."""
        assert self._reader is not None
        before = len(self._buffer)
        _, self._buffer, complete = self._reader.read(self._buffer)
        self._discard -= before - len(self._buffer)
        if complete:
            self._reader = None
        elif self._discard < 0:
            self._close(NO_ERROR, b"The request was answered before its content had come.")
        return complete

    def _refuse(self, error: RemoteProtocolError) -> None:
        """Answer a malformed request, if it can still be answered, and close."""
        reason = str(error).encode()
        begun = self._sending is not TO_SEND if self._active else self._reader is not None
        if not begun:
            lines = (
                status_line(b"%d" % error.status_hint),
                b"content-type: text/plain; charset=utf-8\r\n",
                b"content-length: %d\r\n" % (len(reason) + 1),
                b"connection: close\r\n\r\n",
            )
            self._output += lines
            if not (self._active and self._head_only):
                self._output.append(reason + b"\n")
        self._fail(error.error_code, reason)

    # -- sending ---------------------------------------------------------------------------------

    def send_request(self, fields: Fields, *, end_stream: bool) -> int:
        """Refuse: a server sends no requests."""
        raise LocalProtocolError("a server sends no requests")

    def send_informational_response(self, stream_id: int, fields: Fields) -> None:
        """Queue an interim response (RFC 9110 §15.2).

        Raises:
            LocalProtocolError: No request on this stream is waiting for its response.
        """
        self._require_waiting(stream_id)
        if self.http_version == "1.0":
            return  # RFC 9110 §15.2: HTTP/1.0 has no interim responses
        if fields[0][1] == b"100":
            self._awaits_continue = False
        self._output += (status_line(fields[0][1]), *map(field_line, fields[1:]), b"\r\n")

    def send_response(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """Queue a final response, ``:status`` first, and frame its content (RFC 9112 §6).

        Raises:
            LocalProtocolError: No request on this stream is waiting for its response.
        """
        self._require_waiting(stream_id)
        status = fields[0][1]
        lines = [status_line(status), self._alt_svc]
        length: int | None = None
        for field in fields[1:]:
            if field[0] == b"content-length":
                if status == b"204":
                    continue  # RFC 9110 §8.6
                length = int(field[1])
            lines.append(field_lines.get(field) or field_line(field))
        left = 0
        if self._head_only or status == b"204" or status == b"304":
            framing = NONE
        elif length is not None:
            framing = LENGTH
            left = length
        elif end_stream:
            framing = LENGTH
            lines.append(b"content-length: 0\r\n")
        elif self.http_version == "1.1":
            framing = CHUNKED
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            framing = CLOSE
            self._keep_alive = False
        if self._keep_alive and not self._stays_open(end_stream):
            self._keep_alive = False
        if not self._keep_alive:
            lines.append(b"connection: close\r\n")
        elif self.http_version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        self._queue_head(lines, framing, left, end_stream=end_stream)

    def open_tunnel(self, stream_id: int, fields: Fields) -> int:
        """Switch to the protocol asked for (RFC 9110 §15.2.2); what came behind the request is its.

        Raises:
            LocalProtocolError: No request on this stream is waiting for its response.
        """
        self._require_waiting(stream_id)
        self._tunnel = _OPEN
        self._reader = UntilCloseReader()
        self._keep_alive = False
        lines = [status_line(b"101"), b"connection: Upgrade\r\nupgrade: websocket\r\n"]
        lines += map(field_line, fields)
        self._queue_head(lines, CLOSE, 0, end_stream=False)
        self._advance()
        if self._eof:
            self._end_tunnel()  # the request was pipelined, and the end behind it came first
        return 101

    def _require_waiting(self, stream_id: int) -> None:
        if stream_id != self._stream_id or self._sending is not TO_SEND:
            raise LocalProtocolError(f"no request on stream {stream_id} is waiting for a response")

    def _stays_open(self, end_stream: bool) -> bool:
        """Say whether the connection can outlive the response that is about to begin."""
        if (self._shutting_down or self._eof) and not self._buffer:
            return False  # what was pipelined behind is answered first
        if self._awaits_continue:
            # RFC 9110 §10.1.1: nobody knows whether the content will come.
            return False
        return not (end_stream and self._reader is not None) or (self._reader.left or 0) <= _DISCARD_MAX

    def _end_exchange(self) -> None:
        reader = self._reader
        if not self._keep_alive:
            self._close_stream(NO_ERROR)
            self._close(NO_ERROR, b"")
        elif reader is None:
            self._close_stream(NO_ERROR)
            if self._buffer or self._eof:
                self._advance()
        else:
            # The content has no reader any more: a little is thrown away to keep the connection.
            self._close_stream(NO_ERROR)
            if reader.left is not None and reader.left > _DISCARD_MAX:
                self._close(NO_ERROR, b"The request was answered before its content had come.")
            else:
                self._discard = _DISCARD_MAX

    def shut_down(self) -> None:
        """Answer what has been sent, saying ``connection: close``; at the second call, close when idle.

        RFC 9112 §9.5: a request may be on its way to a connection that looks idle here. Whoever closed it
        at once would lose that request.
        """
        if not self._shutting_down:
            self._shutting_down = True
        elif not self._active and (self._reader is not None or not (self._head.started or self._buffer)):
            self._close(NO_ERROR, b"")
