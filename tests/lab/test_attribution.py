from __future__ import annotations

import math

import pytest

from plait.lab.attribution import Attribution, attribute
from plait.lab.record import Cell
from plait.lab.verdicts import Verdict
from tests.support.lab_samples import cell, link_use, loads, measurement, network, record

RUNS = {
    "h1x6": loads(20, 4.0, seed=1),
    "h1x100": loads(20, 2.0, seed=2),
    "h2-static": loads(20, 1.2, seed=3),
    "h2": loads(20, 1.0, seed=4),
}


def attributed(of: Cell, *, in_flight: int = 100) -> Attribution | None:
    return attribute(record(of, in_flight=in_flight), of)


def test_a_difference_is_the_sum_of_its_steps_and_what_is_left_over() -> None:
    found = attributed(cell(RUNS))
    assert found is not None
    assert [(one.finding.contender, one.finding.reference) for one in found.shares] == [
        ("h1x100", "h1x6"), ("h2-static", "h1x100"), ("h2", "h2-static"),
    ]  # fmt: skip
    assert sum(one.log for one in found.shares) + found.rest == pytest.approx(math.log(found.whole.ratio))
    assert abs(found.rest) < 0.02
    expected = [math.log(ratio) / math.log(0.25) for ratio in (0.5, 0.6, 1 / 1.2)]
    assert [one.share for one in found.shares] == pytest.approx(expected, abs=0.02)
    assert found.shares[0].cause == "waiting for a free connection"


def test_a_step_that_works_against_the_rest_has_a_negative_share() -> None:
    found = attributed(cell({**RUNS, "h1x100": loads(20, 5.0, seed=2)}))
    assert found is not None
    assert found.shares[0].finding.verdict is Verdict.SLOWER
    assert found.shares[0].share is not None
    assert found.shares[0].share < 0


def test_steps_between_which_nobody_was_measured_are_one() -> None:
    found = attributed(cell({name: RUNS[name] for name in ("h1x6", "h1x100", "h2")}))
    assert found is not None
    assert [one.finding.contender for one in found.shares] == ["h1x100", "h2"]
    assert found.shares[1].cause == (
        "one connection instead of many: handshakes, slow start, and waiting behind lost packets; "
        "the dynamic table of header compression"
    )


def test_without_h1x100_its_step_is_part_of_the_next_unless_nothing_waits() -> None:
    runs = cell({name: RUNS[name] for name in ("h1x6", "h2-static", "h2")})
    many, few = attributed(runs), attributed(runs, in_flight=6)
    assert many is not None
    assert few is not None
    assert many.shares[0].cause.startswith("waiting for a free connection; one connection instead of many")
    assert few.shares[0].cause.startswith("one connection instead of many")


@pytest.mark.parametrize(
    "names", [["h1x6", "h2"], ["h1x100", "h2-static", "h2"], ["h1x6", "h1x100", "h2-static"]]
)
def test_without_both_ends_and_something_between_nothing_is_attributed(names: list[str]) -> None:
    assert attributed(cell({name: RUNS[name] for name in names})) is None


def test_only_blocks_that_have_everybody_count() -> None:
    found = attributed(cell({**RUNS, "h1x100": ["lost"] * 5 + loads(15, 2.0)}))
    assert found is not None
    assert {one.finding.blocks for one in found.shares} == {15} == {found.whole.blocks}
    assert attributed(cell({**RUNS, "h1x100": ["lost"] * 20})) is not None
    assert attributed(cell({"h1x6": [1.0, "lost"], "h1x100": [1.0, 1.0], "h2": ["lost", 1.0]})) is None


def test_no_difference_has_no_shares_but_its_steps() -> None:
    found = attributed(cell({**RUNS, "h2": loads(20, 4.0, seed=9)}))
    assert found is not None
    assert found.whole.verdict is Verdict.SAME
    assert [one.share for one in found.shares] == [None] * 3
    assert found.shares[0].log == pytest.approx(math.log(0.5), abs=0.02)


def test_steps_say_what_handshakes_took_before_and_after() -> None:
    many = [measurement(load, handshakes=10.0) for load in RUNS["h1x100"]]
    silent = [measurement(load, handshakes=None) for load in RUNS["h2"]]
    found = attributed(cell({**RUNS, "h1x100": many, "h2": silent}))
    assert found is not None
    first, second, third = (one.handshakes for one in found.shares)
    assert first is not None
    assert second is not None
    assert (first.before, first.after) == (0.05, 10.0)
    assert (second.before, second.after) == (10.0, 0.05)
    assert third is None


def test_head_of_line_blocking_shows_where_packets_get_lost_and_several_connections_help() -> None:
    runs = {**RUNS, "h2x6": loads(20, 0.7, seed=5)}
    lossy, clean = cell(runs, over=network(0.1, loss=0.01)), cell(runs, over=network(0.1), link=link_use())
    found = attributed(lossy)
    assert found is not None
    assert found.head_of_line is not None
    assert (found.head_of_line.contender, found.head_of_line.reference) == ("h2x6", "h2")
    assert found.head_of_line.verdict is Verdict.FASTER
    without = attributed(clean)
    assert without is not None
    assert without.head_of_line is None


def test_a_full_queue_loses_packets_too() -> None:
    runs = {**RUNS, "h2x6": loads(20, 0.7, seed=5)}
    use = link_use()
    dropping = link_use(down=type(use.down)(packets=100, bytes=100_000, lost=0, dropped=3, resent=3))
    found = attributed(cell(runs, over=network(), link=dropping))
    assert found is not None
    assert found.head_of_line is not None
