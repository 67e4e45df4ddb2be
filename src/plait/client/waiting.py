"""Tasks that wait for calls, and the one timer that keeps the deadlines of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Protocol

from plait.client.calls import Call

__all__ = ["Member", "Waiting"]

#: Seconds between two looks at the deadlines, at least: thousands may be close together.
_GRAIN = 0.01


class _Watch(Protocol):
    """Somebody's interest in a call."""

    call: Call

    @property
    def expires(self) -> float:
        """When to give the call up, if nothing happens until then."""


class _Waiter:
    """A task that waits for a call."""

    __slots__ = ("_waiting", "began", "call", "future")

    def __init__(self, waiting: Waiting, call: Call) -> None:
        self._waiting = waiting
        self.call = call
        self.began = monotonic()
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def expires(self) -> float:
        return self.call.expires(self.began)

    def changed(self) -> None:
        if not self.call.done:
            self._waiting.look_at(self.expires)
        elif not self.future.done():
            self.future.set_result(None)


class Member:
    """A call among those that are waited for together.

    Args:
        waiting: The tasks and deadlines of the client.
        call: The call.
        finished: Called with it when it is done.
    """

    __slots__ = ("_began", "_finished", "_waiting", "call")

    def __init__(self, waiting: Waiting, call: Call, finished: Callable[[Call], None]) -> None:
        self._waiting = waiting
        self._finished: Callable[[Call], None] | None = finished
        self._began = monotonic()
        self.call = call

    @property
    def expires(self) -> float:
        return self.call.expires(self._began)

    def changed(self) -> None:
        finished = self._finished
        if finished is None:
            return
        call = self.call
        if call.done:
            # The call holds this object for as long as it lives: let go of it.
            self._finished = None
            del self.call
            self._waiting.discard(self)
            finished(call)
        else:
            self._waiting.look_at(self.expires)


class Waiting:
    """The tasks that wait for the calls of one client."""

    def __init__(self) -> None:
        self._waiters: set[_Watch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next_look = inf

    def join(self, member: Member) -> None:
        """Watch a call until it is done, and give it up when its time is over."""
        member.call.watch(member.changed)
        self._waiters.add(member)
        self.look_at(member.expires)

    def discard(self, member: Member) -> None:
        """Look at its deadline no more."""
        self._waiters.discard(member)

    async def until_done(self, call: Call) -> None:
        """Wait until a call is done, and give it up when its time is over."""
        waiter = _Waiter(self, call)
        call.watch(waiter.changed)
        self._waiters.add(waiter)
        self.look_at(waiter.expires)
        try:
            await waiter.future
        finally:
            self._waiters.discard(waiter)
            call.unwatch(waiter.changed)

    def look_at(self, when: float) -> None:
        """Look for calls whose time is over, at this time of the monotonic clock at the latest."""
        if when < self._next_look:
            self.stop()
            self._next_look = when
            delay = max(0.0, when - monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        self.stop()
        now = monotonic()
        earliest = inf
        for waiter in list(self._waiters):
            if not waiter.call.done:
                expires = waiter.expires
                if now >= expires:
                    waiter.call.expire(now)
                    if waiter.call.done:
                        continue
                    expires = waiter.expires
                earliest = min(earliest, expires)
        if earliest < inf:
            self.look_at(max(earliest, now + _GRAIN))

    def stop(self) -> None:
        """Look at no deadline any more, until somebody waits again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next_look = inf
