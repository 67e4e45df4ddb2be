from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import PlaitError
from plait.lab.fetching import Answer
from plait.lab.robots import ALLOW_ALL, Robots, robots_of
from tests.support.memory_site import MemorySite


def asked(**answers: Answer) -> Robots:
    """The rules of a site whose files answer this."""
    return robots_of(MemorySite({f"/{name}.txt": answer for name, answer in answers.items()}).fetcher())


def allowed(text: str, *paths: str) -> list[bool]:
    robots = Robots(text)
    return [robots.allow(path) for path in paths]


def test_a_site_without_rules_allows_everything() -> None:
    assert ALLOW_ALL.allow("/a?b=c")


def test_the_most_specific_rule_decides_and_for_a_tie_what_allows() -> None:
    text = "User-agent: *\nDisallow: /a\nAllow: /a/public\nDisallow: /b\nAllow: /b\n"
    assert allowed(text, "/", "/a", "/a/1", "/a/public/1", "/b") == [True, False, False, True, True]


def test_stars_and_ends_are_heeded() -> None:
    text = "user-agent: *\ndisallow: /*.pdf$\ndisallow: /*?session=*&x\ndisallow: /only$\ndisallow: /a*b*c$"
    assert allowed(text, "/x/y.pdf", "/x.pdf?a", "/p?session=1&x", "/p?q", "/only", "/only/1") == [
        False, True, False, True, False, True,
    ]  # fmt: skip
    assert allowed(text, "/abc", "/a-b-c", "/acb", "/abcb", "/abcbc") == [False, False, True, True, False]


def test_the_groups_of_our_name_count_instead_of_those_for_everybody() -> None:
    text = """
    User-agent: *
    Disallow: /

    User-agent: other
    User-agent: Plait/1.0   # by any version
    Disallow: /mine
    user-agent: plait
    disallow: /too
    """
    assert allowed(text, "/", "/mine", "/too") == [True, False, False]


def test_a_name_that_begins_as_ours_is_another() -> None:
    assert allowed("user-agent: plaiting\ndisallow: /", "/") == [True]


def test_an_empty_rule_and_what_is_no_rule_are_passed_over() -> None:
    text = "\ufeffdisallow: /before\nuser-agent: *\ndisallow:\nsitemap: /x\nnonsense\n: :\ndisallow : /a # b"
    assert allowed(text, "/", "/before", "/a") == [True, True, False]


def test_encoded_and_plain_paths_are_the_same() -> None:
    text = "user-agent: *\ndisallow: /caf\u00e9\ndisallow: /%7euser"
    assert allowed(text, "/caf%C3%A9", "/caf%c3%a9/x", "/~user") == [False, False, False]


def test_a_site_that_answers_an_error_of_its_own_forbids_everything() -> None:
    assert not asked(robots=Answer(status=503, content=b"")).allow("/")


def test_rules_in_a_coding_that_was_not_asked_for_are_no_leave_to_go_on() -> None:
    coded = Answer(status=200, content=b"?", coding="br")
    with pytest.raises(PlaitError, match=r"^https://site.example:443/robots.txt cannot be read: .* 'br'"):
        asked(robots=coded)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_site_without_the_file_allows_everything(status: int) -> None:
    assert asked(robots=Answer(status=status, content=b"user-agent: *\ndisallow: /")).allow("/")


def test_redirects_are_followed_within_the_site() -> None:
    rules = Answer(status=200, content=b"user-agent: *\ndisallow: /a")
    moved = Answer(status=301, content=b"", location="/moved.txt")
    away = Answer(status=302, content=b"", location="https://elsewhere.example/robots.txt")
    for_ever = Answer(status=302, content=b"", location="/robots.txt")
    assert not asked(robots=moved, moved=rules).allow("/a")
    assert asked(robots=away).allow("/a")
    assert asked(robots=for_ever).allow("/a")


@given(st.text(alphabet="uUser-agnt: *\n\r#dislow/$%2Fplai", max_size=100), st.text(max_size=20))
def test_whatever_the_file_holds_there_is_an_answer(text: str, path: str) -> None:
    assert Robots(text).allow(f"/{path}") in (True, False)


def test_a_rule_of_many_stars_is_answered_soon() -> None:
    assert Robots("user-agent: *\ndisallow: /" + "*a" * 1000 + "$").allow("/" + "a" * 999 + "b")
