"""Telling retransmissions by looking at packets as they pass (IPv4 and TCP headers, RFC 791 and 9293)."""

from __future__ import annotations

from struct import Struct

__all__ = ["Flows", "is_stray", "ports_of"]

_TCP = 6
_UDP = 17
_FIN = 0x01
_SYN = 0x02
_HALF = 1 << 31
_MASK = (1 << 32) - 1

_PORTS = Struct(">HH")
_SEGMENT = Struct(">IIxxxxH")  # both ports, sequence number, data offset and flags


def ports_of(packet: bytes) -> tuple[int, int]:
    """Return the ports that an IPv4 packet goes from and to, zeros where it has none."""
    header = (packet[0] & 15) * 4
    if packet[9] not in (_TCP, _UDP) or len(packet) < header + 4:
        return 0, 0
    source, target = _PORTS.unpack_from(packet, header)
    return source, target


def is_stray(packet: bytes, begun: set[bytes], *, down: bool) -> bool:
    """Tell whether an IPv4 packet is of a TCP connection that nobody saw begin, and note one that begins.

    Args:
        packet: The packet.
        begun: The connections that were seen to begin, by the client's port and the server's.
        down: Whether the packet goes from the server to the client.
    """
    header = (packet[0] & 15) * 4
    if packet[9] != _TCP or len(packet) < header + 20:
        return False
    ports = packet[header : header + 4]
    if down:
        ports = ports[2:] + ports[:2]
    if ports in begun:
        return False
    if packet[header + 13] & _SYN:
        begun.add(ports)
        return False
    return True


class Flows:
    """The TCP connections of one direction, each with the end of what was sent so far."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}

    def is_resent(self, packet: bytes) -> bool:
        """Tell whether an IPv4 packet carries what the connection has sent before.

        A SYN and a FIN take a number in the sequence each (RFC 9293 §3.4), so they count like data. A
        packet without either, an acknowledgement, is never one that was sent again.
        """
        header = (packet[0] & 15) * 4
        if packet[9] != _TCP or len(packet) < header + 20:
            return False
        ports, start, bits = _SEGMENT.unpack_from(packet, header)
        size = len(packet) - header - (bits >> 12) * 4 + (bits & _FIN) + (bits >> 1 & 1)
        if size <= 0:
            return False
        ends = self._ends
        latest = ends.get(ports)
        end = start + size & _MASK
        if latest is None or (bits & _SYN and end != latest):
            ends[ports] = end  # first seen here, or another connection between the same ports
            return False
        # Sequence numbers wrap: what is less than half of them behind is behind.
        if 0 < (end - latest & _MASK) < _HALF:
            ends[ports] = end
        return bool((start - latest & _MASK) >= _HALF)
