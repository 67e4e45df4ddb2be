from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import ConfigError
from plait.lab.paths import is_path, quoted, read_paths
from plait.lab.source import RESOURCES_LIMIT


def paths_file(directory: Path, content: bytes) -> Path:
    file = directory / "paths.txt"
    file.write_bytes(content)
    return file


def test_a_file_of_paths_may_have_comments_and_blank_lines(tmp_path: Path) -> None:
    file = paths_file(tmp_path, b"# books\n\n/book?id=1\r\n  /book?id=2\n/a%20b")
    source = read_paths(file)
    assert [resource.path for resource in source.resources] == ["/book?id=1", "/book?id=2", "/a%20b"]
    assert [resource.parent for resource in source.resources] == [None, None, None]
    assert source.name == "paths.txt"


def test_a_path_listed_twice_is_fetched_twice(tmp_path: Path) -> None:
    assert len(read_paths(paths_file(tmp_path, b"/1\n/1\n")).resources) == 2


@pytest.mark.parametrize(
    "line", ["book", "/a b", "https://example.org/", "/caf\u00e9", "/a#b", "/a\tb", "/\x7f", "//host/a"]
)
def test_a_malformed_line_is_quoted_with_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_paths(paths_file(tmp_path, f"/ok\n{line}\n".encode()))
    assert f"line 2: {line!r}" in str(refusal.value)


def test_a_long_malformed_line_is_cut(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_paths(paths_file(tmp_path, b"x" * 100_000))
    assert len(str(refusal.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n"])
def test_a_file_without_paths_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigError, match="holds no path"):
        read_paths(paths_file(tmp_path, content))


def test_a_file_of_too_many_paths_is_refused_with_their_number(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds 10,001 paths, and a workload at most 10,000"):
        read_paths(paths_file(tmp_path, b"/\n" * (RESOURCES_LIMIT + 1)))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not text"):
        read_paths(paths_file(tmp_path, b"/\xff\xfe"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere: No such file"):
        read_paths(tmp_path / "nowhere")


@given(st.text())
def test_whatever_is_quoted_stays_short_and_on_one_line(text: str) -> None:
    assert len(quoted(text)) <= 62
    assert "\n" not in quoted(text)


@given(st.text())
def test_a_path_is_one_word_of_visible_ascii(text: str) -> None:
    assert not is_path(text) or (text.isascii() and text.isprintable() and " " not in text)
