"""Responses in the order in which they come, for threads that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from plait.client.sync_client import Client, Pending

__all__ = ["Completions"]

#: Seconds between two looks at the deadlines, at least: thousands may be close together.
_GRAIN = 0.01


class _Member:
    """One request among those that are waited for together."""

    __slots__ = ("_completions", "_pending")

    def __init__(self, completions: Completions, pending: Pending) -> None:
        self._completions: Completions | None = completions
        self._pending: Pending | None = pending

    def changed(self) -> None:
        completions, pending = self._completions, self._pending
        if completions is None or pending is None:
            return
        if pending.done:
            # The request holds this object for as long as it lives: let go of both.
            self._completions = self._pending = None
        completions._changed(pending)


class Completions:
    """Requests, each given back once, as soon as it is done: iterate, or call :meth:`wait`.

    What one costs does not depend on how many are on their way. More can be added at any time, and the
    iteration ends when none is left. Many threads may take from one.

    Args:
        client: The client that the requests belong to.
        pendings: The first of them.
    """

    def __init__(self, client: Client, pendings: Iterable[Pending]) -> None:
        self._client = client
        self._members: dict[Pending, _Member] = {}
        self._done: deque[Pending] = deque()
        self._to_do: deque[Pending] = deque()
        self._sleeping: list[Callable[[], None]] = []
        #: When the time of one of them may be over.
        self._next_look = inf
        for pending in pendings:
            self.add(pending)

    def add(self, pending: Pending) -> None:
        """Wait for this request, too."""
        with self._client._driver.lock:
            if pending in self._members:
                return
            if pending.done:
                self._done.append(pending)
                return
            member = self._members[pending] = _Member(self, pending)
            pending.watch(member.changed)
            self._changed(pending)

    def wait(self, timeout: float | None = None) -> Pending | None:
        """Return the next request that is done; its ``result()`` gives the response, or raises.

        Args:
            timeout: Seconds to wait; the requests go on after that, and can be waited for again.

        Returns:
            None when there is none in time, or none is left.
        """
        client = self._client
        core, driver, opener = client._core, client._driver, client._opener
        began = monotonic()
        patience = inf if timeout is None else began + timeout
        with driver.lock:
            try:
                while self._members and not self._done:
                    if self._to_do:
                        self._work()
                        continue
                    while opener.waiting:
                        opener.connect(next(iter(opener.waiting)))
                    driver.turn(min(self._next_look, patience, core.due), self._has_arrived, self)
                    now = monotonic()
                    if now >= core.due:
                        core.look()
                    if now >= self._next_look:
                        self._look(now, began)
                        driver.flush()
                    if now >= patience:
                        break
            finally:
                driver.hand_over()
            return self._done.popleft() if self._done else None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Pending:
        pending = self.wait()
        if pending is None:
            raise StopIteration
        return pending

    def forget(self) -> None:
        """Wait for none of them any more; they go on."""
        with self._client._driver.lock:
            while self._members:
                pending, member = self._members.popitem()
                pending.unwatch(member.changed)

    # -- under the driver's lock -----------------------------------------------------------------

    def _changed(self, pending: Pending) -> None:
        if pending.done:
            if self._members.pop(pending, None) is not None:
                self._done.append(pending)
        elif pending.wants_owner:
            self._to_do.append(pending)
        else:
            self._next_look = min(self._next_look, pending.expires(monotonic()))
            if pending.request.origin not in self._client._opener.waiting:
                return
            # After a redirect, say: one who waits here connects.
        for wake in self._sleeping:
            wake()

    def _work(self) -> None:
        """Do what a request wants of its owner."""
        pending = self._to_do[0]
        if pending.wants_owner:
            self._client._work(pending)
        else:
            self._to_do.popleft()

    def _has_arrived(self) -> bool:
        return bool(self._done or self._to_do)

    def _look(self, now: float, began: float) -> None:
        """Give up the requests whose time is over."""
        earliest = inf
        for pending in list(self._members):
            expires = pending.expires(began)
            if now >= expires:
                pending.expire(now)
                if pending.done:
                    continue
                expires = pending.expires(began)
            earliest = min(earliest, expires)
        self._next_look = max(earliest, now + _GRAIN)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call somebody when there is something to do (for the driver)."""
        self._sleeping.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call this one no more (for the driver)."""
        self._sleeping.remove(watcher)
