from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.lab.viewport import choose, matches


@pytest.mark.parametrize(
    "queries",
    [
        "", "all", "screen", "only screen and (min-width: 40em)", "print, screen", "not print",
        "(min-width: 1280px)", "(max-width: 1280px)", "(width >= 600px)", "(400px < width <= 1280px)",
        "(orientation: landscape)", "(prefers-color-scheme: light)", "not all and (max-width: 600px)",
        "(min-resolution: 1dppx)", "(hover: hover)", "(something: new)",
    ],
)  # fmt: skip
def test_a_query_that_holds_for_a_desktop_matches(queries: str) -> None:
    assert matches(queries)


@pytest.mark.parametrize(
    "queries",
    [
        "print", "speech", "not screen", "screen and (max-width: 767.98px)", "(min-width: 1281px)",
        "(width < 600px)", "(400px <= width <= 700px)", "(orientation: portrait)",
        "(prefers-color-scheme: dark)",
        "(prefers-reduced-motion: reduce)", "(min-resolution: 2dppx)", "(min-resolution: 192dpi)",
        "(-webkit-min-device-pixel-ratio: 1.5)", "(pointer: coarse)", "print, (max-width: 20em)",
    ],
)  # fmt: skip
def test_a_query_that_does_not_hold_for_a_desktop_does_not_match(queries: str) -> None:
    assert not matches(queries)


@pytest.mark.parametrize(
    ("srcset", "sizes", "src", "chosen"),
    [
        ("", "", "a.png", "a.png"),
        ("", "", None, None),
        ("b.png 2x", "", "a.png", "a.png"),
        ("a.png, b.png 2x", "", "c.png", "a.png"),
        ("b.png 3x, c.png 2x", "", None, "c.png"),
        ("a.png 0.5x", "", None, "a.png"),
        ("s.png 320w, m.png 640w, l.png 1280w, x.png 2000w", "", "a.png", "l.png"),
        ("s.png 320w, m.png 640w, l.png 1280w", "50vw", "a.png", "m.png"),
        (
            "s.png 320w, m.png 640w",
            "(max-width: 600px) 100vw, (min-width: 601px) 300px, 100vw",
            "a.png",
            "s.png",
        ),
        ("s.png 320w, m.png 640w", "calc(100vw - 2em)", "a.png", "m.png"),
        ("data:,a ,b.png 2x", "", None, "data:,a"),
        ("  , a.png  1x ,, ", "", None, "a.png"),
        ("a.png 7q", "", "b.png", "b.png"),
        ("a.png 100w", "0px", None, "a.png"),
    ],
)
def test_the_smallest_sharp_image_is_chosen(
    srcset: str, sizes: str, src: str | None, chosen: str | None
) -> None:
    assert choose(srcset, sizes, src) == chosen


@given(st.text(alphabet="0123456789.,:()<>=-+ wxpemdinaty\t", max_size=80), st.text(max_size=40))
def test_whatever_the_attributes_hold_an_answer_is_found(condition: str, srcset: str) -> None:
    assert matches(condition) in (True, False)
    choose(f"{srcset} {condition}", condition, None)


def test_long_nonsense_is_answered_soon() -> None:
    for nonsense in ("(" + " " * 100_000, "," * 100_000, "(a" * 50_000, "1<" * 50_000):
        assert matches(nonsense)
        choose(nonsense, nonsense, "a.png")
