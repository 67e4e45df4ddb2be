"""What the kernel knows of a TCP connection."""

from __future__ import annotations

import socket
from struct import Struct
from typing import NamedTuple, Protocol

__all__ = ["TcpInfo", "tcp_info"]

#: From Linux's ``struct tcp_info`` (<linux/tcp.h>), which only ever grows at its end:
#: tcpi_rtt at 68; tcpi_total_retrans at 100; tcpi_bytes_acked, tcpi_bytes_received, tcpi_segs_out and
#: tcpi_segs_in from 120 on, since 4.2; tcpi_rcv_ooopack at 224, since 5.4.
_RTT = Struct("=68xI").unpack_from
_RETRANSMITTED = Struct("=100xI").unpack_from
_MOVED = Struct("=120xQQII")
_OUT_OF_ORDER = Struct("=224xI")


class _HasOptions(Protocol):
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """Return one of the socket's options."""


class TcpInfo(NamedTuple):
    """What the kernel counts on one connection.

    Attributes:
        bytes_sent: Bytes of payload that the peer has acknowledged.
        bytes_received: Bytes of payload received.
        segments_sent: Segments that left, the retransmitted ones too.
        segments_received: Segments that came in.
        retransmitted: Segments that left once more.
        out_of_order: Segments that came in behind a gap; None where the kernel does not count them.
        rtt: The smoothed round-trip time, in seconds.
    """

    bytes_sent: int
    bytes_received: int
    segments_sent: int
    segments_received: int
    retransmitted: int
    out_of_order: int | None
    rtt: float


def tcp_info(sock: _HasOptions) -> TcpInfo | None:
    """Ask the kernel about an open socket, None where it does not tell."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _OUT_OF_ORDER.size)
    except (AttributeError, OSError):
        return None
    if len(info) < _MOVED.size:
        return None
    acked, received, segments_sent, segments_received = _MOVED.unpack_from(info)
    return TcpInfo(
        # The kernel counts the SYN.
        max(0, acked - 1),
        received,
        segments_sent,
        segments_received,
        _RETRANSMITTED(info)[0],
        _OUT_OF_ORDER.unpack_from(info)[0] if len(info) >= _OUT_OF_ORDER.size else None,
        _RTT(info)[0] / 1e6,
    )
