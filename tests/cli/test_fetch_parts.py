"""Parts of ``plait fetch`` that need no server: globs, names, bars."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.cli.fetching.content import given_fields
from plait.cli.fetching.output import safe_name
from plait.cli.fetching.reports import printable
from plait.cli.fetching.targets import complete, expand, remote_name, straight
from plait.cli.fetching.waterfall import bar
from plait.client.statistics import Timing
from plait.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("http://x/", ["http://x/"]),
        ("http://{a,b}/", ["http://a/", "http://b/"]),
        ("http://x/[1-3]", ["http://x/1", "http://x/2", "http://x/3"]),
        ("http://x/[008-010]", ["http://x/008", "http://x/009", "http://x/010"]),
        ("http://x/[0-10:5]", ["http://x/0", "http://x/5", "http://x/10"]),
        ("http://x/[a-c]", ["http://x/a", "http://x/b", "http://x/c"]),
        ("http://x/{a,b}[1-2]", ["http://x/a1", "http://x/a2", "http://x/b1", "http://x/b2"]),
        ("http://[::1]:80/[1-2]", ["http://[::1]:80/1", "http://[::1]:80/2"]),
        ("http://x/\\{a\\}\\[1\\]", ["http://x/{a}[1]"]),
        ("http://x/{a,}", ["http://x/a", "http://x/"]),
    ],
)
def test_globs_stand_for_urls(url: str, urls: list[str]) -> None:
    assert [one for one, _ in expand(url)] == urls


@given(st.text(st.sampled_from("a1-:,{}[]\\/z"), max_size=12))
def test_any_glob_is_understood_or_refused(url: str) -> None:
    with suppress(ConfigError):
        assert all(one.count("[") <= url.count("[") for one, _ in expand(url))


@given(st.text(st.sampled_from("./\\a%0 \";*='") | st.characters(), max_size=20).map("x; filename=".__add__))
def test_a_name_that_a_server_says_leads_nowhere_else(disposition: str) -> None:
    name = safe_name(disposition)
    assert name == PurePosixPath(name).name or not name
    assert name == PureWindowsPath(name).name or ":" in name or not name
    assert not name.startswith(".")
    assert not re.search(r"[\x00-\x1f\x7f]", name)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://x/a/b.txt?c=/d#e", "b.txt"),
        ("http://x/a/", ""),
        ("http://x", ""),
        ("book?id=1", ""),
        ("/book?id=1", "book"),
    ],
)
def test_a_file_is_named_as_its_url_ends(url: str, name: str) -> None:
    assert remote_name(url) == name


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("http://x/a/../b", "http://x/b"),
        ("http://x/../../b/./c", "http://x/b/c"),
        ("http://x/a/..", "http://x/"),
        ("http://x/a/.", "http://x/a/"),
        ("http://x/.a/..b?c=/../d#/./", "http://x/.a/..b?c=/../d#/./"),
        ("http://x?/../", "http://x?/../"),
    ],
)
def test_dot_segments_are_removed(url: str, without: str) -> None:
    assert straight(url) == without


def test_what_a_server_says_moves_no_terminal() -> None:
    assert printable("naïve \x1b[31m\r\u202e") == "naïve \\x1b[31m\\r\\u202e"


def test_a_url_is_completed() -> None:
    assert complete("x/y") == ("http://x/y", None)
    assert complete("https://a%40b:c@x/@") == ("https://x/@", ("a@b", "c"))


def test_fields_are_read_as_curl_reads_them() -> None:
    lines = ("A: 1", "b:2", "Empty;", "Out:", "Spaced :  x ")
    assert given_fields(lines) == [("A", "1"), ("b", "2"), ("Empty", ""), ("Out", None), ("Spaced", "x")]


@given(st.lists(st.floats(0, 100), min_size=11, max_size=11), st.integers(1, 200))
def test_a_bar_fills_its_width_whatever_the_times(moments: list[float], width: int) -> None:
    submitted, queued, *steps, sent, uploaded, answered, done, last = sorted(moments)
    timing = Timing(submitted, sent, answered, done, 1, queued, uploaded, *steps)
    parts = bar(timing, submitted, last, width)
    assert sum(cells for _, cells in parts) == width
    assert all(cells >= 0 for _, cells in parts)
    assert any(phase is not None for phase, _ in parts)
