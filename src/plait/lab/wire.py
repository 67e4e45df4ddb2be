"""What the kernel counted on the connections of clients that do not tell."""

from __future__ import annotations

from plait.drivers.tcp_info import bytes_moved, counts, read_tcp_info
from plait.lab.contenders.base import TCP, Load, add_up

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from socket import socket

__all__ = ["WatchedSockets"]


class WatchedSockets:
    """Second handles on the sockets a client opened, good for asking the kernel after the client is done."""

    def __init__(self) -> None:
        self._sockets: list[socket] = []

    def __enter__(self) -> WatchedSockets:
        return self

    def __exit__(self, *exception: object) -> None:
        for sock in self._sockets:
            sock.close()

    def add(self, sock: socket) -> None:
        """Keep a handle that the client does not close: a duplicate of its own, most of the time."""
        self._sockets.append(sock)

    def tell(self, load: Load) -> None:
        """Record the TCP payload and the segments of the load's connections.

        Sockets that never came to be one of its connections, because another address was tried first,
        do not count.
        """
        infos = [read_tcp_info(sock) for sock in self._sockets if sock.getsockname()[1] in load.ports]
        told = [info for info in infos if info is not None]
        if not told or len(told) < len(infos):
            return
        load.bytes_sent, load.bytes_received = (
            sum(column) for column in zip(*map(bytes_moved, told), strict=True)
        )
        load.tcp = add_up(TCP, [counts(info) for info in told])
