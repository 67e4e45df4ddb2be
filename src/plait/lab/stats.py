"""Statistics of a handful of samples: pure functions, no opinion about where the numbers come from.

The interval of a median is that between two order statistics (W. R. Thompson, 1936): whatever the
distribution, at least the stated share of such intervals hold the median, because each sample lies
below it with probability one half. For an odd number of samples every percentile interval of the
bootstrap is such an interval too (its distribution is known exactly: B. Efron, "Bootstrap methods:
another look at the jackknife", 1979, §3; J. S. Maritz and R. G. Jarrett, 1978), only that percentiles
pick order statistics too near to each other: at 95 % the bootstrap misses up to 7 % of the time, and at
the 99.75 % that one of twenty verdicts takes, with ten samples, three times as often as it says. So
this is the bootstrap's interval, expanded until it is true to its level. docs/statistics.md has the
figures, ``python -m benchmarks.verdicts`` finds them again.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "Interval",
    "Step",
    "band",
    "difference_interval",
    "drift",
    "ecdf",
    "error_levels",
    "holm",
    "median",
    "median_interval",
    "quantile",
    "stopped_error",
    "stopping_error",
    "variation",
]

NORMAL_MAD = 1.4826
"""The standard deviation of a normal distribution, in median absolute deviations."""


ROUNDING = 1e-12
"""What subtracting a confidence from 1 may add to an error level or take from it."""


class Interval(NamedTuple):
    """An interval that holds what is estimated in a share of all cases.

    Attributes:
        low: Where it begins.
        high: Where it ends.
        confidence: The share; less than what was asked for where the samples are too few for that.
    """

    low: float
    high: float
    confidence: float


class Step(NamedTuple):
    """One step of an empirical distribution.

    Attributes:
        value: Where it is.
        share: The share of the samples up to it, itself included.
    """

    value: float
    share: float


def quantile(values: Sequence[float], fraction: float) -> float:
    """Interpolate a quantile linearly between the two nearest samples (Hyndman and Fan's type 7).

    Args:
        values: The samples, in any order.
        fraction: From 0, the smallest, to 1, the largest.

    Raises:
        ValueError: There are no samples, or the fraction is not one.
    """
    if not values:
        raise ValueError("no samples have no quantile")
    if not 0 <= fraction <= 1:
        raise ValueError(f"a fraction lies between 0 and 1, not at {fraction}")
    ordered = sorted(values)
    below, weight = divmod((len(ordered) - 1) * fraction, 1)
    low = ordered[int(below)]
    if not weight:
        return low
    high = ordered[int(below) + 1]
    # Rounding must not carry the result out of the interval.
    return min(max(low + (high - low) * weight, low), high)


def median(values: Sequence[float]) -> float:
    """Find the middle sample, or the mean of the middle two."""
    return quantile(values, 0.5)


def median_interval(values: Sequence[float], confidence: float) -> Interval:
    """Find an interval of the median that holds for every distribution.

    Args:
        values: Independent samples, in any order.
        confidence: The least share of such intervals that hold the median: 0.95.

    Returns:
        The narrowest interval between order statistics, symmetric in their ranks. Of too few samples,
        from the smallest to the largest, at the lower confidence which that has.

    Raises:
        ValueError: There are no samples.
    """
    if not values:
        raise ValueError("no samples have no median")
    ordered = sorted(values)
    rank = _rank(len(ordered), 1 - confidence)
    if not rank:
        return Interval(ordered[0], ordered[-1], 1 - _outside(len(ordered), 1))
    return Interval(ordered[rank - 1], ordered[-rank], confidence)


def difference_interval(before: Sequence[float], after: Sequence[float], confidence: float) -> Interval:
    """Find an interval of the difference of two medians, after less before, of unpaired samples.

    The limits of both medians are combined as G. Y. Zou and A. Donner do it ("Construction of
    confidence limits about effect measures", Statistics in Medicine 27, 2008).

    Args:
        before: Independent samples, in any order.
        after: The same, independent of those before.
        confidence: The share of such intervals that hold the difference.

    Raises:
        ValueError: There are no samples of one of them.
    """
    old, new = median_interval(before, confidence), median_interval(after, confidence)
    at, to = median(before), median(after)
    low = to - at - math.hypot(to - new.low, old.high - at)
    high = to - at + math.hypot(new.high - to, at - old.low)
    return Interval(low, high, min(old.confidence, new.confidence))


def error_levels(*counts: int) -> list[float]:
    """List the error levels at which intervals of medians change, ascending.

    Args:
        counts: How many samples there are of each median.
    """
    return sorted({_outside(count, rank) for count in counts for rank in range(1, (count + 1) // 2 + 1)})


@lru_cache(maxsize=256)
def stopping_error(error: float, least: int, most: int) -> float:
    """Find the error level of an interval of a median that may decide when there are samples enough.

    Intervals that happen to be narrow are over-represented among those that end a run, so one that decided
    about itself would miss more often than it says.

    Args:
        error: How often the interval that is reported at the end may miss.
        least: After how many samples it decides for the first time.
        most: After how many the run ends anyway.

    Returns:
        The first of 1/8, 1/16 and so on of the error that keeps it in the hardest case, too.
    """
    rarer = 8
    while rarer < 1024 and stopped_error(error, error / rarer, least, most) > error:
        rarer *= 2
    return error / rarer


def stopped_error(error: float, stopping: float, least: int, most: int) -> float:
    """Bound how often the interval of a median misses that is reported when another was narrow.

    Of two values far apart an interval is narrow only when it holds one of them alone, and then it misses
    the median: so this is how often a fair coin, thrown so many times, ever comes up so unevenly.

    Args:
        error: The error level of the interval that is reported.
        stopping: Of the one that decides after each sample whether there are to be more.
        least: After how many samples it decides for the first time.
        most: After how many the run ends anyway; beyond 400 it makes little difference.
    """
    most = min(most, 400)
    ways, missed = [1.0], 0.0
    for count in range(1, most + 1):
        ways = [(a + b) / 2 for a, b in zip([*ways, 0.0], [0.0, *ways], strict=True)]
        rank = _rank(count, error if count == most else stopping)
        if count >= least and rank:
            missed += sum(ways[:rank]) + sum(ways[-rank:])
            ways[:rank] = ways[-rank:] = [0.0] * rank
    return missed


def holm(errors: Sequence[float], error: float) -> list[float]:
    """Say at which error level each of a family may be judged, so that all verdicts hold together.

    S. Holm's step down ("A simple sequentially rejective multiple test procedure", 1979): the clearest
    is judged at the error level over their number; when that decides it, the next at the level over
    one fewer, and so on until one stays open.

    Args:
        errors: The smallest error level that decides each; 1 for what no level decides.
        error: How often any verdict of the family may be wrong: 0.05.

    Returns:
        An error level for each, in the same order.
    """
    allowed = [0.0] * len(errors)
    level, left = 0.0, len(errors)
    for index in sorted(range(len(errors)), key=errors.__getitem__):
        level = error / left
        allowed[index] = level
        if errors[index] <= level:
            left -= 1
    return allowed


def ecdf(values: Sequence[float]) -> list[Step]:
    """List the steps of the empirical distribution, one for each different value."""
    ordered = sorted(values)
    return [Step(value, bisect_right(ordered, value) / len(ordered)) for value in sorted(set(ordered))]


def band(count: int, confidence: float) -> float:
    """Say how far the true distribution lies from the empirical one, at most, everywhere at once.

    A. Dvoretzky, J. Kiefer and J. Wolfowitz's bound (1956) with P. Massart's constant (1990).

    Args:
        count: How many samples.
        confidence: How often that is true.

    Returns:
        A share: to be added to, and taken from, every step of :func:`ecdf`.
    """
    return min(1.0, math.sqrt(math.log(2 / (1 - confidence)) / (2 * count)))


def variation(values: Sequence[float]) -> float:
    """Measure how much positive samples vary, as a share of their median, whatever a few of them do.

    Returns:
        The median absolute deviation, scaled to be the coefficient of variation of normal samples.
    """
    middle = median(values)
    return NORMAL_MAD * median([abs(value - middle) for value in values]) / middle


def drift(values: Sequence[float]) -> float:
    """Say how easily chance makes a sequence rise or fall as steadily as this one.

    H. B. Mann's test for trend (1945) with M. G. Kendall's variance for ties, by the normal
    approximation with correction for continuity.

    Args:
        values: In the order they were taken.

    Returns:
        A two-sided p-value.
    """
    n = len(values)
    rises = sum(_sign(later - earlier) for i, earlier in enumerate(values) for later in values[i + 1 :])
    variance = (_kendall(n) - sum(_kendall(count) for count in _ties(values))) / 18
    if not variance:
        return 1.0
    return math.erfc(max(abs(rises) - 1, 0) / math.sqrt(2 * variance))


def _kendall(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)


def _ties(values: Sequence[float]) -> Iterator[int]:
    ordered = sorted(values)
    for value in set(ordered):
        yield bisect_right(ordered, value) - bisect_left(ordered, value)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


@lru_cache(maxsize=4096)
def _outside(count: int, rank: int) -> float:
    """Bound how often a median lies outside the rank-th smallest and the rank-th largest sample."""
    return sum(math.comb(count, below) for below in range(rank)) / (1 << (count - 1))


@lru_cache(maxsize=4096)
def _rank(count: int, error: float) -> int:
    """Find the largest rank whose interval errs so rarely, from 1; 0 when none does."""
    outside, every = 0, 1 << (count - 1)
    for rank in range((count + 1) // 2):
        outside += math.comb(count, rank)
        if outside / every > error + ROUNDING:
            return rank
    return (count + 1) // 2
