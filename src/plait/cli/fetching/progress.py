"""How far it is, on a terminal."""

from __future__ import annotations

from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar

__all__ = ["Progress"]

#: Seconds between two drawings.
_EVERY = 0.1


class Progress:
    """A line that says how many responses there are, how many bytes, how fast, and how many failures.

    It is drawn by who has news, and by no thread beside.

    Args:
        total: Requests in all, None when that is not known.
    """

    def __init__(self, total: int | None) -> None:
        self._bar = Bar(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[bytes]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[failures]}"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total, bytes="", failures="")
        self._done = self._failures = self._bytes = 0
        self._began = self._drawn = monotonic()

    def received(self, size: int) -> None:
        """Take note of so many bytes in all."""
        self._bytes = size
        self._draw()

    def done(self, failed: bool) -> None:
        """Take note that one request is over."""
        self._done += 1
        self._failures += failed
        self._draw()

    def _draw(self) -> None:
        now = monotonic()
        if now - self._drawn < _EVERY:
            return
        self._drawn = now
        from plait.cli.fetching.reports import amount

        rate = self._bytes / (now - self._began)
        failures = f"[red]{self._failures} failed" if self._failures else ""
        self._bar.update(
            self._task,
            completed=self._done,
            bytes=f"{amount(self._bytes)}, {amount(rate)}/s",
            failures=failures,
        )
        if not self._bar.live.is_started:
            self._bar.start()
        self._bar.refresh()

    def pause(self) -> None:
        """Take the line away, until there is news."""
        if self._bar.live.is_started:
            self._bar.stop()
