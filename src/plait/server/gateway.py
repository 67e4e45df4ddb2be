"""What a server needs of whatever answers its requests: ASGI, WSGI, a Twisted site.

A gateway stands between exchanges and one kind of application. The server knows no more of it than
this; it starts and stops it, hands it every request, and tells it the date.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from plait.protocol.server_exchange import ServerExchange
from plait.server_config import ServerConfig

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["Gateway", "Log", "MakeGateway"]

#: Called with each finished exchange, its driver and the status sent (0 when none was).
Log = Callable[[ServerExchange, "ServerDriver", int], None]


class Gateway(Protocol):
    """One application, as its server sees it.

    Attributes:
        date: The ``date`` field's value, kept up to date by the server (RFC 9110 §6.6.1).
        running: Requests whose application has not finished.
        websockets: Whether it takes requests for a tunnel to speak WebSocket on (``request.protocol``).
    """

    date: bytes
    websockets: bool

    @property
    def running(self) -> int: ...

    async def start_up(self) -> None:
        """Get the application ready, before the first connection.

        Raises:
            PlaitError: It cannot start.
        """

    def start(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        """Answer a request that arrived; never raises, and calls ``endpoint.finished`` in the end."""

    def refuse(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        """Answer a request in the application's place: with 503, or what is wrong with it."""

    def cancel(self) -> None:
        """Give up on the requests that are still running: the grace period is over."""

    async def shut_down(self) -> None:
        """Let the application clean up, after the last connection."""


#: Makes the gateway inside the running loop, where ``log`` is None when nobody keeps a log.
MakeGateway = Callable[[ServerConfig, asyncio.AbstractEventLoop, Log | None], Gateway]
