"""What docs/findings.md says is what its samples say, and agrees with what is known of HTTP/2."""

from __future__ import annotations

import gzip
import re

import pytest

from plait.lab.analysis import CellAnalysis, analyse
from plait.lab.record import Record
from plait.lab.verdicts import Finding
from tests.support.servers import ROOT

PAGE = (ROOT / "docs" / "findings.md").read_text()
KEPT = ROOT / "docs" / "findings"


def record_of(name: str) -> Record:
    return Record.from_json(gzip.decompress((KEPT / f"{name}.json.gz").read_bytes()).decode())


def cell_of(name: str, number: int = 0) -> CellAnalysis:
    return analyse(record_of(name)).cells[number]


def answer(found: CellAnalysis, contender: str, reference: str) -> Finding:
    return next(
        one.finding
        for one in found.answers
        if (one.finding.contender, one.finding.reference) == (contender, reference)
    )


def test_serial_http2_differs_from_serial_http1_in_no_practical_way() -> None:
    assert answer(cell_of("serial"), "h2-serial", "h1x1").verdict == "no practical difference"


def test_many_small_things_over_a_long_way_are_far_faster_over_http2() -> None:
    finding = answer(cell_of("many-small"), "h2", "h1x6")
    assert finding.verdict == "faster"
    assert finding.high < 0.5


def test_a_few_large_things_on_a_clean_link_do_not_care() -> None:
    assert answer(cell_of("few-large"), "h2", "h1x6").verdict == "no practical difference"


def test_large_things_under_random_loss_are_slower_over_one_connection() -> None:
    found = cell_of("few-large-loss")
    assert answer(found, "h2", "h1x6").verdict == "slower"
    assert answer(found, "h2x6", "h2").verdict == "faster"


def test_it_is_the_congestion_control_that_minds_the_loss() -> None:
    assert answer(cell_of("few-large-bbr"), "h2", "h1x6").verdict == "faster"


def test_a_browser_says_the_same() -> None:
    found = cell_of("chromium")
    assert answer(found, "h2", "h1x6").verdict == "faster"
    assert answer(found, "chromium", "chromium-h1").verdict == "faster"


def test_most_of_the_header_bytes_of_a_crawl_are_saved() -> None:
    [cell] = record_of("bookstore").cells
    h1, h2 = (cell.measurements(name)[0].fields for name in ("h1x1", "h2"))
    assert h1 is not None
    assert h2 is not None
    frames = 9 * 2 * 3001  # a HEADERS frame each way takes nine bytes beside what HPACK makes
    left = h2.request_wire + h2.response_wire
    assert 1 - left / (h1.request_wire + h1.response_wire) > 0.75
    assert 1 - (left - frames) / (h1.request_wire + h1.response_wire) > 0.87


@pytest.mark.parametrize("name", sorted(path.name for path in KEPT.glob("*.json.gz")))
def test_no_verdict_of_the_samples_was_refused(name: str) -> None:
    assert all(found.refusal is None for found in analyse(record_of(name.removesuffix(".json.gz"))).cells)


@pytest.mark.parametrize("name", sorted(path.name for path in KEPT.glob("*.json.gz")))
def test_the_command_that_measures_again_is_on_the_page(name: str) -> None:
    assert record_of(name.removesuffix(".json.gz")).command.partition(" --seed")[0] in PAGE.replace('"', "'")


def test_every_picture_is_there_and_every_interval_is_in_the_samples() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE)
    assert pictures
    assert all((ROOT / "docs" / picture).is_file() for picture in pictures)
    words = set()
    for path in KEPT.glob("*.json.gz"):
        for found in analyse(record_of(path.name.removesuffix(".json.gz"))).cells:
            for finding in (*found.ratios.values(), *(one.finding for one in found.answers)):
                words.add(finding.words().partition("[")[2].partition("]")[0])
                words.add(_interval(finding))
    stated = {" ".join(text.split()) for text in re.findall(r"\[(\d[\d.]* to\s+\d[\d.]*)\]", PAGE)}
    assert stated
    assert stated <= words


def _interval(finding: Finding) -> str:
    from plait.lab.verdicts import number

    low, high = finding.low, finding.high
    return f"{number(low, low, high)} to {number(high, low, high)}"
