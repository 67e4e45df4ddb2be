"""Which values an axis is for: a few that are far from all others must not take its better half."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from plait.lab import stats

__all__ = ["span"]

_FAR = 3.0
"""Far out is what is so many interquartile ranges beyond a quartile: J. W. Tukey, "Exploratory data
analysis" (1977), chapter 2."""
_SQUEEZED = 2.0
"""That many times as long as it need be, an axis squeezes what it is for."""


def span(groups: Iterable[Sequence[float]], also: Iterable[float] = ()) -> tuple[float, float]:
    """Find the ends of an axis, of which what is far out may be left.

    All values have room, unless an axis for those that are not far out, each within its group and on a
    logarithmic scale, would be half as long.

    Args:
        groups: Positive values; no group is empty.
        also: Values that have room in any case.

    Returns:
        The smallest and the largest value that have room.
    """
    known = list(groups)
    must = list(also)
    whole = [*must, *(value for group in known for value in group)]
    inner = [*must, *(value for group in known for value in _usual(group))]
    squeezed = _length(whole) > _SQUEEZED * _length(inner)
    chosen = inner if squeezed else whole
    return min(chosen), max(chosen)


def _usual(group: Sequence[float]) -> list[float]:
    logs = [math.log(value) for value in group]
    low, high = stats.quantile(logs, 0.25), stats.quantile(logs, 0.75)
    reach = _FAR * (high - low)
    return [value for value, log in zip(group, logs, strict=True) if low - reach <= log <= high + reach]


def _length(values: Sequence[float]) -> float:
    return math.log(max(values) / min(values))
