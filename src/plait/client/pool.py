"""Which connection takes which request: pure logic, facts in, decisions out; no I/O, no clock.

Rules:

1. Requests to one origin are served in the order they came, and first of all those that had their
   turn before and were not processed.
2. Until the first connection to an origin has said which HTTP it speaks, there is that one only: no
   herd of connections at the start. Where it is known before, nothing waits for that.
3. HTTP/2: ``h2_connections``, one unless somebody asks for more; another is opened when one takes no
   further request for good, and never because the peer's limit of streams is reached: the rest waits.
   They are opened together, and requests are spread: the least busy takes the next, and while some
   are still being opened no other takes more than its share.
   HTTP/1.1: up to ``max_connections``, as many as there are requests, each with one exchange at a time.
4. Whoever tells the pool a fact (:meth:`Pool.opened`, :meth:`Pool.failed`, :meth:`Pool.settle`) then
   asks for what follows from it: :meth:`Pool.assign` and :meth:`Pool.wanted`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from plait.config import HttpVersions
from plait.errors import PlaitError
from plait.protocol.endpoint import ClientEndpoint
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.client.timeouts import TimeLimits

__all__ = ["Link", "Pool", "Ticket"]


class Ticket(Protocol):
    """What waits in the queue for a connection."""

    limits: TimeLimits

    def granted(self, link: Link) -> None:
        """Go on, on this connection."""

    def refused(self, error: PlaitError) -> None:
        """End: there will be no connection."""


class Link:
    """One connection, as the pool sees it.

    Attributes:
        origin: Where it leads.
        endpoint: The connection's owner.
        transport: What moves its bytes; the pool never looks inside.
        number: Counts the connections of a client, from 1; 0 until it is counted.
        exchanges: Requests sent on it so far.
        idle_since: When its last exchange ended, None while one is open.
    """

    __slots__ = ("endpoint", "exchanges", "idle_since", "number", "origin", "transport")

    def __init__(self, origin: Origin, endpoint: ClientEndpoint, transport: Any, now: float) -> None:
        self.origin = origin
        self.endpoint = endpoint
        self.transport = transport
        self.number = 0
        self.exchanges = 0
        self.idle_since: float | None = now


class _Site:
    """One origin: its connections, and the requests that wait for one."""

    __slots__ = ("limit", "links", "multiplexed", "opening", "queue", "returned")

    def __init__(self, limit: int, multiplexed: bool | None) -> None:
        self.links: list[Link] = []
        self.returned: deque[Ticket] = deque()
        self.queue: deque[Ticket] = deque()
        self.opening = 0
        self.multiplexed = multiplexed  # None until the first connection tells
        self.limit = limit

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self.queue) + len(self.returned)

    @property
    def spreads(self) -> bool:
        """Whether requests are spread over several connections that each take many."""
        return self.limit > 1 and self.multiplexed is True

    @property
    def usable(self) -> list[Link]:
        """The connections that take further requests, now or later."""
        return [link for link in self.links if not link.endpoint.connection.closing]

    def share(self, more: int = 0) -> int:
        """Return how many of all requests, and so many more, one connection takes of its own."""
        under_way = sum(len(link.endpoint.exchanges) for link in self.usable)
        return -(-(self.waiting + under_way + more) // self.limit)

    def least_busy(self) -> Link | None:
        """Return the connection that takes the next request, None while it has to wait."""
        with_room = [link for link in self.links if link.endpoint.capacity > 0]
        if not with_room:
            return None
        link = min(with_room, key=lambda link: len(link.endpoint.exchanges))
        return None if self.opening and len(link.endpoint.exchanges) >= self.share(1) else link


class Pool:
    """All connections of a client, and all requests that wait for one.

    Args:
        max_connections: HTTP/1.1 connections to one origin.
        h2_connections: HTTP/2 connections to one origin.
        http: The versions of HTTP that are offered.
        keep_alive: Seconds an idle connection is kept.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        keep_alive: float,
        h2_connections: int = 1,
        http: HttpVersions = HttpVersions.AUTO,
    ) -> None:
        self._max_connections = max_connections
        self._h2_connections = h2_connections
        self._http = http
        self._keep_alive = keep_alive
        self._sites: dict[Origin, _Site] = {}

    def ask(self, origin: Origin, ticket: Ticket, again: bool = False) -> Link | None:
        """Return a connection that has room now, or queue the request.

        Args:
            origin: Where it goes.
            ticket: The request.
            again: Whether it had its turn once, and was not processed.
        """
        site = self._sites.get(origin)
        if site is None:
            multiplexed = self._foreseen(origin)
            site = self._sites[origin] = _Site(self._limit(multiplexed), multiplexed)
        if not site.queue and not site.returned:
            if site.spreads:
                least_busy = site.least_busy()
                if least_busy is not None:
                    least_busy.idle_since = None
                    return least_busy
            else:
                for link in reversed(site.links):
                    if link.endpoint.capacity > 0:
                        link.idle_since = None
                        return link
        (site.returned if again else site.queue).append(ticket)
        return None

    def idle_links(self, origin: Origin) -> list[Link]:
        """Return the connections to an origin without an open exchange."""
        site = self._sites.get(origin)
        return [link for link in site.links if link.idle_since is not None] if site else []

    def withdraw(self, origin: Origin, ticket: Ticket) -> None:
        """Forget a request that waits no longer."""
        site = self._sites.get(origin)
        if site is not None:
            for queue in (site.returned, site.queue):
                if ticket in queue:
                    queue.remove(ticket)

    def waiting(self, origin: Origin) -> int:
        """Return how many requests wait for a connection to an origin."""
        site = self._sites.get(origin)
        return site.waiting if site is not None else 0

    def queued(self, origin: Origin) -> list[Ticket]:
        """Return the requests that wait for a connection to an origin."""
        site = self._sites.get(origin)
        return [*site.returned, *site.queue] if site is not None else []

    def connected(self, origin: Origin) -> bool:
        """Whether there is a connection to an origin."""
        site = self._sites.get(origin)
        return site is not None and bool(site.links)

    def assign(self, link: Link) -> list[Ticket]:
        """Take requests off the queue, as many as a connection has room for; ask again after their use.

        A connection is asked for whenever something happened on it, and so no room is overlooked.
        """
        site = self._sites.get(link.origin)
        tickets: list[Ticket] = []
        if site is not None and (site.queue or site.returned):
            room = link.endpoint.capacity
            if site.spreads:
                room = min(room, site.share() - len(link.endpoint.exchanges))
            while room > 0 and (queue := site.returned or site.queue):
                link.idle_since = None
                tickets.append(queue.popleft())
                room -= 1
        return tickets

    def wanted(self, origin: Origin) -> int:
        """Return how many connections to begin opening now; say :meth:`opening` for each."""
        site = self._sites.get(origin)
        if site is None or not (site.queue or site.returned or site.spreads):
            return 0
        if site.multiplexed is None:
            want = 1
        elif site.multiplexed:
            want = site.limit
            for link in site.links:
                if not link.endpoint.connection.closing:
                    want -= 1
            if not want or not site.share():
                return 0
        else:
            want = min(site.waiting, site.limit - len(site.links))
        return max(0, want - site.opening)

    def _foreseen(self, origin: Origin) -> bool | None:
        """Whether connections to an origin will be HTTP/2, None when only they can tell."""
        if self._http is HttpVersions.AUTO:
            return None if origin.scheme == "https" else False
        return self._http is HttpVersions.HTTP_2

    def _limit(self, multiplexed: bool | None) -> int:
        return self._h2_connections if multiplexed else self._max_connections

    def opening(self, origin: Origin) -> None:
        """Take note that a connection is being opened; it ends in ``opened`` or ``failed``."""
        self._sites[origin].opening += 1

    def opened(self, link: Link) -> None:
        """Take note of a new connection."""
        site = self._sites[link.origin]
        site.opening -= 1
        site.multiplexed = link.endpoint.connection.http_version == "2"
        site.limit = self._limit(site.multiplexed)
        site.links.append(link)

    def failed(self, origin: Origin, error: PlaitError) -> list[Ticket]:
        """Take note that a connection could not be opened; return the requests that end with that."""
        site = self._sites[origin]
        site.opening -= 1
        # One of HTTP/1.1 that closes leaves room for the next; one of HTTP/2 may go on for as long as its
        # last response does.
        waited_for = site.usable if site.multiplexed else site.links
        if waited_for:
            # The server takes no more connections than these: let the queue wait for them.
            site.limit = len(waited_for)
            return []
        if site.opening:
            return []
        tickets = [*site.returned, *site.queue]
        if site.links:
            site.returned.clear()
            site.queue.clear()
        else:
            del self._sites[origin]
        return tickets

    def settle(self, link: Link, now: float) -> bool:
        """Look at a connection after something happened on it.

        Returns:
            Whether to end it: it is of no further use, and nobody uses it.
        """
        endpoint = link.endpoint
        if endpoint.closed:
            site = self._sites.get(link.origin)
            if site is not None and link in site.links:
                site.links.remove(link)
                site.limit = self._limit(site.multiplexed)
                if not (site.links or site.opening or site.queue or site.returned):
                    del self._sites[link.origin]
            return False
        if endpoint.exchanges:
            link.idle_since = None
            return False
        if link.idle_since is None:
            link.idle_since = now
        return endpoint.connection.closing

    def expired(self, now: float) -> list[Link]:
        """Return the connections that have been idle for too long."""
        return [
            link
            for site in self._sites.values()
            for link in site.links
            if link.idle_since is not None and now - link.idle_since >= self._keep_alive
        ]

    def links_to(self, origin: Origin) -> list[Link]:
        """Return every open connection to an origin."""
        site = self._sites.get(origin)
        return list(site.links) if site is not None else []

    @property
    def links(self) -> list[Link]:
        """Every open connection."""
        return [link for site in self._sites.values() for link in site.links]

    def clear(self) -> list[Ticket]:
        """Empty every queue, and return what was in them."""
        tickets = [ticket for site in self._sites.values() for ticket in [*site.returned, *site.queue]]
        for site in self._sites.values():
            site.returned.clear()
            site.queue.clear()
        return tickets
