"""Many requests that a task waits for together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from plait.client.many import Arrivals, Feed, Unsent
from plait.client.waiting import Member, Waiting
from plait.errors import ClientClosed, ConfigError, Timeout

if TYPE_CHECKING:
    from plait.client.async_client import AsyncClient, AsyncPending
    from plait.client.async_streams import AsyncStreams
    from plait.client.many import Starter
    from plait.client.messages import Request, Response

__all__ = ["AsyncCompletions", "gather", "results"]


class AsyncCompletions:
    """Requests, each given back once, as soon as it is done: ``async for``, or call :meth:`wait`.

    What one costs does not depend on how many are on their way. More can be added at any time, and the
    iteration ends when none is left. Many tasks may take from one.

    Args:
        client: The client that the requests belong to.
        pendings: The first of them.
        timeout: Seconds from now after which iterating raises, None for never.
        ordered: Whether they are given back in the order in which they were added, instead.
    """

    def __init__(
        self,
        client: AsyncClient,
        pendings: Iterable[AsyncPending] = (),
        timeout: float | None = None,
        *,
        ordered: bool = False,
    ) -> None:
        self._client = client
        self._waiting: Waiting = client._waiting
        self._until = inf if timeout is None else monotonic() + timeout
        self._members: dict[AsyncPending, Member] = {}
        self._arrivals: Arrivals[Any] = Arrivals(ordered=ordered)
        self._ready = self._arrivals.ready
        self._changed = asyncio.Event()
        #: Whether there are more to come that nobody knows of yet.
        self._expects_more = False
        for pending in pendings:
            self.add(pending)

    def add(self, pending: AsyncPending) -> None:
        """Wait for this request, too.

        Raises:
            ConfigError: It is another client's.
        """
        if pending in self._members:
            return
        if not pending.done and pending._client is not self._client:
            raise ConfigError("these are requests of another client")
        self._arrivals.expect(pending)
        if pending.done:
            self._arrivals.came(pending)
            self._changed.set()
            return
        member = self._members[pending] = Member(self._waiting, pending, self._finished)
        self._waiting.join(member)

    def enter(self, one: AsyncPending | Unsent) -> None:
        """Wait for this, which may never have been sent."""
        if isinstance(one, Unsent):
            self._arrivals.expect(one)
            self._arrivals.came(one)
            self._changed.set()
        else:
            self.add(one)

    async def wait(self, timeout: float | None = None) -> AsyncPending | None:
        """Return the next request that is done; awaiting it gives the response, or raises.

        Args:
            timeout: Seconds to wait; the requests go on after that, and can be waited for again.

        Returns:
            None when there is none in time, or none is left.
        """
        if timeout is None:
            await self._until_ready()
        elif not self._ready:
            try:
                async with asyncio.timeout(timeout):
                    await self._until_ready()
            except TimeoutError:
                pass
        return self._ready.popleft() if self._ready else None

    async def _until_ready(self) -> None:
        while (self._members or self._expects_more) and not self._ready:
            self._changed.clear()
            await self._changed.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncPending:
        """Return the next request that is done.

        Raises:
            Timeout: The time for all of them is over; those that are left go on.
        """
        while True:
            now = monotonic() if self._until < inf else 0.0
            pending = await self.wait(None if self._until == inf else max(0.0, self._until - now))
            if pending is not None:
                return pending
            if not self._members:
                raise StopAsyncIteration
            if now >= self._until:
                raise Timeout(f"{len(self._members)} requests were not done in time")

    def expect_more_from(self, task: asyncio.Task[None]) -> None:
        """Wait until a task is done, too, although none may be left."""
        self._expects_more = True
        task.add_done_callback(self._expect_no_more)

    def _expect_no_more(self, task: asyncio.Task[None]) -> None:
        self._expects_more = False
        self._changed.set()

    def give_up(self) -> None:
        """Give up those that are not done."""
        while self._members:
            self._members.popitem()[0].give_up(ClientClosed("the request was cancelled"))

    def forget(self) -> None:
        """Wait for none of them any more; they go on."""
        while self._members:
            pending, member = self._members.popitem()
            pending.unwatch(member.changed)
            self._waiting.discard(member)
        self._changed.set()

    def _finished(self, pending: Any) -> None:
        if self._members.pop(pending, None) is not None:
            self._arrivals.came(pending)
            if self._ready or not self._members:
                self._changed.set()


async def results(
    client: AsyncClient,
    requests: Iterable[str | Request] | AsyncIterable[str | Request],
    starter: Starter[AsyncPending],
    window: int,
    *,
    ordered: bool,
    return_exceptions: bool,
    streams: AsyncStreams | None = None,
) -> AsyncGenerator[Any, None]:
    """Yield what comes of requests, of which so many are on their way; see ``AsyncClient.map``.

    Args:
        client: The client.
        requests: URLs and requests.
        starter: Starts them.
        window: How many may be on their way.
        ordered: Whether their order counts.
        return_exceptions: Whether errors are yielded.
        streams: What the starter starts them with where responses are streamed.
    """
    take = result_of if streams is None else streams.take
    completions = AsyncCompletions(client, ordered=ordered)
    feed = Feed(starter, completions.enter, window)
    has_room = asyncio.Event()
    pump: asyncio.Task[None] | None = None
    source = None if isinstance(requests, AsyncIterable) else iter(requests)
    try:
        if isinstance(requests, AsyncIterable):
            pump = client._spawn(_pump(requests, feed, has_room))
            completions.expect_more_from(pump)
        while True:
            if source is not None:
                feed.fill(source)
            pending = await completions.wait()
            if pending is None:
                break
            yield await outcome_of(pending, take) if return_exceptions else await take(pending)
            if streams is not None:
                await streams.leave(pending)
            feed.room += 1
            has_room.set()
        if pump is not None and pump.cancelled():
            raise ClientClosed("the client was closed")
        feed.end()
    finally:
        completions.give_up()
        if streams is not None:
            await streams.aclose()
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])


async def _pump(
    source: AsyncIterable[str | Request], feed: Feed[AsyncPending], has_room: asyncio.Event
) -> None:
    """Take requests from an asynchronous iterable while others are waited for."""
    try:
        async for what in source:
            feed.take(what)
            while not feed.room:
                has_room.clear()
                await has_room.wait()
    except Exception as error:
        feed.failure = error


async def gather(
    client: AsyncClient, requests: Iterable[Any], starter: Starter[AsyncPending], *, return_exceptions: bool
) -> list[Any]:
    """Return what comes of requests; see ``AsyncClient.gather``."""
    from plait.client.async_client import AsyncPending

    completions = AsyncCompletions(client)
    members: list[AsyncPending | Unsent] = []
    try:
        for one in requests:
            member = one if isinstance(one, AsyncPending) else starter.start(one)
            members.append(member)
            completions.enter(member)
        async for done in completions:
            if not return_exceptions:
                await done.result()
        return [
            await outcome_of(one, result_of) if return_exceptions else await one.result() for one in members
        ]
    finally:
        completions.give_up()


async def result_of(pending: AsyncPending) -> Response:
    """Return the response of a request that is done."""
    return await pending.result()


async def outcome_of(pending: AsyncPending | Unsent, take: Callable[[Any], Awaitable[Any]]) -> Any:
    """Return what a request that is done gives, or the error that it came to."""
    if pending.error is not None:
        return pending.error
    try:
        return await take(pending)
    except Exception as error:
        return error
