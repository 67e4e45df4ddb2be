"""One connection of the asyncio client: moves its bytes, and tells the client's core what happens."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic
from typing import TYPE_CHECKING

from plait.client.sites import Link
from plait.drivers.addresses import NOBODY, Peer
from plait.drivers.aio import ClientDriver
from plait.drivers.tcp_info import bytes_moved, read_tcp_info
from plait.errors import PlaitError
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.client.async_client import AsyncClient

__all__ = ["LinkDriver"]


class LinkDriver(ClientDriver):
    """Tells the client's core what happens on a connection."""

    __slots__ = (
        "_client",
        "_origin",
        "_socket",
        "_tcp_info",
        "began",
        "bytes_received",
        "connected",
        "error",
        "link",
        "lost",
        "peer",
        "port",
        "protocol",
        "secured",
        "started",
    )

    def __init__(self, client: AsyncClient, origin: Origin) -> None:
        super().__init__(asyncio.get_running_loop())
        self._client = client
        self._origin = origin
        self._socket: socket.socket | None = None
        self._tcp_info: bytes | None = None
        self.port = 0
        self.peer = NOBODY
        #: What is spoken where there is no TLS to agree on it, as ALPN calls it.
        self.protocol: str | None = None
        self.bytes_received = 0
        self.began = self.started = self.connected = self.secured = monotonic()
        self.link: Link | None = None
        self.error: PlaitError | None = None
        self.lost = self._loop.create_future()

    def dialled(self, sock: socket.socket) -> None:
        """Take note that TCP is established."""
        self._socket = sock
        self.port = sock.getsockname()[1]
        self.peer = Peer.of(sock)
        self.connected = self.secured = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.secured = monotonic()
            self.peer = self.peer._replace(tls=tls)
        try:
            endpoint = self._client._core.routes.make_endpoint(
                self._origin, self.protocol if tls is None else tls.selected_alpn_protocol(), tls
            )
        except PlaitError as error:
            self.error = error
            self.transport.abort()
            return
        self.adopt(endpoint)
        self.link = Link(self._origin, endpoint, self, monotonic())
        self.link.began = self.began
        self._client._drivers.add(self)
        self._client._core.opened(self.link, tls, self.peer.address)
        self.request_flush()

    def data_received(self, data: bytes) -> None:
        endpoint = self.endpoint
        if endpoint is None or endpoint.closed:
            return
        self._flush_pending = True
        self.bytes_received += len(data)
        endpoint.receive_data(data)
        self.flush()

    def flush(self) -> None:
        assert self.link is not None
        core = self._client._core
        core.settle(self.link)
        super().flush()
        # What was written may have made room, and what ends a connection may have been written.
        core.settle(self.link)

    def fail(self, stream_id: int, error: Exception) -> None:
        """End an exchange with an error that its server, in this process, knows of."""
        if self.endpoint is not None:
            self.endpoint.fail(stream_id, error)

    def abandon(self) -> None:
        """Let go of the socket without a byte (called in the child of a fork)."""
        if self._socket is not None:
            self._socket.close()

    def moved(self) -> tuple[int, int] | None:
        """Return the bytes sent and received so far, None where the system does not tell."""
        info = self.tcp_info()
        return None if info is None else bytes_moved(info)

    def tcp_info(self) -> bytes | None:
        """Return what the kernel knows so far, None where it does not tell."""
        # A closed socket does not tell: then what it told last.
        self._tcp_info = read_tcp_info(self._socket) or self._tcp_info
        return self._tcp_info

    def close(self) -> None:
        self.tcp_info()
        self._closing = True
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.link is not None:
            self._client._forget(self)
            self._client._core.settle(self.link)
            self._client._core.ended(self.link)
        self.lost.set_result(None)
