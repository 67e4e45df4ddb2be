"""``--timing``: what the time of each response went into, as bars on one axis."""

from __future__ import annotations

from heapq import heappushpop
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from plait.cli.fetching.transfer import Outcome
    from plait.client.statistics import Timing

__all__ = ["Waterfall", "bar"]

#: Rows that are drawn: those that took longest.
_MOST = 200
#: Phases, in the order of :class:`plait.client.statistics.Phases`: a letter where there are no colours.
_LETTERS = ".dctswr"
_NAMES = ("queue", "dns", "connect", "tls", "send", "wait", "receive")
_COLOURS = ("bright_black", "cyan", "yellow", "magenta", "blue", "green", "bright_blue")
_BLOCK = "█"
#: Columns below which there is no room for a bar.
_NARROW = 40
_PIPE_WIDTH = 120


class _Row(NamedTuple):
    """One response; the longest is the greatest."""

    seconds: float
    number: int
    label: str
    timing: Timing


class Waterfall:
    """Gathers responses, and draws them."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._left_out = 0

    def add(self, outcome: Outcome) -> None:
        """Take note of a response that has come to its end, and of the redirects before it."""
        response = outcome.response
        for one in () if response is None else (*response.history, response):
            timing: Timing | None = getattr(one, "timing", None)
            if timing is not None:
                self._add(outcome.target.number, f"{one.status} {one.url}", timing)

    def _add(self, number: int, label: str, timing: Timing) -> None:
        row = _Row(timing.done - timing.queued, number, label, timing)
        if len(self._rows) < _MOST:
            self._rows.append(row)
            if len(self._rows) == _MOST:
                self._rows.sort()  # which a heap is
        else:
            heappushpop(self._rows, row)
            self._left_out += 1

    def draw(self) -> None:
        """Draw them on standard error."""
        found = Console(stderr=True, highlight=False)
        console = found if found.is_terminal else Console(stderr=True, highlight=False, width=_PIPE_WIDTH)
        if not self._rows:
            return
        colours = console.color_system is not None and console.encoding.startswith("utf")
        rows = sorted(self._rows, key=lambda row: (row.number, row.timing.queued))
        first = min(row.timing.queued for row in rows)
        last = max(row.timing.done for row in rows)
        wide = console.width >= _NARROW
        room = console.width // 2 if wide else console.width - 11
        label_width = min(max(len(row.label) for row in rows), room)
        width = console.width - label_width - 12 if wide else 0
        console.print(_legend(colours, last - first, self._left_out))
        for row in rows:
            text = Text(_short(row.label, label_width).ljust(label_width))
            if width > 0:
                text.append(" ")
                for phase, cells in bar(row.timing, first, last, width):
                    sign = " " if phase is None else _BLOCK if colours else _LETTERS[phase]
                    text.append(sign * cells, style=_COLOURS[phase] if colours and phase is not None else "")
            text.append(f"{row.seconds * 1000:8.1f} ms")
            console.print(text, no_wrap=True, overflow="crop", crop=True)


def _legend(colours: bool, seconds: float, left_out: int) -> Text:
    text = Text()
    for at, name in enumerate(_NAMES):
        text.append(_BLOCK if colours else _LETTERS[at], style=_COLOURS[at] if colours else "")
        text.append(f" {name}  ")
    text.append(f"over {seconds * 1000:.1f} ms")
    if left_out:
        text.append(f"; {left_out} that took less are left out")
    return text


def _short(label: str, width: int) -> str:
    if len(label) <= width:
        return label
    half = (width - 1) // 2
    return f"{label[: width - 1 - half]}…{label[len(label) - half :]}"


def bar(timing: Timing, first: float, last: float, width: int) -> list[tuple[int | None, int]]:
    """Return a bar: phases by number, None for nothing, each with how many cells it fills.

    Args:
        timing: What is drawn.
        first: The time at the left end, in seconds.
        last: The time at the right end.
        width: Cells in all.
    """
    span = max(last - first, 1e-9)
    ends = list(accumulate(timing.phases(), initial=timing.queued))
    cells = [min(width, max(0, round((moment - first) / span * width))) for moment in ends]
    parts: list[tuple[int | None, int]] = [(None, cells[0])]
    parts += [(phase, until - since) for phase, (since, until) in enumerate(pairwise(cells))]
    if cells[-1] == cells[0]:
        # Too short for a cell of its own, and there all the same.
        phases = timing.phases()
        longest = max(range(len(phases)), key=phases.__getitem__)
        parts = [(None, min(cells[0], width - 1)), (longest, 1)]
    drawn = sum(count for _, count in parts)
    return [*(part for part in parts if part[1]), (None, width - drawn)]
