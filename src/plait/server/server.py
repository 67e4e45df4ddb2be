"""Listens, accepts, keeps time, shuts down: one server in one process."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from plait.config import HttpVersions, ServerConfig
from plait.drivers.aio_server import ServerDriver
from plait.drivers.tls import server_context
from plait.errors import PlaitError
from plait.protocol.exchange import ServerExchange
from plait.protocol.negotiation import ALPN_H2, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.server.access_log import AccessLog
from plait.server.applications import make_gateway
from plait.server.endpoints import Listener, listeners
from plait.server.gateway import MakeGateway

__all__ = ["Bound", "Phase", "Server", "bind"]

logger = logging.getLogger("plait.server")

#: Seconds between looks at the deadlines, and for a peer to answer the close of TLS.
_TICK = 1.0
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(seconds: float) -> bytes:
    """Write a time as the ``date`` field has it (RFC 9110 §5.6.7).

    Args:
        seconds: Since the epoch.
    """
    t = time.gmtime(seconds)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    ).encode()


class Phase(Enum):
    """Where a server is in its life; health endpoints show it."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that is bound, and what TLS on it takes.

    Attributes:
        listener: Where it listens, with the port it really has.
        socket: The socket; several processes may accept from it.
        context: The context, made before workers are, so that they share the keys of session tickets.
    """

    listener: Listener
    socket: socket.socket
    context: ssl.SSLContext | None


def bind(config: ServerConfig) -> list[Bound]:
    """Make the sockets and TLS contexts that a configuration asks for; nothing is accepted yet.

    Raises:
        ConfigError: A certificate, key or address is wrong.
        PlaitError: The address is taken.
    """
    # All that the user can get wrong comes before the first socket.
    prepared = [(one, _context(one, config.http)) for one in listeners(config)]
    bound: list[Bound] = []
    try:
        for listener, context in prepared:
            bound.append(_bind(listener, context))
    except PlaitError:
        for one in bound:
            one.socket.close()
        raise
    return bound


def _context(listener: Listener, versions: HttpVersions) -> ssl.SSLContext | None:
    if listener.cert is None or listener.key is None:
        return None
    return server_context(listener.cert, listener.key, versions, chain=listener.chain)


def _bind(listener: Listener, context: ssl.SSLContext | None) -> Bound:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setblocking(False)
            if os.name == "posix":
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            # A port that is taken shows at the first of the two calls or at the second.
            made.listen(listener.backlog)
        except OSError:
            made.close()
            raise
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        # Resolvers number their errors from below zero.
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)
        where = f"{listener.host} port {listener.port}"
        raise PlaitError(f"cannot listen on {where}: {reason.lower()}") from error
    return Bound(replace(listener, port=made.getsockname()[1]), made, context)


class Server:
    """Serves one application in this process.

    Args:
        config: What, where and how.
        make: Makes the gateway of another kind of application than ``config.app`` can name.
        bound: What to listen with, when it was made beforehand for several processes.

    Attributes:
        limits: What is taken from each client.
        listening: The listeners with the ports they really have, once started.
        phase: Where the server is in its life.
        reopeners: Called by :meth:`reopen`; each opens a log file anew that was moved away.
        reloaders: Called by :meth:`reload`; each reads anew what may have changed, as certificates.
    """

    def __init__(
        self,
        config: ServerConfig,
        make: MakeGateway = make_gateway,
        bound: Sequence[Bound] | None = None,
    ) -> None:
        self.config = config
        self.limits = config.limits
        self.listening: list[Listener] = []
        self.phase = Phase.STARTING
        self.reopeners: list[Callable[[], None]] = []
        self.reloaders: list[Callable[[], None]] = []
        self._make_gateway = make
        self._bound = bound
        self._drivers: set[ServerDriver] = set()
        self._sockets: list[asyncio.Server] = []
        self._stop = asyncio.Event()
        self._give_up = asyncio.Event()
        self._all_closed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._log: AccessLog | None = None
        self._serving_loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, ready: Callable[[Server], None] | None = None) -> None:
        """Serve until :meth:`stop` is called, then let what is in flight finish.

        Args:
            ready: Called once connections are accepted.

        Raises:
            ConfigError: A certificate, key or address is wrong.
            PlaitError: The address is taken, or the application failed to start.
        """
        self._loop = self._serving_loop = asyncio.get_running_loop()
        # All that the user can get wrong comes before the application runs.
        if self._bound is None:
            self._bound = bind(self.config)
        try:
            await self._serve(self._bound, ready)
        finally:
            self.phase = Phase.STOPPED
            self._stop_listening()
            if self._log is not None:
                self._log.close()

    async def _serve(self, bound: Sequence[Bound], ready: Callable[[Server], None] | None) -> None:
        log = self._log = AccessLog(self.config, self._loop) if self.config.access_log else None
        if log is not None:
            self.reopeners.append(log.reopen)
        self._gateway = self._make_gateway(self.config, self._loop, log)
        if not await _unless(self._stop, self._gateway.start_up()):
            return
        try:
            timed = log is not None and log.timed
            self.start = self._start_timed if timed else self._gateway.start
            self._tick()
            for one in bound:
                await self._listen(one)
            if self.phase is Phase.STARTING:
                self.phase = Phase.SERVING
            if ready is not None:
                ready(self)
            await self._stop.wait()
            await self._drain()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await _unless(self._give_up, self._gateway.shut_down())

    def stop(self) -> None:
        """Begin to shut down; called again, give up on what is in flight. Any thread may call it."""
        if self._serving_loop is None:
            self._begin_to_stop()
            return
        try:
            self._serving_loop.call_soon_threadsafe(self._begin_to_stop)
        except RuntimeError:
            pass  # the loop is closed: the server has ended

    def _begin_to_stop(self) -> None:
        if self._stop.is_set():
            self._give_up.set()
        elif self.phase is not Phase.STOPPED:
            self.phase = Phase.DRAINING
        self._stop.set()

    def reopen(self) -> None:
        """Open the log files anew; call it in the server's own thread."""
        for reopen in self.reopeners:
            reopen()

    def reload(self) -> None:
        """Read anew what may have changed, as certificates; call it in the server's own thread.

        What cannot be read is logged, and the server goes on with what it had.
        """
        for reload in self.reloaders:
            try:
                reload()
            except PlaitError as error:
                logger.error("reload: %s", error)

    # -- listening -------------------------------------------------------------------------------

    async def _listen(self, bound: Bound) -> None:
        tls: dict[str, Any] = {}
        if bound.context is not None:
            tls = {
                "ssl": bound.context,
                "ssl_handshake_timeout": self.limits.handshake_timeout,
                "ssl_shutdown_timeout": _TICK,
            }
        server = await self._loop.create_server(
            lambda: ServerDriver(self._loop, self),
            sock=bound.socket.dup(),  # which the loop closes in its own way
            backlog=bound.listener.backlog,
            **tls,
        )
        self._sockets.append(server)
        self.listening.append(bound.listener)

    def _stop_listening(self) -> None:
        for server in self._sockets:
            server.close()
        for bound in self._bound or ():
            bound.socket.close()

    # -- what drivers ask (drivers.aio_server.Site) ------------------------------------------------------

    def opened(self, driver: ServerDriver) -> None:
        self._drivers.add(driver)

    def closed(self, driver: ServerDriver) -> None:
        self._drivers.discard(driver)
        if not self._drivers and self._stop.is_set():
            self._all_closed.set()

    def make_endpoint(self, protocol: str, scheme: str) -> ServerEndpoint | None:
        versions = self.config.http
        if protocol == ALPN_H2:
            if versions is HttpVersions.HTTP_1:
                protocol = "http/1.1"  # whose parser will say what it thinks of an HTTP/2 preface
        elif versions is HttpVersions.HTTP_2:
            return None
        connection = server_connection(protocol, self.limits, scheme, websockets=self.config.websockets)
        return ServerEndpoint(connection, self.limits, self._loop.time())

    def _start_timed(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        exchange.begun = time.perf_counter()
        self._gateway.start(exchange, driver)

    # -- time and the end ------------------------------------------------------------------------

    def _tick(self) -> None:
        self._gateway.date = http_date(time.time())
        now = self._loop.time()
        for driver in list(self._drivers):
            driver.expire(now)
        self._timer = self._loop.call_later(_TICK, self._tick)

    async def _drain(self) -> None:
        """Let exchanges in flight finish, for as long as the grace period."""
        self._stop_listening()
        if not self._drivers:
            return
        for driver in list(self._drivers):
            driver.shut_down()
        try:
            async with asyncio.timeout(self.config.grace):
                await _unless(self._give_up, self._all_closed.wait())
        except TimeoutError:
            logger.warning("connections still busy after the grace period: %d", len(self._drivers))
        self._gateway.cancel()
        for driver in list(self._drivers):
            driver.abort("the server stopped")


async def _unless(event: asyncio.Event, coroutine: Coroutine[Any, Any, object]) -> bool:
    """Run a coroutine to its end, unless the event comes first; return whether it ended."""
    task = asyncio.ensure_future(coroutine)
    interrupt = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((task, interrupt), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        return task.done()
    finally:
        task.cancel()
        interrupt.cancel()
