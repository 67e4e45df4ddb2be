"""The report in a browser: quiet, offline, whole at every width, and usable without a mouse."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plait.lab.analysis import analyse
from plait.lab.changes import compare_runs
from plait.lab.record import Record
from plait.lab.report import render
from tests.lab.test_html_report import HOSTILE, hostile
from tests.support.chromium import Chromium
from tests.support.lab_samples import cell, loads, network, record
from tests.support.report_records import simulated

WIDTHS = (360, 800, 1600)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium.start(tmp_path_factory.mktemp("home"), browser="ALL") as running:
        yield running


@pytest.fixture
def samples() -> Record:
    return simulated([network(0.1, loss=0.01)], blocks=12, requests=60, size=15_000)


@pytest.fixture
def sweep() -> Record:
    networks = [network(rtt, loss=loss) for rtt in (0.01, 0.05, 0.2, 0.3) for loss in (0.0, 0.01, 0.02)]
    runs = {"h1x6": loads(12, 1.0, seed=1), "h2": loads(12, 0.8, noise=0.2, seed=2)}
    return record(*(cell(runs, over=one) for one in networks))


@pytest.fixture
def steady() -> Record:
    """Times so steady that ratios have many digits, of contenders and networks with long names."""
    names = ("h1x6", "h1x6-again", "h2-priorities", "h2")
    runs = {name: loads(12, 1.0, noise=0.001, seed=seed) for seed, name in enumerate(names)}
    far = [replace(network(0.1), name="satellite"), replace(network(0.02), name="lossy-wifi")]
    return record(*(cell(runs, over=one) for one in far), cell(runs, over=network(0.3, loss=0.02)))


def show(browser: Chromium, record: Record, directory: Path) -> None:
    file = directory / "report.html"
    changes = compare_runs(record, record)
    file.write_text(render(record, analyse(record), changes), encoding="utf-8")
    browser.open(file.as_uri())


def widen(browser: Chromium, width: int) -> None:
    browser.devtools(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
    )


def key(browser: Chromium, name: str) -> None:
    for kind in ("rawKeyDown", "keyUp"):
        code = {"Tab": 9, "ArrowDown": 40, "Escape": 27, "Enter": 13}[name]
        browser.devtools("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)


def test_it_opens_without_a_word_and_without_a_request(
    browser: Chromium, samples: Record, tmp_path: Path
) -> None:
    show(browser, samples, tmp_path)
    assert browser.log("browser") == []
    assert browser.evaluate("return performance.getEntriesByType('resource').length") == 0
    assert browser.evaluate("return document.compatMode") == "CSS1Compat"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_run_nothing(browser: Chromium, samples: Record, tmp_path: Path, text: str) -> None:
    show(browser, hostile(samples, text), tmp_path)
    assert browser.log("browser") == []
    assert browser.evaluate("return document.querySelectorAll('img, script').length") == 2
    assert browser.evaluate("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_page_and_no_label_is_cut(
    browser: Chromium, samples: Record, sweep: Record, steady: Record, tmp_path: Path, width: int
) -> None:
    widen(browser, width)
    for one in (samples, sweep, steady):
        show(browser, one, tmp_path)
        assert browser.evaluate("return document.documentElement.scrollWidth") <= width
        cut = browser.evaluate("""
            return [...document.querySelectorAll("svg.plot text")]
                .map((text) => [text.textContent, text.getBoundingClientRect()])
                .filter(([, box]) => box.width && (box.left < -0.5 || box.right > innerWidth + 0.5))
                .map(([words]) => words);""")
        assert cut == []


@pytest.mark.parametrize("width", WIDTHS)
def test_labels_of_one_figure_do_not_lie_on_each_other(
    browser: Chromium, samples: Record, sweep: Record, steady: Record, tmp_path: Path, width: int
) -> None:
    widen(browser, width)
    for one in (samples, sweep, steady):
        show(browser, one, tmp_path)
        assert (
            browser.evaluate("""
            const over = [];
            for (const plot of document.querySelectorAll("svg.plot")) {
                const boxes = [...plot.querySelectorAll("text")]
                    .map((text) => [text.textContent, text.getBoundingClientRect()])
                    .filter(([, box]) => box.width);
                boxes.forEach(([words, a], index) => {
                    for (const [others, b] of boxes.slice(index + 1)) {
                        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                        if (wide > 1 && high > 3) over.push(`${words} | ${others}`);
                    }
                });
            }
            return over;""")
            == []
        )


def test_the_theme_follows_the_system_until_one_is_chosen(
    browser: Chromium, samples: Record, tmp_path: Path
) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    for theme, colour in (("light", "rgb(252, 252, 250)"), ("dark", "rgb(21, 23, 27)")):
        feature = {"name": "prefers-color-scheme", "value": theme}
        browser.devtools("Emulation.setEmulatedMedia", features=[feature])
        show(browser, samples, tmp_path)
        assert browser.evaluate(ground) == colour
    browser.evaluate("document.getElementById('theme').click()")
    assert browser.evaluate(ground) == "rgb(252, 252, 250)"
    assert browser.evaluate("return document.getElementById('theme').textContent") == "Theme: light"


def test_arrow_keys_tell_what_the_figures_show(browser: Chromium, samples: Record, tmp_path: Path) -> None:
    show(browser, samples, tmp_path)
    tip = "const tip = document.getElementById('tip'); return tip.hidden ? null : tip.textContent"
    browser.evaluate("document.querySelector('[data-rows]').focus()")
    key(browser, "ArrowDown")
    told = browser.evaluate(tip)
    assert told is not None
    assert re.fullmatch(r"/ on connection 1: known 0\.0 ms, sent [\d.]+ ms, .* done [\d.]+ ms", told)
    key(browser, "Escape")
    assert browser.evaluate(tip) is None
    browser.evaluate("document.querySelector('#network-0-pairs .canvas').focus()")
    key(browser, "ArrowDown")
    assert browser.evaluate(tip).startswith("h1x1, block 1: ")


def test_cells_of_the_map_take_the_focus_tell_and_lead_on(
    browser: Chromium, sweep: Record, tmp_path: Path
) -> None:
    show(browser, sweep, tmp_path)
    browser.evaluate("document.querySelectorAll('.map a')[11].focus()")
    told = browser.evaluate("return document.getElementById('tip').textContent")
    assert told.startswith("round trip 300 ms, loss 0 %: ")
    assert not browser.evaluate("return document.getElementById('network-9').open")
    key(browser, "Enter")
    assert browser.evaluate(
        "await new Promise((done) => setTimeout(done, 50)); return document.getElementById('network-9').open"
    )


def test_a_contender_can_be_left_out(browser: Chromium, samples: Record, tmp_path: Path) -> None:
    show(browser, samples, tmp_path)
    count = """return [...document.querySelectorAll("#network-0-ecdf text")]
        .filter((text) => text.getClientRects().length && text.textContent.startsWith("h2 ")).length"""
    assert browser.evaluate(count) == 1
    browser.evaluate("document.querySelector('.key input[value=\"h2\"]').click()")
    assert browser.evaluate(count) == 0


def test_what_is_saved_is_the_record_but_for_what_is_not_drawn(
    browser: Chromium, samples: Record, tmp_path: Path
) -> None:
    only = samples.cells[0]
    failed = replace(only.samples[0], failure="lost 1 of 60 responses", measurement=None, link=None)
    whole = replace(samples, cells=(replace(only, samples=(failed, *only.samples[1:])),))
    show(browser, whole, tmp_path)
    saved = Record.from_json(
        browser.evaluate("""
            let saved;
            URL.createObjectURL = (blob) => { saved = blob; return "#"; };
            document.getElementById("save").click();
            return await saved.text();""")
    )
    timelines = [one.measurement.timeline for one in saved.cells[0].samples if one.measurement]
    assert sum(one is not None for one in timelines) == 5
    assert _plain(saved) == _plain(whole)


def _plain(record: Record) -> Any:
    """Leave out what a report leaves out, and round as it does."""
    found = json.loads(record.to_json(), parse_float=lambda text: round(float(text), 7))
    for one in found["cells"]:
        for sample in one["samples"]:
            if sample["measurement"]:
                sample["measurement"]["latencies"] = sample["measurement"]["timeline"] = None
    return found


def test_it_is_printed_light_and_on_several_pages(browser: Chromium, samples: Record, tmp_path: Path) -> None:
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    browser.devtools("Emulation.setEmulatedMedia", media="print", features=[feature])
    show(browser, samples, tmp_path)
    assert browser.evaluate("return getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    printed = base64.b64decode(browser.devtools("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert printed.startswith(b"%PDF")
    tall = browser.evaluate("""
        return [...document.querySelectorAll("svg.plot")].filter((plot) =>
            plot.getBoundingClientRect().height > 900).length""")
    assert tall == 0
    browser.devtools("Emulation.setEmulatedMedia", media="", features=[])
