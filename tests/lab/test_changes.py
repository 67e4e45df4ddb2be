from __future__ import annotations

from dataclasses import replace

from plait.lab.changes import compare_runs
from plait.lab.record import ResourceInfo
from plait.lab.verdicts import Verdict
from tests.support.lab_samples import cell, link_use, loads, network, record

BEFORE = {"h1x6": loads(20, 1.0, seed=1), "h2": loads(20, 0.5, seed=2)}
AFTER = {"h1x6": loads(20, 1.0, seed=3), "h2": loads(20, 0.6, seed=4)}


def test_contenders_are_compared_with_themselves_in_the_earlier_run() -> None:
    found = compare_runs(record(BEFORE), record(AFTER))
    same, slower = (one.finding for one in found.changes)
    assert (same.contender, same.verdict) == ("h1x6", Verdict.SAME)
    assert (slower.contender, slower.verdict) == ("h2", Verdict.SLOWER)
    assert slower.low < 1.2 < slower.high
    assert found.warnings == ()


def test_a_run_compared_with_itself_did_not_change() -> None:
    taken = record(BEFORE)
    found = compare_runs(taken, taken)
    assert [(one.finding.ratio, one.finding.verdict) for one in found.changes] == [(1, Verdict.SAME)] * 2


def test_networks_are_matched_by_what_they_are_and_not_by_their_name_or_place() -> None:
    far, near = network(0.2), network(0.02)
    before = record(cell(BEFORE, over=near), cell(BEFORE, over=far))
    after = record(cell(AFTER, over=replace(far, name="satellite")), cell(BEFORE, over=network(0.3)))
    found = compare_runs(before, after)
    assert {one.network.name for one in found.changes if one.network} == {"satellite"}
    assert len(found.changes) == 2
    assert f"Only the first run has {near.name}." in found.warnings
    assert f"Only the second run has {network(0.3).name}." in found.warnings


def test_a_network_whose_name_alone_changed_is_not_missed() -> None:
    before = record(cell(BEFORE, over=network(0.2)))
    after = record(cell(AFTER, over=replace(network(0.2), name="satellite")))
    assert compare_runs(before, after).warnings == ()


def test_all_verdicts_of_two_runs_hold_together() -> None:
    found = compare_runs(record(BEFORE), record(AFTER))
    assert sorted(round(one.finding.confidence, 4) for one in found.changes) == [0.95, 0.975]


def test_a_contender_that_only_one_run_measured_is_left_out() -> None:
    found = compare_runs(record(BEFORE), record({"h2": AFTER["h2"], "h1x1": AFTER["h1x6"]}))
    assert [one.finding.contender for one in found.changes] == ["h2"]


def test_what_neither_run_can_say_of_itself_it_cannot_say_of_both() -> None:
    spoilt = record(cell(BEFORE, over=network(), link=link_use(overruns=3)))
    [*changes] = compare_runs(spoilt, record(cell(AFTER, over=network()))).changes
    assert {one.finding.verdict for one in changes} == {Verdict.OPEN}
    assert changes[0].finding.reason is not None
    assert changes[0].finding.reason.startswith("the emulated link overran")


def test_what_else_changed_is_said() -> None:
    before, after = record(BEFORE), record(AFTER, workload="mixed", in_flight=50)
    environment = replace(before.environment, kernel="Linux 7.0", packages={"ngh2": "0.4.0", "httpx": "1.0"})
    found = compare_runs(before, replace(after, environment=environment))
    assert found.warnings == (
        "The workload changed from bookstore to mixed.",
        "The number of requests under way changed from 100 to 50.",
        "The kernel changed from Linux 6.1 to Linux 7.0.",
        "httpx changed from none to 1.0.",
        "ngh2 changed from 0.3.0 to 0.4.0.",
    )


def test_other_content_at_the_same_workload_is_said() -> None:
    after = record(AFTER, resources=(ResourceInfo(path="/", kind="document", size=1),))
    assert compare_runs(record(BEFORE), after).warnings == (
        "What was fetched changed: other paths, or other sizes.",
    )
