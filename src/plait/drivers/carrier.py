"""What the driver for threads that wait has of each connection, over a socket or in memory."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from plait.drivers.addresses import NOBODY
from plait.protocol.endpoint import ClientEndpoint

if TYPE_CHECKING:
    from plait.drivers.blocking import BlockingDriver

__all__ = ["Carrier"]


class Carrier:
    """Carries the bytes of one endpoint.

    Args:
        driver: The threads that wait.

    Attributes:
        endpoint: The connection's owner, None until the version of HTTP is known.
        bytes_sent: Bytes that left, TLS included.
        bytes_received: Bytes that came, TLS included.
        context: Whatever the layer above keeps here.
        port: The port on this side.
        peer: Who is at the other end.
        started: When connecting began, on the monotonic clock.
        connected: When TCP was established.
        secured: When TLS was; equal to ``connected`` without TLS.
    """

    __slots__ = (
        "_dirty", "_driver", "bytes_received", "bytes_sent", "connected", "context", "endpoint", "peer",
        "port", "secured", "started",
    )  # fmt: skip

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver
        self._dirty = False
        self.endpoint: ClientEndpoint | None = None
        self.bytes_sent = 0
        self.bytes_received = 0
        self.context: Any = None
        self.port = 0
        self.peer = NOBODY
        self.started = self.connected = self.secured = monotonic()

    def adopt(self, endpoint: ClientEndpoint) -> None:
        """Begin to drive an endpoint."""
        self.endpoint = endpoint
        endpoint.on_output = self._has_output
        self._has_output()

    def _has_output(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._driver.dirty.append(self)

    def flush(self) -> None:
        """Send what the endpoint has, as far as there is room."""
        raise NotImplementedError

    def receive(self) -> None:
        """Take what has come."""
        raise NotImplementedError

    def lose(self, reason: str) -> None:
        """Close the connection, and tell who uses it."""
        raise NotImplementedError

    def drop(self) -> None:
        """Close the connection."""
        raise NotImplementedError

    def moved(self) -> tuple[int, int]:
        """Return the bytes sent and received so far."""
        return self.bytes_sent, self.bytes_received

    def tcp_info(self) -> bytes | None:
        """Return what the kernel knows so far, None where it does not tell."""
        raise NotImplementedError
