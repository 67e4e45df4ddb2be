"""What the gateways of ASGI and of WSGI applications share."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

from plait.protocol.server_exchange import ServerExchange
from plait.server.access_format import printable
from plait.server.gateway import Log
from plait.server.logs import request_extra
from plait.server.response import ClientDisconnected, Response
from plait.server_config import ServerConfig

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["ApplicationGateway"]

logger = logging.getLogger("plait.server")

#: What a client that was turned away is told to wait, in seconds (RFC 9110 §10.2.3).
_RETRY_AFTER = (b"retry-after", b"1")


class ApplicationGateway:
    """What all exchanges of one application share; see :class:`plait.server.gateway.Gateway`.

    Args:
        config: The options.
        loop: The running loop.
        log: Called with each finished exchange and its driver, or None.

    Attributes:
        app_timeout: Seconds an application has for one request, 0 for no limit.
        max_concurrency: Requests that may run at once.
        root_path: Below which path the application is mounted.
        websockets: Whether its kind of application can speak WebSocket.
        write_buffer: Bytes of one response queued before the application waits.
    """

    __slots__ = ("app_timeout", "date", "log", "loop", "max_concurrency", "root_path", "write_buffer")

    websockets = False

    def __init__(self, config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None) -> None:
        self.loop = loop
        self.log = log
        self.date = b""
        self.root_path = config.root_path
        self.app_timeout = config.limits.app_timeout
        self.write_buffer = config.limits.write_buffer
        self.max_concurrency = config.limits.max_concurrency or sys.maxsize

    @property
    def running(self) -> int:
        raise NotImplementedError

    def refuse(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        """Answer a request that no application gets to see."""
        response = Response(self, exchange, driver)
        if exchange.request.refusal is not None:
            response.answer(*exchange.request.refusal)
        else:
            response.answer(503, "The server is busy.", _RETRY_AFTER)
        self.finish(response)

    def finish(self, response: Response) -> None:
        """Take note that the application is done with an exchange, well or not."""
        exchange = response.exchange
        exchange.on_progress = None
        exchange.endpoint.finished(exchange)
        if self.log is not None:
            self.log(exchange, response.driver, response.status)

    def time_out(self, response: Response) -> None:
        """End an exchange whose application has taken too long."""
        self.note_time_out(response.exchange)
        # RFC 9110 §15.6.5: the application is what this server waits for. 503 is for the client to
        # come back, and this request may do the same again.
        response.fail(504, "The application took too long.")

    def note_time_out(self, exchange: ServerExchange) -> None:
        """Log that an application has taken too long."""
        request = exchange.request
        logger.error(
            "the application took more than %g seconds for %s %s",
            self.app_timeout,
            printable(request.method),
            printable(request.target),
            extra=request_extra(exchange),
        )

    def note_failure(self, exchange: ServerExchange, error: BaseException) -> None:
        """Log an application's exception, quietly when it only tells of a client that left."""
        logger.log(
            logging.DEBUG if _tells_of_a_disconnect(error) else logging.ERROR,
            "the application failed on %s %s",
            printable(exchange.request.method),
            printable(exchange.request.target),
            exc_info=error,
            extra=request_extra(exchange),
        )


def _tells_of_a_disconnect(error: BaseException | None) -> bool:
    """Whether an exception is what a write to a lost client raised, or what a framework made of it."""
    if isinstance(error, BaseExceptionGroup):
        return all(_tells_of_a_disconnect(one) for one in error.exceptions)
    return error is not None and (
        isinstance(error, ClientDisconnected) or _tells_of_a_disconnect(error.__cause__ or error.__context__)
    )
