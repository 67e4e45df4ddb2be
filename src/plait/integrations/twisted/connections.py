"""All connections of one site: their clock, and their end."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred

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

    def abort(self) -> None:
        """Drop it without a byte."""


class _Drain:
    """Connections that are on their way out.

    Args:
        deadline: When those still open are ended.
        left: The connections.
    """

    def __init__(self, deadline: float, left: set[Connection]) -> None:
        self.deadline = deadline
        self.left = left
        self.done: Deferred[None] = Deferred()


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
        self._drains: list[_Drain] = []
        self._ending = False

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""
        self._open.add(connection)
        if self._ticking is None:
            self._ticking = self._reactor.callLater(_TICK, self._tick)
        if self._ending:
            connection.abort()

    def closed(self, connection: Connection) -> None:
        """Take note of a connection's end."""
        self._open.discard(connection)
        if not self._open and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        for drain in list(self._drains):
            drain.left.discard(connection)
            if not drain.left:
                self._finish(drain)

    def end(self) -> Deferred[None]:
        """Take no further connections, whose requests would be cut off, and drain those there are.

        Twisted closes its ports when all that it waits for has ended, and not before.

        Returns:
            As ``drain`` does.
        """
        self._ending = True
        return self.drain()

    def drain(self) -> Deferred[None]:
        """Shut all connections down; those that take longer than the grace period are ended.

        Returns:
            What fires when the last of them has gone, or has been given up.
        """
        leaving = {connection for drain in self._drains for connection in drain.left}
        drain = _Drain(self._reactor.seconds() + self._grace, set(self._open))
        self._drains.append(drain)
        for connection in drain.left - leaving:
            connection.shut_down()
        if not drain.left:
            self._finish(drain)
        return drain.done

    def _finish(self, drain: _Drain) -> None:
        if drain in self._drains:
            self._drains.remove(drain)
            drain.done.callback(None)

    def _tick(self) -> None:
        self._ticking = self._reactor.callLater(_TICK, self._tick)
        now = self._reactor.seconds()
        for connection in list(self._open):
            connection.expire(now)
        for drain in list(self._drains):
            if now >= drain.deadline + 2 * _TICK:
                self._finish(drain)  # the last words were for clients that do not take them
            elif now >= drain.deadline:
                for connection in list(drain.left):
                    connection.terminate()
