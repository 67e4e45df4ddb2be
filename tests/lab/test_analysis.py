from __future__ import annotations

import math
from dataclasses import replace

import pytest

from plait.lab.analysis import analyse
from plait.lab.questions import QUESTIONS, asked, on_most, primary
from plait.lab.samples import Medium
from plait.lab.verdicts import Verdict
from tests.support.lab_samples import cell, link_use, loads, measurement, network, record

RUNS = {
    "h1x6": loads(20, 1.0, seed=1),
    "h1x6-again": loads(20, 1.0, seed=2),
    "h2": loads(20, 0.25, seed=3),
    "h1x1": loads(20, 4.0, seed=4),
}


def test_the_primary_question_is_http2_against_the_reference() -> None:
    [found] = analyse(record(RUNS)).cells
    assert found.primary is not None
    assert (found.primary.contender, found.primary.reference) == ("h2", "h1x6")
    assert found.primary.verdict is Verdict.FASTER
    assert found.primary.low < 0.25 < found.primary.high
    assert found.answers[0].finding == found.primary == found.ratios["h2"]


@pytest.mark.parametrize(
    ("contenders", "reference", "asked_first"),
    [
        (["h1x1", "h1x6", "h2-chunks", "h2"], "h1x6", ("h2", "h1x6")),
        (["h1x6", "h2-serial", "h2-chunks"], "h1x6", ("h2-serial", "h1x6")),
        (["httpx", "httpx-h2"], "httpx", ("httpx-h2", "httpx")),
        (["chromium-h1", "chromium"], "chromium-h1", ("chromium", "chromium-h1")),
        (["h2", "h2x4"], "h2", ("h2x4", "h2")),
    ],
)
def test_the_primary_question_takes_who_is_there(
    contenders: list[str], reference: str, asked_first: tuple[str, str]
) -> None:
    found = primary(record({name: [1.0] for name in contenders}, reference=reference))
    assert found is not None
    assert found[:2] == asked_first


@pytest.mark.parametrize("contenders", [["h1x6", "h1x1"], ["h2"], ["h2", "h2-again"]])
def test_without_two_protocols_there_is_no_primary_question(contenders: list[str]) -> None:
    taken = record(dict.fromkeys(contenders, [1.0] * 10), reference=contenders[0])
    analysis = analyse(taken)
    assert (analysis.question, analysis.cells[0].primary) == (None, None)


def test_questions_are_asked_whose_contenders_are_there_each_once() -> None:
    found = asked(record(RUNS))
    assert [(one.contender, one.reference) for one in found] == [("h2", "h1x6"), ("h1x6", "h1x1")]
    everybody = [name.replace("N", "100") for one in QUESTIONS for name in one[:2]]
    found = asked(record({name: [1.0] for name in everybody}, reference="h1x6"))
    assert [one.change for one in found] == [one.change for one in QUESTIONS]
    assert ("h1x100", "h1x6") in [one[:2] for one in found]


def test_the_contender_on_the_most_connections_stands_for_many() -> None:
    names = ["h1x1", "h1x6", "h1x20", "h1x100", "h1x100-again", "h2", "h2x2", "h2x6"]
    assert [on_most(name, names) for name in ("h1xN", "h2xN", "h1x20", "h3")] == [
        "h1x100", "h2x6", "h1x20", None,
    ]  # fmt: skip
    assert on_most("h1xN", ["h1x1", "h1x6"]) is None


def test_every_contender_has_a_ratio_to_the_reference() -> None:
    [found] = analyse(record(RUNS)).cells
    ratios = {name: one.ratio for name, one in found.ratios.items()}
    assert ratios == pytest.approx({"h1x6-again": 1.0, "h2": 0.25, "h1x1": 4.0}, rel=0.02)


def test_a_contender_that_is_the_same_twice_is_the_noise_floor() -> None:
    [found] = analyse(record(RUNS)).cells
    assert found.noise is not None
    assert (found.noise.contender, found.noise.reference) == ("h1x6-again", "h1x6")
    assert (found.noise.verdict, found.refusal) == (Verdict.SAME, None)


def test_a_lab_that_cannot_tell_a_contender_from_itself_gives_no_verdict() -> None:
    [found] = analyse(record({**RUNS, "h1x6-again": loads(20, 1.2, seed=2)})).cells
    assert found.refusal is not None
    assert found.refusal.startswith("the lab could not tell a contender from itself: it was 1.2")
    everything = [*(one.finding for one in found.answers), *found.ratios.values(), found.primary]
    assert {one.verdict for one in everything if one} == {Verdict.OPEN}
    assert {one.reason for one in everything if one} == {found.refusal}
    assert found.noise is not None
    assert found.noise.verdict is Verdict.SLOWER


def test_a_cell_in_which_the_link_was_the_bottleneck_gives_no_verdict() -> None:
    spoilt = cell(RUNS, over=network(), link=link_use(busy=0.99))
    good = cell(RUNS, over=network(0.2), link=link_use())
    first, second = analyse(record(spoilt, good)).cells
    assert first.refusal is not None
    assert first.refusal.startswith("the emulated link was 99% busy")
    assert first.refusal.endswith("in 20 of 20 runs of HTTP/1.1 on 6 connections")
    assert first.primary is not None
    assert second.primary is not None
    assert (first.primary.verdict, second.primary.verdict) == (Verdict.OPEN, Verdict.FASTER)
    assert first.attribution is None


def test_one_late_run_in_ten_does_not_spoil_a_cell() -> None:
    taken = cell(RUNS, over=network(), link=link_use())
    late = link_use(busy=1.0)
    samples = tuple(replace(one, link=late) if one.block in (3, 7) else one for one in taken.samples)
    [found] = analyse(record(replace(taken, samples=samples))).cells
    assert found.refusal is None


def test_the_primary_question_is_judged_in_all_cells_together() -> None:
    """Nine blocks of ten say faster: enough for one cell, not for one of forty."""
    barely = {"h1x6": [1.0] * 10, "h2": [1.02, *[0.5] * 9]}
    vague = {"h1x6": [1.0] * 10, "h2": [0.5, 2.0] * 5}
    [alone] = analyse(record(barely)).cells
    among, *_ = analyse(record(barely, *[vague] * 39)).cells
    assert alone.primary is not None
    assert among.primary is not None
    assert (alone.primary.verdict, among.primary.verdict) == (Verdict.FASTER, Verdict.OPEN)
    assert among.primary.confidence == pytest.approx(1 - 2 / 1024)
    assert among.answers[0].finding == among.ratios["h2"] == among.primary


def test_a_refused_cell_counts_in_the_family() -> None:
    spoilt = cell(RUNS, over=network(), link=link_use(busy=0.99))
    _, second = analyse(record(spoilt, cell(RUNS, over=network(0.2)))).cells
    assert second.primary is not None
    assert second.primary.confidence == pytest.approx(1 - 0.05 / 2)


def test_failed_runs_are_counted_and_warned_of() -> None:
    [found] = analyse(
        record({**RUNS, "h2": [*loads(18, 0.25), "lost 1 of 3 responses (/1)", "timed out"]})
    ).cells
    [failures] = found.failures
    assert (failures.contender, failures.failed, failures.runs) == ("h2", 2, 20)
    assert failures.reason == "lost 1 of 3 responses (/1)"
    assert found.warnings == (
        "HTTP/2 failed in 2 of 20 runs and is judged by the others, which may be the lucky ones: "
        "lost 1 of 3 responses (/1)",
    )
    assert found.primary is not None
    assert found.primary.blocks == 18


def test_a_contender_that_always_failed_is_not_judged() -> None:
    [found] = analyse(record({**RUNS, "h2": ["refused"] * 20})).cells
    assert found.primary is None
    assert "h2" not in found.ratios
    assert found.warnings == ("HTTP/2 failed in every run and is not judged: refused",)


def test_a_modelled_network_is_warned_of() -> None:
    [warning] = analyse(record(cell(RUNS, over=network()), medium=Medium.MODELLED)).warnings
    assert "modelled" in warning
    assert "no loss" in warning


def test_a_busy_machine_is_warned_of_once() -> None:
    def busy(seconds: list[float]) -> list[object]:
        return [measurement(load, user=0.5, system=0.5, involuntary_switches=3000) for load in seconds]

    runs = {name: busy(RUNS[name]) for name in ("h1x6", "h2")}
    [found] = analyse(record(runs)).cells  # type: ignore[arg-type]
    assert found.warnings == (
        "The machine was busy: HTTP/1.1 on 6 connections had to give up its processor 3000 times a second "
        "of CPU.",
    )


def test_an_emulated_link_interrupts_by_itself_and_is_no_sign_of_a_busy_machine() -> None:
    def interrupted(seconds: list[float]) -> list[object]:
        return [measurement(load, user=0.5, system=0.5, involuntary_switches=3000) for load in seconds]

    runs = {name: interrupted(RUNS[name]) for name in ("h1x6", "h2")}
    [found] = analyse(record(cell(runs, over=network()))).cells  # type: ignore[arg-type]
    assert found.warnings == ()


def test_loads_that_vary_are_warned_of_unless_the_network_is_random() -> None:
    runs = {"h1x6": loads(20, 1.0, noise=0.5), "h2": loads(20, 0.5, noise=0.5)}
    steady, lossy = cell(runs, over=network()), cell(runs, over=network(0.1, loss=0.01))
    [first], second = (one.warnings for one in analyse(record(steady, lossy)).cells)
    assert first.startswith("Loads of HTTP/1.1 on 6 connections vary by")
    assert second == ()
    assert analyse(record(runs, medium=Medium.REAL)).cells[0].warnings == ()


def test_a_machine_that_gets_slower_and_slower_is_warned_of() -> None:
    rising = [math.exp(0.005 * n) for n in range(20)]
    [found] = analyse(record({"h1x6": rising, "h2": [load / 2 for load in rising]})).cells
    [warning] = found.warnings
    assert warning.startswith("Loads of HTTP/1.1 on 6 connections rose by 5% from the first half")
    assert found.primary is not None
    assert found.primary.verdict is Verdict.FASTER
