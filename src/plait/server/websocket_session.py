"""The server's end of an open WebSocket: the session of ``protocol/websocket_session.py`` on a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf

from websockets.extensions import Extension
from websockets.frames import Close, CloseCode
from websockets.protocol import Side

from plait.drivers.alarm import Alarm
from plait.protocol.server_exchange import ServerExchange
from plait.protocol.websocket_session import Session as AnySession
from plait.protocol.websocket_session import Terms
from plait.server_config import Limits

__all__ = ["Session"]

#: Seconds that a client has to answer a Close frame.
_CLOSE_TIMEOUT = 10.0


class Session(AnySession):
    """One WebSocket at the server's end, from the handshake's end to the tunnel's.

    Args:
        exchange: The exchange whose tunnel has just been opened.
        loop: The running loop.
        limits: ``max_message_size``, ``write_buffer``, and the times of pings.
        extensions: What was granted in the handshake.
        on_change: Called without arguments when there is a message, an end, or room to write.
    """

    __slots__ = ("_alarm", "_loop")

    _exchange: ServerExchange

    def __init__(
        self,
        exchange: ServerExchange,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        extensions: Sequence[Extension],
        on_change: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._alarm = Alarm(loop, self)
        terms = Terms(
            max_message_size=limits.max_message_size,
            write_buffer=limits.write_buffer,
            ping_interval=limits.ws_ping_interval or inf,
            ping_timeout=limits.ws_ping_timeout,
            close_timeout=_CLOSE_TIMEOUT,
        )
        super().__init__(Side.SERVER, exchange, terms, extensions, loop.time(), on_change)
        self._alarm.set()

    def close(self, code: int, reason: str = "", now: float | None = None) -> None:
        super().close(code, reason, self._loop.time() if now is None else now)
        self._alarm.set()

    def stop(self) -> None:
        """Forget the time: nobody is interested in the session any more."""
        self.due = inf
        self._alarm.set()

    def _progressed(self) -> None:
        if self._exchange.endpoint.draining:
            self.close(CloseCode.GOING_AWAY)
        super()._progressed()

    def _full(self) -> bool:
        exchange = self._exchange
        if exchange.queued > self._terms.write_buffer:
            # A client that does not read the answers to its pings.
            exchange.endpoint.waiting_to_write.add(exchange)
            return True
        return super()._full()

    def _end(self, how: Close | None) -> None:
        super()._end(how)
        self._alarm.set()

    def _answered(self) -> None:
        super()._answered()
        self._alarm.set()

    def _ping(self, now: float) -> None:
        if self._exchange.queued:
            # The client is busy reading, which has a deadline of its own.
            self.due = now + self._terms.ping_interval
        else:
            super()._ping(now)
