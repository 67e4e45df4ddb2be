from __future__ import annotations

import math
import random

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from benchmarks.verdicts import CHANCES, Chance, coverage, main, ratio_coverage, tally, worst_case
from plait.lab import stats
from plait.lab.verdicts import (
    LEAST_BLOCKS,
    Finding,
    Verdict,
    adjusted,
    adjusted_runs,
    fewest_blocks,
    judge,
    judge_runs,
    log_ratios,
    narrow_enough,
    number,
)
from tests.support.lab_samples import TITLES, cell, loads
from tests.support.servers import ROOT

chances = pytest.mark.parametrize("chance", CHANCES, ids=lambda chance: chance.name)


def judged(ratios: list[float], *, margin: float = 0.03, confidence: float = 0.95) -> Finding:
    return judge(
        [math.log(ratio) for ratio in ratios],
        contender="h2", reference="h1x6", margin=margin, confidence=confidence,
    )  # fmt: skip


def at_most(share: float, rounds: int) -> float:
    """The bound that a simulated share exceeds by chance in one of a thousand cases when it is true."""
    return share + 3.1 * math.sqrt(share * (1 - share) / rounds)


def test_a_ratio_is_taken_block_by_block() -> None:
    """The second block took twice as long for both, the third is not there for one of them."""
    runs = cell({"h1x6": [1.0, 2.0, 1.0], "h2": [0.5, 1.0, "lost"]})
    assert log_ratios(runs, "h2", "h1x6") == pytest.approx([math.log(0.5)] * 2)


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(0.5, Verdict.FASTER), (2.0, Verdict.SLOWER), (1.0, Verdict.SAME), (1.029, Verdict.SAME)],
)
def test_a_clear_ratio_gets_its_verdict(ratio: float, verdict: Verdict) -> None:
    found = judged([ratio] * 10)
    assert (found.verdict, found.reason) == (verdict, None)
    assert (found.blocks, found.ratio, found.low, found.high) == (10, *[pytest.approx(ratio)] * 3)


def test_verdicts_are_spelled_as_they_are_promised() -> None:
    assert [str(verdict) for verdict in Verdict] == [
        "faster", "slower", "no practical difference", "not enough data",
    ]  # fmt: skip


def test_an_interval_over_the_margin_is_not_enough() -> None:
    found = judged([1.0, 1.02, 1.05, 1.06] * 5)
    assert found.low < 1.03 < found.high
    assert (found.verdict, found.reason) == (Verdict.OPEN, "the interval reaches over the margin")


def test_the_margin_is_as_wide_to_either_side() -> None:
    """1 / 1.03 is 0.971: 2.95 % faster is nothing, as is being 1.0296 times slower the other way round."""
    assert judged([1 / 1.0295] * 10).verdict is Verdict.SAME
    assert judged([1 / 1.0305] * 10).verdict is Verdict.FASTER


def test_nine_blocks_are_not_enough_however_clear() -> None:
    found = judged([0.1] * 9)
    assert (found.verdict, found.reason) == (Verdict.OPEN, "9 of at least 10 blocks")


def test_ten_blocks_are_not_enough_for_a_confidence_they_cannot_reach() -> None:
    found = judged([0.1] * 10, confidence=0.999)
    assert (found.verdict, found.reason) == (Verdict.OPEN, "too few blocks for a confidence of 99.9 %")
    assert found.confidence == pytest.approx(1 - 2 / 1024)


def test_a_pair_without_a_common_block_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="no samples"):
        judged([])


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=40))
def test_the_other_way_round_everything_is_inverted(ratios: list[float]) -> None:
    # What lies on the very edge of the margin may be rounded to either side of it.
    assume(all(abs(abs(math.log(ratio)) - math.log1p(0.03)) > 1e-9 for ratio in ratios))
    there, back = judged(ratios), judged([1 / ratio for ratio in ratios])
    opposite = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}
    assert back.verdict is opposite.get(there.verdict, there.verdict)
    assert (back.ratio, back.low, back.high) == pytest.approx(
        (1 / there.ratio, 1 / there.high, 1 / there.low)
    )


def test_sentences_say_who_how_much_and_how_sure() -> None:
    def sentence(*ratios: float) -> str:
        return judged(list(ratios)).sentence(TITLES.__getitem__)

    assert sentence(*[1 / 4.7, 1 / 4.8, 1 / 5.0] * 10) == (
        "HTTP/2 was 4.8 times faster [4.7 to 5.0] than HTTP/1.1 on 6 connections."
    )
    assert sentence(*[1.1, 1.2, 1.3] * 10) == (
        "HTTP/2 was 1.2 times slower [1.1 to 1.3] than HTTP/1.1 on 6 connections."
    )
    assert sentence(*[0.99, 1.01, 1.02] * 10) == (
        "HTTP/2 against HTTP/1.1 on 6 connections: no practical difference (ratio 1.01 [0.99 to 1.02])."
    )
    assert sentence(*[0.8, 1.01, 1.5] * 10) == (
        "HTTP/2 against HTTP/1.1 on 6 connections: not enough data "
        "(ratio 1.01 [0.80 to 1.50]; the interval reaches over the margin)."
    )


def test_a_refused_finding_keeps_its_figures_and_says_why() -> None:
    found = judged([0.5] * 10).refused("the link was the bottleneck")
    assert found.verdict is Verdict.OPEN
    assert found.words() == "not enough data (ratio 0.500 [0.500 to 0.500]; the link was the bottleneck)"


@pytest.mark.parametrize(
    ("value", "low", "high", "written"),
    [(4.8, 4.7, 5.0, "4.8"), (1.01, 0.99, 1.02, "1.01"), (19.7, 18, 23, "20"), (1.9, 1.1, 4.5, "1.9"),
     (0.25, 0.1, 0.4, "0.25"), (1.0001, 1.0, 1.0002, "1.000"), (2.0, 2.0, 2.0, "2.000")],
)  # fmt: skip
def test_numbers_have_as_many_digits_as_they_deserve(
    value: float, low: float, high: float, written: str
) -> None:
    assert number(value, low, high) == written


def test_two_runs_are_judged_without_pairs() -> None:
    before, after = loads(20, 1.0, seed=1), loads(30, 1.2, seed=2)
    found = judge_runs(before, after, contender="h2", margin=0.03, confidence=0.95)
    assert found.verdict is Verdict.SLOWER
    assert found.low < 1.2 < found.high
    assert found.sentence(TITLES.__getitem__).startswith("HTTP/2 was 1.2")
    assert found.sentence(TITLES.__getitem__).endswith(" than before.")


def test_two_short_runs_are_not_judged() -> None:
    found = judge_runs([1.0] * 9, [2.0] * 30, contender="h2", margin=0.03, confidence=0.95)
    assert (found.verdict, found.reason) == (Verdict.OPEN, "9 of at least 10 samples")


def test_a_family_of_one_is_judged_at_its_own_confidence() -> None:
    assert adjusted([[0.5] * 20], margin=0.03, confidence=0.95) == [pytest.approx(0.95)]


def test_a_family_is_judged_step_by_step_from_its_clearest_pair() -> None:
    """Levels of 20 blocks are 2 in a million and so on: two are clear, the third spoils the fourth."""
    clear, open_ = [math.log(2)] * 20, [math.log(0.9), math.log(1.2)] * 10
    levels = adjusted([open_, clear, open_, clear], margin=0.03, confidence=0.95)
    assert levels == pytest.approx([1 - 0.05 / 2, 1 - 0.05 / 4, 1 - 0.05 / 2, 1 - 0.05 / 3])


def test_a_pair_that_is_decided_alone_may_be_open_in_a_family() -> None:
    """Two of ten on the wrong side of the margin: an interval of 97.9 %, not of 1 - 0.05 / 20."""
    barely = [0.01, *[math.log(2)] * 9]
    alone = judge(barely, contender="a", reference="b", margin=0.03, confidence=0.95)
    family = adjusted([barely, *[[0.0, 0.5] * 10] * 19], margin=0.03, confidence=0.95)
    among = judge(barely, contender="a", reference="b", margin=0.03, confidence=family[0])
    assert (alone.verdict, among.verdict) == (Verdict.SLOWER, Verdict.OPEN)


def test_pairs_without_enough_blocks_count_in_their_family() -> None:
    levels = adjusted([[], [1.0] * 9, [1.0] * 20], margin=0.03, confidence=0.95)
    assert levels == pytest.approx([1 - 0.05 / 2, 1 - 0.05 / 2, 1 - 0.05 / 3])


def test_a_family_of_two_runs_is_judged_likewise() -> None:
    clear, same = ([1.0] * 20, [2.0] * 20), ([1.0, 2.0] * 10, [1.0, 2.0] * 10)
    levels = adjusted_runs([same, clear, ([], [])], margin=0.03, confidence=0.95)
    assert levels == pytest.approx([1 - 0.05 / 2, 1 - 0.05 / 3, 1 - 0.05 / 2])


def test_a_family_is_wrong_about_any_of_its_pairs_as_rarely_as_promised() -> None:
    chance, rounds, wrong = random.Random(11), 400, 0
    for _ in range(rounds):
        effects = [0.0, 0.0, math.log(1.03), -math.log(1.03), 0.5, 0.5]
        family = [[chance.gauss(effect, 0.02) for _ in range(15)] for effect in effects]
        levels = adjusted(family, margin=0.03, confidence=0.95)
        verdicts = [
            judge(ratios, contender="a", reference="b", margin=0.03, confidence=level).verdict
            for ratios, level in zip(family, levels, strict=True)
        ]
        true = [Verdict.SAME, Verdict.SAME, None, None, Verdict.SLOWER, Verdict.SLOWER]
        wrong += any(
            verdict not in (Verdict.OPEN, truth) for verdict, truth in zip(verdicts, true, strict=True)
        )
    assert wrong / rounds <= at_most(0.05, rounds)


def test_a_run_goes_on_for_ten_blocks_and_until_its_interval_is_narrow() -> None:
    assert not narrow_enough([0.0] * 9, confidence=0.95)
    assert narrow_enough([0.0] * 10, confidence=0.95)
    assert not narrow_enough([-0.03, 0.03] * 5, confidence=0.95)


def test_a_large_effect_may_be_known_less_closely_but_within_a_tenth() -> None:
    def spread(effect: float, half: float) -> list[float]:
        return [effect - half, effect + half] * 10

    assert narrow_enough(spread(0.3, 0.05), confidence=0.95)
    assert not narrow_enough(spread(0.2, 0.05), confidence=0.95)
    assert narrow_enough(spread(2.0, 0.09), confidence=0.95)
    assert not narrow_enough(spread(2.0, 0.11), confidence=0.95)


def test_a_run_goes_on_while_its_blocks_cannot_reach_the_confidence() -> None:
    assert not narrow_enough([0.0] * 12, confidence=1 - 0.05 / 20)
    assert narrow_enough([0.0] * 13, confidence=1 - 0.05 / 20)


@pytest.mark.parametrize("count", [10, 20, 60])
@chances
def test_an_interval_holds_the_median_as_often_as_it_says(chance: Chance, count: int) -> None:
    held = coverage(chance, count, lambda values: stats.median_interval(values, 0.95), 1000, seed=count)
    assert 1 - held <= at_most(0.05, 1000)


@chances
def test_the_interval_of_two_runs_holds_their_difference_as_often_as_it_says(chance: Chance) -> None:
    assert 1 - ratio_coverage(chance, 10, 20, 1000, seed=2) <= at_most(0.05, 1000)


@pytest.mark.parametrize("ratio", [1.0, 1.03, 1.2])
@chances
def test_stopping_early_makes_no_verdict_wrong_more_often_than_promised(chance: Chance, ratio: float) -> None:
    for scale in (0.02, 0.05):
        found = tally(chance, math.log(ratio), scale, 300, seed=5)
        assert found.wrong <= found.missed <= at_most(0.05, 300)


def test_stopping_by_the_reported_interval_itself_would_miss_too_often() -> None:
    assert worst_case(0.05, 0.05) > 0.16
    assert worst_case(0.05, stats.stopping_error(0.05, 10, 60)) < 0.042


@given(st.floats(0.001, 0.5), st.integers(2, 20), st.integers(20, 80))
@example(0.05, 10, 60)
@example(0.1, 10, 60)  # an eighth of it misses 11 % of the time
@example(0.05 / 20, 10, 60)
def test_stopping_by_a_stricter_interval_is_safe_at_every_confidence(
    error: float, least: int, most: int
) -> None:
    stopping = stats.stopping_error(error, least, most)
    assert stopping <= error / 8
    assert stats.stopped_error(error, stopping, least, most) <= error


def test_the_tables_of_the_documentation_can_be_printed_again(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rounds", "20"])
    printed = capsys.readouterr().out
    assert printed.count("| Laplace |") == 3 + 1 + 3
    assert "| 1/8 as often | 4.1% |" in printed
    documented = (ROOT / "docs" / "statistics.md").read_text()
    headings = [line for line in printed.splitlines() if line.startswith("|---")]
    assert all(heading in documented for heading in headings)
    assert "| 1/8 as often | 4.1% |" in documented


@pytest.mark.parametrize(
    ("confidence", "cells"), [(0.95, 1), (0.95, 12), (0.95, 30), (0.95, 400), (0.999, 20)]
)
def test_the_fewest_blocks_are_those_with_which_the_hardest_verdict_can_be_had(
    confidence: float, cells: int
) -> None:
    fewest = fewest_blocks(confidence, cells)
    wanted = 1 - (1 - confidence) / cells
    assert stats.median_interval([math.log(2)] * fewest, wanted).confidence >= wanted
    if fewest > LEAST_BLOCKS:
        assert stats.median_interval([math.log(2)] * (fewest - 1), wanted).confidence < wanted
