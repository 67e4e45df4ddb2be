"""The section of the report that tells what changed from an earlier run."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from plait.lab.analysis import analyse
from plait.lab.changes import compare_runs
from plait.lab.record import Record
from plait.lab.report import render
from tests.lab.test_html_report import HOSTILE, Page, classes, drawings, texts
from tests.support.lab_samples import cell, loads, network, record

FAR, NEAR = replace(network(0.2), name="satellite"), replace(network(0.02), name="fiber")
THEN = {"h1x6": loads(20, 1.0, seed=1), "h2": loads(20, 0.5, seed=2)}
NOW = {"h1x6": loads(20, 1.0, seed=3), "h2": loads(20, 0.6, seed=4)}
UNSURE = {"h1x6": loads(20, 1.0, noise=0.3, seed=5), "h2": loads(20, 0.5, noise=0.3, seed=6)}
BEFORE = record(
    cell(THEN, over=FAR),
    cell(THEN, over=NEAR),
    started="2026-11-20T10:00:00+00:00",
    command="plait compare --seed 1",
)
AFTER = record(
    cell(NOW, over=FAR),
    cell(UNSURE, over=NEAR),
    started="2026-11-22T10:00:00+00:00",
    command="plait compare --seed 2",
)


def written(before: Record, after: Record) -> str:
    return render(after, analyse(after), compare_runs(before, after))


def section(page: str) -> str:
    start = page.index('<section id="changes"')
    return page[start : page.index("</section>", start)]


def test_it_stands_after_the_verdict_and_a_page_about_one_run_has_none() -> None:
    page = written(BEFORE, AFTER)
    Page(page)
    assert page.index('<section id="verdict"') < page.index('<section id="changes"') < page.index('id="map"')
    assert '<a href="#changes">What changed</a>' in page
    assert 'id="changes"' not in render(AFTER, analyse(AFTER))


def test_contenders_are_grouped_by_network_with_their_verdicts() -> None:
    [drawn] = drawings(section(written(BEFORE, AFTER)))
    words = [one for one in texts(drawn) if "×" not in one or "[" in one]
    assert words[0] == "satellite"
    assert words[1].startswith("h1x6  ")
    assert words[1].endswith("  no practical difference")
    assert words[2].startswith("h2  1.2")
    assert words[2].endswith("  slower")
    assert words[3] == "fiber"
    assert words[5].endswith("  not enough data")
    assert len(classes(drawn, "zone")) == 1
    assert len(classes(drawn, "hollow")) == 2


def test_times_commands_and_what_else_is_different_are_told() -> None:
    other = replace(AFTER, environment=replace(AFTER.environment, kernel="Linux 7.0"))
    found = section(written(BEFORE, other))
    assert "2026-11-20T10:00:00+00:00" in found
    assert "2026-11-22T10:00:00+00:00" in found
    assert re.findall(r"<code>(.*?)</code>", re.sub("</?span>", "", found)) == [
        "plait compare --seed 1",
        "plait compare --seed 2",
    ]
    assert "<li>The kernel changed from Linux 6.1 to Linux 7.0.</li>" in found


def test_the_table_tells_the_same_with_the_reason() -> None:
    found = section(written(BEFORE, AFTER))
    assert found.count("<tr>") == 1 + 4
    assert "not enough data (the interval reaches over the margin)" in found


def test_many_networks_take_several_figures_that_can_be_printed() -> None:
    cells = [cell(THEN, over=network(0.01 * number)) for number in range(1, 13)]
    page = written(record(*cells), record(*cells))
    Page(page)
    drawn = list(drawings(section(page)))
    assert len(drawn) == 2
    assert all(float(one.get("height", "")) < 900 for one in drawn)
    assert [one.text for each in drawn for one in classes(each, "group")] == [
        f"{10 * number} ms, 10 Mbit/s" for number in range(1, 13)
    ]
    assert texts(drawn[0])[-4:] == texts(drawn[1])[-4:]


def test_runs_that_have_nothing_in_common_say_so() -> None:
    page = written(record(cell(THEN, over=FAR)), record(cell(NOW, over=NEAR)))
    Page(page)
    assert "The runs have nothing in common." in section(page)
    assert "<li>Only the first run has satellite.</li>" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_an_earlier_run_of_somebody_else_is_escaped(text: str) -> None:
    evil = replace(BEFORE, started=text, command=text, workload=text)
    page = written(evil, AFTER)
    Page(page)
    assert "<script>alert(1)" not in page
    assert "<img" not in page
