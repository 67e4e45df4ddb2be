"""Moves bytes between asyncio transports and endpoints; keeps time; knows no HTTP.

Rules:

1. One write per turn of the loop: whoever has output calls ``endpoint.on_output``, which schedules one
   flush; while bytes are being received the flush comes at their end.
2. The last bytes are written before the transport closes.
3. Output is taken from the endpoint only while the transport has room, so that content waits where its
   stream can be held back and not in one heap for the connection.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, ClassVar, Protocol, cast

from plait.config import Limits
from plait.protocol.endpoint import PIECE, ClientEndpoint, Endpoint
from plait.protocol.exchange import ServerExchange
from plait.protocol.negotiation import sniff
from plait.protocol.server_endpoint import ServerEndpoint

__all__ = ["AioDriver", "ClientDriver", "ServerDriver", "Site"]

#: Bytes in the transport's own buffer beyond which it says that it is full.
_TRANSPORT_BUFFER = 262_144
#: Seconds a closed connection stays half-open, for the peer to read the last words (RFC 9112 §9.6).
_LINGER = 1.0
#: The answer to HTTP/1.1 where only HTTP/2 is served (RFC 9110 §15.6.6).
_NOT_SERVED = (
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\n"
    b"content-type: text/plain\r\ncontent-length: 30\r\n\r\nthis server speaks HTTP/2 only"
)


class AioDriver(asyncio.Protocol):
    """What both roles share.

    Attributes:
        endpoint: The connection's owner, None until the version of HTTP is known.
        transport: The transport, once there is one.
    """

    __slots__ = ("_closing", "_flush_pending", "_full_since", "_loop", "_reading", "endpoint", "transport")

    #: Whether to read on while the transport takes no more bytes.
    reads_when_full: ClassVar[bool]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._flush_pending = False
        self._full_since: tuple[float, int] | None = None
        self._closing = False
        self._reading = True
        self.endpoint: Endpoint | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_TRANSPORT_BUFFER)

    def adopt(self, endpoint: Endpoint) -> None:
        """Begin to drive an endpoint."""
        self.endpoint = endpoint
        endpoint.on_output = self.request_flush

    def request_flush(self) -> None:
        """Write what the endpoint has, at the end of this turn of the loop."""
        if not self._flush_pending:
            self._flush_pending = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the endpoint has, now."""
        endpoint = self.endpoint
        assert endpoint is not None
        self._flush_pending = False
        while self._full_since is None or endpoint.closed:
            data = endpoint.data_to_send()
            if data:
                self.transport.write(data)
            if len(data) < PIECE:
                break
        if endpoint.closed:
            wanted = True  # and dropped, for the peer's own end to be seen
            if not self._closing:
                self.close()
        else:
            wanted = endpoint.connection.wants_read and (self._full_since is None or self.reads_when_full)
        if wanted is not self._reading:
            self.read_on(wanted)

    def read_on(self, wanted: bool) -> None:
        """Read from the transport, or leave its bytes where they are."""
        self._reading = wanted
        if self.transport.is_closing():
            return
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def close(self) -> None:
        """Close the transport once everything is written."""
        self._closing = True
        transport = self.transport
        if transport.is_closing():
            return
        if transport.can_write_eof():
            # Closing a socket with unread bytes in it would reset the connection and could take the
            # last response with it: close one side, and the other a moment later (RFC 9112 §9.6).
            transport.write_eof()
            self._loop.call_later(_LINGER, transport.close)
        else:
            transport.close()

    def shut_down(self) -> None:
        """Let what is in flight finish, then close."""
        if self.endpoint is None:
            self.close()
        else:
            self.endpoint.shut_down()

    def abort(self, reason: str) -> None:
        """Drop the connection without another byte."""
        if self.endpoint is not None:
            self.endpoint.connection_lost(reason)
        self._closing = True
        self.transport.abort()

    def pause_writing(self) -> None:
        self._full_since = (self._loop.time(), self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._full_since = None
        if self.endpoint is not None:
            self.flush()

    def eof_received(self) -> bool:
        if self.endpoint is None or self._closing:
            return False
        self.endpoint.receive_eof()
        self.flush()
        return not self.endpoint.closed

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if self.endpoint is not None:
            self.endpoint.connection_lost(str(exc) if exc else "the peer closed the connection")


class Site(Protocol):
    """What a server is to its drivers.

    Attributes:
        limits: What is taken from each client.
    """

    limits: Limits

    def opened(self, driver: ServerDriver) -> None:
        """Take note of a new connection."""

    def closed(self, driver: ServerDriver) -> None:
        """Take note of a connection's end."""

    def make_endpoint(self, protocol: str, scheme: str) -> ServerEndpoint | None:
        """Build the endpoint for an ALPN name, or return None when that version is not served."""

    def start(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        """Answer a request that arrived."""


class ServerDriver(AioDriver):
    """A server's side of one transport.

    Args:
        loop: The running loop.
        site: The server.

    Attributes:
        client: The client's host and port, None for sockets without.
        server: This end's host and port.
        scheme: ``"https"`` or ``"http"``, from the transport, never from the client.
    """

    __slots__ = ("_first_bytes", "_opened", "_site", "client", "scheme", "server")

    endpoint: ServerEndpoint | None
    # A client that takes no bytes gets none read: else its frames would pile up answers.
    reads_when_full = False

    def __init__(self, loop: asyncio.AbstractEventLoop, site: Site) -> None:
        super().__init__(loop)
        self._site = site
        self._first_bytes = b""
        self._opened = loop.time()
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int] | None = None
        self.scheme = "http"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._site.opened(self)
        self.client = _address(transport.get_extra_info("peername"))
        self.server = _address(transport.get_extra_info("sockname"))
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.scheme = "https"
            protocol = tls.selected_alpn_protocol()
            if protocol is not None:
                self._negotiated(protocol)

    def _negotiated(self, protocol: str) -> None:
        endpoint = self._site.make_endpoint(protocol, self.scheme)
        if endpoint is None:
            self.transport.write(_NOT_SERVED)
            self.close()
            return
        self.adopt(endpoint)
        self.flush()

    def data_received(self, data: bytes) -> None:
        endpoint = self.endpoint
        if endpoint is None:
            if self._closing:
                return
            data = self._first_bytes = self._first_bytes + data
            protocol = sniff(data)
            if protocol is not None:
                self._first_bytes = b""
                self._negotiated(protocol)
                endpoint = self.endpoint
            if endpoint is None:
                return
        if endpoint.closed:
            return
        self._flush_pending = True
        endpoint.receive_data(data, self._loop.time())
        for exchange in endpoint.take_accepted():
            self._site.start(exchange, self)
        self.flush()

    def flush(self) -> None:
        AioDriver.flush(self)
        endpoint = self.endpoint
        assert endpoint is not None
        if endpoint.accepted:
            # HTTP/1.1 hands over a pipelined request when the one before is answered.
            for exchange in endpoint.take_accepted():
                self._site.start(exchange, self)
            self.request_flush()

    def expire(self, now: float) -> None:
        """Act on deadlines that have passed.

        Args:
            now: The loop's time.
        """
        endpoint = self.endpoint
        limits = self._site.limits
        if endpoint is None:
            if now - self._opened >= limits.handshake_timeout:
                self.abort("the client sent no preface")
            return
        if self._full_since is not None:
            since, size = self._full_since
            left = self.transport.get_write_buffer_size()
            if left != size:
                self._full_since = (now, left)
            elif now - since >= limits.write_timeout:
                self.abort("the client stopped taking bytes")
                return
        endpoint.expire(now)

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.closed(self)
        super().connection_lost(exc)


class ClientDriver(AioDriver):
    """A client's side of one transport."""

    __slots__ = ()

    endpoint: ClientEndpoint | None
    # Two peers that both stopped reading when full would wait for each other.
    reads_when_full = True

    def data_received(self, data: bytes) -> None:
        endpoint = self.endpoint
        assert endpoint is not None
        if endpoint.closed:
            return
        self._flush_pending = True
        endpoint.receive_data(data)
        self.flush()


def _address(name: Any) -> tuple[str, int] | None:
    """Take host and port from a socket's name; Unix sockets have none."""
    return (name[0], name[1]) if isinstance(name, tuple) and len(name) >= 2 else None
