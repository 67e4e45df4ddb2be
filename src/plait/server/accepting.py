"""Takes connections off the listening sockets: as many as there may be, and as descriptors last.

The loops' own servers cannot be held back, and start TLS before anything else can be read. So the
sockets are watched here, and connections handed to the loop one by one: one for each turn of it, so that
workers with a socket in common share what comes.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any

from plait.drivers.aio_server import ServerDriver, Site, address_of
from plait.errors import RemoteProtocolError
from plait.server.figures import CountingDriver, Figures
from plait.server.listening import Bound
from plait.server.proxy_protocol import read_header
from plait.server.trust import Trust
from plait.server_config import Limits

__all__ = ["Acceptor"]

logger = logging.getLogger("plait.server")

#: The client's and this end's place, host and port.
Places = tuple[tuple[str, int] | None, tuple[str, int] | None]

#: Seconds for a peer to answer the close of TLS.
_TLS_CLOSE = 1.0
#: Seconds without accepting when the system has no more to give, and between two complaints about it.
_BREATHER, _COMPLAINT = 1.0, 60.0
#: What came to nothing before it was accepted (accept(2)): the next one may be well.
_GONE = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ECONNABORTED, errno.EPROTO, errno.EPERM)


class Acceptor:
    """Accepts connections and makes their drivers.

    Args:
        loop: The running loop.
        site: What drivers ask.
        limits: How many connections there may be, and the time for their beginning.
        proxies: Who connects, and says by the PROXY protocol for whom; None where clients connect.
        on_idle: Called whenever the last connection has ended.

    Attributes:
        open: Connections accepted that have not ended.
        figures: What counts their bytes and their failures, or None.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        site: Site,
        limits: Limits,
        proxies: Trust | None,
        on_idle: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._site = site
        self._limits = limits
        self._proxies = proxies
        self._on_idle = on_idle
        self.figures: Figures | None = None
        self._listening: Sequence[Bound] = ()
        self._watching = False
        self._breather: asyncio.TimerHandle | None = None
        self._complained = -_COMPLAINT
        self._arriving: set[asyncio.Task[Any]] = set()
        self.open = 0

    def start(self, listening: Sequence[Bound]) -> None:
        """Accept connections from now on.

        Args:
            listening: Where from.

        Raises:
            PlaitError: Another program took an address in the meantime.
        """
        for one in listening:
            one.start()
            for each in one.sockets:
                each.setblocking(False)
        self._listening = listening
        self._watch()

    def stop(self) -> None:
        """Accept no more, and close the sockets; who has been accepted already comes in."""
        listening, self._listening = self._listening, ()
        if self._watching:
            self._unwatch(listening)
        if self._breather is not None:
            self._breather.cancel()
        for one in listening:
            one.close()

    def abort(self) -> None:
        """Drop connections that are still at their handshake."""
        for task in list(self._arriving):
            task.cancel()

    def admit(self, places: Places) -> ServerDriver:
        """Make the driver of a connection that comes another way than through a socket.

        Args:
            places: The client's and this end's place.
        """
        self.open += 1
        return self._make_driver(places)

    def _make_driver(self, places: Places | None) -> ServerDriver:
        if self.figures is None:
            return ServerDriver(self._loop, self._site, places)
        return CountingDriver(self._loop, self._site, places, self.figures.counts)

    def ended(self) -> None:
        """Take note that a connection has ended."""
        self.open -= 1
        if not self._watching:
            if self._breather is not None:
                self._breather.cancel()
                self._breather = None
            # Its descriptor is free after this turn of the loop.
            self._loop.call_soon(self._watch)
        if self.open == 0:
            self._on_idle()

    # -- the sockets -----------------------------------------------------------------------------

    def _watch(self) -> None:
        if not self._watching and self._breather is None and self.open < self._limits.max_connections:
            self._watching = bool(self._listening)
            for one in self._listening:
                for each in one.sockets:
                    self._loop.add_reader(each, self._accept, one, each)

    def _unwatch(self, listening: Sequence[Bound]) -> None:
        self._watching = False
        for one in listening:
            for each in one.sockets:
                self._loop.remove_reader(each)

    def _accept(self, bound: Bound, source: socket.socket) -> None:
        try:
            connection, name = source.accept()
        except OSError as error:
            if error.errno not in _GONE:
                self._pause(error)
            return
        connection.setblocking(False)
        self.open += 1
        if self.open >= self._limits.max_connections:
            self._unwatch(self._listening)
        task = self._loop.create_task(self._welcome(connection, name, bound))
        self._arriving.add(task)

    def _pause(self, error: OSError) -> None:
        """Leave connections where they are for a moment: the system has no descriptor or memory left."""
        self._unwatch(self._listening)
        self._breather = self._loop.call_later(_BREATHER, self._resume)
        now = self._loop.time()
        if now - self._complained >= _COMPLAINT:
            self._complained = now
            reason = (error.strerror or str(error)).lower()
            logger.error("cannot accept connections: %s; %d are open, others wait", reason, self.open)

    def _resume(self) -> None:
        self._breather = None
        self._watch()

    # -- one connection --------------------------------------------------------------------------

    async def _welcome(self, connection: socket.socket, name: Any, bound: Bound) -> None:
        """Bring one connection to where its driver takes over."""
        driver: ServerDriver | None = None
        peer = address_of(name)
        try:
            places = None
            if self._proxies is not None:
                if peer not in self._proxies:
                    raise RemoteProtocolError("only trusted proxies may connect")
                async with asyncio.timeout(self._limits.handshake_timeout):
                    places = await read_header(self._loop, connection)
            made = driver = self._make_driver(places)
            options: dict[str, Any] = {}
            if bound.tls is not None:
                options = {
                    "ssl": bound.tls.context,
                    "ssl_handshake_timeout": self._limits.handshake_timeout,
                    "ssl_shutdown_timeout": _TLS_CLOSE,
                }
            await self._loop.connect_accepted_socket(lambda: made, connection, **options)
        except (OSError, RemoteProtocolError, asyncio.CancelledError) as error:
            who = "a Unix socket" if peer is None else "{} port {}".format(*peer)
            logger.debug("no connection with %s: %s", who, error or "it was dropped")
            shaking = bound.tls is not None and driver is not None and isinstance(error, OSError)
            if shaking and self.figures is not None:
                self.figures.handshake_failed()
        finally:
            arrived = asyncio.current_task()
            assert arrived is not None
            self._arriving.discard(arrived)
            if driver is None or driver.transport is None:
                connection.close()
                self.ended()
