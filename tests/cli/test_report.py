"""``plait report`` as a user runs it: what it writes, and what it says when it cannot."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.lab_samples import cell, loads, network, record
from tests.support.servers import plait

NETWORK = replace(network(), name="4g")


def report(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(plait("report", *arguments), capture_output=True, text=True, timeout=60)


def kept(file: Path, h2: float) -> Path:
    runs = {"h1x6": loads(12, 1.0, seed=1), "h2": loads(12, h2, seed=2)}
    file.write_text(record(cell(runs, over=NETWORK)).to_json(), encoding="utf-8")
    return file


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return kept(tmp_path / "before.json", 0.5)


@pytest.fixture
def after(tmp_path: Path) -> Path:
    return kept(tmp_path / "after.json", 0.8)


def test_two_runs_are_compared_on_the_terminal_on_the_page_and_in_figures(
    before: Path, after: Path, tmp_path: Path
) -> None:
    page, figures = tmp_path / "page.html", tmp_path / "new" / "figures"
    ended = report(before, after, "--report", page, "--figures", figures)
    assert ended.returncode == 0, ended
    assert "slower" in ended.stdout
    assert ended.stderr == f"plait: the page is in {page}\nplait: 3 figures are in {figures}\n"
    assert ">What changed</h2>" in page.read_text("utf-8")
    written = sorted(one.name for one in figures.iterdir())
    assert written == ["4g-distribution.svg", "4g-paired.svg", "changes.svg"]
    assert "faster than before" in (figures / "changes.svg").read_text("utf-8")


def test_one_run_has_no_changes(after: Path, tmp_path: Path) -> None:
    page, figures = tmp_path / "page.html", tmp_path / "figures"
    figures.mkdir()
    assert report(after, "--report", page, "--figures", figures).returncode == 0
    assert "What changed" not in page.read_text("utf-8")
    assert not (figures / "changes.svg").exists()


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("before.json", "cannot make the directory {}: File exists"),
        ("before.json/figures", "cannot make the directory {}: Not a directory"),
    ],
)
def test_figures_that_cannot_be_written_get_one_sentence(
    before: Path, tmp_path: Path, place: str, sentence: str
) -> None:
    ended = report(before, "--figures", tmp_path / place)
    assert ended.returncode == 1
    assert ended.stderr == f"plait: {sentence.format(tmp_path / place)}\n"


def test_three_files_are_refused(before: Path) -> None:
    ended = report(before, before, before)
    assert (ended.returncode, ended.stderr) == (2, "plait: two files can be compared, not 3\n")
