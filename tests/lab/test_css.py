from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.lab.css import references, references_of_style
from plait.lab.workload import Kind

LETTERS = frozenset(map(ord, "abc"))


def urls(css: str, letters: frozenset[int] = LETTERS) -> list[str]:
    return [reference.url for reference in references(css, letters)]


def test_imports_count_before_every_other_rule_alone() -> None:
    css = """@charset "utf-8"; @layer a, b; @import "1.css"; @import url(2.css) print; @import url("3.css")
    layer(x) supports(display: grid); p { color: red } @import "4.css";"""
    assert references(css, LETTERS) == [("1.css", Kind.STYLE), ("2.css", Kind.STYLE), ("3.css", Kind.STYLE)]


def test_images_are_found_wherever_a_value_may_stand() -> None:
    css = """a { background: red url(1.png) no-repeat, URL( "2.png" ) } b { filter: url(#shadow); &:hover {
    background: url(3.png) } } c { background: cross-fade(url(4.png), url(5.png)) }"""
    assert urls(css) == ["1.png", "2.png", "3.png", "4.png", "5.png"]


def test_of_a_set_of_images_the_first_is_fetched() -> None:
    assert urls("a { background: image-set('1.png' 1x, '2.png' 2x) }") == ["1.png"]
    assert urls("a { background: -webkit-image-set(url(1.png) 1x, url(2.png) 2x) }") == ["1.png"]


def test_rules_for_other_media_are_passed_over() -> None:
    css = """@media print { a { background: url(1.png) } } @media (min-width: 800px) {
    @supports (display: grid) { a { background: url(2.png) } } }
    @supports not (display: grid) { a { background: url(3.png) } }
    @layer base { a { background: url(4.png) } }"""
    assert urls(css) == ["2.png", "4.png"]


@pytest.mark.parametrize(
    ("sources", "chosen"),
    [
        ("url(a.woff2)", ["a.woff2"]),
        ("url(a.eot), url(a.woff)", ["a.woff"]),
        ("url(a.eot?#iefix) format('embedded-opentype'), url(a.ttf) format(truetype)", ["a.ttf"]),
        ("local('A'), url(a.woff2) format('woff2'), url(a.woff) format('woff')", ["a.woff2"]),
        ("url(a.svg#a) format('svg')", []),
        ("local('A')", []),
    ],
)
def test_of_a_font_the_first_file_that_a_browser_can_use_is_fetched(sources: str, chosen: list[str]) -> None:
    assert urls(f"@font-face {{ font-family: a; src: {sources} }}") == chosen


def test_the_last_src_of_a_font_counts() -> None:
    assert urls("@font-face { src: url(a.eot); src: url(b.eot) format('x'), url(b.woff2) }") == ["b.woff2"]


def test_a_font_for_letters_that_the_page_has_not_is_passed_over() -> None:
    css = "@font-face { src: url(greek.woff2); unicode-range: U+370-3FF, U+1F?? }"
    assert urls(css) == []
    assert urls(css, frozenset({0x3B1})) == ["greek.woff2"]


def test_a_style_attribute_names_images() -> None:
    assert references_of_style("color: red; background: url('a b.png')") == [("a b.png", Kind.IMAGE)]


def test_what_is_no_css_is_passed_over() -> None:
    assert urls("<html>} { ; @import @import url( ") == []
    assert urls("(" * 10_000 + "url(a.png)") == []
    assert references_of_style("[" * 10_000) == []


def test_bytes_are_read_in_the_encoding_they_say() -> None:
    css = '@charset "windows-1251"; a { background: url(\u043a.png) }'.encode("windows-1251")
    assert references(css, LETTERS)[0].url == "\u043a.png"


@given(st.text(alphabet="@importmediafont-facesrcul()[]{}'\":;,.# \n\\", max_size=120))
def test_whatever_css_holds_it_is_read(css: str) -> None:
    references(css, LETTERS)
    references_of_style(css)
    references(css.encode(), LETTERS)
