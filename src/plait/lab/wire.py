"""Bytes on the wire of clients that do not count them, from the kernel's own count."""

from __future__ import annotations

import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["WatchedSockets", "watch_urllib3"]

# struct tcp_info of <linux/tcp.h>: tcpi_bytes_acked and tcpi_bytes_received, u64 each.
_OFFSET = 120
_BYTES = struct.Struct("=QQ")


class WatchedSockets:
    """Second handles on the sockets a client opened, good for asking the kernel after the client is done."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def __len__(self) -> int:
        return len(self._sockets)

    def add(self, sock: socket.socket) -> None:
        """Keep a handle on a socket, which may be wrapped and closed meanwhile."""
        self._sockets.append(sock.dup())

    def totals(self) -> tuple[int | None, int | None]:
        """Add up the TCP payload sent and received; None twice where the system does not tell."""
        sent = received = 0
        for sock in self._sockets:
            counted = _count(sock)
            if counted is None:
                return None, None
            sent += counted[0]
            received += counted[1]
        return sent, received


def _count(sock: socket.socket) -> tuple[int, int] | None:
    if sys.platform != "linux":  # others have no such option, or another struct
        return None
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < _OFFSET + _BYTES.size:
        return None
    acked, received = _BYTES.unpack_from(info, _OFFSET)
    # RFC 4898 counts octets by sequence number, and the SYN has one.
    return acked - 1, received


def watch_urllib3() -> WatchedSockets:
    """Watch every connection that urllib3, and so ``requests``, opens in this process from now on."""
    from urllib3.util import connection

    watched = WatchedSockets()
    create_connection = connection.create_connection

    def create_and_watch(*args: Any, **kwargs: Any) -> socket.socket:
        sock = create_connection(*args, **kwargs)
        watched.add(sock)
        return sock

    connection.create_connection = create_and_watch
    return watched
