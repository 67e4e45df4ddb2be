"""Responses in the order in which they come, for asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from plait.client.waiting import Member, Waiting

if TYPE_CHECKING:
    from plait.client.async_client import AsyncPending

__all__ = ["AsyncCompletions"]


class AsyncCompletions:
    """Requests, each given back once, as soon as it is done: ``async for``, or call :meth:`wait`.

    What one costs does not depend on how many are on their way. More can be added at any time, and the
    iteration ends when none is left. Many tasks may take from one.

    Args:
        waiting: The tasks and deadlines of the client that the requests belong to.
        pendings: The first of them.
    """

    def __init__(self, waiting: Waiting, pendings: Iterable[AsyncPending]) -> None:
        self._waiting = waiting
        self._members: dict[AsyncPending, Member] = {}
        self._done: deque[AsyncPending] = deque()
        self._changed = asyncio.Event()
        for pending in pendings:
            self.add(pending)

    def add(self, pending: AsyncPending) -> None:
        """Wait for this request, too."""
        if pending in self._members:
            return
        if pending.done:
            self._done.append(pending)
            self._changed.set()
            return
        member = self._members[pending] = Member(self._waiting, pending, self._finished)
        self._waiting.join(member)

    async def wait(self, timeout: float | None = None) -> AsyncPending | None:
        """Return the next request that is done; awaiting it gives the response, or raises.

        Args:
            timeout: Seconds to wait; the requests go on after that, and can be waited for again.

        Returns:
            None when there is none in time, or none is left.
        """
        try:
            async with asyncio.timeout(timeout):
                while self._members and not self._done:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self._done.popleft() if self._done else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncPending:
        pending = await self.wait()
        if pending is None:
            raise StopAsyncIteration
        return pending

    def forget(self) -> None:
        """Wait for none of them any more; they go on."""
        while self._members:
            pending, member = self._members.popitem()
            pending.unwatch(member.changed)
            self._waiting.discard(member)
        self._changed.set()

    def _finished(self, pending: Any) -> None:
        del self._members[pending]
        self._done.append(pending)
        self._changed.set()
