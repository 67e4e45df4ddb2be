"""Windows of requests that grow with the path they come over (RFC 9113 §5.2).

A stream carries a window's worth of content each round trip at most, so what serves a near client well
holds a distant one back. How long a round trip is, and how much came in one, a PING tells: when an
application takes two thirds of a window between a PING and its answer, the window was the limit, and it
doubles. An application that is slow to read, and a client that is slow to send, never take that much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.protocol.exchange import Half

if TYPE_CHECKING:
    from plait.protocol.connection import Connection
    from plait.protocol.server_exchange import ServerExchange
    from plait.server_config import Limits

__all__ = ["ReceiveWindows"]


class ReceiveWindows:
    """The windows of one connection's requests.

    Args:
        connection: The connection.
        limits: ``stream_window``, what a stream begins with; ``max_stream_window``, what it may grow
            to; ``max_buffered_per_connection``, what all windows of a connection may grow to.
    """

    __slots__ = ("_connection", "_limits", "_marks", "_windows")

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        #: While a PING is on its way: what was read since, and how far that had been.
        self._marks: dict[ServerExchange, int] | None = None
        #: Windows that have grown.
        self._windows: dict[ServerExchange, int] = {}

    def note(self, exchange: ServerExchange) -> None:
        """Take note that content of an exchange was read."""
        if exchange.received is Half.ENDED or exchange.closed:
            return
        if self._marks is None:
            if self._windows.get(exchange, 0) >= self._limits.max_stream_window:
                return
            self._marks = {}
            self._connection.measure()
        self._marks.setdefault(exchange, exchange.credited_bytes)

    def measured(self, streams: int) -> None:
        """Let windows grow that were the limit in the round trip that ends now.

        Args:
            streams: How many are open.
        """
        limits = self._limits
        first = limits.stream_window
        marks, self._marks = self._marks or {}, None
        windows = self._windows = {one: size for one, size in self._windows.items() if not one.closed}
        opened = first * (streams - len(windows)) + sum(windows.values())
        for exchange, mark in marks.items():
            window = windows.get(exchange, first)
            read = exchange.credited_bytes - mark
            if exchange.closed or exchange.received is Half.ENDED or 3 * read < 2 * window:
                continue
            room = limits.max_buffered_per_connection - opened
            grown = min(2 * window, limits.max_stream_window, window + room)
            if grown > window:
                opened += grown - window
                windows[exchange] = grown
                self._connection.open_window(exchange.stream_id, grown)
