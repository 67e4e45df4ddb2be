"""All connections of one site: their clock, and their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Connection", "Connections"]

#: Seconds between looks at the deadlines, and for the last words after the grace period.
_TICK = 1.0


class Connection(Protocol):
    """What a connection is to its site."""

    def expire(self, now: float) -> None:
        """Act on deadlines that have passed."""

    def shut_down(self) -> None:
        """Let what is in flight finish, then close."""

    def terminate(self) -> None:
        """Close now, with what is in flight."""


class Connections:
    """Connections that share one clock, which ticks while there are any.

    Args:
        reactor: What provides ``IReactorTime``.
        grace: Seconds that requests in flight have to finish at shutdown.
    """

    def __init__(self, reactor: Any, grace: float) -> None:
        self._reactor = reactor
        self._grace = grace
        self._open: set[Connection] = set()
        self._ticking: Any = None
        self._drained: list[Callable[[], None]] = []
        self._deadline: float | None = None

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""
        self._open.add(connection)
        if self._ticking is None:
            self._ticking = self._reactor.callLater(_TICK, self._tick)

    def closed(self, connection: Connection) -> None:
        """Take note of a connection's end."""
        self._open.discard(connection)
        if not self._open:
            if self._ticking is not None:
                self._ticking.cancel()
                self._ticking = None
            self._finish()

    def drain(self) -> Deferred[None]:
        """Shut all connections down; those that take longer than the grace period are ended.

        Returns:
            What fires when the last has gone.
        """
        drained: Deferred[None] = Deferred()
        self._drained.append(lambda: drained.callback(None))
        if self._deadline is None:
            self._deadline = self._reactor.seconds() + self._grace
            for connection in list(self._open):
                connection.shut_down()
        if not self._open:
            self._finish()
        return drained

    def _finish(self) -> None:
        self._deadline = None
        drained, self._drained = self._drained, []
        for callback in drained:
            callback()

    def _tick(self) -> None:
        self._ticking = self._reactor.callLater(_TICK, self._tick)
        now = self._reactor.seconds()
        for connection in list(self._open):
            connection.expire(now)
        if self._deadline is not None:
            if now >= self._deadline + 2 * _TICK:
                # Their last words were for clients that do not take them.
                self._finish()
            elif now >= self._deadline:
                for connection in list(self._open):
                    connection.terminate()
