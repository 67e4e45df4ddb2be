"""Statistics of a handful of samples: pure functions, no opinion about where the numbers come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Spread", "median", "quantile", "spread"]


class Spread(NamedTuple):
    """The smallest and the largest of some samples."""

    low: float
    high: float

    def overlaps(self, other: Spread) -> bool:
        """Say whether some value lies in both; what overlaps is not clearly different."""
        return self.low <= other.high and other.low <= self.high


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


def spread(values: Sequence[float]) -> Spread:
    """Find the smallest and the largest sample.

    Of two contenders that do not differ, n samples each lie apart by chance in 2 of C(2n, n) cases:
    one in three for two samples, one in 126 for five. Quartiles of five samples would say less.
    """
    return Spread(min(values), max(values))
