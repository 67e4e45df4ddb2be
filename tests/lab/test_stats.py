from __future__ import annotations

import math
import random
import statistics
from itertools import pairwise

import numpy
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.verdicts import bootstrap_interval
from plait.lab import stats
from plait.lab.stats import Interval, Step, median, median_interval, quantile

samples = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50)
fractions = st.floats(0, 1)
confidences = st.floats(0.5, 0.9999)


def normal(count: int, seed: int, *, mean: float = 0.0) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(mean, 1) for _ in range(count)]


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
def test_quantiles_grow_with_their_fraction_and_stay_inside_the_samples(
    values: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert min(values) <= quantile(values, low) <= quantile(values, high) + 1e-3 <= max(values) + 1e-3


@given(samples)
def test_the_order_of_the_samples_does_not_matter(values: list[float]) -> None:
    assert quantile(values, 0.9) == quantile(values[::-1], 0.9)
    assert median_interval(values, 0.95) == median_interval(values[::-1], 0.95)


# D. B. Owen's and everybody else's tables of the sign test: the ranks of 95 and 99 % intervals.
@pytest.mark.parametrize(
    ("count", "confidence", "rank"),
    [(6, 0.95, 1), (9, 0.95, 2), (10, 0.95, 2), (20, 0.95, 6), (60, 0.95, 22), (8, 0.99, 1), (20, 0.99, 4)],
)
def test_intervals_have_the_ranks_of_the_tables(count: int, confidence: float, rank: int) -> None:
    values = [float(n) for n in range(1, count + 1)]
    assert median_interval(values, confidence) == Interval(rank, count + 1 - rank, confidence)


@given(st.integers(1, 80), st.floats(0.5, 0.9999))
def test_an_interval_is_the_set_of_medians_that_the_sign_test_does_not_reject(
    count: int, confidence: float
) -> None:
    values = [float(n) for n in range(count)]
    low, high, reached = median_interval(values, confidence)
    below = [sum(value < at for value in values) for at in (low - 0.5, low + 0.5)]
    outside, inside = (scipy.stats.binomtest(k, count, 0.5).pvalue for k in below)
    if reached == confidence:
        assert outside <= 1 - confidence + 1e-9
        assert inside > 1 - confidence - 1e-9 or low == high
    else:
        assert (low, high) == (values[0], values[-1])
        assert reached == pytest.approx(1 - scipy.stats.binomtest(0, count, 0.5).pvalue)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), confidences)
def test_an_interval_holds_its_estimate(values: list[float], confidence: float) -> None:
    low, high, _ = median_interval(values, confidence)
    assert low <= median(values) <= high


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), confidences, confidences)
def test_an_interval_grows_with_its_confidence(values: list[float], one: float, other: float) -> None:
    narrow, wide = (median_interval(values, confidence) for confidence in sorted((one, other)))
    assert wide.low <= narrow.low <= narrow.high <= wide.high


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=60), st.integers(-1000, 1000))
def test_an_interval_moves_with_its_samples_and_turns_around_with_them(
    values: list[int], distance: int
) -> None:
    low, high, confidence = median_interval(values, 0.95)
    moved = median_interval([value + distance for value in values], 0.95)
    turned = median_interval([-value for value in values], 0.95)
    assert moved == Interval(low + distance, high + distance, confidence)
    assert turned == Interval(-high, -low, confidence)


@pytest.mark.parametrize("count", [10, 11, 20, 31, 60])
def test_the_percentile_interval_of_the_bootstrap_lies_within_ours(count: int) -> None:
    values = normal(count, seed=count)
    low, high, _ = median_interval(values, 0.95)
    exact = bootstrap_interval(values, 0.95)
    resampled = scipy.stats.bootstrap(
        (values,), numpy.median, confidence_level=0.95, method="percentile", n_resamples=5000,
        random_state=1, axis=-1,
    ).confidence_interval  # fmt: skip
    assert exact == pytest.approx(tuple(resampled), abs=0.08)
    assert low <= exact[0] <= median(values) <= exact[1] <= high


def test_two_unpaired_runs_are_as_far_apart_as_their_medians() -> None:
    before, after = normal(40, 1), normal(40, 2, mean=3.0)
    low, high, _ = stats.difference_interval(before, after, 0.95)
    assert 2 < low < median(after) - median(before) < high < 4


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30),
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30),
)
def test_two_runs_the_other_way_round_differ_the_other_way_round(
    before: list[float], after: list[float]
) -> None:
    there, back = (stats.difference_interval(*one, 0.9) for one in ((before, after), (after, before)))
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_a_run_without_noise_adds_none_to_a_difference() -> None:
    after = normal(20, 5)
    low, high, _ = median_interval(after, 0.95)
    assert stats.difference_interval([1.0] * 20, after, 0.95)[:2] == pytest.approx((low - 1, high - 1))


def test_error_levels_are_those_at_which_intervals_change() -> None:
    assert stats.error_levels(3) == [0.25, 1.0]
    assert stats.error_levels(10)[:2] == [2 / 1024, 22 / 1024]
    assert stats.error_levels(10, 11)[:2] == [2 / 2048, 2 / 1024]
    values = normal(60, 4)
    intervals = [median_interval(values, 1 - level)[:2] for level in stats.error_levels(60)[5:]]
    assert all(wide != narrow for wide, narrow in pairwise(intervals))


def test_holm_steps_down_until_one_stays_open() -> None:
    """0.01 is below 0.05 / 4 and 0.015 below 0.05 / 3, but 0.03 is above 0.05 / 2, so 0.04 is not tried."""
    assert stats.holm([0.03, 0.01, 0.04, 0.015], 0.05) == pytest.approx([0.025, 0.0125, 0.025, 0.05 / 3])


def test_holm_leaves_one_alone_as_it_is() -> None:
    assert stats.holm([0.2], 0.05) == [0.05]
    assert stats.holm([], 0.05) == []


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=20))
def test_holm_decides_what_its_adjusted_p_values_decide(errors: list[float]) -> None:
    decided = [error <= level for error, level in zip(errors, stats.holm(errors, 0.05), strict=True)]
    order = sorted(range(len(errors)), key=errors.__getitem__)
    largest, expected = 0.0, [False] * len(errors)
    for rank, index in enumerate(order):
        largest = max(largest, (len(errors) - rank) * errors[index])
        expected[index] = largest <= 0.05 * (1 + 1e-12)
    assert decided == expected


def test_the_steps_of_a_distribution_are_scipys() -> None:
    values = [3.0, 1.0, 2.0, 2.0]
    assert stats.ecdf(values) == [Step(1.0, 0.25), Step(2.0, 0.75), Step(3.0, 1.0)]
    expected = scipy.stats.ecdf(values).cdf
    assert [tuple(step) for step in stats.ecdf(values)] == list(
        zip(expected.quantiles, expected.probabilities, strict=True)
    )


def test_a_band_holds_the_whole_distribution_as_often_as_it_says() -> None:
    held = 0
    for seed in range(400):
        distance = scipy.stats.kstest(normal(20, seed), "norm").statistic
        held += distance <= stats.band(20, 0.95)
    assert held / 400 >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400)


def test_a_band_of_few_samples_is_everything() -> None:
    assert stats.band(1, 0.95) == 1
    assert stats.band(60, 0.95) == pytest.approx(0.1753, abs=1e-4)


def test_variation_of_normal_samples_is_their_coefficient_of_variation() -> None:
    values = [10 + value for value in normal(20_000, 8)]
    assert stats.variation(values) == pytest.approx(0.1, rel=0.05)
    assert stats.variation([*values, *[1e9] * 100]) == pytest.approx(0.1, rel=0.05)


def test_samples_that_do_not_vary_have_no_variation() -> None:
    assert stats.variation([2.0, 2.0, 2.0]) == 0


def test_a_trend_is_unlikely_and_its_absence_is_not() -> None:
    assert stats.drift([float(n) for n in range(20)]) < 1e-6
    assert stats.drift([1.0, 4.0, 2.0, 3.0, 1.5, 3.5, 2.5, 1.2]) > 0.5
    assert stats.drift([1.0, 1.0, 1.0]) == 1
    assert stats.drift([1.0]) == 1


@given(st.lists(st.integers(0, 30), min_size=10, max_size=40))
def test_a_trend_is_as_unlikely_as_kendalls_tau(values: list[int]) -> None:
    """And a little less so, since scipy does not correct for continuity: 0.09 standard deviations of ten."""
    expected = scipy.stats.kendalltau(range(len(values)), values, method="asymptotic").pvalue
    if not math.isnan(expected):
        assert expected - 1e-9 <= stats.drift(values)
    if len(set(values)) == len(values):
        assert stats.drift(values) <= expected + 0.08
