"""The access log: one line for each exchange, made at its end and written with many others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from plait.protocol.server_exchange import ServerExchange
from plait.server.access_format import compile_format
from plait.server.log_writer import LogWriter
from plait.server_config import ServerConfig

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["AccessLog"]

#: Seconds until lines are written: nobody notices, and thousands of them share one write.
_DELAY = 0.05
_LINES_MAX = 1000


class AccessLog:
    """Writes a line for each exchange, many at a time.

    Args:
        config: ``access_log_file`` and ``access_log_format``.
        loop: The running loop.
        clock: Seconds since the epoch.

    Attributes:
        timed: Whether it needs to know when exchanges began.
        reopen: Opens the file anew, where it was moved away.

    Raises:
        ConfigError: The format is wrong, or the file cannot be written.
    """

    def __init__(
        self, config: ServerConfig, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.time
    ) -> None:
        form = compile_format(config.access_log_format, clock)
        self._line = form.line
        self.timed = form.timed
        self._loop = loop
        self._writer = LogWriter(config.access_log_file)
        self.reopen = self._writer.reopen
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, exchange: ServerExchange, driver: ServerDriver, status: int) -> None:
        """Note a finished exchange.

        Args:
            exchange: The exchange.
            driver: Its connection's driver, for the client's address.
            status: The status sent, 0 when none was.
        """
        self._lines.append(self._line(exchange, driver, status))
        if self._timer is None:
            self._timer = self._loop.call_later(_DELAY, self._flush)
        elif len(self._lines) >= _LINES_MAX:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            lines, self._lines = self._lines, []
            self._writer.write(lines)
