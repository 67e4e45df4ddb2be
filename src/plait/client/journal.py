"""Keeps what a client can tell of its connections, as it comes; ``statistics.py`` makes it readable."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from plait.client.goals import VERSIONS
from plait.client.sites import Link

if TYPE_CHECKING:
    from plait.client.statistics import Statistics

__all__ = ["Journal"]

#: How many connections that are gone are told of one by one; the most recent.
_CONNECTIONS_KEPT = 1000


class Journal:
    """Every connection of a client, those that are gone too."""

    __slots__ = ("_gone", "_gone_exchanges", "_open", "_opened")

    def __init__(self) -> None:
        self._gone_exchanges = 0
        self._opened = 0
        self._open: dict[int, Link] = {}
        self._gone: deque[tuple[Any, ...]] = deque(maxlen=_CONNECTIONS_KEPT)

    def begin(self, link: Link) -> None:
        """Take note of a new connection, and number it."""
        self._opened += 1
        link.number = self._opened
        carrier = link.transport
        link.opening = (link.number, link.began, carrier.started, carrier.connected, carrier.secured)
        self._open[link.number] = link

    def end(self, link: Link) -> None:
        """Take note that a connection is gone."""
        if self._open.pop(link.number, None) is not None:
            self._gone.append(_facts(link))
            self._gone_exchanges += link.exchanges

    def statistics(self, sent: int | None, received: int | None) -> Statistics:
        """Tell what the client has done so far.

        Args:
            sent: Bytes sent by every connection there ever was, None where the system does not tell.
            received: The same of bytes received.
        """
        # A client's process starts without it.
        from plait.client.statistics import Statistics, connection_statistics

        facts = sorted([*self._gone, *map(_facts, self._open.values())])
        connections = tuple(connection_statistics(one) for one in facts)
        exchanges = self._gone_exchanges + sum(link.exchanges for link in self._open.values())
        return Statistics(self._opened, exchanges, sent, received, connections)


def _facts(link: Link) -> tuple[Any, ...]:
    """Return what :func:`~plait.client.statistics.connection_statistics` takes."""
    connection, carrier = link.endpoint.connection, link.transport
    return (
        link.number,
        carrier.port,
        VERSIONS[connection.http_version],
        carrier.started,
        carrier.connected,
        carrier.secured,
        link.exchanges,
        *(carrier.moved() or (None, None)),
        connection.field_bytes,
        connection.resets_sent,
        connection.resets_received,
        link.began,
        carrier.peer.address,
        None if link.meter is None else link.meter.measures,
        carrier.tcp_info(),
    )
