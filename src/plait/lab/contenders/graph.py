"""Which resources are known at which time: pure, and told the time."""

from __future__ import annotations

from heapq import heappop, heappush

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Graph"]


class Graph:
    """The resources of a workload, each of which becomes known once.

    Args:
        parents: For each resource the one that makes it known, by its index; None for those known from
            the beginning.
        delays: For each resource the seconds from then until it is asked for.

    Attributes:
        known: When each resource became known, for those that did.
        unfinished: How many are not complete.
        unknown: How many :meth:`due` has not returned.
    """

    def __init__(self, parents: Sequence[int | None], delays: Sequence[float]) -> None:
        self._children: dict[int | None, list[int]] = {}
        for index, parent in enumerate(parents):
            self._children.setdefault(parent, []).append(index)
        self._delays = delays
        self.known = [0.0] * len(parents)
        self.unfinished = self.unknown = len(parents)
        self._fresh: list[int] = []
        self._later: list[tuple[float, int]] = []

    def begin(self, now: float) -> None:
        """Make known what has no parent."""
        self._reveal(None, now)

    def complete(self, index: int, now: float) -> None:
        """Take note that a resource is complete, and make known what follows from it."""
        self.unfinished -= 1
        if index in self._children:
            self._reveal(index, now)

    def _reveal(self, parent: int | None, now: float) -> None:
        for index in self._children.get(parent, ()):
            due = self.known[index] = now + self._delays[index]
            if due > now:
                heappush(self._later, (due, index))
            else:
                self._fresh.append(index)

    def due(self, now: float) -> list[int]:
        """Return the resources that became known since the last call, in the order they did."""
        found, self._fresh = self._fresh, []
        if self._later and self._later[0][0] <= now:
            while self._later and self._later[0][0] <= now:
                found.append(heappop(self._later)[1])
            found.sort(key=lambda index: (self.known[index], index))
        self.unknown -= len(found)
        return found

    @property
    def next_due(self) -> float | None:
        """When the next resource becomes known if nothing else is complete by then; None for never."""
        return self._later[0][0] if self._later else None
