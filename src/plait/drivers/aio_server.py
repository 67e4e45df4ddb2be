"""The server's side of :mod:`plait.drivers.aio`: versions of HTTP, new exchanges and deadlines.

A module of its own, since clients start faster without it.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Protocol

from plait.drivers.aio import AioDriver
from plait.drivers.tls_info import describe
from plait.protocol.negotiation import sniff
from plait.protocol.server_endpoint import ServerEndpoint
from plait.protocol.server_exchange import ServerExchange
from plait.server_config import Limits

__all__ = ["ServerDriver", "Site", "address_of"]

#: The answer to HTTP/1.1 where only HTTP/2 is served (RFC 9110 §15.6.6).
_NOT_SERVED = (
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\n"
    b"content-type: text/plain\r\ncontent-length: 30\r\n\r\nthis server speaks HTTP/2 only"
)


#: Seconds that a connection without a byte yet is left open when the server stops.
_FIRST_REQUEST = 1.0


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
        places: The client's and this end's place, where a proxy has said so before the connection
            began; by default they are the socket's.

    Attributes:
        client: The client's host and port, None for a Unix socket.
        server: This end's host and port; the path and None for a Unix socket.
        scheme: ``"https"`` or ``"http"``, from the transport, never from the client.
        tls: What ASGI's TLS extension says of the connection, None without TLS.
    """

    __slots__ = (
        "_first_bytes",
        "_held",
        "_leaving_since",
        "_opened",
        "_places",
        "_site",
        "client",
        "scheme",
        "server",
        "tls",
    )

    endpoint: ServerEndpoint | None
    # A client that takes no bytes gets none read: else its frames would pile up answers.
    reads_when_full = False

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        site: Site,
        places: tuple[tuple[str, int] | None, tuple[str, int] | None] | None = None,
    ) -> None:
        super().__init__(loop)
        self._site = site
        self._places = places
        self._first_bytes = b""
        self._opened = loop.time()
        self._leaving_since: float | None = None
        self._held = False
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int | None] | None = None
        self.scheme = "http"
        self.tls: dict[str, Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._site.opened(self)
        if self._places is None:
            self.client = address_of(transport.get_extra_info("peername"))
            name = transport.get_extra_info("sockname")
            self.server = (name, None) if isinstance(name, str) and name else address_of(name)
        else:
            self.client, self.server = self._places
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.scheme = "https"
            self.tls = describe(tls)
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
        if self._leaving_since is not None:
            endpoint.shut_down()
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

    def shut_down(self) -> None:
        """Let what is in flight finish, then close; the first request may be on its way to here, too."""
        if self.endpoint is None:
            self._leaving_since = self._loop.time()
        else:
            self.endpoint.shut_down()

    def buffered(self) -> int:
        """Return the bytes of content that this connection holds in memory, both ways."""
        size: int = self.transport.get_write_buffer_size()
        if self.endpoint is not None:
            for exchange in self.endpoint.exchanges.values():
                size += exchange.unread + exchange.queued
        return size

    def hold(self, held: bool) -> None:
        """Read nothing more for a while, whatever the connection wants, or as it wants again."""
        self._held = held
        if held:
            self.read_on(False)
        elif self.endpoint is not None:
            self.request_flush()  # which reads on

    def read_on(self, wanted: bool) -> None:
        if wanted is not self._reading and not (wanted and self._held):
            AioDriver.read_on(self, wanted)

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
            elif self._leaving_since is not None and now - self._leaving_since >= _FIRST_REQUEST:
                self.close()
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


def address_of(name: Any) -> tuple[str, int] | None:
    """Take host and port from a socket's name; Unix sockets have none.

    Args:
        name: What ``getsockname`` or ``getpeername`` says.
    """
    if not isinstance(name, tuple) or len(name) < 2:
        return None
    host, port = name[:2]
    # A socket for both families, as systemd opens them, knows clients of IPv4 by an address of IPv6.
    return host.removeprefix("::ffff:") if "." in host else host, port
