from __future__ import annotations

import pytest

from plait.errors import ConfigError, PlaitError
from plait.lab.condition import Condition
from plait.lab.verdicts import Verdict
from tests.support.lab_samples import cell, link_use, loads, network, record

RUNS = {"h1x6": loads(20, 1.0, seed=1), "h2": loads(20, 1.1, seed=2)}
NEAR, FAR = network(0.02), network(0.2)


def holds(text: str, *cells: object) -> str | None:
    return Condition.parse(text).holds(record(*(cells or (RUNS,))))  # type: ignore[arg-type]


def test_a_condition_is_read_with_all_its_parts() -> None:
    assert Condition.parse("h2 slower than h1x6 by 5% on rtt=100ms,loss=1%") == Condition(
        text="h2 slower than h1x6 by 5% on rtt=100ms,loss=1%",
        contender="h2",
        verdict=Verdict.SLOWER,
        reference="h1x6",
        by=0.05,
        network="rtt=100ms,loss=1%",
    )
    short = Condition.parse("  h2xN   faster than before ")
    assert (short.verdict, short.reference, short.by, short.network) == (
        Verdict.FASTER, "before", None, None,
    )  # fmt: skip
    assert Condition.parse("h2 slower than h1x6 by 2.5 %").by == 0.025


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "the name of a contender is missing at the end"),
        ("h2", "'slower' or 'faster' is missing at the end"),
        ("h2 better than h1x6", "'better' is neither 'slower' nor 'faster'"),
        ("h2 slower as h1x6", "'as' stands where 'than' belongs"),
        ("h2 slower than", "the name of a contender, or 'before' is missing at the end"),
        ("h2 slower than h2", "'h2' is compared with itself"),
        ("h2 slower than h1x6 by", "a percentage, such as 5% is missing at the end"),
        ("h2 slower than h1x6 by 5", "'5' is not a percentage"),
        ("h2 slower than h1x6 by -5%", "'-5%' is not a percentage"),
        ("h2 slower than h1x6 by nan%", "'nan%' is not a percentage"),
        ("h2 slower than h1x6 by inf%", "'inf%' is not a percentage"),
        ("h2 slower than h1x6 on", "the name of a network is missing at the end"),
        ("h2 slower than h1x6 or h1x1", "'or' is more than a condition has"),
    ],
)
def test_what_is_no_condition_is_refused_and_quoted(text: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Condition.parse(text)
    assert str(caught.value).startswith(f'--fail-if "{text}": {wrong}')


def test_a_condition_holds_when_the_whole_interval_lies_beyond_it() -> None:
    found = holds("h2 slower than h1x6 by 5%")
    assert found is not None
    assert found.startswith('"h2 slower than h1x6 by 5%" is so: HTTP/2 was 1.1')
    assert found.endswith("than HTTP/1.1 on 6 connections.")


@pytest.mark.parametrize(
    "text",
    [
        "h2 slower than h1x6 by 10%",
        "h2 slower than h1x6 by 20%",
        "h2 faster than h1x6",
        "h1x6 slower than h2",
    ],
)
def test_a_condition_does_not_hold_otherwise(text: str) -> None:
    assert holds(text) is None


def test_without_a_threshold_the_margin_counts() -> None:
    slightly = {"h1x6": [1.0] * 20, "h2": [1.02] * 20}
    assert holds("h2 slower than h1x6") is not None
    assert holds("h2 slower than h1x6", slightly) is None
    assert holds("h2 slower than h1x6 by 1%", slightly) is not None


def test_too_few_blocks_hold_nothing() -> None:
    assert holds("h2 slower than h1x6", {name: runs[:9] for name, runs in RUNS.items()}) is None


def test_a_condition_may_be_about_one_network() -> None:
    quick = {"h1x6": loads(20, 1.0, seed=1), "h2": loads(20, 0.5, seed=2)}
    cells = cell(quick, over=NEAR), cell(RUNS, over=FAR)
    found = holds("h2 slower than h1x6", *cells)
    assert found is not None
    assert f"on {FAR.name}, HTTP/2 was 1.1" in found
    assert holds(f"h2 slower than h1x6 on {NEAR.spec}", *cells) is None
    assert holds(f"h2 slower than h1x6 on {FAR.spec}", *cells) is not None


def test_a_condition_holds_on_many_networks_only_if_chance_does_not_explain_it() -> None:
    barely = cell({"h1x6": [1.0] * 10, "h2": [0.98, *[2.0] * 9]}, over=NEAR)
    vague = [cell({"h1x6": [1.0] * 10, "h2": [0.5, 2.0] * 5}, over=network(n / 10)) for n in range(1, 20)]
    assert holds("h2 slower than h1x6", barely) is not None
    assert holds("h2 slower than h1x6", barely, *vague) is None


def test_a_cell_that_has_no_verdict_fulfils_no_condition() -> None:
    assert holds("h2 slower than h1x6", cell(RUNS, over=NEAR, link=link_use(overruns=1))) is None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("h3 slower than h1x6", "'h3' was not measured; there are h1x6, h2"),
        ("h2 slower than h1x1", "'h1x1' was not measured; there are h1x6, h2"),
        ("h2 slower than h1x6 on 4g", f"nothing was measured on '4g', only on {NEAR.name}"),
        ("h2 slower than before", "'before' takes two runs to compare"),
    ],
)
def test_a_condition_about_something_else_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        holds(text, cell(RUNS, over=NEAR))
    assert str(caught.value) == f'--fail-if "{text}": {wrong}'


def test_a_condition_about_runs_that_all_failed_is_refused() -> None:
    with pytest.raises(PlaitError, match="there are no runs of both to compare"):
        holds("h2 slower than h1x6", {"h1x6": [1.0] * 10, "h2": ["refused"] * 10})


def test_a_contender_may_be_compared_with_itself_in_an_earlier_run() -> None:
    before, after = record(cell(RUNS, over=NEAR)), record(cell({"h2": loads(20, 1.3, seed=5)}, over=NEAR))
    found = Condition.parse("h2 slower than before by 10%").holds(after, before)
    assert found is not None
    assert f"on {NEAR.name}, HTTP/2 was 1.1" in found
    assert found.endswith("than before.")
    assert Condition.parse("h2 slower than before by 30%").holds(after, before) is None
    assert Condition.parse("h2 faster than before").holds(after, before) is None


def test_an_earlier_run_without_the_contender_is_refused() -> None:
    with pytest.raises(PlaitError, match="there are no runs of both to compare"):
        Condition.parse("h2 slower than before").holds(record(RUNS), record({"h1x6": RUNS["h1x6"]}))
