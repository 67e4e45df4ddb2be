"""Verdicts: what a difference is called, when, and how it is put in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from plait.lab import stats
from plait.lab.record import Cell
from plait.lab.stats import Interval

__all__ = [
    "LEAST_BLOCKS",
    "MOST_BLOCKS",
    "Finding",
    "Verdict",
    "adjusted",
    "adjusted_runs",
    "fewest_blocks",
    "judge",
    "judge_runs",
    "log_ratios",
    "narrow_enough",
    "number",
]

LEAST_BLOCKS = 10
"""Fewer blocks give no verdict."""
MOST_BLOCKS = 60
"""More are not taken, however wide the interval is then."""

NARROW = 0.02
"""Half an interval that is narrow enough whatever the effect: well inside a margin of 3 %."""
NARROW_SHARE = 0.2
"""Half an interval that is narrow enough as a share of the effect: 1.2 times slower, give or take 4 %."""
WIDE = 0.1
"""Half an interval that is too wide whatever the effect: a number in a report is right to 10 %."""


class Verdict(StrEnum):
    """What can be said of a difference."""

    FASTER = "faster"
    """The whole interval lies beyond the margin."""
    SLOWER = "slower"
    """The whole interval lies beyond the margin, on the other side."""
    SAME = "no practical difference"
    """The whole interval lies within the margin."""
    OPEN = "not enough data"
    """The interval reaches over an edge of the margin, or there is a reason not to trust it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How long one contender took in relation to another.

    Attributes:
        contender: By name.
        reference: What it is compared with, by name.
        blocks: In how many blocks both were measured.
        ratio: The contender's time over the reference's: below 1 is faster.
        low: Where the ratio's interval begins.
        high: Where it ends.
        confidence: Of the interval.
        verdict: What it is called.
        reason: Why there is not enough data, in words that go into brackets; None when there is.
    """

    contender: str
    reference: str
    blocks: int
    ratio: float
    low: float
    high: float
    confidence: float
    verdict: Verdict
    reason: str | None = None

    def refused(self, reason: str) -> Finding:
        """Return the same figures without a verdict."""
        return replace(self, verdict=Verdict.OPEN, reason=reason)

    def words(self) -> str:
        """Say how much: ``4.8 times faster [4.7 to 5.0]``."""
        factor, interval = self._figures()
        match self.verdict:
            case Verdict.FASTER | Verdict.SLOWER:
                return f"{factor} times {self.verdict} {interval}"
            case Verdict.SAME:
                return f"{self.verdict} (ratio {factor} {interval})"
            case Verdict.OPEN:
                return f"{self.verdict} (ratio {factor} {interval}; {self.reason})"

    def sentence(self, title: Callable[[str], str]) -> str:
        """Say who, whom and how much, in one sentence.

        Args:
            title: Names a contender for people.
        """
        mine = title(self.contender)
        theirs = "before" if self.reference == self.contender else title(self.reference)
        if self.verdict in (Verdict.FASTER, Verdict.SLOWER):
            return f"{mine} was {self.words()} than {theirs}."
        return f"{mine} against {theirs}: {self.words()}."

    def _figures(self) -> tuple[str, str]:
        value, low, high = self.ratio, self.low, self.high
        if self.verdict is Verdict.FASTER:  # so many times faster is a number above 1
            value, low, high = 1 / value, 1 / high, 1 / low
        return number(value, low, high), f"[{number(low, low, high)} to {number(high, low, high)}]"


def number(value: float, low: float, high: float) -> str:
    """Write a value with as many digits as its interval allows, and enough to tell its ends apart."""
    half = (high - low) / 2
    digits = math.ceil(-math.log10(half)) if half > 0 else 3
    least = 2 if low < 1 else 1 if low < 10 else 0
    return f"{value:.{min(max(digits, least), 3)}f}"


def log_ratios(cell: Cell, contender: str, reference: str) -> list[float]:
    """List the logarithm of one contender's load over another's, for each block that has both.

    Args:
        cell: The samples.
        contender: By name.
        reference: By name.
    """
    mine, theirs = cell.loads(contender), cell.loads(reference)
    return [math.log(mine[block] / theirs[block]) for block in sorted(mine.keys() & theirs.keys())]


def judge(
    ratios: Sequence[float],
    *,
    contender: str,
    reference: str,
    margin: float,
    confidence: float,
    least: int = LEAST_BLOCKS,
) -> Finding:
    """Judge a pair by the median of its log ratios.

    Args:
        ratios: For each block the logarithm of the contender's time over the reference's, as
            :func:`log_ratios` lists them.
        contender: By name.
        reference: By name.
        margin: The difference of no practical interest, as a share: 0.03. It reaches from
            1 / (1 + margin) to 1 + margin, so that who is compared with whom does not matter.
        confidence: Of the interval: 0.95, or what :func:`adjusted` allows.
        least: How many blocks a verdict takes.

    Raises:
        ValueError: There is no block in which both were measured.
    """
    return _finding(
        contender,
        reference,
        math.exp(stats.median(ratios)),
        stats.median_interval(ratios, confidence),
        margin,
        confidence,
        f"{len(ratios)} of at least {least} blocks" if len(ratios) < least else None,
        len(ratios),
    )


def judge_runs(
    before: Sequence[float],
    after: Sequence[float],
    *,
    contender: str,
    margin: float,
    confidence: float,
    least: int = LEAST_BLOCKS,
) -> Finding:
    """Judge one contender in two runs, which share no blocks.

    Args:
        before: Its times in the first run, in seconds.
        after: Its times in the second.
        contender: By name; it is its own reference.
        margin: The difference of no practical interest, as a share.
        confidence: Of the interval.
        least: How many samples of each a verdict takes.

    Raises:
        ValueError: One of the runs has no sample of it.
    """
    old, new = _logs(before), _logs(after)
    fewest = min(len(before), len(after))
    return _finding(
        contender,
        contender,
        math.exp(stats.median(new) - stats.median(old)),
        stats.difference_interval(old, new, confidence),
        margin,
        confidence,
        f"{fewest} of at least {least} samples" if fewest < least else None,
        fewest,
    )


def adjusted(
    family: Sequence[Sequence[float]], *, margin: float, confidence: float, least: int = LEAST_BLOCKS
) -> list[float]:
    """Say at which confidence each pair of a family is judged, so that all verdicts hold together.

    A wrong verdict of one pair takes an interval that misses, which its error level bounds. Holm's
    procedure keeps the probability of any wrong verdict, direction included, below 1 - confidence
    for independent pairs (J. P. Shaffer, "Control of directional errors with stagewise multiple test
    procedures", 1980), and cells of a sweep are: each is measured by itself.

    Args:
        family: The ratios of each pair, as :func:`judge` takes them; a pair without any counts, and is
            not decided.
        margin: As :func:`judge` takes it.
        confidence: Of all verdicts together.
        least: How many blocks a verdict takes.

    Returns:
        The confidence for each, in the same order.
    """
    smallest = [
        _smallest_error(stats.error_levels(len(ratios)), partial(stats.median_interval, ratios), margin)
        if len(ratios) >= least
        else 1.0
        for ratios in family
    ]
    return [1 - level for level in stats.holm(smallest, 1 - confidence)]


def adjusted_runs(
    family: Sequence[tuple[Sequence[float], Sequence[float]]],
    *,
    margin: float,
    confidence: float,
    least: int = LEAST_BLOCKS,
) -> list[float]:
    """Do what :func:`adjusted` does, for :func:`judge_runs`.

    Args:
        family: The times before and after of each.
        margin: As :func:`judge_runs` takes it.
        confidence: Of all verdicts together.
        least: How many samples of each a verdict takes.

    Returns:
        The confidence for each, in the same order.
    """
    smallest = []
    for before, after in family:
        levels = stats.error_levels(len(before), len(after))
        interval = partial(stats.difference_interval, _logs(before), _logs(after))
        enough = min(len(before), len(after)) >= least
        smallest.append(_smallest_error(levels, interval, margin) if enough else 1.0)
    return [1 - level for level in stats.holm(smallest, 1 - confidence)]


def _smallest_error(levels: Sequence[float], interval: Callable[[float], Interval], margin: float) -> float:
    """Find the smallest of ascending error levels whose interval decides; 1 when none does."""
    decided = (one for one in levels if _verdict(interval(1 - one), margin, 1 - one) is not Verdict.OPEN)
    return next(decided, 1.0)


def fewest_blocks(confidence: float, cells: int) -> int:
    """Return how many blocks a verdict takes, whichever of the cells it is about.

    The widest interval there is, from the smallest to the largest ratio, misses the median when all of
    them lie on one side of it: of n blocks in 2 of 2**n cases.

    Args:
        confidence: Of all verdicts together.
        cells: How many are judged together.
    """
    return max(LEAST_BLOCKS, 1 + math.ceil(math.log2(cells / (1 - confidence))))


def narrow_enough(
    ratios: Sequence[float], *, confidence: float = 0.95, least: int = LEAST_BLOCKS, most: int = MOST_BLOCKS
) -> bool:
    """Say whether more blocks are not worth their time, because the interval is narrow.

    Only precision ends a run early and never a verdict: to measure until a difference shows finds one
    where there is none. It takes a stricter interval than the reported one: a 95 % interval that decides
    about itself after every block misses 7 to 8 % of the time for smooth distributions, and 17 % in the
    hardest case (:func:`plait.lab.stats.stopped_error`, docs/statistics.md).

    Args:
        ratios: As :func:`judge` takes them; it may be asked after every block.
        confidence: That of the verdict; in a sweep of n cells, 1 - (1 - confidence) / n.
        least: How many blocks a verdict takes.
        most: How many there are at most.
    """
    if len(ratios) < least:
        return False
    wanted = 1 - stats.stopping_error(1 - confidence, least, most)
    low, high, reached = stats.median_interval(ratios, wanted)
    enough = max(NARROW, min(NARROW_SHARE * abs(stats.median(ratios)), WIDE))
    return reached >= wanted and (high - low) / 2 <= enough


def _finding(
    contender: str,
    reference: str,
    ratio: float,
    interval: Interval,
    margin: float,
    confidence: float,
    reason: str | None,
    blocks: int,
) -> Finding:
    verdict = _verdict(interval, margin, confidence)
    if verdict is Verdict.OPEN and reason is None:
        reason = "the interval reaches over the margin"
        if interval.confidence < confidence:
            reason = f"too few blocks for a confidence of {100 * confidence:.4g} %"
    return Finding(
        contender=contender,
        reference=reference,
        blocks=blocks,
        ratio=ratio,
        low=math.exp(interval.low),
        high=math.exp(interval.high),
        confidence=interval.confidence,
        verdict=Verdict.OPEN if reason else verdict,
        reason=reason,
    )


def _logs(times: Sequence[float]) -> list[float]:
    return [math.log(one) for one in times]


def _verdict(interval: Interval, margin: float, confidence: float) -> Verdict:
    edge = math.log1p(margin)
    if interval.confidence < confidence:
        return Verdict.OPEN
    if interval.low > edge:
        return Verdict.SLOWER
    if interval.high < -edge:
        return Verdict.FASTER
    return Verdict.SAME if -edge <= interval.low and interval.high <= edge else Verdict.OPEN
