"""What a client tells of its connections and its exchanges.

Times are seconds of ``time.monotonic()``: on Linux that is CLOCK_MONOTONIC, which every process of the
machine reads alike.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from plait.client.pool import Link
    from plait.drivers.tcp_info import TcpInfo
    from plait.protocol.field_bytes import FieldBytes

__all__ = ["VERSIONS", "Carrier", "ConnectionStatistics", "Journal", "Statistics", "Timing"]

#: What a response calls the version of HTTP.
VERSIONS = {"2": "HTTP/2", "1.1": "HTTP/1.1"}

#: How many connections that are gone are told of one by one; the most recent.
_CONNECTIONS_KEPT = 1000


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


class Carrier(Protocol):
    """What moves a connection's bytes, as far as statistics go.

    Attributes:
        port: The port on this side.
        started: When it began to connect.
        connected: When TCP was established.
        secured: When TLS was; equal to ``connected`` without TLS.
    """

    port: int
    started: float
    connected: float
    secured: float

    def moved(self) -> tuple[int, int] | None:
        """Return the bytes sent and received so far, None where the system does not tell."""

    def tcp(self) -> TcpInfo | None:
        """Return what the kernel counted so far, at the last look before the socket closed."""


class Journal:
    """Every connection of a client, those that are gone too.

    Attributes:
        opened: How many there were.
    """

    __slots__ = ("_gone", "_open", "opened")

    def __init__(self) -> None:
        self.opened = 0
        self._open: dict[int, Link] = {}
        self._gone: deque[ConnectionStatistics] = deque(maxlen=_CONNECTIONS_KEPT)

    def begin(self, link: Link) -> None:
        """Take note of a new connection, and number it."""
        self.opened += 1
        link.number = self.opened
        self._open[link.number] = link

    def end(self, link: Link) -> None:
        """Take note that a connection is gone."""
        if self._open.pop(link.number, None) is not None:
            self._gone.append(_statistics(link))

    def connections(self) -> tuple[ConnectionStatistics, ...]:
        """Return what is known of each connection, in the order of their numbers."""
        return tuple(sorted([*self._gone, *map(_statistics, self._open.values())]))


def _statistics(link: Link) -> ConnectionStatistics:
    connection = link.endpoint.connection
    carrier: Carrier = link.transport
    sent, received = carrier.moved() or (None, None)
    return ConnectionStatistics(
        number=link.number,
        port=carrier.port,
        http_version=VERSIONS[connection.http_version],
        started=carrier.started,
        connected=carrier.connected,
        secured=carrier.secured,
        exchanges=link.exchanges,
        bytes_sent=sent,
        bytes_received=received,
        fields=connection.field_bytes,
        resets_sent=connection.resets_sent,
        resets_received=connection.resets_received,
        tcp=carrier.tcp(),
    )
