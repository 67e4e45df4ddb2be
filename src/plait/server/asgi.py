"""Runs an ASGI 3 application: makes the scope of each request, and a task of each call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

from plait.protocol.server_exchange import ServerExchange
from plait.server.application_gateway import ApplicationGateway, logger
from plait.server.gateway import Log
from plait.server.http_bridge import HttpBridge
from plait.server.interfaces import Application, Scope
from plait.server.lifespan import Lifespan
from plait.server.response import OVER
from plait.server.tasks import start
from plait.server.websocket import WebSocketBridge
from plait.server_config import LogLevel, ServerConfig

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["AsgiGateway"]

#: ``send()`` raises once the client is gone since 2.4 of the specification's http part; 2.5 is about
#: WebSocket alone.
_ASGI = {"version": "3.0", "spec_version": "2.5"}
#: "%" as a number, which is looked for in bytes several times as fast as b"%" is.
_PERCENT = 0x25


def _text(path: bytes) -> str:
    """Decode a path as ASGI has it: percent-encoding and UTF-8 undone."""
    return unquote_to_bytes(path).decode("utf-8", "replace")


class AsgiGateway(ApplicationGateway):
    """All of one ASGI application's requests; see :class:`plait.server.gateway.Gateway`.

    Args:
        app: The application.
        config: Its options.
        loop: The running loop.
        log: Called with each finished exchange and its driver, or None.

    Attributes:
        app: The application.
        debug: Whether the application may write to the server's log.
        push: Whether the application may push.
    """

    __slots__ = ("_config", "_lifespan", "_raw_root_path", "_tasks", "app", "debug", "push")

    websockets = True

    def __init__(
        self, app: Application, config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None
    ) -> None:
        super().__init__(config, loop, log)
        self.app = app
        self._config = config
        self._lifespan = Lifespan(app)
        self._tasks: set[asyncio.Future[None]] = set()
        self.push = config.push
        self._raw_root_path = quote(config.root_path).encode()
        self.debug = config.log_level is LogLevel.DEBUG

    @property
    def running(self) -> int:
        return len(self._tasks)

    async def start_up(self) -> None:
        await self._lifespan.start()

    async def shut_down(self) -> None:
        # As long as the requests had, whatever they took of it; a moment, when they had none.
        await self._lifespan.stop(self._config.grace or 1.0)

    def cancel(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    def start(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        """Run the application for a request that arrived."""
        if exchange.request.refusal is not None or len(self._tasks) >= self.max_concurrency:
            self.refuse(exchange, driver)
            return
        if exchange.request.protocol:
            session = WebSocketBridge(self, self._config, exchange, driver)
            task = start(session.run(self._scope(exchange, driver)), self.loop)
            if task is not None:
                self._keep(task)
            return
        bridge = HttpBridge(self, exchange, driver)
        task = start(self._run(bridge), self.loop)
        if task is not None:
            self._keep(task)
            if self.app_timeout:
                timer = self.loop.call_later(self.app_timeout, self._time_out, bridge, task)
                task.add_done_callback(lambda _: timer.cancel())

    def _keep(self, task: asyncio.Future[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, bridge: HttpBridge) -> None:
        exchange = bridge.exchange
        try:
            await self.app(self._scope(exchange, bridge.driver), bridge.receive, bridge.send)
            if bridge.stage not in OVER and not exchange.closed:
                if not exchange.endpoint.half_closed:  # when it may have been told that nobody waits
                    logger.error("the application returned without completing its response")
                bridge.fail()
        except (Exception, SystemExit) as error:  # there are other requests to serve
            self.note_failure(exchange, error)
            bridge.fail()
        finally:
            self.finish(bridge)

    def _scope(self, exchange: ServerExchange, driver: ServerDriver) -> Scope:
        request = exchange.request
        connection = exchange.endpoint.connection
        raw_path, _, query = request.target.partition(b"?")
        path = _text(raw_path) if _PERCENT in raw_path or not raw_path.isascii() else raw_path.decode()
        if self.root_path and path[:1] == "/":
            # The proxy has taken it away, always: to guess whether it did would let a client choose which
            # path the proxy sees and which one the application.
            path = self.root_path + path
            raw_path = self._raw_root_path + raw_path
        version = connection.http_version
        # New ones, since what the application puts there is its own affair.
        extensions: dict[str, Any] = {
            "http.response.early_hint": {},
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
        }
        if self.debug:
            extensions["http.response.debug"] = {}
        if version == "2":
            if self.push and connection.push_allowed:
                extensions["http.response.push"] = {}
        elif version == "1.0":
            del extensions["http.response.early_hint"]  # RFC 9110 §15.2
        if request.accepts_trailers and version != "1.0":
            extensions["http.response.trailers"] = {}
        tls = driver.tls
        if tls is not None:
            extensions["tls"] = tls
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": request.method.decode(),
            "scheme": driver.scheme,
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": self.root_path,
            "headers": request.fields,
            "client": driver.client,
            "server": driver.server,
            "state": self._lifespan.state.copy(),
            "extensions": extensions,
        }

    def _time_out(self, bridge: HttpBridge, task: asyncio.Future[None]) -> None:
        self.time_out(bridge)
        task.cancel()
