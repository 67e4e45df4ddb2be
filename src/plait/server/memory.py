"""Keeps the content that one process holds in memory within its limit.

Not every byte is counted as it comes and goes: what there is is summed up once a second, and more often
from half of the limit on. Beyond the limit new requests are refused, and connections that hold more than
their share are not read from: what their clients send waits in the kernel, and then at the clients.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["Memory"]

logger = logging.getLogger("plait.server")

#: Seconds between looks from half of the limit on.
_OFTEN = 0.1
#: Of the limit: from where on to look often, and what has to be reached for requests to be let in again.
_HALF, _ENOUGH = 0.5, 0.75


class Memory:
    """Content of all connections of one server.

    Args:
        loop: The running loop.
        limit: Bytes that there may be.
        drivers: Those of all connections, kept up to date by the server.
        on_change: Called with whether there is too much, when that changes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit: int,
        drivers: Set[ServerDriver],
        on_change: Callable[[bool], None],
    ) -> None:
        self._loop = loop
        self._limit = limit
        self._drivers = drivers
        self._on_change = on_change
        self._full = False
        self._held: set[ServerDriver] = set()
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Sum up what there is, and act on it; call it about once a second."""
        self.stop()
        sizes = {driver: size for driver in self._drivers if (size := driver.buffered())}
        total = sum(sizes.values())
        if not self._full and total > self._limit:
            self._full = True
            logger.warning("content in memory is over --max-buffered: new requests get 503 until it is less")
            self._on_change(True)
        elif self._full and total <= self._limit * _ENOUGH:
            self._full = False
            logger.info("content in memory is less again, and new requests are served")
            self._on_change(False)
        if self._full or self._held:
            share = self._limit / max(len(sizes), 1)
            self._hold({driver for driver, size in sizes.items() if size > share} if self._full else set())
        if total > self._limit * _HALF:
            self._timer = self._loop.call_later(_OFTEN, self.look)

    def stop(self) -> None:
        """Look no more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hold(self, drivers: set[ServerDriver]) -> None:
        for driver in (self._held - drivers) & self._drivers:
            driver.hold(False)
        for driver in drivers - self._held:
            driver.hold(True)
        self._held = drivers
