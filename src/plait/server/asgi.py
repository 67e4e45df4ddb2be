"""ASGI 3 for one exchange: the only place that knows ASGI's http messages.

The same code serves HTTP/2 and HTTP/1.1: it sees exchanges, never frames or header lines.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from plait.config import ServerConfig
from plait.errors import ExchangeError, LocalProtocolError, PlaitError
from plait.fields import FieldSection, outbound_fields
from plait.protocol.exchange import Half, ServerExchange
from plait.server.gateway import Log
from plait.server.interfaces import Application, Message
from plait.server.lifespan import Lifespan
from plait.server.tasks import start

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["AsgiGateway", "ClientDisconnected"]

logger = logging.getLogger("plait.server")

#: ``send()`` raises once the client is gone since 2.4 of the specification's http part.
_ASGI = {"version": "3.0", "spec_version": "2.4"}


_HEAD, _CONTENT, _ENDED = Half


class ClientDisconnected(PlaitError, OSError):
    """What ``send()`` raises when the client is gone (ASGI www specification 2.4)."""


def _text(path: bytes) -> str:
    """Decode a path as ASGI has it: percent-encoding and UTF-8 undone."""
    return unquote_to_bytes(path).decode("utf-8", "replace")


class AsgiGateway:
    """What all exchanges of one application share; see :class:`plait.server.gateway.Gateway`.

    Args:
        app: The application.
        config: Its options.
        loop: The running loop.
        log: Called with each finished exchange and its driver, or None.
    """

    __slots__ = ("_lifespan", "_tasks", "app", "date", "log", "loop", "write_buffer")

    def __init__(
        self, app: Application, config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None
    ) -> None:
        self.app = app
        self.loop = loop
        self.write_buffer = config.limits.write_buffer
        self.log = log
        self.date = b""
        self._lifespan = Lifespan(app)
        self._tasks: set[asyncio.Future[None]] = set()

    @property
    def running(self) -> int:
        return len(self._tasks)

    async def start_up(self) -> None:
        await self._lifespan.start()

    async def shut_down(self) -> None:
        await self._lifespan.stop()

    def cancel(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    def start(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        """Run the application for a request that arrived."""
        task = start(self._run(exchange, driver), self.loop)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        endpoint = exchange.endpoint
        request = exchange.request
        bridge = HttpBridge(self, exchange)
        try:
            if request.refusal is not None:
                bridge.answer(*request.refusal)
                return
            path, _, query = request.target.partition(b"?")
            scope = {
                "type": "http",
                "asgi": _ASGI,
                "http_version": endpoint.connection.http_version,
                "method": request.method.decode("ascii"),
                "scheme": driver.scheme,
                "path": _text(path) if b"%" in path or not path.isascii() else path.decode("ascii"),
                "raw_path": path,
                "query_string": query,
                "root_path": "",
                "headers": request.fields,
                "client": driver.client,
                "server": driver.server,
                "state": self._lifespan.state.copy(),
                "extensions": {},
            }
            await self.app(scope, bridge.receive, bridge.send)
            if not bridge.ended and not exchange.closed:
                logger.error("the application returned without completing its response")
                bridge.fail()
        except Exception as error:
            level = logging.DEBUG if _tells_of_a_disconnect(error) else logging.ERROR
            logger.log(
                level,
                "the application failed on %s %s",
                request.method.decode("latin-1"),
                request.target.decode("latin-1"),
                exc_info=True,
            )
            bridge.fail()
        finally:
            exchange.on_progress = None
            endpoint.finished(exchange)
            if self.log is not None:
                self.log(exchange, driver, bridge.status)


class HttpBridge:
    """One exchange, as the application sees it: ``receive`` and ``send``.

    Attributes:
        exchange: The exchange.
        status: The status code sent, 0 before.
        ended: Whether the application has completed its response.
    """

    __slots__ = ("_asgi", "_fields", "_request_read", "_waiters", "ended", "exchange", "status")

    def __init__(self, asgi: AsgiGateway, exchange: ServerExchange) -> None:
        self._asgi = asgi
        self.exchange = exchange
        self.status = 0
        self.ended = False
        self._fields: FieldSection | None = None
        self._request_read = False
        self._waiters: list[asyncio.Future[None]] | None = None

    # -- receive ---------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Give the application the next ``http.request``, or ``http.disconnect`` at the end."""
        exchange = self.exchange
        if not self._request_read:
            request = exchange.request
            if request.expects_continue and exchange.received is _CONTENT and not exchange.content:
                # RFC 9110 §10.1.1: only now is it known that the content is wanted.
                request.expects_continue = False
                exchange.send_informational_response(100, [])
            while not self.ended:
                try:
                    content = exchange.read()
                except ExchangeError:
                    break
                if content is not None:
                    more = exchange.received is not _ENDED
                    self._request_read = not more
                    return {"type": "http.request", "body": content, "more_body": more}
                exchange.waiting_since = exchange.endpoint.now
                try:
                    await self._progress()
                finally:
                    exchange.waiting_since = None
        while not (self.ended or exchange.closed):
            await self._progress()
        return {"type": "http.disconnect"}

    async def _progress(self) -> None:
        """Wait until something about the exchange has changed."""
        future = self._asgi.loop.create_future()
        if self._waiters is None:
            self._waiters = []
            self.exchange.on_progress = self._wake
        self._waiters.append(future)
        await future

    def _wake(self) -> None:
        waiters = self._waiters
        if waiters:
            self._waiters = []
            for future in waiters:
                if not future.done():
                    future.set_result(None)

    # -- send ------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take the application's next message."""
        exchange = self.exchange
        kind = message["type"]
        if kind == "http.response.body":
            if self.ended:
                raise RuntimeError("the response is complete, and http.response.body came again")
            content = message.get("body", b"")
            if type(content) is not bytes:
                content = _as_bytes(content)
            more = message.get("more_body", False)
            if exchange.closed and exchange.sent is not _ENDED:
                # Where it has ended, to HEAD or with 304, the rest of the content is dropped.
                raise ClientDisconnected("the client is gone")
            try:
                if more:
                    if exchange.sent is _HEAD:
                        self._send_head()
                    if content:
                        exchange.send_data(content)
                else:
                    self.ended = True
                    if exchange.sent is _HEAD:
                        self._send_whole(content)
                    elif exchange.sent is not _ENDED:
                        exchange.send_data(content, end_stream=True)
                    if self._waiters:
                        self._wake()
                    return
            except ExchangeError as error:
                raise ClientDisconnected("the client is gone") from error
            if exchange.queued > self._asgi.write_buffer:
                await self._room()
        elif kind == "http.response.start":
            if self._fields is not None:
                raise RuntimeError("http.response.start came twice")
            if exchange.closed:
                raise ClientDisconnected("the client is gone")
            status = message["status"]
            if not isinstance(status, int) or not 200 <= status <= 599:
                raise RuntimeError(f"{status!r} is not the status of a final response")
            if message.get("trailers"):
                raise RuntimeError("this server sends no trailers: the extension is not offered")
            self._fields = outbound_fields(message.get("headers", ()))
            self.status = status
        else:
            raise RuntimeError(f"{kind!r} is not a message an http application sends")

    def _head(self) -> tuple[FieldSection, int | None]:
        """Complete the response's field section; return it and the content-length it has."""
        fields = self._fields
        if fields is None:
            raise RuntimeError("http.response.body came before http.response.start")
        dated = False
        length: int | None = None
        for name, value in fields:
            if name == b"date":
                dated = True
            elif name == b"content-length":
                if not value.isdigit() or (length is not None and length != int(value)):
                    raise RuntimeError(f"content-length {value!r} is not the one length of the content")
                length = int(value)
        if not dated:
            fields.append((b"date", self._asgi.date))
        return fields, length

    def _send_head(self) -> None:
        fields, length = self._head()
        self.exchange.send_response(self.status, fields, content_length=length)

    def _send_whole(self, content: bytes) -> None:
        fields, length = self._head()
        if length is None:
            if content or not self.exchange.sends_no_content(self.status):
                # All of the content is known, so the client may as well be told its length. An
                # application that answers HEAD without content has not said what GET would get.
                fields.append((b"content-length", b"%d" % len(content)))
        elif length != len(content) and not self.exchange.sends_no_content(self.status):
            raise LocalProtocolError(f"content of {len(content)} bytes, and a content-length of {length}")
        self.exchange.send_whole_response(self.status, fields, content)

    async def _room(self) -> None:
        """Wait until the queued content has left for the client."""
        exchange = self.exchange
        endpoint = exchange.endpoint
        while exchange.queued > 0:
            endpoint.waiting_to_write.add(exchange)
            await self._progress()
        if exchange.closed and not self.ended:
            raise ClientDisconnected("the client is gone")

    # -- failures --------------------------------------------------------------------------------

    def answer(self, status: int, sentence: str) -> None:
        """Answer with an error of the server's own."""
        content = sentence.encode() + b"\n"
        self._fields = [(b"content-type", b"text/plain; charset=utf-8")]
        self.status = status
        self.ended = True
        try:
            self._send_whole(content)
        except (ExchangeError, LocalProtocolError):
            pass  # the client is gone

    def fail(self) -> None:
        """End the exchange after the application failed.

        Before its response began this is a 500; after it, nothing that could look complete:
        ``finished`` resets the stream, and HTTP/1.1 closes the connection.
        """
        if not self.exchange.closed and self.exchange.sent is _HEAD:
            self.answer(500, "Internal Server Error")


def _as_bytes(content: object) -> bytes:
    """Take what else may be content; on the wire anything but bytes would end the connection."""
    if isinstance(content, bytearray | memoryview):
        return bytes(content)
    raise RuntimeError(f"the body of http.response.body must be bytes, not {type(content).__name__}")


def _tells_of_a_disconnect(error: BaseException | None) -> bool:
    """Whether an exception is what ``send()`` raised, or what a framework made of it."""
    if isinstance(error, BaseExceptionGroup):
        return all(_tells_of_a_disconnect(one) for one in error.exceptions)
    return error is not None and (
        isinstance(error, ClientDisconnected) or _tells_of_a_disconnect(error.__cause__ or error.__context__)
    )
