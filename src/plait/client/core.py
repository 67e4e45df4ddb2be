"""What both clients share: options, the pool, and what follows when something happens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import TYPE_CHECKING, Any, Unpack

from plait.client.calls import Call
from plait.client.goals import WHOLE
from plait.client.journal import Journal
from plait.client.making import RequestMaker
from plait.client.pool import Pool
from plait.client.routes import Routes, Verify
from plait.client.sites import Link
from plait.client.timeouts import TimeLimits, limits_of, longest
from plait.client.uploads import Upload
from plait.config import ClientConfig, HttpVersions, no_option
from plait.errors import ClientClosed, ConfigError, ConnectFailed, NoCommonProtocol, PlaitError, ProxyFailed
from plait.protocol.endpoint import ignore_output
from plait.urls import Origin

if TYPE_CHECKING:
    import ssl

    from plait.client.in_process import InProcess, Mounts
    from plait.client.messages import Request
    from plait.client.observing import Observation
    from plait.client.options import SessionOptions
    from plait.client.timeouts import Timeouts
    from plait.drivers.addresses import Address
    from plait.protocol.exchange import Exchange

__all__ = ["ClientCore"]

#: What a server does not speak that takes none of what is offered.
_OFFERED = {
    HttpVersions.AUTO: "HTTP/2 or HTTP/1.1",
    HttpVersions.HTTP_1: "HTTP/1.1",
    HttpVersions.HTTP_2: "HTTP/2",
}


class ClientCore:
    """What both clients share: options, the pool, and what follows when something happens.

    Args:
        base_url: The URL that relative ones continue, or None.
        verify: See :func:`plait.drivers.tls.client_context`.
        config: Options; ``options`` override them.
        options: Fields of :class:`~plait.config.ClientConfig`; ``http`` may be ``"auto"``, ``"1"`` or
            ``"2"``.
        clock: Tells the time, in seconds.
        timeout: Seconds that a request may take in all, or step by step; None for what the options say.
        transport: An application in this process that answers everything, or None.
        mounts: Applications in this process by origin, or None.
        session: What all requests have in common, see
            :class:`~plait.client.options.SessionOptions`.

    Attributes:
        config: The options.
        maker: Makes requests.
        pool: The connections.
        routes: The way to each origin.
        limits: How long requests may take that say nothing themselves.
        own_limits: Whether any request has said something itself.
        spreads: Whether requests may be spread over several HTTP/2 connections to one origin.
        clock: Tells the time, in seconds.
        mounts: Applications in this process, or None.
        tick: Seconds between two calls of :meth:`look`, at most.
        due: When to call it, whatever else happens, for the sake of connections that are in use.
        journal: Every connection so far.
        needs_connection: Called with an origin that may want another connection.
        needs_content: Called with a call whose request's content comes from an iterable.
        needs_owner: Called with a call that has a chore.
        new_call: Makes a call for a whole response.
        lock: What covers calls and connections.
        needs_pause: Called with a call that is to ``wake`` later; whoever waits for one sees to that, too.
        closed: Whether the client was closed.

    Raises:
        ConfigError: An option is wrong.
        LocalProtocolError: The base URL is no http or https URL.
    """

    def __init__(
        self,
        base_url: str | None,
        verify: Verify,
        config: ClientConfig | None,
        options: dict[str, Any],
        clock: Callable[[], float],
        *,
        timeout: float | Timeouts | None = None,
        transport: InProcess | None = None,
        mounts: Mapping[str, InProcess] | None = None,
        **session: Unpack[SessionOptions],
    ) -> None:
        if isinstance(http := options.get("http"), str):
            try:
                options["http"] = HttpVersions(http)
            except ValueError:
                raise ConfigError(f'http must be "auto", "1" or "2", not {http!r}') from None
        for name in options:
            if name not in ClientConfig.__slots__:
                raise no_option(name, ClientConfig.__slots__)
        if config is None:
            config = ClientConfig(**options)
        elif options:
            config = dataclasses.replace(config, **options)
        self.config = config
        self.limits = limits_of(config) if timeout is None else limits_of(config).but(timeout)
        self.own_limits = False
        self.maker = RequestMaker(base_url, config, **session)
        self.pool = self._make_pool()
        self.spreads = config.h2_connections > 1
        self.clock = clock
        self.mounts: Mounts | None = None
        if transport is not None or mounts is not None:
            from plait.client.in_process import Mounts

            self.mounts = Mounts(transport, mounts)
        self.tick = min(1.0, config.keep_alive / 2)
        self.due = inf
        if config.ping_interval is not None:
            self.tick = min(self.tick, config.ping_interval / 2, config.ping_timeout / 2)
            self.due = clock() + self.tick
        self.journal = Journal()
        self.closed = False
        self.needs_connection: Callable[[Origin], None] = lambda origin: None
        self.needs_content: Callable[[Call, Upload], None] = lambda call, upload: None
        self.needs_owner: Callable[[Call], None] = lambda call: None
        self.needs_pause: Callable[[Call], None] = lambda call: None
        self.new_call: Callable[[Request], Call] = lambda request: Call(self, request, WHOLE)
        self.lock: AbstractContextManager[Any] = nullcontext()
        self._observation: Observation | None = None
        # Imports take milliseconds: before there is a connection, so that no exchange waits for them.
        if config.trace is not None or config.measure:
            from plait.client.observing import Observation

            self._observation = Observation(config, clock)
        self._next_look = 0.0
        self.routes = Routes(config, verify, self._observation)

    def _make_pool(self) -> Pool:
        config = self.config
        return Pool(
            max_connections=config.max_connections,
            h2_connections=config.h2_connections,
            max_h2_connections=config.max_h2_connections,
            ping_interval=config.ping_interval or inf,
            ping_timeout=config.ping_timeout,
            http=config.http,
            keep_alive=config.keep_alive,
        )

    def forked(self) -> None:
        """Begin without connections, in the child of a fork; what was on its way is the parent's."""
        pool, self.pool = self.pool, self._make_pool()
        self.journal = Journal()
        reason = "the process was forked, and its connections are the parent's"
        self.closed = True  # so that none of it is sent again
        for ticket in pool.clear():
            ticket.refused(ConnectFailed(reason))
        for link in pool.links:
            link.endpoint.on_output = ignore_output
            link.endpoint.connection_lost(reason)
        self.closed = False

    def limits_to_connect(self, origin: Origin) -> TimeLimits:
        """Return how long connecting to an origin may take: as long as any who waits for it has patience."""
        waiting = [ticket.limits for ticket in self.pool.queued(origin)] if self.own_limits else []
        return longest(waiting) if waiting else self.limits

    def opened(self, link: Link, tls: ssl.SSLObject | None = None, address: str = "") -> None:
        """Take note of a new connection, and use it.

        Args:
            link: The connection.
            tls: Its TLS, if it has any.
            address: The address to which it leads.
        """
        if self.config.coalesce and tls is not None:
            from plait.client.coalescing import prove

            link.authority = prove(tls, address)
        if link.endpoint.pushes is not None:
            from plait.client.pushed import Home

            link.endpoint.pushes.home = Home(self, link)
        self.journal.begin(link)
        if self._observation is not None:
            self._observation.opened(link, tls)
        self.pool.opened(link)
        self.share_out(link.origin)
        self.needs_connection(link.origin)

    def failed(self, origin: Origin, error: PlaitError) -> None:
        """Take note that a connection could not be opened."""
        if isinstance(error, NoCommonProtocol):
            offered = self.config.http if origin == origin.web else HttpVersions.HTTP_1
            error = NoCommonProtocol(f"{origin.web} does not speak {_OFFERED[offered]}")
        elif type(error) is ConnectFailed:
            proxy = self.routes.proxy_for(origin)
            if proxy is not None and not self.routes.tunnels(origin, proxy):
                error = ProxyFailed(f"no way through the proxy {proxy}: {error}")
        if self._observation is not None:
            self._observation.failed(origin, error)
        for ticket in self.pool.failed(origin, error):
            ticket.refused(error)
        self.share_out(origin)  # what was to wait for this connection

    def ended(self, link: Link) -> None:
        """Take note that a connection is gone."""
        self.journal.end(link)
        if self._observation is not None:
            self._observation.closed(link)

    def ping(self) -> None:
        """Ask the peers whether they are there of which the pool wants to know."""
        to_ping, self.pool.to_ping = self.pool.to_ping, []
        for link in to_ping:
            link.endpoint.connection.measure()
            link.endpoint.on_output()

    def try_share(self, origin: Origin, addresses: Sequence[Address] | None) -> bool:
        """Let an origin's requests go over a connection to another, if it was asked for and is right.

        Args:
            origin: The origin, which has no connection.
            addresses: Those of its host, None when it has not been looked up.
        """
        if not self.config.coalesce or self.routes.has_proxies:
            return False
        hosts = None if addresses is None else [one[4][0] for one in addresses]
        link = self.pool.sharable(origin, hosts)
        if link is None:
            return False
        check = self.config.check_certificate
        if check is not None:
            try:
                if not check(origin.host, link.authority.chain):  # type: ignore[union-attr]
                    return False
            except Exception:
                return False  # a connection of its own will say so
        self.pool.share(origin, link)
        self.share_out(origin)
        return True

    def leave(self, origin: Origin, exchange: Exchange) -> bool:
        """Send no further request to an origin over the connection of an exchange.

        Returns:
            Whether there was such a connection.
        """
        for link in self.pool.links_to(origin):
            if link.endpoint is exchange.endpoint:
                if link.origin == origin:
                    link.endpoint.shut_down()
                else:
                    self.pool.unshare(origin, link)
                return True
        return False

    def share_out(self, origin: Origin) -> None:
        """Send the requests that any connection to an origin has room for now."""
        for link in self.pool.links_to(origin):
            self._grant(link)

    def settle(self, link: Link) -> None:
        """Do what follows after anything happened on a connection."""
        if self.pool.settle(link, self.clock()):
            link.endpoint.terminate()
        self._assign(link)

    def _assign(self, link: Link) -> None:
        """Send the requests that a connection has room for now; see to further connections."""
        self._grant(link)
        self.needs_connection(link.origin)
        for alias in link.aliases:
            self.needs_connection(alias)

    def _grant(self, link: Link) -> None:
        while tickets := self.pool.assign(link):
            for ticket in tickets:
                ticket.granted(link)

    def look(self) -> None:
        """End connections that have been idle for too long, or whose peers are gone without a word."""
        now = self.clock()
        self._next_look = now + self.tick
        for link in self.pool.expired(now):
            link.endpoint.terminate()
        if self.due < inf:
            self.due = self._next_look
            for link in self.pool.look(now):
                link.endpoint.connection_lost("the server did not answer a PING")
                link.endpoint.on_output()
                self.settle(link)
            self.ping()

    def close(self) -> None:
        """End every request, and every connection."""
        self.closed = True
        for ticket in self.pool.clear():
            ticket.refused(ClientClosed("the client was closed"))
        for link in self.pool.links:
            for exchange in list(link.endpoint.exchanges.values()):
                exchange.abandon()
                exchange.error = ClientClosed("the client was closed")
                if exchange.on_progress is not None:
                    exchange.on_progress()
            link.endpoint.terminate()

    def begin(self, call: Call) -> None:
        """Start a call.

        Raises:
            ClientClosed: The client was closed.
        """
        if self.closed:
            raise ClientClosed("the client was closed")
        if call.touched >= self._next_look:
            self.look()
        call.start()
