"""What is said beside the content: progress, failures, a summary."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from plait.cli.fetching.options import Given
from plait.cli.fetching.targets import count

if TYPE_CHECKING:
    from plait.cli.fetching.output import Stream
    from plait.cli.fetching.transfer import Outcome
    from plait.cli.fetching.waterfall import Waterfall
    from plait.client.async_client import AsyncClient
    from plait.client.statistics import Statistics

__all__ = ["Reports", "printable", "reports"]


class Reports:
    """Says on standard error what happens.

    Args:
        given: The options.
        progress: What draws how far it is, or None.
    """

    def __init__(self, given: Given, progress: Any) -> None:
        self._given = given
        self._client: AsyncClient | None = None
        self._waterfall: Waterfall | None = None
        if given.timing:
            from plait.cli.fetching.waterfall import Waterfall

            self._waterfall = Waterfall()
        self._progress = progress
        self._began = monotonic()
        self._statuses: Counter[int] = Counter()
        self._versions: Counter[str] = Counter()
        self._failures = self._count = 0
        self._bytes = 0

    def watch(self, client: AsyncClient) -> None:
        """Take note whose work this is about."""
        self._client = client

    def statistics(self) -> Statistics:
        """Tell what the client has done so far."""
        assert self._client is not None
        return self._client.statistics

    def received(self, size: int) -> None:
        """Take note of content."""
        self._bytes += size
        if self._progress is not None:
            self._progress.received(self._bytes)

    def say(self, text: str) -> None:
        """Write something to standard error, as it is."""
        if text:
            if self._progress is not None:
                self._progress.pause()
            sys.stderr.write(text)
            sys.stderr.flush()

    def failed(self, outcome: Outcome) -> None:
        """Say what went wrong with one URL."""
        if not self._given.silent or self._given.show_error:
            self.say(f"plait: {printable(f'{outcome.url}: {outcome.error}')}\n")

    def done(self, outcome: Outcome) -> None:
        """Take note that one URL is over."""
        if outcome.response is not None:
            self._statuses[outcome.response.status // 100] += 1
            self._versions[outcome.response.http_version] += 1
        self._count += 1
        if self._waterfall is not None:
            self._waterfall.add(outcome)
        self._failures += outcome.error is not None
        if self._progress is not None:
            self._progress.done(outcome.error is not None)

    def finish(self) -> None:
        """Say what it came to."""
        given = self._given
        statistics = self.statistics()
        if self._waterfall is not None:
            self._waterfall.draw()
        if not given.silent and (given.paths is not None or self._count > 1):
            self.say(f"plait: {self._summary(statistics)}\n")
        if given.stats:
            self.say(_connections(statistics))

    def _summary(self, statistics: Statistics) -> str:
        seconds = monotonic() - self._began
        count = sum(self._statuses.values())
        classes = ", ".join(f"{number} × {status}xx" for status, number in sorted(self._statuses.items()))
        failures = f", {self._failures} failed" if self._failures else ""
        connections = statistics.connections_opened
        versions = " and ".join(sorted(self._versions))
        responses = f"{count} {'response' if count == 1 else 'responses'}"
        return (
            f"{responses}{f' ({classes})' if classes else ''}{failures}, "
            f"{amount(self._bytes)} in {seconds:.2f} s over {connections} "
            f"{versions}{' ' if versions else ''}{'connection' if connections == 1 else 'connections'}"
        )


def _connections(statistics: Statistics) -> str:
    """Return what each connection did, a line for each."""
    lines = []
    for one in statistics.connections:
        tls = f", TLS {(one.secured - one.connected) * 1000:.1f} ms" if one.secured > one.connected else ""
        resets = one.resets_sent + one.resets_received
        lines.append(
            f"connection {one.number} from port {one.port}: {one.http_version}, {one.exchanges} requests, "
            f"{amount(one.bytes_sent)} sent, {amount(one.bytes_received)} received, "
            f"TCP {(one.connected - one.started) * 1000:.1f} ms{tls}"
            f"{f', {resets} streams reset' if resets else ''}"
            f"{f', round trip {one.tcp.rtt * 1000:.1f} ms' if one.tcp is not None else ''}\n"
        )
    return "".join(lines)


def printable(text: str) -> str:
    """Return what a terminal can show: what servers say may hold controls of it."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def amount(size: float | None) -> str:
    """Return a number of bytes, for people."""
    if size is None:
        return "? B"
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


@contextmanager
def reports(given: Given, stdout: Stream) -> Iterator[Reports]:
    """Say what happens, while the block runs."""
    progress = None
    # On a terminal that content goes to as well, it would be in the way.
    is_free = not (stdout.is_terminal and _writes_to_it(given))
    # One that cannot go back to the beginning of a line would keep all of them.
    is_able = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    if is_able and is_free and not given.silent:
        from plait.cli.fetching.progress import Progress

        progress = Progress(count(given))
    report = Reports(given, progress)
    try:
        yield report
    finally:
        if progress is not None:
            progress.pause()
    report.finish()


def _writes_to_it(given: Given) -> bool:
    named = len(given.output) + given.remote_name
    all_named = given.remote_name_all or (given.output_dir is not None and not named)
    is_file = all_named or named >= max(1, len(given.urls))
    return not is_file or "-" in (*given.output, given.dump_header) or given.write_out is not None
