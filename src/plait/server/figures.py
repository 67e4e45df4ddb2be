"""What a server counts, and how workers count together.

Every process counts in a list of its own and copies it, once a second, into its row of memory that all
workers share. So any of them can tell the sums, each row is written by one process alone, and a request
costs no more than a few additions. A worker that dies leaves its row, and another one goes on counting
in it: counters never go back.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable
from struct import Struct
from time import perf_counter
from typing import TYPE_CHECKING

from plait.drivers.aio_server import ServerDriver, Site
from plait.errors import PlaitError
from plait.protocol.server_exchange import ServerExchange
from plait.server.gateway import Log
from plait.server.phase import Phase

try:
    import fcntl
except ImportError:  # Windows, which has one process and needs no lock
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import asyncio

Places = tuple[tuple[str, int] | None, tuple[str, int] | None]

__all__ = [
    "BUCKETS",
    "CLASSES",
    "METHODS",
    "RESET_CODES",
    "VERSIONS",
    "Board",
    "CountingDriver",
    "Figures",
]

# -- the layout of a row: what stands where, in 8-byte floats ------------------------------------------

VERSIONS = ("1.0", "1.1", "2")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "other")
#: By the first digit of the status; "none" is for exchanges that ended without one.
CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
#: Upper ends in seconds; one more is for what took longer.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Error codes of RFC 9113 §7; one more is for all others.
RESET_CODES = 14

REQUESTS = 0
DURATIONS = REQUESTS + len(VERSIONS) * len(METHODS) * len(CLASSES)
DURATION_SUMS = DURATIONS + len(VERSIONS) * (len(BUCKETS) + 1)
RESETS = DURATION_SUMS + len(VERSIONS)
CONNECTIONS = RESETS + 2 * (RESET_CODES + 1)
SESSIONS = CONNECTIONS + len(VERSIONS)
RECEIVED = SESSIONS + len(VERSIONS)
SENT = RECEIVED + 1
HANDSHAKE_FAILURES = SENT + 1
STARTS = HANDSHAKE_FAILURES + 1
#: From here on what goes up and down, and ends with its process.
GAUGES = STARTS + 1
RUNNING = GAUGES
STREAMS = RUNNING + 1
OPEN = STREAMS + 1
PHASE = OPEN + len(VERSIONS) + 1
SIZE = PHASE + 1

_ROWS = 512
_FLOAT = Struct("d")
_ROW = Struct(f"{SIZE}d")
_PHASES = tuple(Phase)
_VERSION = {name: index for index, name in enumerate(VERSIONS)}
_METHOD = {name.encode(): index * len(CLASSES) for index, name in enumerate(METHODS[:-1])}
_OTHER = (len(METHODS) - 1) * len(CLASSES)
#: Where the figures of a version's requests begin.
_PLACES = {
    name: (
        REQUESTS + index * len(METHODS) * len(CLASSES),
        DURATIONS + index * (len(BUCKETS) + 1),
        DURATION_SUMS + index,
        SESSIONS + index,
    )
    for name, index in _VERSION.items()
}


class Board:
    """Rows of figures in memory that is shared with every process forked from this one.

    A process holds its row by a lock on the byte of that number, which ends with the process.

    Raises:
        PlaitError: There is no such memory.
    """

    def __init__(self) -> None:
        size = _ROWS * _ROW.size
        try:
            if hasattr(os, "memfd_create"):
                self._file = os.fdopen(os.memfd_create("plait-figures"), "w+b", buffering=0)
            else:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (open as long as this)
            self._file.truncate(size)
            self._memory = mmap.mmap(self._file.fileno(), size)
        except OSError as error:
            raise PlaitError(f"no memory to share figures in: {error.strerror}") from error
        self._own: int | None = None

    def claim(self) -> int:
        """Take a row that no living process has, and return its number.

        Raises:
            PlaitError: There is none.
        """
        for number in range(_ROWS):
            if self._lock(number):
                self._own = number
                return number
        raise PlaitError(f"more than {_ROWS} processes count together")

    def close(self) -> None:
        """Give back the row and the memory, in this process."""
        self._file.close()
        self._memory.close()

    def read(self, number: int) -> list[float]:
        """Return the figures of one row."""
        return list(_ROW.unpack_from(self._memory, number * _ROW.size))

    def write(self, number: int, counts: list[float]) -> None:
        """Publish the figures of a row that was claimed."""
        _ROW.pack_into(self._memory, number * _ROW.size, *counts)

    def totals(self) -> list[float]:
        """Return a row of sums: of every process that ever was, but gauges of the living only."""
        sums = [0.0] * SIZE
        for number in self._used():
            row = self.read(number)
            end = SIZE if self._lives(number) else GAUGES
            for index in range(end):
                sums[index] += row[index]
        return sums

    def phases(self) -> set[Phase]:
        """Return the phases that living processes are in."""
        return {_PHASES[int(self.read(number)[PHASE])] for number in self._used() if self._lives(number)}

    def _used(self) -> Iterable[int]:
        return [number for number in range(_ROWS) if self._started(number)]

    def _started(self, number: int) -> bool:
        count: float = _FLOAT.unpack_from(self._memory, number * _ROW.size + STARTS * _FLOAT.size)[0]
        return count > 0

    def _lives(self, number: int) -> bool:
        if number == self._own:
            return True
        if not self._lock(number):
            return True
        if fcntl is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, number)
        return False

    def _lock(self, number: int) -> bool:
        if fcntl is None:
            return number == 0
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            return False
        return True


class Figures:
    """What one process counts. It is called, like a log, with each finished exchange.

    Args:
        board: What it shares with others; a row of it is claimed.

    Attributes:
        counts: The figures, in the order of a row.
        log: A log to call with each exchange, too, or None.
    """

    __slots__ = ("_board", "_number", "counts", "log")

    def __init__(self, board: Board) -> None:
        self._board = board
        self._number = board.claim()
        self.log: Log | None = None
        self.counts = board.read(self._number)
        self.counts[GAUGES:] = [0.0] * (SIZE - GAUGES)
        self.counts[STARTS] += 1.0
        self.flush()

    def __call__(self, exchange: ServerExchange, driver: ServerDriver, status: int) -> None:
        counts = self.counts
        request = exchange.request
        base, histogram, total, sessions = _PLACES[exchange.endpoint.connection.http_version]
        counts[base + _METHOD.get(request.method, _OTHER) + status // 100] += 1.0
        if not request.protocol:
            seconds = perf_counter() - exchange.begun
            counts[histogram + bisect_left(BUCKETS, seconds)] += 1.0
            counts[total] += seconds
        elif status in (101, 200):
            counts[sessions] += 1.0
        if self.log is not None:
            self.log(exchange, driver, status)

    def connected(self, version: str) -> None:
        """Count a connection whose version of HTTP is known now."""
        self.counts[CONNECTIONS + _VERSION[version]] += 1

    def handshake_failed(self) -> None:
        """Count a connection that ended in TLS's handshake."""
        self.counts[HANDSHAKE_FAILURES] += 1.0

    def reset(self, by_client: bool, error_code: int) -> None:
        """Count a stream that was reset."""
        self.counts[RESETS + by_client * (RESET_CODES + 1) + min(error_code, RESET_CODES)] += 1.0

    def observe(self, drivers: Iterable[ServerDriver], running: int) -> None:
        """Look at what there is now, and publish everything.

        Args:
            drivers: Those of all connections.
            running: Requests whose application has not finished.
        """
        connections = [0.0] * (len(VERSIONS) + 1)
        streams = 0
        for driver in drivers:
            endpoint = driver.endpoint
            if endpoint is None:
                connections[-1] += 1
                continue
            version = endpoint.connection.http_version
            connections[_VERSION[version]] += 1
            if version == "2":
                streams += len(endpoint.exchanges)
        self.counts[RUNNING] = running
        self.counts[STREAMS] = streams
        self.counts[OPEN:PHASE] = connections
        self.flush()

    def enter(self, phase: Phase) -> None:
        """Publish the phase that the server is in."""
        self.counts[PHASE] = _PHASES.index(phase)
        self.flush()

    def flush(self) -> None:
        """Publish the figures in the row."""
        self._board.write(self._number, self.counts)


class CountingDriver(ServerDriver):
    """A driver that counts bytes.

    Args:
        loop: The running loop.
        site: The server.
        places: Where the connection comes from and goes to, if a proxy said so.
        counts: Those of the server's :class:`Figures`.
    """

    __slots__ = ("_counts",)

    def __init__(
        self, loop: asyncio.AbstractEventLoop, site: Site, places: Places | None, counts: list[float]
    ) -> None:
        super().__init__(loop, site, places)
        self._counts = counts

    def writer(self, transport: asyncio.Transport) -> Callable[[bytes], None]:
        counts = self._counts
        write = transport.write

        def counting(data: bytes) -> None:
            counts[SENT] += len(data)
            write(data)

        return counting

    def data_received(self, data: bytes) -> None:
        self._counts[RECEIVED] += len(data)
        ServerDriver.data_received(self, data)
