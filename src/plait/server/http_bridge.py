"""One exchange as an ASGI application sees it: the only place that knows ASGI's http messages.

The same code serves HTTP/2 and HTTP/1.1: it sees exchanges, never frames or header lines.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plait.errors import ContentTooLarge, ExchangeError
from plait.fields import FieldSection, outbound_fields
from plait.protocol.exchange import Half
from plait.protocol.server_exchange import ServerExchange
from plait.server.http_extensions import EXTENSIONS, no_pairs, takes_trailers
from plait.server.interfaces import Message
from plait.server.response import OVER, ClientDisconnected, Response, Stage

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver
    from plait.server.asgi import AsgiGateway

__all__ = ["HttpBridge"]

_HEAD, _, _COMPLETE = Half
_START, _CONTENT, _TRAILERS, _ENDED, _FAILED = Stage


class HttpBridge(Response):
    """``receive`` and ``send`` of one request.

    Attributes:
        trailers: The trailers sent so far, when the application announced some, or None.
    """

    __slots__ = ("_request_read", "_waiters", "trailers")

    gateway: AsgiGateway

    def __init__(self, gateway: AsgiGateway, exchange: ServerExchange, driver: ServerDriver) -> None:
        # What Response does, in one call: there is a bridge for every request.
        self.gateway = gateway
        self.exchange = exchange
        self.driver = driver
        self.status = 0
        self.stage = _START
        self.trailers: FieldSection | None = None
        self._request_read = False
        self._waiters: list[asyncio.Future[None]] | None = None

    # -- receive ---------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Give the application the next ``http.request``, or ``http.disconnect`` at the end."""
        exchange = self.exchange
        if not self._request_read:
            if exchange.request.expects_continue:
                self.ask_for_content()
            while self.stage not in OVER:
                try:
                    content = exchange.read()
                except ContentTooLarge as error:
                    self.fail(413, str(error))
                    break
                except ExchangeError:
                    break
                if content is not None:
                    more = exchange.received is not _COMPLETE
                    self._request_read = not more
                    return {"type": "http.request", "body": content, "more_body": more}
                exchange.waiting_since = exchange.endpoint.now
                try:
                    await self._progress()
                finally:
                    exchange.waiting_since = None
        while not (exchange.closed or self.stage in OVER or exchange.endpoint.half_closed):
            await self._progress()
        return {"type": "http.disconnect"}

    async def _progress(self) -> None:
        """Wait until something about the exchange has changed."""
        future = self.gateway.loop.create_future()
        if self._waiters is None:
            self._waiters = []
            self.exchange.on_progress = self.wake
        self._waiters.append(future)
        await future

    def wake(self) -> None:
        """Let ``receive`` and ``send`` look at the exchange again."""
        waiters = self._waiters
        if waiters:
            self._waiters = []
            for future in waiters:
                if not future.done():
                    future.set_result(None)

    def fail(self, status: int = 500, sentence: str = "Internal Server Error") -> None:
        Response.fail(self, status, sentence)
        self.wake()  # a task of the application's may still wait for the client

    # -- send ------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take the application's next message.

        Raises:
            RuntimeError: The application must not send this, or not now.
            LocalProtocolError: HTTP cannot carry it.
            ClientDisconnected: The client is gone.
        """
        exchange = self.exchange
        try:
            kind = message["type"]
        except (KeyError, TypeError):
            raise RuntimeError(f"a message is a dictionary with a type, not {message!r}") from None
        if kind == "http.response.body":
            content = message.get("body", b"")
            if type(content) is not bytes:
                content = _as_bytes(content)
            if self.stage is not _CONTENT:
                raise self.misplaced(kind)
            more = message.get("more_body", False)
            if exchange.closed and exchange.sent is not _COMPLETE:
                # Where it has ended, to HEAD or with 304, the rest of the content is dropped.
                raise await _gone()
            try:
                if more or self.trailers is not None:
                    if exchange.sent is _HEAD:
                        self.send_head()
                    if content:
                        exchange.send_data(content)
                    if not more:
                        self.stage = _TRAILERS
                else:
                    self.stage = _ENDED
                    if exchange.sent is _HEAD:
                        self.send_whole(content)
                    elif exchange.sent is not _COMPLETE:
                        exchange.send_data(content, end_stream=True)
                    if self._waiters:
                        self.wake()
                    return
            except ExchangeError as error:
                raise await _gone() from error
            if exchange.queued > self.gateway.write_buffer:
                await self._room()
        elif kind == "http.response.start":
            if self.stage is not _START:
                raise self.misplaced(kind)
            if exchange.closed:
                raise await _gone()
            try:
                status = message["status"]
            except KeyError:
                raise RuntimeError("http.response.start has no status") from None
            if not isinstance(status, int) or not 200 <= status <= 599:
                raise RuntimeError(f"{status!r} is not the status of a final response")
            if message.get("trailers"):
                if not takes_trailers(exchange):
                    raise RuntimeError("http.response.start announces trailers, which are not offered here")
                self.trailers = []
            try:
                self.fields = outbound_fields(message.get("headers", ()))
            except (TypeError, ValueError):
                raise no_pairs(message) from None
            self.status = status
            self.stage = _CONTENT
        else:
            try:
                extension = EXTENSIONS[kind]
            except (KeyError, TypeError):
                raise RuntimeError(f"{kind!r} is not a message an http application sends") from None
            await extension(self, message)

    def misplaced(self, kind: str) -> Exception:
        """Make the exception for a message that came out of order."""
        if self.stage is _FAILED:
            return ClientDisconnected("the server has ended this exchange")
        if kind == "http.response.start":
            return RuntimeError("http.response.start came twice")
        return RuntimeError(f"{kind} came {_MISPLACED[self.stage]}")

    async def _room(self) -> None:
        """Wait until the queued content has left for the client."""
        exchange = self.exchange
        endpoint = exchange.endpoint
        while exchange.queued > 0:
            endpoint.waiting_to_write.add(exchange)
            await self._progress()
        if exchange.closed and self.stage not in OVER:
            raise await _gone()


async def _gone() -> ClientDisconnected:
    """Make what ``send`` raises when the client is gone, after everybody has heard of it who listens.

    Django listens for ``http.disconnect`` in a task of its own, which then cancels the response in good
    order; an exception out of ``send`` that came first would leave the response and its iterator open.
    """
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    return ClientDisconnected("the client is gone")


#: Turns of the event loop from a message to what a few tasks that wait for one another make of it.
_TURNS = 10

_MISPLACED = {
    _START: "before http.response.start",
    _CONTENT: "before the content was complete",
    _TRAILERS: "in place of the http.response.trailers that were announced",
    _ENDED: "after the response was complete",
}


def _as_bytes(content: object) -> bytes:
    """Take what else may be content; on the wire anything but bytes would end the connection."""
    if isinstance(content, bytearray | memoryview):
        return bytes(content)
    raise RuntimeError(f"the body of http.response.body must be bytes, not {type(content).__name__}")
