"""What a client tells of its connections and its exchanges.

Times are seconds of ``time.monotonic()``: on Linux that is CLOCK_MONOTONIC, which every process of the
machine reads alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from plait.drivers.tcp_info import counts

if TYPE_CHECKING:
    from plait.protocol.field_bytes import FieldBytes

__all__ = ["ConnectionStatistics", "Statistics", "TcpInfo", "Timing", "connection_statistics"]


class Timing(NamedTuple):
    """When everything happened to one exchange, in seconds of ``time.monotonic()``.

    Attributes:
        submitted: When the request was given to the client.
        sent: When it was handed to a connection; when it was sent twice, the second time.
        answered: When the final response's header section was there.
        done: When its content was complete.
        connection: The number of its connection; see :class:`ConnectionStatistics`.
    """

    submitted: float
    sent: float
    answered: float
    done: float
    connection: int


class TcpInfo(NamedTuple):
    """What the kernel counted on one connection.

    Attributes:
        segments_sent: Segments that left, the retransmitted ones too.
        segments_received: Segments that came in.
        retransmitted: Segments that left once more.
        out_of_order: Segments that came in behind a gap; None where the kernel does not count them.
        rtt: The smoothed round-trip time, in seconds.
    """

    segments_sent: int
    segments_received: int
    retransmitted: int
    out_of_order: int | None
    rtt: float


class ConnectionStatistics(NamedTuple):
    """What one connection has done so far.

    Attributes:
        number: Counts a client's connections from 1, in the order in which they came to be.
        port: Its port on this side.
        http_version: ``"HTTP/2"`` or ``"HTTP/1.1"``.
        started: When the client began to connect, the name being resolved, in seconds of
            ``time.monotonic()``.
        connected: When TCP was established.
        secured: When TLS was; equal to ``connected`` without TLS.
        exchanges: Requests sent on it.
        bytes_sent: Bytes handed to TCP, TLS included; None where the system does not tell.
        bytes_received: Bytes taken from TCP, TLS included; None where the system does not tell.
        fields: Bytes of field sections; None unless the client was made with ``count_fields``.
        resets_sent: HTTP/2 streams that the client reset.
        resets_received: HTTP/2 streams that the server reset.
        tcp: What the kernel counted, until it closed; None where the system does not tell.
    """

    number: int
    port: int
    http_version: str
    started: float
    connected: float
    secured: float
    exchanges: int
    bytes_sent: int | None
    bytes_received: int | None
    fields: FieldBytes | None
    resets_sent: int
    resets_received: int
    tcp: TcpInfo | None


class Statistics(NamedTuple):
    """What a client has done so far.

    Attributes:
        connections_opened: Connections that came to be.
        exchanges: Requests sent, replays counted again.
        bytes_sent: Bytes handed to TCP, TLS included; None where the system does not tell.
        bytes_received: Bytes taken from TCP, TLS included; None where the system does not tell.
        connections: Each connection, in the order in which they came to be; of many that are gone
            the most recent.
    """

    connections_opened: int
    exchanges: int
    bytes_sent: int | None
    bytes_received: int | None
    connections: tuple[ConnectionStatistics, ...]


def connection_statistics(facts: tuple[Any, ...]) -> ConnectionStatistics:
    """Make readable what a :class:`~plait.client.journal.Journal` keeps of a connection."""
    info: bytes | None = facts[-1]
    return ConnectionStatistics._make((*facts[:-1], None if info is None else TcpInfo(*counts(info))))
