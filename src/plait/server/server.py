"""Listens, accepts, keeps time, shuts down: one server in one process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, cast

from plait.config import HttpVersions
from plait.drivers.aio_server import ServerDriver
from plait.errors import PlaitError
from plait.protocol.negotiation import ALPN_H2, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.protocol.server_exchange import ServerExchange
from plait.server.accepting import Acceptor, Places
from plait.server.access_log import AccessLog
from plait.server.applications import make_gateway
from plait.server.figures import Figures
from plait.server.forwarded import caller
from plait.server.gateway import MakeGateway
from plait.server.listening import Bound, bind
from plait.server.memory import Memory
from plait.server.metrics import Metrics, MetricsApp
from plait.server.phase import Phase
from plait.server.process import keep_read_buffers
from plait.server.trust import Trust
from plait.server_config import ServerConfig

__all__ = ["Phase", "Server"]

logger = logging.getLogger("plait.server")

#: Seconds between looks at the deadlines.
_TICK = 1.0
# Python 3.11 looks up members of an enum slowly, and these are looked at for every connection.
_AUTO, _HTTP_1, _HTTP_2 = HttpVersions.AUTO, HttpVersions.HTTP_1, HttpVersions.HTTP_2
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


class Server:
    """Serves one application in this process.

    Args:
        config: What, where and how.
        make: Makes the gateway of another kind of application than ``config.app`` can name.
        bound: What :func:`plait.server.listening.bind` has made beforehand, for several processes.
        metrics: What they answer for figures and health with, made beforehand as well.

    Attributes:
        limits: What is taken from each client.
        listening: What the server listens with, once started.
        phase: Where the server is in its life.
        reopeners: Called by :meth:`reopen`; each opens a log file anew that was moved away.
        reloaders: Called by :meth:`reload`; each reads anew what may have changed, as certificates.
    """

    def __init__(
        self,
        config: ServerConfig,
        make: MakeGateway = make_gateway,
        bound: Sequence[Bound] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.config = config
        self.limits = config.limits
        self.listening: Sequence[Bound] = ()
        self._alt_svc = config.alt_svc.encode()
        self._origins = [origin.encode() for origin in config.origin]
        self._phase = Phase.STARTING
        self._figures: Figures | None = None
        self.reopeners: list[Callable[[], None]] = []
        self.reloaders: list[Callable[[], None]] = []
        self._make_gateway = make
        self._bound = bound
        self._metrics = metrics
        self._beside: tuple[Server, asyncio.Task[None]] | None = None
        self._drivers: set[ServerDriver] = set()
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
            RuntimeError: It has served already; make another one.
        """
        if self._serving_loop is not None:
            raise RuntimeError("a Server serves once; make another one")
        self._loop = self._serving_loop = asyncio.get_running_loop()
        # All that the user can get wrong comes before the application runs.
        self._trust = Trust(self.config.trust)
        self.listening = bind(self.config) if self._bound is None else self._bound
        proxies = self._trust if self.config.proxy_protocol else None
        self._acceptor = Acceptor(self._loop, self, self.limits, proxies, self._idle)
        self._stores = [bound.tls for bound in self.listening if bound.tls is not None]
        self.reloaders += [store.reload for store in self._stores]
        if self._stores:
            keep_read_buffers()
        try:
            await self._serve(ready)
        finally:
            self.phase = Phase.STOPPED
            self._acceptor.stop()
            for bound in self.listening:
                bound.close()
            if self._log is not None:
                self._log.close()
            if self._metrics is not None:
                await self._end_counting(self._metrics)

    async def _serve(self, ready: Callable[[Server], None] | None) -> None:
        if self.config.metrics:
            await self._begin_to_count()
        log = self._log = AccessLog(self.config, self._loop) if self.config.access_log else None
        if log is not None:
            self.reopeners.append(log.reopen)
        if self._figures is not None:
            self._figures.log = log
        self._gateway = self._make_gateway(self.config, self._loop, self._figures or log)
        if not await _unless(self._stop, self._gateway.start_up()):
            return
        try:
            timed = self._figures is not None or (log is not None and log.timed)
            self.start = self._start_timed if timed else self._gateway.start
            if self.config.trust:
                self._start_believed, self.start = self.start, self._start_for_proxy
            self._memory = Memory(self._loop, self.limits.max_buffered, self._drivers, self._note_memory)
            self._tick()
            self._acceptor.start(self.listening)
            if self.phase is Phase.STARTING:
                self.phase = Phase.SERVING
            if ready is not None:
                ready(self)
            await self._stop.wait()
            await self._drain()
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._memory.stop()
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
            return
        self._stop.set()
        if self.phase is Phase.SERVING:
            self._acceptor.stop()
            # Each once: the second call is the second step of the end.
            for driver in list(self._drivers):
                driver.shut_down()
        if self.phase is not Phase.STOPPED:
            self.phase = Phase.DRAINING

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

    def admit(self, places: Places) -> ServerDriver:
        """Make the driver of a connection in memory, while the server serves.

        Args:
            places: The client's and this end's place.
        """
        return self._acceptor.admit(places)

    # -- what drivers ask (drivers.aio_server.Site) ------------------------------------------------------

    def opened(self, driver: ServerDriver) -> None:
        self._drivers.add(driver)
        if self._stop.is_set():
            # It was accepted before, and has come through its handshake now.
            self._loop.call_soon(driver.shut_down)

    def closed(self, driver: ServerDriver) -> None:
        self._drivers.discard(driver)
        self._acceptor.ended()

    def _idle(self) -> None:
        if self._stop.is_set():
            self._all_closed.set()

    def make_endpoint(self, protocol: str, scheme: str) -> ServerEndpoint | None:
        versions = self.config.http
        if protocol == ALPN_H2:
            if versions is _HTTP_1:
                protocol = "http/1.1"  # whose parser will say what it thinks of an HTTP/2 preface
        elif versions is _HTTP_2:
            return None
        config = self.config
        connection = server_connection(
            protocol,
            self.limits,
            scheme,
            websockets=config.websockets and self._gateway.websockets,
            # Nor behind a proxy: one that hands an Upgrade on that it does not know would hand on after that
            # whatever its client sends, and what it sends in the proxy's name is believed.
            upgrades=scheme == "http" and versions is _AUTO and not config.trust,
            alt_svc=self._alt_svc,
            # RFC 8336 §2.1: it means nothing where nobody proved who answers.
            origins=self._origins if scheme == "https" else (),
        )
        endpoint = ServerEndpoint(connection, self.limits, self._loop.time())
        if self._figures is not None:
            self._figures.connected(connection.http_version)
            if connection.http_version == "2":
                endpoint.on_reset = self._figures.reset
        return endpoint

    # -- figures ---------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._phase = phase
        if self._figures is not None:
            self._figures.enter(phase)

    async def _begin_to_count(self) -> None:
        """Begin to count, and to answer for it and for this server's health on a listener beside.

        Raises:
            PlaitError: The listener's address is taken.
        """
        if self._metrics is None:
            self._metrics = Metrics(self.config)
        metrics = self._metrics
        self._figures = self._acceptor.figures = Figures(metrics.board)
        app = MetricsApp(metrics.board, self._observe)
        beside = Server(replace(metrics.config, app=app), bound=metrics.listening)
        answers = asyncio.Event()
        answering = self._loop.create_task(beside.serve(lambda _: answers.set()))
        self._beside = beside, answering
        answering.add_done_callback(lambda _: answers.set())
        await answers.wait()
        if answering.done():
            await answering

    async def _end_counting(self, metrics: Metrics) -> None:
        if self._beside is not None:
            beside, answering = self._beside
            beside.stop()
            await answering
        self._figures = None
        metrics.close()

    def _observe(self) -> None:
        if self._figures is not None:
            running = 0 if self._phase is Phase.STARTING else self._gateway.running
            self._figures.observe(self._drivers, running)

    def _start_timed(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        exchange.begun = time.perf_counter()
        self._gateway.start(exchange, driver)

    def _start_for_proxy(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        """Start a request for whom a proxy that is trusted says it is."""
        said = caller(exchange, driver, self._trust) if driver.client in self._trust else None
        # A caller has everything that a gateway asks of a driver.
        self._start_believed(exchange, driver if said is None else cast(ServerDriver, said))

    def _note_memory(self, full: bool) -> None:
        """Refuse requests while too much is in memory, and cost them nothing otherwise."""
        if full:
            self._start_with_room, self.start = self.start, self._refuse
        else:
            self.start = self._start_with_room

    def _refuse(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        exchange.begun = time.perf_counter()
        self._gateway.refuse(exchange, driver)

    # -- time and the end ------------------------------------------------------------------------

    def _tick(self) -> None:
        self._gateway.date = http_date(time.time())
        now = self._loop.time()
        for driver in list(self._drivers):
            driver.expire(now)
        for store in self._stores:
            store.refresh(now)
        self._memory.look()
        self._observe()
        self._timer = self._loop.call_later(_TICK, self._tick)

    async def _drain(self) -> None:
        """Let exchanges in flight finish, for as long as the grace period."""
        if not self._acceptor.open:
            return
        try:
            async with asyncio.timeout(self.config.grace):
                await _unless(self._give_up, self._all_closed.wait())
        except TimeoutError:
            logger.warning("connections still busy after the grace period: %d", self._acceptor.open)
        self._gateway.cancel()
        self._acceptor.abort()
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
