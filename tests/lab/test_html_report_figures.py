"""The figures of a report as files of their own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plait.lab.analysis import analyse
from plait.lab.changes import compare_runs
from plait.lab.record import Record
from plait.lab.report import render
from plait.lab.report.standalone import figure_files
from tests.lab.test_html_report import HOSTILE, drawings, hostile
from tests.support.chromium import Chromium
from tests.support.lab_samples import cell, loads, network, record
from tests.support.report_records import simulated

FAR = replace(network(0.3), name="satellite")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def samples() -> Record:
    return simulated([network(0.1, loss=0.02)], blocks=12, requests=60, size=15_000)


@pytest.fixture(scope="module")
def sweep() -> Record:
    networks = [network(rtt, loss=loss) for rtt in (0.01, 0.05, 0.2) for loss in (0.0, 0.01)]
    runs = {"h1x6": loads(12, 1.0, seed=1), "h2": loads(12, 0.8, noise=0.2, seed=2)}
    return record(*(cell(runs, over=one) for one in networks))


@pytest.fixture(scope="module")
def everything(samples: Record, sweep: Record) -> dict[str, str]:
    """One of each kind of figure."""
    drawn = figure_files(samples, analyse(samples), compare_runs(samples, samples))
    return {**drawn, "map.svg": figure_files(sweep, analyse(sweep))["map.svg"]}


def test_every_figure_of_the_page_has_a_file(samples: Record, sweep: Record) -> None:
    changes = compare_runs(samples, samples)
    drawn = figure_files(samples, analyse(samples), changes)
    assert sorted(drawn) == [
        "100ms-10mbit-2pc-loss-distribution.svg",
        "100ms-10mbit-2pc-loss-paired.svg",
        *(
            f"100ms-10mbit-2pc-loss-waterfall-{name}.svg"
            for name in ("h1x1", "h1x6", "h1xn", "h2-static", "h2")
        ),
        "100ms-10mbit-2pc-loss-why.svg",
        "changes.svg",
    ]
    for one, files in (
        (render(samples, analyse(samples), changes), drawn),
        (render(sweep, analyse(sweep)), figure_files(sweep, analyse(sweep))),
    ):
        shown = {drawing.findtext("title") for drawing in drawings(one) if drawing.get("role")}
        found = {ET.fromstring(document).findtext(f"{SVG}title") for document in files.values()}
        assert found == shown - {"Colours of ratios"}


def test_they_need_nothing_else(everything: dict[str, str]) -> None:
    for document in everything.values():
        root = ET.fromstring(document)
        assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
            *("svg", "style", "title", "desc", "g", "path", "line", "rect", "circle", "text", "tspan"),
            *("defs", "pattern"),
        }
        assert not re.search(r"var\(|light-dark|@import|href|src=|data-", document)
        assert [found for found in re.findall(r"url\(([^)]*)\)", document) if not found.startswith("#")] == []
        assert "http" not in document.replace("http://www.w3.org/2000/svg", "")


def test_they_are_named_and_described_for_who_cannot_see_them(everything: dict[str, str]) -> None:
    for document in everything.values():
        root = ET.fromstring(document)
        ids = {one.get("id"): one.text for one in root.iter() if one.get("id")}
        told = [ids[name] for name in root.get("aria-labelledby", "").split()]
        assert len(told) == 2
        assert all(told)
        assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"


@pytest.mark.parametrize("text", HOSTILE)
def test_what_users_name_gives_harmless_files(samples: Record, text: str) -> None:
    named = hostile(samples, text)
    drawn = figure_files(named, analyse(named), compare_runs(named, named))
    assert len(drawn) == 9
    for name, document in drawn.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*\.svg", name)
        assert not [one for one in ET.fromstring(document).iter() if one.tag in (f"{SVG}script", f"{SVG}img")]


def test_two_networks_of_one_name_have_files_of_their_own(sweep: Record) -> None:
    twice = replace(
        sweep, cells=tuple(replace(one, network=replace(FAR, spec="")) for one in sweep.cells[:2])
    )
    assert sorted(figure_files(twice, analyse(twice))) == [
        *("map.svg", "satellite-2-distribution.svg", "satellite-2-paired.svg"),
        *("satellite-distribution.svg", "satellite-paired.svg"),
    ]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium.start(tmp_path_factory.mktemp("home"), browser="ALL") as running:
        yield running


def test_a_browser_shows_each_by_itself(
    browser: Chromium, everything: dict[str, str], tmp_path: Path
) -> None:
    for name, document in everything.items():
        file = tmp_path / name
        file.write_text(document, encoding="utf-8")
        browser.open(file.as_uri())
        boxes = _texts(browser)
        assert boxes, name
        assert [words for words, box in boxes if box["left"] < 0 or box["right"] > 960] == []
        assert [words for words, box in boxes if box["height"] < 9] == []
        over = [
            f"{words} | {others}"
            for index, (words, a) in enumerate(boxes)
            for others, b in boxes[index + 1 :]
            if min(a["right"], b["right"]) - max(a["left"], b["left"]) > 1
            and min(a["bottom"], b["bottom"]) - max(a["top"], b["top"]) > 3
        ]
        assert over == [], name
    assert browser.log("browser") == []


def _texts(browser: Chromium) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = browser.evaluate("""
        return [...document.querySelectorAll("text")]
            .map((text) => [text.textContent, text.getBoundingClientRect().toJSON()]);""")
    return found


def test_they_follow_the_theme_where_nobody_but_the_file_can_know_it(
    browser: Chromium, everything: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "figure.svg"
    file.write_text(everything["100ms-10mbit-2pc-loss-paired.svg"], encoding="utf-8")
    fill = "return getComputedStyle(document.querySelector('{}')).fill"
    for theme, ground, ink in (
        ("light", "rgb(252, 252, 250)", "rgb(27, 31, 36)"),
        ("dark", "rgb(21, 23, 27)", "rgb(236, 234, 230)"),
    ):
        feature = {"name": "prefers-color-scheme", "value": theme}
        browser.devtools("Emulation.setEmulatedMedia", features=[feature])
        browser.open(file.as_uri())
        assert browser.evaluate(fill.format(".ground")) == ground
        assert browser.evaluate(fill.format("text.heading")) == ink


def test_it_can_be_seen_within_a_document(
    browser: Chromium, everything: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "map.svg").write_text(everything["map.svg"], encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text('<!doctype html><img src="map.svg">', encoding="utf-8")
    browser.open(page.as_uri())
    # Painted as an image it has no scripts and no style of the page, and is still more than one colour.
    colours = browser.evaluate("""
        const image = document.querySelector("img");
        await image.decode();
        return image.naturalWidth;""")
    assert colours == 960
