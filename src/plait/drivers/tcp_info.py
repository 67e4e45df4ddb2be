"""What the kernel knows of a TCP connection."""

from __future__ import annotations

import socket
from asyncio import BaseTransport

__all__ = ["bytes_moved"]

#: Where Linux puts the bytes acknowledged and received in its TCP_INFO, and the size of it.
_ACKED, _RECEIVED, _INFO_SIZE = 120, 128, 136


def bytes_moved(transport: BaseTransport) -> tuple[int, int] | None:
    """Return the bytes a connection has sent and received, None where the system does not tell."""
    sock = transport.get_extra_info("socket")
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
    except (AttributeError, OSError):
        return None
    if len(info) < _INFO_SIZE:
        return None
    acked = int.from_bytes(info[_ACKED:_RECEIVED], "little")
    # The kernel counts the SYN.
    return max(0, acked - 1), int.from_bytes(info[_RECEIVED:_INFO_SIZE], "little")
