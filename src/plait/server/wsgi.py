"""Runs a WSGI application (PEP 3333) in a bounded number of threads."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from typing import TYPE_CHECKING

from plait.protocol.server_exchange import ServerExchange
from plait.server.application_gateway import ApplicationGateway
from plait.server.gateway import Log
from plait.server.interfaces import WsgiApplication
from plait.server.wsgi_call import WsgiCall
from plait.server_config import ServerConfig

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["WsgiGateway"]

logger = logging.getLogger("plait.server")


class WsgiGateway(ApplicationGateway):
    """All of one WSGI application's requests; see :class:`plait.server.gateway.Gateway`.

    A request waits for a thread without holding up anything else; what waits counts as running.

    Args:
        app: The application.
        config: Its options.
        loop: The running loop.
        log: Called with each finished exchange and its driver, or None.

    Attributes:
        app: The application.
        multiprocess: Whether other processes serve the same application.
        multithread: Whether other threads do.
    """

    __slots__ = ("_calls", "_grace", "_one_ended", "_threads", "app", "multiprocess", "multithread")

    def __init__(
        self, app: WsgiApplication, config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None
    ) -> None:
        super().__init__(config, loop, log)
        self.app = app
        self.multithread = config.threads > 1
        self.multiprocess = config.workers > 1
        self._threads = _Threads(config.threads)
        self._calls: set[WsgiCall] = set()
        self._one_ended = asyncio.Event()
        self._grace = config.grace

    @property
    def running(self) -> int:
        return len(self._calls)

    async def start_up(self) -> None:
        """Nothing to do: WSGI knows no start."""

    async def shut_down(self) -> None:
        # As long as the requests had, whatever they took of it: responses are through, iterators may
        # still have to be closed.
        try:
            async with asyncio.timeout(self._grace or 1.0):
                while self._calls:
                    self._one_ended.clear()
                    await self._one_ended.wait()
        except TimeoutError:
            logger.warning("calls of the application that go on after the end: %d", len(self._calls))
        self._threads.stop()

    def cancel(self) -> None:
        for call in list(self._calls):
            call.lose()

    def start(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        """Call the application for a request that arrived."""
        if exchange.request.method == b"CONNECT":
            exchange.request.refusal = (501, "this application opens no tunnels")
        if exchange.request.refusal is not None or len(self._calls) >= self.max_concurrency:
            self.refuse(exchange, driver)
            return
        call = WsgiCall(self, exchange, driver)
        self._calls.add(call)
        if self.app_timeout:
            call.timer = self.loop.call_later(self.app_timeout, self._time_out, call)
        self._threads.submit(call.run)

    def ended(self, call: WsgiCall) -> None:
        """Take note that a thread is done with a call."""
        self._calls.discard(call)
        self.finish(call)
        self._one_ended.set()

    def _time_out(self, call: WsgiCall) -> None:
        self.time_out(call)
        call.lose()


class _Threads:
    """Threads that do one job after another, as many as are needed at once, up to a number.

    They are daemons, other than those of ``concurrent.futures``: an application that hangs must not keep
    a process alive whose grace period is over.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._count = 0
        #: Threads that wait for a job nobody has submitted; too many once all threads exist, which does not
        #: matter then.
        self._idle = 0

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job done; it must not raise."""
        with self._lock:
            spawn = self._idle == 0 and self._count < self._most
            if spawn:
                self._count += 1
            elif self._idle:
                self._idle -= 1
        self._jobs.put(job)
        if spawn:
            try:
                threading.Thread(target=self._work, name="plait-wsgi", daemon=True).start()
            except RuntimeError as error:
                # The job waits for a thread that exists, or for the next attempt.
                logger.error("no thread can be started: %s", error)
                with self._lock:
                    self._count -= 1

    def stop(self) -> None:
        """Let the threads end when they are done with their jobs."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            # A context of its own: nothing one request sets is there for the next.
            Context().run(job)
            with self._lock:
                self._idle += 1
