"""Watches source files, for development, in a process of its own: the watcher has threads."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from plait.errors import ConfigError
from plait.server.process import fork

__all__ = ["watching"]

#: Milliseconds: a save is a handful of changes within this time, as often as which a look is taken at the
#: parent.
_STEP = 50


@contextmanager
def watching(directories: Sequence[Path]) -> Iterator[int]:
    """Watch for changed Python and TOML files while the block runs.

    Args:
        directories: They are watched with all that is below them.

    Yields:
        A file descriptor from which the names of changed files can be read, each in a line.

    Raises:
        ConfigError: A directory does not exist, or the library is missing.
    """
    if importlib.util.find_spec("watchfiles") is None:
        raise ConfigError('--reload needs the watchfiles library: pip install "plait[reload]"')
    for directory in directories:
        if not directory.is_dir():
            raise ConfigError(f"--reload-dir {str(directory)!r} is not a directory")
    reader, writer = os.pipe()

    def watch() -> int:
        os.close(reader)
        return _watch(directories, writer)

    watcher = fork(watch, (signal.SIGINT, signal.SIGTERM))
    os.close(writer)
    try:
        os.read(reader, 1)  # now no change goes unseen; or the watcher has ended, which is seen later
        yield reader
    finally:
        os.close(reader)
        os.kill(watcher, signal.SIGKILL)
        os.waitpid(watcher, 0)


def _watch(directories: Sequence[Path], writer: int) -> int:
    from watchfiles import PythonFilter, watch

    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # the supervisor says what changed
    here = Path.cwd()
    for changes in watch(
        *directories,
        watch_filter=PythonFilter(extra_extensions=(".toml",)),
        step=_STEP,
        stop_event=_Parent(writer),
        raise_interrupt=False,
    ):
        shown = os.path.relpath(min(path for _, path in changes), here)
        os.write(writer, f"{shown}\n".encode(errors="replace"))
    return 0


class _Parent:
    """The process that is told of changes: the watch asks whether it is gone, first when it has begun.

    Args:
        writer: File descriptor by which it is told, for a start that the watch has begun.
    """

    def __init__(self, writer: int) -> None:
        self._pid = os.getppid()
        self._writer: int | None = writer

    def is_set(self) -> bool:
        if self._writer is not None:
            os.write(self._writer, b"\n")
            self._writer = None
        return os.getppid() != self._pid
