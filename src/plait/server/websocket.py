"""One WebSocket as an ASGI application sees it: the only place that knows ASGI's websocket messages.

The same code serves HTTP/2 (RFC 8441) and HTTP/1.1 (RFC 6455): it sees a session on a tunnel, or a plain
response where the application wants none.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import TYPE_CHECKING

from websockets.frames import CloseCode

from plait.errors import ExchangeError, RemoteProtocolError
from plait.fields import outbound_fields
from plait.protocol.exchange import Half
from plait.protocol.server_exchange import ServerExchange
from plait.protocol.websocket_session import may_close
from plait.server.interfaces import Message, Scope
from plait.server.response import ClientDisconnected, Response
from plait.server.websocket_handshake import UPGRADE_REQUIRED, Handshake
from plait.server.websocket_session import Session
from plait.server_config import ServerConfig

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver
    from plait.server.asgi import AsgiGateway

__all__ = ["WebSocketBridge"]

logger = logging.getLogger("plait.server")

#: What the handshake says itself, in place of the application.
_HANDSHAKE_FIELDS = frozenset(
    {b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol"}
)


class _Phase(Enum):
    """How far the application has come."""

    SILENT = "silent"  # it has not even asked what there is
    CONNECTING = "connecting"  # it owes an answer to websocket.connect
    OPEN = "open"
    DENYING = "denying"  # it owes the content of its denial
    CLOSED = "closed"


class WebSocketBridge(Response):
    """``receive`` and ``send`` of one WebSocket.

    Args:
        gateway: The application's gateway.
        config: ``ws_compression``, and the limits of sessions.
        exchange: The exchange, whose request asks for a tunnel.
        driver: Its connection's driver.
    """

    __slots__ = ("_config", "_handshake", "_phase", "_session", "_waiters")

    gateway: AsgiGateway
    _handshake: Handshake

    def __init__(
        self, gateway: AsgiGateway, config: ServerConfig, exchange: ServerExchange, driver: ServerDriver
    ) -> None:
        Response.__init__(self, gateway, exchange, driver)
        self._config = config
        self._phase = _Phase.SILENT
        self._session: Session | None = None
        self._waiters: list[asyncio.Future[None]] = []

    async def run(self, scope: Scope) -> None:
        """Run the application from the handshake to the end of the tunnel.

        Args:
            scope: That of an http request, which is made one of a WebSocket here.
        """
        exchange = self.exchange
        exchange.on_progress = self._wake
        try:
            version = exchange.endpoint.connection.http_version
            try:
                self._handshake = Handshake(
                    exchange.request, version, compression=self._config.ws_compression
                )
            except RemoteProtocolError as error:
                self._refuse(error, version)
                return
            scope["type"] = "websocket"
            scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
            scope["subprotocols"] = self._handshake.subprotocols
            scope["extensions"] = {"websocket.http.response": {}}
            if self.driver.tls is not None:
                scope["extensions"]["tls"] = self.driver.tls
            del scope["method"]
            try:
                await self.gateway.app(scope, self.receive, self.send)
                self._returned()
            except (Exception, SystemExit) as error:
                self._failed(error)
            session = self._session
            while session is not None and not session.over:
                await self._progress()
        finally:
            if self._session is not None:
                self._session.stop()
            self.gateway.finish(self)

    def _refuse(self, error: RemoteProtocolError, version: str) -> None:
        more = []
        if error.status_hint == 426:
            more = [(b"sec-websocket-version", b"13"), *(UPGRADE_REQUIRED if version != "2" else ())]
        self._phase = _Phase.CLOSED
        self.answer(error.status_hint, str(error), *more)

    def _returned(self) -> None:
        if self._session is not None:
            self._session.close(CloseCode.NORMAL_CLOSURE)
        elif self._phase is not _Phase.CLOSED and not self.exchange.closed:
            logger.error("the application returned without an answer to websocket.connect")
            self.fail()

    def _failed(self, error: BaseException) -> None:
        if self._phase is _Phase.SILENT:
            # It looked at the scope's type and knows no such thing; its traceback would tell nothing.
            logger.warning("the application takes no WebSocket: %s: %s", type(error).__name__, error)
            logger.debug("the application takes no WebSocket", exc_info=error)
        else:
            self.gateway.note_failure(self.exchange, error)
        if self._session is not None:
            self._session.close(CloseCode.INTERNAL_ERROR)
        else:
            self.fail()

    # -- receive ---------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Give the application ``websocket.connect``, then messages, then ``websocket.disconnect``."""
        if self._phase is _Phase.SILENT:
            self._phase = _Phase.CONNECTING
            return {"type": "websocket.connect"}
        while True:
            session = self._session
            if session is not None:
                if self._phase is _Phase.OPEN:
                    message = session.receive()
                    if message is not None:
                        kind = "text" if isinstance(message, str) else "bytes"
                        return {"type": "websocket.receive", kind: message}
                if session.ended is not None:
                    how = session.ended
                    return {"type": "websocket.disconnect", "code": int(how.code), "reason": how.reason}
            elif self._phase is _Phase.CLOSED or self.exchange.closed:
                code = int(CloseCode.ABNORMAL_CLOSURE)
                return {"type": "websocket.disconnect", "code": code, "reason": ""}
            await self._progress()

    async def _progress(self) -> None:
        """Wait until something about the exchange has changed."""
        future = self.gateway.loop.create_future()
        self._waiters.append(future)
        await future

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(None)

    # -- send ------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take the application's next message.

        Raises:
            RuntimeError: The application must not send this, or not now.
            LocalProtocolError: HTTP cannot carry a field of it.
            ClientDisconnected: The client is gone.
        """
        try:
            kind = message["type"]
        except (KeyError, TypeError):
            raise RuntimeError(f"a message is a dictionary with a type, not {message!r}") from None
        phase = self._phase
        if phase is _Phase.OPEN and kind == "websocket.send":
            session = self._session
            assert session is not None
            content = _content(message)
            if not session.open:
                raise ClientDisconnected("the client is gone")
            session.send(content)
            await self._room()
        elif phase is _Phase.OPEN and kind == "websocket.close":
            self._close(message)
        elif phase in (_Phase.SILENT, _Phase.CONNECTING) and kind == "websocket.accept":
            self._accept(message)
        elif phase in (_Phase.SILENT, _Phase.CONNECTING) and kind == "websocket.close":
            self._phase = _Phase.CLOSED
            self.answer(403, "Forbidden")
        elif phase in (_Phase.SILENT, _Phase.CONNECTING) and kind == "websocket.http.response.start":
            self._deny(message)
        elif phase is _Phase.DENYING and kind == "websocket.http.response.body":
            await self._explain(message)
        else:
            raise RuntimeError(f"{kind!r} is not what a websocket application sends {_WHEN[phase]}")

    def _accept(self, message: Message) -> None:
        if self.exchange.closed:
            raise ClientDisconnected("the client is gone")
        fields = outbound_fields(message.get("headers") or ())
        for name, _ in fields:
            if name in _HANDSHAKE_FIELDS:
                raise RuntimeError(f"the field {name.decode()!r} of websocket.accept is the server's to send")
        handshake = self._handshake
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            if subprotocol not in handshake.subprotocols:
                # RFC 6455 §4.1: the client would fail the connection.
                raise RuntimeError(f"the client does not offer the subprotocol {subprotocol!r}")
            fields.append((b"sec-websocket-protocol", subprotocol.encode()))
        try:
            self.exchange.open_tunnel([*handshake.fields, *fields, (b"date", self.gateway.date)])
        except ExchangeError as error:
            raise ClientDisconnected("the client is gone") from error
        self.status = self.exchange.status
        self._phase = _Phase.OPEN
        self._session = Session(
            self.exchange, self.gateway.loop, self._config.limits, handshake.extensions, self._wake
        )

    def _close(self, message: Message) -> None:
        code, reason = message.get("code"), message.get("reason")
        code = 1000 if code is None else code
        reason = "" if reason is None else reason
        if not may_close(code, reason):
            raise RuntimeError(f"a WebSocket cannot be closed with code {code!r} and reason {reason!r}")
        session = self._session
        assert session is not None
        if not session.open:
            raise ClientDisconnected("the client is gone")
        self._phase = _Phase.CLOSED
        session.close(code, reason)
        self._wake()

    def _deny(self, message: Message) -> None:
        if self.exchange.closed:
            raise ClientDisconnected("the client is gone")
        status = message.get("status")
        if not isinstance(status, int) or not 300 <= status <= 599:
            # RFC 8441 §5: any 2xx would say that the tunnel is open.
            raise RuntimeError(f"{status!r} is not a status that denies a WebSocket")
        self.fields = outbound_fields(message.get("headers") or ())
        self.status = status
        self._phase = _Phase.DENYING

    async def _explain(self, message: Message) -> None:
        """Send a piece of the content of a denial."""
        content = message.get("body", b"")
        if not isinstance(content, bytes):
            raise RuntimeError(
                f"the body of websocket.http.response.body must be bytes, not {type(content).__name__}"
            )
        exchange = self.exchange
        more = message.get("more_body", False)
        if exchange.closed:
            raise ClientDisconnected("the client is gone")
        try:
            if exchange.sent is not Half.HEAD:
                exchange.send_data(content, end_stream=not more)
            elif more:
                self.send_head()
                exchange.send_data(content)
            else:
                self.send_whole(content)
        except ExchangeError as error:
            raise ClientDisconnected("the client is gone") from error
        if more:
            await self._room()
        else:
            self._phase = _Phase.CLOSED
            self._wake()

    async def _room(self) -> None:
        """Wait until queued bytes have left for the client, when they are many."""
        exchange = self.exchange
        if exchange.queued > self.gateway.write_buffer:
            while exchange.queued > 0:
                exchange.endpoint.waiting_to_write.add(exchange)
                await self._progress()


_WHEN = {
    _Phase.SILENT: "first",
    _Phase.CONNECTING: "first",
    _Phase.OPEN: "between websocket.accept and websocket.close",
    _Phase.DENYING: "between websocket.http.response.start and the end of the content",
    _Phase.CLOSED: "after the end",
}


def _content(message: Message) -> str | bytes:
    """Return what a websocket.send carries: one of text and bytes."""
    text, binary = message.get("text"), message.get("bytes")
    if text is not None and binary is not None:
        raise RuntimeError("websocket.send has both text and bytes")
    if isinstance(text, str):
        return text
    if isinstance(binary, bytes | bytearray | memoryview):
        return bytes(binary)
    if text is None and binary is None:
        raise RuntimeError("websocket.send has neither text nor bytes")
    wrong = "text must be str" if text is not None else "bytes must be bytes"
    kind = type(binary if text is None else text).__name__
    raise RuntimeError(f"a websocket.send's {wrong}, not {kind}")
