"""Which connection takes which request: pure logic, facts in, decisions out; no I/O, no clock.

Rules:

1. Requests to one origin are served in the order they came, and first of all those that had their
   turn before and were not processed.
2. Until the first connection to an origin has said which HTTP it speaks, there is that one only: no
   herd of connections at the start.
3. HTTP/2: one connection; another is opened when the first takes no further request for good.
   HTTP/1.1: up to ``max_connections``, each with one exchange at a time.
4. Whoever tells the pool a fact (:meth:`Pool.opened`, :meth:`Pool.failed`, :meth:`Pool.settle`) then
   asks for what follows from it: :meth:`Pool.assign` and :meth:`Pool.wanted`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from plait.errors import PlaitError
from plait.protocol.endpoint import ClientEndpoint
from plait.urls import Origin

__all__ = ["Link", "Pool", "Ticket"]


class Ticket(Protocol):
    """What waits in the queue for a connection."""

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

    def __init__(self, limit: int) -> None:
        self.links: list[Link] = []
        self.returned: deque[Ticket] = deque()
        self.queue: deque[Ticket] = deque()
        self.opening = 0
        self.multiplexed: bool | None = None  # until the first connection tells
        self.limit = limit


class Pool:
    """All connections of a client, and all requests that wait for one.

    Args:
        max_connections: HTTP/1.1 connections to one origin.
        keep_alive: Seconds an idle connection is kept.
    """

    def __init__(self, *, max_connections: int, keep_alive: float) -> None:
        self._max_connections = max_connections
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
            site = self._sites[origin] = _Site(self._max_connections)
        if not site.queue and not site.returned:
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

    def assign(self, link: Link) -> list[Ticket]:
        """Take requests off the queue, as many as a connection has room for; ask again after their use.

        A connection is asked for whenever something happened on it, and so no room is overlooked.
        """
        site = self._sites.get(link.origin)
        tickets: list[Ticket] = []
        if site is not None and (site.queue or site.returned):
            room = link.endpoint.capacity
            while room > 0 and (queue := site.returned or site.queue):
                link.idle_since = None
                tickets.append(queue.popleft())
                room -= 1
        return tickets

    def wanted(self, origin: Origin) -> int:
        """Return how many connections to begin opening now; say :meth:`opening` for each."""
        site = self._sites.get(origin)
        if site is None or not (site.queue or site.returned):
            return 0
        if site.multiplexed is None:
            want = 1
        elif site.multiplexed:
            for link in site.links:
                if not link.endpoint.connection.closing:
                    return 0
            want = 1
        else:
            want = min(len(site.queue) + len(site.returned), site.limit - len(site.links))
        return max(0, want - site.opening)

    def opening(self, origin: Origin) -> None:
        """Take note that a connection is being opened; it ends in ``opened`` or ``failed``."""
        self._sites[origin].opening += 1

    def opened(self, link: Link) -> None:
        """Take note of a new connection."""
        site = self._sites[link.origin]
        site.opening -= 1
        site.multiplexed = link.endpoint.connection.http_version == "2"
        site.limit = self._max_connections
        site.links.append(link)

    def failed(self, origin: Origin, error: PlaitError) -> list[Ticket]:
        """Take note that a connection could not be opened; return the requests that end with that."""
        site = self._sites[origin]
        site.opening -= 1
        if site.links:
            # The server takes no more connections than these: let the queue wait for them.
            site.limit = len(site.links)
            return []
        if site.opening:
            return []
        del self._sites[origin]
        return [*site.returned, *site.queue]

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
                site.limit = self._max_connections
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
