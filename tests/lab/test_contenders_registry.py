from __future__ import annotations

from pathlib import Path

import pytest

from plait.errors import ConfigError
from plait.lab.contenders.base import Contender
from plait.lab.contenders.registry import contender_named, default_names, names

EVERY = [*(name for name in names() if "N" not in name), "h1x1", "h1x6", "h1x256", "h2x2", "h2x16"]


@pytest.mark.parametrize("name", EVERY)
def test_a_contender_is_found_by_its_name_and_has_a_title_that_fits_a_table(name: str) -> None:
    contender = contender_named(name)
    assert contender.name == name
    assert contender.http in ("1", "2")
    assert contender.connections >= 1
    assert contender.schemes[0] == "https"
    again = contender_named(f"{name}-again")
    assert len({contender.title(100), again.title(100)}) == 2
    assert all(0 < len(title) <= 26 for title in (contender.title(1000), again.title(1000)))


def test_no_two_contenders_have_the_same_title() -> None:
    assert len({contender_named(name).title(100) for name in EVERY}) == len(EVERY)


def test_titles_say_what_the_contender_does() -> None:
    titles = {name: contender_named(name).title(50) for name in ("h1x1", "h1x6", "h2", "h2x3", "h2-chunks")}
    assert titles == {
        "h1x1": "HTTP/1.1, 1 connection",
        "h1x6": "HTTP/1.1, 6 connections",
        "h2": "HTTP/2",
        "h2x3": "HTTP/2, 3 connections",
        "h2-chunks": "HTTP/2, chunks of 50",
    }


def test_a_second_copy_says_whose_it_is_and_is_otherwise_the_same() -> None:
    first, again = contender_named("h1x6"), contender_named("h1x6-again")
    assert (first.again, again.again) == (None, "h1x6")
    assert (again.name, again.http, again.connections) == ("h1x6-again", "1", 6)
    assert contender_named("h1x6").name == "h1x6"
    assert contender_named("requests").name == "requests"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("h3", "'h3' is not a contender; there is: h1xN, h2-serial, "),
        ("request", "'request' is not a contender; did you mean requests?"),
        ("H2", "'H2' is not a contender; there is: h1xN, "),
        ("", "'' is not a contender; there is: h1xN, "),
        ("h1", "'h1' is not a contender"),
        ("h1x0", "'h1x0' is not a contender"),
        ("h1x06", "'h1x06' is not a contender"),
        ("h1x257", "'h1x257' is not a contender: over HTTP/1.1 there are 1 to 256 connections"),
        ("h2x1", "'h2x1' is not a contender: over HTTP/2 there are 2 to 16 connections"),
        ("h2x99999999999999999999", "'h2x99999999999999999999' is not a contender"),
        ("h2-again-again", "'h2-again-again' is not a contender; "),
        ("h2-prioritys", "'h2-prioritys' is not a contender; did you mean h2-priorities"),
        ("no_such_module:Mine", "contender 'no_such_module:Mine' cannot be imported: No module named"),
        ("json:NoSuch", "contender 'json:NoSuch' cannot be imported: module 'json' has no attribute"),
        ("json:JSONDecoder", "contender 'json:JSONDecoder' is not a plait.lab.contenders.base.Contender"),
        (":", "contender ':' cannot be imported: "),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_there_is(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        contender_named(name)
    assert str(refused.value).startswith(sentence)


def test_the_default_contenders_change_one_thing_after_the_other() -> None:
    assert default_names(100) == ("h1x1", "h1x6", "h1x100", "h2-serial", "h2-static", "h2")
    assert default_names(6) == ("h1x1", "h1x6", "h2-serial", "h2-static", "h2")
    assert default_names(1000)[2] == "h1x256"


def test_a_class_of_ones_own_takes_part_by_the_name_of_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_contender.py").write_text(
        "from plait.lab.contenders.base import Contender\n"
        "class Mine(Contender):\n    label = 'mine'\n    http = '1'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    contender = contender_named("my_contender:Mine")
    assert (contender.name, contender.title(1)) == ("my_contender:Mine", "mine")


class _NeedsMuch(Contender):
    name = "much"
    label = "needs much"
    http = "2"
    requires = ("no_such_package", "json", "nor_this_one")


def test_a_contender_names_the_packages_it_lacks_and_how_to_install_them() -> None:
    assert _NeedsMuch().missing() == (
        "much needs no_such_package and nor_this_one, not installed here: pip install 'plait[lab-clients]'"
    )
    assert contender_named("h2").missing() is None
    assert contender_named("requests").missing() is None


def test_a_contender_tells_the_versions_of_what_it_uses() -> None:
    assert contender_named("h2").versions() == {}
    assert contender_named("requests").versions().keys() == {"requests"}
    assert contender_named("httpx-h2").versions().keys() == {"httpx", "h2"}


def test_chromium_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sentence = contender_named("chromium").missing()
    assert sentence == "chromium needs Chromium, which is not installed here"
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    sentence = contender_named("chromium-h1").missing()
    assert sentence == "chromium-h1 needs certutil, which is not installed here (Debian: libnss3-tools)"
