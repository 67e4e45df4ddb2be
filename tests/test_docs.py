"""The pages lead somewhere: each link, each file and each test that they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
TEXTS = {page: BLOCK.sub("", page.read_text()) for page in PAGES}
LINK = re.compile(r"\]\(([^)\s]+)\)(?!`)")
FILE = re.compile(r"`((?:benchmarks|deploy|docs|examples|scripts|src|tests)/[\w/.-]+)`")
TEST = re.compile(r"`(test_\w+(?:\.py)?)`")
TESTS = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}


def anchors(text: str) -> set[str]:
    """Return what a link may name of a page, as GitHub and others do: its headings, without punctuation."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def found(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Return what a pattern finds, with the name of its page."""
    return sorted(
        {(str(page.relative_to(ROOT)), one) for page in PAGES for one in pattern.findall(TEXTS[page])}
    )


@pytest.mark.parametrize(("page", "link"), [one for one in found(LINK) if "://" not in one[1]])
def test_a_link_leads_somewhere(page: str, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = ((ROOT / page).parent / path).resolve() if path else ROOT / page

    assert target.exists()
    assert not anchor or anchor in anchors(TEXTS[target])


@pytest.mark.parametrize(("page", "path"), found(FILE))
def test_a_file_that_is_named_is_there(page: str, path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("page", "name"), found(TEST))
def test_a_test_that_is_named_is_there(page: str, name: str) -> None:
    assert any(name == path.name or f"def {name}(" in text for path, text in TESTS.items())
