"""Which connection takes which request: pure logic, facts in, decisions out; no I/O, no clock.

Rules:

1. Requests to one origin are served in the order they came, and first of all those that had their
   turn before and were not processed.
2. Until the first connection to an origin has said which HTTP it speaks, there is that one only: no
   herd of connections at the start. Where it is known before, nothing waits for that.
3. HTTP/2: ``h2_connections``, one unless somebody asks for more; another is opened when one takes no
   further request for good. They are opened together, and requests are spread: the least busy takes the
   next, and while some are still being opened no other takes more than its share. Where requests wait
   because the peer allows no more streams on any of them, one more is opened, up to
   ``max_h2_connections``; a limit of this side's own makes them wait and no more.
   HTTP/1.1: up to ``max_connections``, as many as there are requests, each with one exchange at a time.
4. Connections to one origin may serve another (RFC 9113 §9.1.1), if somebody asks for that: those that
   :meth:`Pool.sharable` names.
5. A connection that was silent for ``ping_interval`` takes no request before it answered a PING.
6. A connection that has become a tunnel is nobody else's any more (:meth:`Pool.take_out`).
7. Whoever tells the pool a fact (:meth:`Pool.opened`, :meth:`Pool.failed`, :meth:`Pool.settle`) then
   asks for what follows from it: :meth:`Pool.assign` and :meth:`Pool.wanted`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf

from plait.client.sites import Link, Site, Ticket
from plait.config import HttpVersions
from plait.errors import PlaitError
from plait.urls import Origin

__all__ = ["Pool"]


class Pool:
    """All connections of a client, and all requests that wait for one.

    Args:
        max_connections: HTTP/1.1 connections to one origin.
        h2_connections: HTTP/2 connections to one origin.
        max_h2_connections: How many there may be where the peer's limit of streams is reached.
        ping_interval: Seconds of silence after which a peer is asked whether it is there.
        ping_timeout: Seconds that it has for its answer.
        http: The versions of HTTP that are offered.
        keep_alive: Seconds an idle connection is kept.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        keep_alive: float,
        h2_connections: int = 1,
        max_h2_connections: int = 1,
        ping_interval: float = inf,
        ping_timeout: float = inf,
        http: HttpVersions = HttpVersions.AUTO,
    ) -> None:
        self._max_connections = max_connections
        self._h2_connections = h2_connections
        self._max_h2_connections = max(h2_connections, max_h2_connections)
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._http = http
        self._keep_alive = keep_alive
        self._sites: dict[Origin, Site] = {}
        self._tunnels: list[Link] = []
        #: Connections to send a PING on; whoever does empties it.
        self.to_ping: list[Link] = []

    def ask(self, origin: Origin, ticket: Ticket, again: bool = False, now: float = 0.0) -> Link | None:
        """Return a connection that has room now, or queue the request.

        Args:
            origin: Where it goes.
            ticket: The request.
            again: Whether it had its turn once, and was not processed.
            now: The time; it counts with ``ping_interval`` only.
        """
        site = self._sites.get(origin)
        if site is None:
            multiplexed = self._foreseen(origin)
            site = self._sites[origin] = Site(self._limit(multiplexed), self._most(multiplexed), multiplexed)
        if self._ping_interval < inf:
            for link in site.links:
                self._doubt(link, now)
        if not site.queue and not site.returned:
            if site.spreads:
                least_busy = site.least_busy()
                if least_busy is not None:
                    least_busy.idle_since = None
                    return least_busy
            else:
                for link in reversed(site.links):
                    if link.endpoint.capacity > 0 and link.pinged is None:
                        link.idle_since = None
                        return link
        (site.returned if again else site.queue)[ticket] = None
        return None

    def idle_links(self, origin: Origin) -> Sequence[Link]:
        """Return the connections to an origin without an open exchange."""
        site = self._sites.get(origin)
        if site is not None:
            for link in site.links:
                if link.idle_since is not None:
                    return [link for link in site.links if link.idle_since is not None]
        return ()

    def withdraw(self, origin: Origin, ticket: Ticket) -> None:
        """Forget a request that waits no longer."""
        site = self._sites.get(origin)
        if site is not None:
            for queue in (site.returned, site.queue):
                queue.pop(ticket, None)

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
        tickets = self._take(self._sites.get(link.origin), link)
        for alias in link.aliases:
            if not tickets:
                tickets = self._take(self._sites.get(alias), link)
        return tickets

    def _take(self, site: Site | None, link: Link) -> list[Ticket]:
        tickets: list[Ticket] = []
        if site is not None and (site.queue or site.returned):
            room = link.room
            if site.spreads:
                room = min(room, site.share() - len(link.endpoint.exchanges))
            while room > 0 and (queue := site.returned or site.queue):
                link.idle_since = None
                tickets.append(queue.popitem(last=False)[0])
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
            full = site.most > want
            for link in site.links:
                connection = link.endpoint.connection
                if not connection.closing:
                    want -= 1
                    if full and not (connection.limited_by_peer and link.endpoint.capacity <= 0):
                        full = False
            if want <= 0:
                # As many as there are to be, and the peer takes no more on any of them.
                more = full and site.waiting > 0 and not site.opening
                return int(more and site.limit - want < site.most)
            if not site.share():
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

    def _most(self, multiplexed: bool | None) -> int:
        return self._max_h2_connections if multiplexed else self._max_connections

    def opening(self, origin: Origin) -> None:
        """Take note that a connection is being opened; it ends in ``opened`` or ``failed``."""
        self._sites[origin].opening += 1

    def opened(self, link: Link) -> None:
        """Take note of a new connection."""
        site = self._sites[link.origin]
        site.opening -= 1
        site.multiplexed = link.endpoint.connection.http_version == "2"
        site.limit = self._limit(site.multiplexed)
        site.most = self._most(site.multiplexed)
        if site.multiplexed:
            # A server has one limit for all. Until this connection's SETTINGS are here, no more requests go
            # over it than went over the one before: those beyond would be refused.
            connection = link.endpoint.connection
            if site.links:
                site.stream_limit = site.links[0].endpoint.connection.stream_limit
            if site.stream_limit is not None:
                connection.stream_limit = min(site.stream_limit, connection.stream_limit)
        site.links.append(link)

    def sharable(self, origin: Origin, addresses: Collection[str] | None) -> Link | None:
        """Return another origin's connection that an origin's requests may go over.

        Its certificate must be good for the origin's host (RFC 9113 §9.1.1). An origin that the peer names
        in an ORIGIN frame needs nothing more (RFC 8336 §2.4), one that it leaves out there is not its own;
        otherwise the host must have the address that the connection leads to.

        Args:
            origin: The origin, which has no connection yet.
            addresses: Those of its host, None when it has not been looked up.
        """
        site = self._sites.get(origin)
        if origin.scheme != "https" or (site is not None and (site.links or site.unshared)):
            return None
        for link in self.links:
            authority = link.authority
            if (
                authority is None
                or link.origin.port != origin.port
                or link.origin.scheme != "https"
                or link.endpoint.connection.closing
                or not authority.covers(origin.host)
            ):
                continue
            named = link.endpoint.origins
            if named is None:
                if addresses is not None and authority.is_at(addresses):
                    return link
            elif str(origin).removesuffix(":443").encode() in named or str(origin).encode() in named:
                return link
        return None

    def share(self, origin: Origin, link: Link) -> None:
        """Let an origin's requests go over a connection to another, instead of one being opened."""
        site = self._sites.get(origin)
        if site is None:
            site = self._sites[origin] = Site(0, 0, True)
        if site.opening:
            site.opening -= 1
        site.multiplexed = True
        site.limit = self._limit(True)
        site.most = self._most(True)
        site.links.append(link)
        link.aliases.append(origin)

    def unshare(self, origin: Origin, link: Link) -> None:
        """Let them go over it no more, nor over any other that is not the origin's own."""
        link.aliases.remove(origin)
        site = self._sites[origin]
        site.links.remove(link)
        site.unshared = True

    def failed(self, origin: Origin, error: PlaitError) -> list[Ticket]:
        """Take note that a connection could not be opened; return the requests that end with that."""
        site = self._sites[origin]
        site.opening -= 1
        # One of HTTP/1.1 that closes leaves room for the next; one of HTTP/2 may go on for as long as its
        # last response does.
        waited_for = site.usable if site.multiplexed else site.links
        if waited_for:
            # The server takes no more connections than these: let the queue wait for them.
            site.most = len(waited_for)
            site.limit = min(site.limit, site.most)
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
            for origin in (link.origin, *link.aliases):
                self._remove(origin, link)
            if link in self._tunnels:
                self._tunnels.remove(link)
            return False
        if link.pinged is not None and endpoint.pings_answered:
            self._answered(link, now)
        if endpoint.exchanges and not (endpoint.pushes and endpoint.pushes.are_all(endpoint.exchanges)):
            link.idle_since = None
            return False
        if link.idle_since is None:
            link.idle_since = now
        return endpoint.connection.closing

    def take_out(self, link: Link) -> None:
        """Take out a connection that has become a tunnel: another may take its place."""
        self._remove(link.origin, link)
        self._tunnels.append(link)

    def _remove(self, origin: Origin, link: Link) -> None:
        site = self._sites.get(origin)
        if site is not None and link in site.links:
            site.links.remove(link)
            site.stream_limit = link.endpoint.connection.stream_limit
            site.limit = self._limit(site.multiplexed)
            site.most = self._most(site.multiplexed)
            if not (site.links or site.opening or site.queue or site.returned or site.unshared):
                del self._sites[origin]

    # -- whether a peer is still there -----------------------------------------------------------

    def _doubt(self, link: Link, now: float) -> None:
        """Want to know of a peer whether it is there, if it has been silent for too long."""
        if link.pinged is None and link.endpoint.connection.http_version == "2":
            heard = link.alive if link.idle_since is None else max(link.alive, link.idle_since)
            if now - heard >= self._ping_interval:
                link.pinged = now
                link.endpoint.pings_answered = 0
                self.to_ping.append(link)

    def _answered(self, link: Link, now: float) -> None:
        link.pinged = None
        link.alive = now

    def look(self, now: float) -> list[Link]:
        """Look which peers have been silent, with the bytes that their transports counted.

        Returns:
            The connections whose peers did not answer in time: they are lost.
        """
        lost = []
        for link in self.links:
            received = link.transport.bytes_received
            if received != link.received:
                link.received = received
                if link.pinged is not None or link.idle_since is None:
                    self._answered(link, now)
            elif link.pinged is not None:
                if now - link.pinged >= self._ping_timeout:
                    lost.append(link)
            elif link.idle_since is None:
                self._doubt(link, now)
        return lost

    def expired(self, now: float) -> list[Link]:
        """Return the connections that have been idle for too long."""
        return [
            link
            for origin, site in self._sites.items()
            for link in site.links
            if link.idle_since is not None
            and now - link.idle_since >= self._keep_alive
            and link.origin == origin
        ]

    def links_to(self, origin: Origin) -> list[Link]:
        """Return every open connection to an origin."""
        site = self._sites.get(origin)
        return list(site.links) if site is not None else []

    @property
    def links(self) -> list[Link]:
        """Every open connection."""
        own = [link for origin, site in self._sites.items() for link in site.links if link.origin == origin]
        return own + self._tunnels

    def clear(self) -> list[Ticket]:
        """Empty every queue, and return what was in them."""
        tickets = [ticket for site in self._sites.values() for ticket in [*site.returned, *site.queue]]
        for site in self._sites.values():
            site.returned.clear()
            site.queue.clear()
        return tickets
