"""Many requests that a thread waits for together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from plait.client.many import Arrivals, Feed, Unsent
from plait.errors import ClientClosed, ConfigError, Timeout

if TYPE_CHECKING:
    from plait.client.many import Starter
    from plait.client.messages import Request, Response
    from plait.client.sync_client import Client, Pending
    from plait.client.sync_streams import Streams

__all__ = ["Completions", "gather", "results"]

#: Seconds that requests may be unwritten while nobody waits: more would cost a server's time.
_SOON = 0.001

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
        timeout: Seconds from now after which iterating raises, None for never.
        ordered: Whether they are given back in the order in which they were added, instead.
    """

    def __init__(
        self,
        client: Client,
        pendings: Iterable[Pending] = (),
        timeout: float | None = None,
        *,
        ordered: bool = False,
    ) -> None:
        self._client = client
        self._until = inf if timeout is None else monotonic() + timeout
        self._members: dict[Pending, _Member] = {}
        self._arrivals: Arrivals[Any] = Arrivals(ordered=ordered)
        self._ready = self._arrivals.ready
        limits = client._core.limits
        #: Seconds for which nothing is over that has just begun or gone on, where the client's limits hold.
        self._shortest = min(limits.pool, limits.write, limits.read, limits.total)
        self._to_do: deque[Pending] = deque()
        self._sleeping: list[Callable[[], None]] = []
        #: When the time of one of them may be over.
        self._next_look = inf
        for pending in pendings:
            self.add(pending)

    def add(self, pending: Pending) -> None:
        """Wait for this request, too.

        Raises:
            ConfigError: It is another client's.
        """
        with self._client._driver.lock:
            if pending in self._members:
                return
            if not pending.done and pending._client is not self._client:
                raise ConfigError("these are requests of another client")
            self._arrivals.expect(pending)
            if pending.done:
                self._arrivals.came(pending)
                return
            member = self._members[pending] = _Member(self, pending)
            pending.watch(member.changed)
            self._changed(pending)

    def enter(self, one: Pending | Unsent) -> None:
        """Wait for this, which may never have been sent."""
        if isinstance(one, Unsent):
            with self._client._driver.lock:
                self._arrivals.expect(one)
                self._arrivals.came(one)
        else:
            self.add(one)

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
                while self._members and not self._ready:
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
            except Exception:
                raise
            except BaseException:
                driver.interrupted()
                raise
            finally:
                driver.hand_over()
            return self._ready.popleft() if self._ready else None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Pending:
        """Return the next request that is done.

        Raises:
            Timeout: The time for all of them is over; those that are left go on.
        """
        while True:
            now = monotonic() if self._until < inf else 0.0
            pending = self.wait(None if self._until == inf else max(0.0, self._until - now))
            if pending is not None:
                return pending
            if not self._members:
                raise StopIteration
            if now >= self._until:
                raise Timeout(f"{len(self._members)} requests were not done in time")

    def forget(self) -> None:
        """Wait for none of them any more; they go on."""
        with self._client._driver.lock:
            while self._members:
                pending, member = self._members.popitem()
                pending.unwatch(member.changed)

    def give_up(self) -> None:
        """Give up those that are not done; this never waits, and finalizers may call it."""
        if self._members:
            self._client._driver.do_soon(self._cancel)

    # -- under the driver's lock -----------------------------------------------------------------

    def _cancel(self) -> None:
        while self._members:
            self._members.popitem()[0].give_up(ClientClosed("the request was cancelled"))

    def _changed(self, pending: Pending) -> None:
        if pending.done:
            if self._members.pop(pending, None) is not None:
                self._arrivals.came(pending)
        elif pending.wants_owner:
            self._to_do.append(pending)
        else:
            soonest = (
                0.0 if pending.resumes or self._client._core.own_limits else pending.touched + self._shortest
            )
            if soonest < self._next_look:
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
        # The last: what was written may have told that a connection is gone, and another is wanted.
        return bool(self._ready or self._to_do or self._client._opener.waiting)

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


def results(
    client: Client,
    requests: Iterable[str | Request],
    starter: Starter[Pending],
    window: int,
    *,
    ordered: bool,
    return_exceptions: bool,
    streams: Streams | None = None,
) -> Generator[Any, None, None]:
    """Yield what comes of requests, of which so many are on their way; see ``Client.map``.

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
    completions = Completions(client, ordered=ordered)
    driver = client._driver
    ready = completions._ready
    feed = Feed(starter, completions.enter, window)
    source = iter(requests)
    written = monotonic()
    try:
        while True:
            feed.fill(source)
            if (now := monotonic()) - max(written, driver.now) > _SOON:
                written = now
                with driver.lock:
                    driver.flush()
            if ready:
                pending = ready.popleft()
            elif (pending := completions.wait()) is None:
                break
            yield outcome_of(pending, take) if return_exceptions else take(pending)
            if streams is not None:
                streams.leave(pending)
            feed.room += 1
        feed.end()
    finally:
        completions.give_up()
        if streams is not None:
            streams.abandon()


def gather(
    client: Client, requests: Iterable[Any], starter: Starter[Pending], *, return_exceptions: bool
) -> list[Any]:
    """Return what comes of requests; see ``Client.gather``."""
    from plait.client.sync_client import Pending

    completions = Completions(client)
    members: list[Pending | Unsent] = []
    try:
        for one in requests:
            member = one if isinstance(one, Pending) else starter.start(one)
            members.append(member)
            completions.enter(member)
        for done in completions:
            if not return_exceptions:
                done.result()
        return [outcome_of(one, result_of) if return_exceptions else one.result() for one in members]
    finally:
        completions.give_up()


def result_of(pending: Pending) -> Response:
    """Return the response of a request that is done."""
    return pending.result()


def outcome_of(pending: Pending | Unsent, take: Callable[[Any], Any]) -> Any:
    """Return what a request that is done gives, or the error that it came to."""
    if pending.error is not None:
        return pending.error
    try:
        return take(pending)
    except Exception as error:
        return error
