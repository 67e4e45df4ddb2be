"""Writes what a client did as an HTTP Archive, HAR 1.2, which browsers and many tools read.

Needs harfile: ``pip install "plait[har]"``.
"""

from __future__ import annotations

import os
from threading import Lock
from time import monotonic, time
from types import TracebackType
from typing import Self

from plait._version import __version__
from plait.client.recording import Record
from plait.errors import ConfigError

try:
    from harfile import Creator, HarFile

    from plait.client.har_entries import Shown, entry
except ImportError as error:
    raise ConfigError('HTTP Archives need harfile: pip install "plait[har]"') from error

__all__ = ["HarRecorder"]


class HarRecorder:
    """Writes exchanges to an HTTP Archive as they end; a context manager, for a client's ``record``.

    The file is complete once this is closed. What does not get written, since the disk is full perhaps, is
    told by the log ``plait.client``.

    Args:
        path: The file; what is in it is lost.
        content_limit: Bytes of each request's and each response's content that the archive holds at most;
            by default none.
        secrets: Whether it shows credentials and cookies.

    Raises:
        ConfigError: The file cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, content_limit: int = 0, secrets: bool = False
    ) -> None:
        try:
            self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise ConfigError(f"cannot write {os.fspath(path)}: {error.strerror}") from error
        self._shown = Shown(content_limit, secrets)
        self._archive = HarFile(self._file, creator=Creator("plait", __version__))
        self._lock = Lock()
        self._epoch = time() - monotonic()

    def __call__(self, record: Record) -> None:
        """Write an exchange."""
        made = entry(record, self._shown, self._epoch)
        with self._lock:
            if not self._file.closed:
                self._archive.add_entry(**made)

    def close(self) -> None:
        """Complete the file."""
        with self._lock:
            if not self._file.closed:
                self._archive.close()
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
