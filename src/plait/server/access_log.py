"""The access log: the combined log format, with the protocol in it."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO

from plait.protocol.exchange import ServerExchange

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["AccessLog"]

logger = logging.getLogger("plait.server")

#: What could end a quoted string, or a line, or move a terminal's cursor.
_UNSAFE = re.compile(rb"[^ !#-\[\]-~]")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


#: Seconds until lines are written: nobody notices, and thousands of them share one write.
_DELAY = 0.05
_LINES_MAX = 1000


def _escape(value: bytes) -> str:
    """Make what a client sent fit for a quoted string in a log."""
    return _UNSAFE.sub(lambda match: b"\\x%02x" % match[0][0], value).decode("ascii")


_escape_familiar = lru_cache(1024)(_escape)


def _safe(value: bytes) -> str:
    return _escape_familiar(value) if len(value) <= 256 else _escape(value)


class AccessLog:
    """Writes a line for each exchange, many at a time.

    Args:
        loop: The running loop.
        stream: Where lines go; standard output by default.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._loop = loop
        self._stream = stream or sys.stdout
        self._clock = clock
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failed = False
        self._second = -1
        self._time = ""

    def __call__(self, exchange: ServerExchange, driver: ServerDriver, status: int) -> None:
        """Note a finished exchange.

        Args:
            exchange: The exchange.
            driver: Its connection's driver, for the client's address.
            status: The status sent, 0 when none was.
        """
        request = exchange.request
        referer = agent = b"-"
        for name, value in request.fields:
            if name == b"referer":
                referer = value
            elif name == b"user-agent":
                agent = value
        version = exchange.endpoint.connection.http_version
        client = driver.client
        line = (
            f"{client[0] if client else '-'} - - [{self._now()}] "
            f'"{_safe(request.method)} {_safe(request.target)} HTTP/{version}" '
            f'{status or "-"} {exchange.sent_bytes or "-"} "{_safe(referer)}" "{_safe(agent)}"\n'
        )
        self._lines.append(line)
        if self._timer is None:
            self._timer = self._loop.call_later(_DELAY, self.flush)
        elif len(self._lines) >= _LINES_MAX:
            self.flush()

    def flush(self) -> None:
        """Write the lines gathered so far."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        try:
            self._stream.write("".join(lines))
            self._stream.flush()
        except (OSError, ValueError) as error:
            # Nobody reads the log any more, or the disk is full; serving goes on.
            if not self._failed:
                logger.warning("the access log cannot be written, lines of it are lost: %s", error)
            self._failed = True

    def _now(self) -> str:
        """The time as the format wants it: ``27/Jul/2016:11:20:18 +0000``."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            t = time.localtime(second)
            self._time = time.strftime(f"%d/{_MONTHS[t.tm_mon - 1]}/%Y:%H:%M:%S %z", t)
        return self._time
