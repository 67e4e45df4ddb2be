"""Writes a log in a thread of its own, so that a full pipe or a slow disk holds up nobody else."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from plait.errors import ConfigError

__all__ = ["LogWriter"]

logger = logging.getLogger("plait.server")

#: Bytes that wait to be written; what comes beyond them is lost, and counted.
_PENDING_MAX = 8 * 1024 * 1024
#: What a pipe takes at once, so that lines of several processes do not mix (POSIX's PIPE_BUF).
_PIPE_MAX = 4096
_STDOUT = 1
#: Seconds for the last lines, when the server ends.
_LAST = 1.0


class LogWriter:
    """Appends text to a file, or to standard output.

    Args:
        path: The file, or None for standard output.

    Raises:
        ConfigError: The file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = _STDOUT
        if path is not None:
            try:
                self._descriptor = _open(path)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise ConfigError(f"the access log {path} cannot be written: {reason}") from error
        self._queue: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        # Each is written by one thread only.
        self._put = self._done = 0
        self._lost_here = self._lost_there = 0
        self._told = 0
        self._failing = False
        self._reopen = False
        self._thread = Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def write(self, lines: list[str]) -> None:
        """Write lines of ASCII, in order, as soon as the file takes them."""
        if self._put - self._done > _PENDING_MAX:
            if not self._lost_here:
                logger.warning("the access log cannot be written as fast as it grows, lines of it are lost")
            self._lost_here += len(lines)
            return
        data = "".join(lines).encode("ascii")
        self._put += len(data)
        self._queue.put((data, len(lines)))

    def reopen(self) -> None:
        """Open the file anew before the next write, where it was moved away."""
        self._reopen = True
        self._queue.put((b"", 0))

    def close(self) -> None:
        """Write what is left, for a second at most, and close the file."""
        self._queue.put(None)
        self._thread.join(_LAST)
        lost = self._lost_here + self._lost_there - self._told
        if lost:
            logger.warning("lines lost of the access log: %d", lost)

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            data, lines = batch
            try:
                if self._reopen:
                    self._reopen = False
                    self._open_anew()
                self._write(data)
            except OSError as error:
                # Nobody reads the log any more, or the disk is full; serving goes on.
                self._lost_there += lines
                if not self._failing:
                    logger.warning("the access log cannot be written, lines of it are lost: %s", error)
                self._failing = True
            else:
                if lines and (self._failing or self._lost_here + self._lost_there > self._told):
                    self._recovered()
            self._done += len(data)
        if self._descriptor != _STDOUT:
            os.close(self._descriptor)

    def _recovered(self) -> None:
        lost = self._lost_here + self._lost_there
        logger.warning("the access log is written again, after lines lost: %d", lost - self._told)
        self._told = lost
        self._failing = False

    def _open_anew(self) -> None:
        if self._path is not None:
            descriptor = _open(self._path)
            os.close(self._descriptor)
            self._descriptor = descriptor

    def _write(self, data: bytes) -> None:
        if not data:
            return
        if stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
            for piece in _pieces(data):
                _write_all(self._descriptor, piece)
        else:
            _write_all(self._descriptor, data)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _pieces(data: bytes) -> list[bytes]:
    """Cut at ends of lines, into pieces that a pipe takes whole."""
    pieces = []
    start = 0
    while len(data) - start > _PIPE_MAX:
        end = data.rfind(b"\n", start, start + _PIPE_MAX) + 1 or data.find(b"\n", start) + 1
        pieces.append(data[start:end])
        start = end
    pieces.append(data[start:])
    return pieces
