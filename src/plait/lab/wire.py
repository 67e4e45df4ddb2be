"""What the kernel counted on the connections of clients that do not tell."""

from __future__ import annotations

from plait.drivers.tcp_info import tcp_info
from plait.lab.contenders.base import TCP, Load, add_up

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from socket import socket

__all__ = ["WatchedSockets"]


class WatchedSockets:
    """Second handles on the sockets a client opened, good for asking the kernel after the client is done."""

    def __init__(self) -> None:
        self._sockets: list[socket] = []

    def add(self, sock: socket) -> None:
        """Keep a handle on a socket, which may be wrapped and closed meanwhile."""
        self._sockets.append(sock.dup())

    def tell(self, load: Load) -> None:
        """Record the TCP payload and the segments of the load's connections; let go of the sockets.

        Sockets that never came to be one of its connections, because another address was tried first,
        do not count.
        """
        counts = [tcp_info(sock) for sock in self._sockets if sock.getsockname()[1] in load.ports]
        load.tcp = add_up(TCP, counts)
        payload = add_up(("bytes_sent", "bytes_received"), counts)
        if payload is not None:
            load.bytes_sent, load.bytes_received = payload["bytes_sent"], payload["bytes_received"]
        for sock in self._sockets:
            sock.close()
