"""A Twisted reactor and its transports, as plait's drivers know loops and transports.

With these two, the drivers of :mod:`plait.drivers.aio` run on Twisted's reactor as they are: their rules
(one write a turn, last bytes before the close, no output into a full transport) are written once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer, ISSLTransport, ITCPTransport
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from plait.drivers.aio import AioDriver

__all__ = ["ReactorLoop", "ReactorTransport"]

#: Seconds a connection has to close in good order, the answer to the close of TLS included; the number
#: is that of Twisted's own HTTP channels.
_ABORT_AFTER = 15


class ReactorLoop:
    """The calls that drivers make of a loop.

    Args:
        reactor: What provides ``IReactorTime``.
    """

    def __init__(self, reactor: Any) -> None:
        self.call_later = reactor.callLater
        self.time = reactor.seconds

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Any:
        return self.call_later(0, callback, *args)


@implementer(IPushProducer)
class ReactorTransport(asyncio.Transport):
    """A Twisted transport, for one driver; and the producer that Twisted slows down in its name.

    Args:
        transport: Twisted's.
        driver: Writes to it, and is told when it is full.
        loop: The reactor's.
    """

    def __init__(self, transport: Any, driver: AioDriver, loop: ReactorLoop) -> None:
        super().__init__()
        self._transport = transport
        self._driver = driver
        self._loop = loop
        self._closing = False
        self._aborting: Any = None

    # -- what drivers call -----------------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Be told when it is full: Twisted's transports have a mark of their own."""
        self._transport.registerProducer(self, True)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait for the socket, or 0 where the transport does not tell."""
        innermost = self._transport
        while (inner := getattr(innermost, "transport", None)) is not None:
            innermost = inner
        waiting = len(getattr(innermost, "dataBuffer", b"")) - getattr(innermost, "offset", 0)
        return waiting + int(getattr(innermost, "_tempDataLen", 0))

    def pause_reading(self) -> None:
        self._transport.pauseProducing()

    def resume_reading(self) -> None:
        self._transport.resumeProducing()

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        # TLS has no half close that peers agree on.
        return ITCPTransport.providedBy(self._transport) and not ISSLTransport.providedBy(self._transport)

    def write_eof(self) -> None:
        self._transport.loseWriteConnection()

    def close(self) -> None:
        if not self._closing:
            self.hand_over()
            self._transport.loseConnection()
            self._aborting = self._loop.call_later(_ABORT_AFTER, self.abort)

    def abort(self) -> None:
        self._closing = True
        self._aborting = None
        self._transport.abortConnection()

    # -- what the protocol calls -----------------------------------------------------------------

    def hand_over(self) -> None:
        """Stop being the transport's producer; nothing more is written from here."""
        self._closing = True
        self._transport.unregisterProducer()

    def lost(self) -> None:
        """Take note that the transport is gone."""
        self._closing = True
        del self._driver  # each holds the other
        if self._aborting is not None:
            self._aborting.cancel()
            self._aborting = None

    # -- what Twisted's transport calls ----------------------------------------------------------

    def pauseProducing(self) -> None:
        """Take note that the transport is full."""
        self._driver.pause_writing()

    def resumeProducing(self) -> None:
        """Take note that it has room again."""
        self._driver.resume_writing()

    def stopProducing(self) -> None:
        """Nothing to do: the protocol is told that the connection was lost."""
