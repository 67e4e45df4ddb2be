"""What the kernel knows of a TCP connection.

What it says is kept as it comes, and read when somebody asks: most clients are never asked.
"""

from __future__ import annotations

import socket
from struct import Struct
from typing import Any

__all__ = ["bytes_moved", "counts", "read_tcp_info"]

#: From Linux's ``struct tcp_info`` (<linux/tcp.h>), which only ever grows at its end:
#: tcpi_rtt at 68; tcpi_total_retrans at 100; tcpi_bytes_acked, tcpi_bytes_received, tcpi_segs_out and
#: tcpi_segs_in from 120 on, since 4.2; tcpi_rcv_ooopack at 224, since 5.4.
_RTT = Struct("=68xI")
_RETRANSMITTED = Struct("=100xI")
_MOVED = Struct("=120xQQII")
_OUT_OF_ORDER = Struct("=224xI")


def read_tcp_info(sock: Any) -> bytes | None:
    """Ask the kernel about an open socket, None where it does not tell."""
    try:
        info: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _OUT_OF_ORDER.size)
    except (AttributeError, OSError):
        return None
    return info if len(info) >= _MOVED.size else None


def bytes_moved(info: bytes) -> tuple[int, int]:
    """Return the bytes of payload sent, as far as they were acknowledged, and received."""
    acked, received, _, _ = _MOVED.unpack_from(info)
    return max(0, acked - 1), received  # the kernel counts the SYN


def counts(info: bytes) -> tuple[int, int, int, int | None, float]:
    """Return the segments sent, received, retransmitted, out of order, and the round-trip time in seconds."""
    _, _, sent, received = _MOVED.unpack_from(info)
    out_of_order = _OUT_OF_ORDER.unpack_from(info)[0] if len(info) >= _OUT_OF_ORDER.size else None
    return sent, received, _RETRANSMITTED.unpack_from(info)[0], out_of_order, _RTT.unpack_from(info)[0] / 1e6
