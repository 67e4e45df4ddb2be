from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.lab.stats import Spread, median, quantile, spread

samples = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50)
fractions = st.floats(0, 1)


def test_a_quantile_is_interpolated_between_its_neighbours() -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert quantile([10.0, 20.0], 0.25) == 12.5
    assert quantile([1.0, 2.0, 3.0, 4.0, 5.0], 0.99) == pytest.approx(4.96)


def test_one_sample_is_every_quantile_of_itself() -> None:
    assert [quantile([7.0], fraction) for fraction in (0, 0.5, 0.99, 1)] == [7.0] * 4


def test_no_samples_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        quantile([], 0.5)


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_fraction_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile([1.0], fraction)


@given(samples)
def test_the_median_is_that_of_the_standard_library(values: list[float]) -> None:
    assert median(values) == pytest.approx(statistics.median(values), abs=1e-3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_percentiles_are_those_of_the_standard_library(values: list[float]) -> None:
    expected = statistics.quantiles(values, n=100, method="inclusive")
    assert [quantile(values, n / 100) for n in range(1, 100)] == pytest.approx(expected, abs=1e-6)


@given(samples, fractions, fractions)
def test_quantiles_grow_with_their_fraction_and_stay_inside_the_spread(
    values: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert min(values) <= quantile(values, low) <= quantile(values, high) + 1e-3 <= max(values) + 1e-3


@given(samples)
def test_the_order_of_the_samples_does_not_matter(values: list[float]) -> None:
    assert quantile(values, 0.9) == quantile(values[::-1], 0.9)


def test_the_spread_is_the_smallest_and_the_largest() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(1.0, 3.0)


def test_spreads_that_share_a_value_overlap() -> None:
    assert Spread(1, 3).overlaps(Spread(3, 4))
    assert Spread(1, 9).overlaps(Spread(3, 4))
    assert not Spread(1, 2).overlaps(Spread(3, 4))
    assert not Spread(3, 4).overlaps(Spread(1, 2))
