"""Has something looked at when it is due, on a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Protocol

__all__ = ["Alarm"]


class Watched(Protocol):
    """Something that has to be looked at now and then."""

    @property
    def due(self) -> float:
        """When; ``inf`` for never."""

    def look(self, now: float) -> None:
        """Do what is due."""


class Alarm:
    """Looks at something when it is due.

    Whoever makes that earlier, or never, calls :meth:`set`; that it is later shows by itself.

    Args:
        loop: The loop.
        watched: What to look at.
        clock: Tells the time by which it is due; by default the loop's.
    """

    __slots__ = ("_clock", "_loop", "_timer", "_watched", "_when")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, watched: Watched, clock: Callable[[], float] | None = None
    ) -> None:
        self._loop = loop
        self._clock = clock or loop.time
        self._watched = watched
        self._timer: asyncio.TimerHandle | None = None
        self._when = inf

    def set(self) -> None:
        """Look when it is due, as it is now."""
        due = self._watched.due
        if self._timer is not None:
            if self._when <= due < inf:
                return
            self._timer.cancel()
            self._timer = None
        if due < inf:
            self._when = due
            self._timer = self._loop.call_later(max(0.0, due - self._clock()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        # A loop may be early, by what its clock cannot tell apart.
        self._watched.look(max(self._clock(), self._when))
        self.set()
