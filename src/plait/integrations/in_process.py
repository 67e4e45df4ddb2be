"""Applications reached without sockets: plait's client and plait's server, end to end in one process.

A request goes the whole way, through both ends of HTTP/2 (or HTTP/1.1), and only the bytes between them
stay in memory: what holds here holds over a network.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

from plait.config import HttpVersions
from plait.drivers.memory import MemoryTransport, Relay, join
from plait.errors import ClientClosed, ConnectTimeout, PlaitError
from plait.server.application_gateway import ApplicationGateway
from plait.server.applications import find_application
from plait.server.asgi import AsgiGateway
from plait.server.embedding import configure
from plait.server.interfaces import interface_of
from plait.server.server import Server
from plait.server.wsgi import WsgiGateway
from plait.server_config import Interface
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver
    from plait.drivers.blocking import BlockingDriver
    from plait.protocol.server_exchange import ServerExchange
    from plait.server.gateway import Gateway, Log
    from plait.server_config import ServerConfig

__all__ = ["AppTransport"]

#: Who the application thinks asks.
_CLIENT = ("127.0.0.1", 1)


class AppTransport:
    """An ASGI or WSGI application, for clients in its own process: ``Client(transport=AppTransport(app))``.

    It is started, with its lifespan, when it is first connected to, and stopped when the client closes:
    give each client one of its own. For a :class:`~plait.Client` it runs in a thread of its own, for an
    :class:`~plait.AsyncClient` on the client's loop.

    Args:
        app: The application, or the name of one as ``"module:app"``.
        raise_app_errors: Whether what the application raises is raised by the client; otherwise it is
            answered with 500, as over a network.
        options: As of :func:`plait.serve`, where they make sense without sockets: ``http``,
            ``root_path``, ``interface``, limits and so on.

    Raises:
        ConfigError: An option is wrong.
    """

    def __init__(self, app: Any, *, raise_app_errors: bool = True, **options: Any) -> None:
        self._config = configure(app, **{"access_log": False, "insecure": True, "grace": 1.0, **options})
        self.protocol = None if self._config.http is HttpVersions.HTTP_1 else "h2"
        self._raises = raise_app_errors
        self._server: Server | None = None
        self._ready: asyncio.Future[None]
        self._serving: asyncio.Task[None] | None = None
        #: Both ends of each connection: the server's driver, and the client's.
        self._connections: list[tuple[ServerDriver, Any]] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    # -- for clients on a loop -------------------------------------------------------------------

    async def connect(self, origin: Origin, protocol: asyncio.Protocol) -> None:
        """Connect a client; see :class:`plait.client.in_process.InProcess`."""
        server = await self._started()
        driver = server.admit((_CLIENT, (origin.host, origin.port)))
        driver.scheme = origin.web.scheme
        self._connections = [one for one in self._connections if not one[0].transport.is_closing()]
        join(asyncio.get_running_loop(), driver, protocol)
        self._connections.append((driver, protocol))

    async def _started(self) -> Server:
        """Return the server, with its application ready."""
        if self._serving is None:
            loop = asyncio.get_running_loop()
            self._ready = loop.create_future()
            self._server = Server(self._config, self._make_gateway, bound=())
            self._serving = loop.create_task(self._server.serve(self._note_ready))
        elif self._serving.get_loop() is not asyncio.get_running_loop():
            raise ClientClosed("an AppTransport belongs to the event loop in which it was first used")
        await asyncio.wait([self._ready, self._serving], return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            await self._serving  # raises what kept it from starting
            raise ClientClosed("the application has ended")
        assert self._server is not None
        return self._server

    def _note_ready(self, server: Server) -> None:
        self._ready.set_result(None)

    async def aclose(self) -> None:
        """Stop the application."""
        if self._server is not None and self._serving is not None:
            self._server.stop()
            try:
                await self._serving
            except PlaitError:
                pass  # who tried to connect was told

    # -- for threads that wait -------------------------------------------------------------------

    def start(self, seconds: float) -> None:
        """Start the application in a thread; see :class:`plait.client.in_process.InProcess`."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="plait-app", daemon=True
                )
                self._thread.start()
        self._call(self._started(), seconds)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.get_loop().run_forever()

    def _call(self, work: Coroutine[Any, Any, Any], seconds: float = inf) -> Any:
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise ClientClosed("the application has ended")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(None if seconds == inf else seconds)
        except TimeoutError:
            future.cancel()
            raise ConnectTimeout("the application did not start in time") from None

    def connect_blocking(
        self,
        origin: Origin,
        driver: BlockingDriver,
        on_open: Callable[[MemoryTransport], None],
        on_failed: Callable[[PlaitError], None],
    ) -> None:
        """Connect threads that wait; see :class:`plait.client.in_process.InProcess`."""

        async def connect() -> None:
            transport = MemoryTransport(driver)
            relay = Relay(transport)
            await self.connect(origin, relay)
            with driver.lock:
                transport.open(relay)
                on_open(transport)
                driver.flush()

        try:
            self._call(connect())
        except PlaitError as error:
            with driver.lock:
                on_failed(error)

    def close(self) -> None:
        """Stop the application, and its thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            self._call(self.aclose())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    # -- the application -------------------------------------------------------------------------

    def _make_gateway(
        self, config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None
    ) -> Gateway:
        app, name = find_application(config)
        interface = config.interface
        if interface is Interface.AUTO:
            interface = interface_of(app, name)
        make = _TellingWsgi if interface is Interface.WSGI else _TellingAsgi
        gateway = make(app, config, loop, log)
        gateway.tell = self._tell if self._raises else None
        return gateway

    def _tell(self, exchange: ServerExchange, error: BaseException) -> None:
        """Let the client raise what the application did."""
        if isinstance(error, Exception):
            for driver, client in self._connections:
                if driver.endpoint is exchange.endpoint:
                    client.fail(exchange.stream_id, error)


class _Telling(ApplicationGateway):
    """Tells of an application's exceptions instead of logging them."""

    __slots__ = ()

    tell: Callable[[ServerExchange, BaseException], None] | None

    def note_failure(self, exchange: ServerExchange, error: BaseException) -> None:
        if self.tell is None:
            super().note_failure(exchange, error)
        else:
            self.tell(exchange, error)


class _TellingAsgi(_Telling, AsgiGateway):
    __slots__ = ("tell",)


class _TellingWsgi(_Telling, WsgiGateway):
    __slots__ = ("tell",)
