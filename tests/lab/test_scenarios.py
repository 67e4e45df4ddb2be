from __future__ import annotations

from pathlib import Path

import pytest

from plait.bookstore.generate import bundled
from plait.errors import ConfigError, PlaitError
from plait.lab.contenders import digest
from plait.lab.scenarios import Scenario, bookstore_scenario, paths_scenario, read_paths
from tests.support.small_server import small_server

HTTP_1 = frozenset("1")


def a_scenario(*paths: str) -> Scenario:
    return Scenario(
        name="test", index=None, paths=paths, expected={p: digest(200, p.encode()) for p in paths}
    )


def answers(*paths: str) -> list[tuple[str, str]]:
    return [(path, digest(200, path.encode())) for path in paths]


def paths_file(directory: Path, content: bytes) -> Path:
    file = directory / "paths.txt"
    file.write_bytes(content)
    return file


def test_a_file_of_paths_may_have_comments_and_blank_lines(tmp_path: Path) -> None:
    file = paths_file(tmp_path, b"# books\n\n/book?id=1\r\n  /book?id=2\n/a%20b")
    assert read_paths(file) == ("/book?id=1", "/book?id=2", "/a%20b")


@pytest.mark.parametrize(
    "line", ["book", "/a b", "https://example.org/", "/caf\u00e9", "/a#b", "/a\tb", "/\x7f"]
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


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not text"):
        read_paths(paths_file(tmp_path, b"/\xff\xfe"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere: No such file"):
        read_paths(tmp_path / "nowhere")


def test_a_whole_crawl_has_no_fault_in_whatever_order_it_came() -> None:
    assert a_scenario("/1", "/2", "/3").fault(answers("/3", "/1", "/2")) is None


def test_a_path_listed_twice_is_expected_twice() -> None:
    assert a_scenario("/1", "/1").fault(answers("/1", "/1")) is None
    assert a_scenario("/1", "/1").fault(answers("/1")) == "lost 1 of 2 responses (/1)"


def test_a_lost_response_is_named() -> None:
    assert a_scenario("/1", "/2", "/3").fault(answers("/1", "/3")) == "lost 1 of 3 responses (/2)"


def test_a_response_received_twice_does_not_make_up_for_one_that_was_lost() -> None:
    assert a_scenario("/1", "/2").fault(answers("/1", "/1")) == "lost 1 of 2 responses (/2)"


def test_a_response_received_twice_is_a_fault() -> None:
    assert a_scenario("/1").fault(answers("/1", "/1")) == "received 2 responses where 1 were asked for"


def test_other_content_is_a_fault() -> None:
    fault = a_scenario("/1", "/2").fault([*answers("/1"), ("/2", digest(200, b"not it"))])
    assert fault == "received something else than expected for 1 of 2 responses (/2)"


def test_the_same_content_with_another_status_is_a_fault() -> None:
    assert a_scenario("/1").fault([("/1", digest(404, b"/1"))]) is not None


def test_many_faults_are_counted_and_three_are_named() -> None:
    fault = a_scenario(*(f"/{n}" for n in range(2000))).fault([])
    assert fault == "lost 2,000 of 2,000 responses (/0, /1, /2, ...)"


def test_the_bookstore_is_its_index_and_three_thousand_books() -> None:
    scenario = bookstore_scenario(bundled())
    assert len(scenario.paths) == len(scenario.expected) == 3001
    assert scenario.job() == {"index": {"path": "/", "item": "/book?id={}"}, "paths": []}


def test_what_to_expect_of_paths_is_fetched_once_each() -> None:
    with small_server({"/1": b"one", "/2": b"two"}) as server:
        scenario = paths_scenario(server.target, ["/1", "/2", "/1"], HTTP_1)
        assert server.asked == ["/1", "/2"]
    assert scenario.paths == ("/1", "/2", "/1")
    assert scenario.expected == {"/1": digest(200, b"one"), "/2": digest(200, b"two")}


def test_a_path_that_answers_an_error_is_refused() -> None:
    with small_server({"/1": b"one"}) as server, pytest.raises(PlaitError, match="/2 answers 404"):
        paths_scenario(server.target, ["/1", "/2"], HTTP_1)
