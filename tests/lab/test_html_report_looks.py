"""Colours that can be told apart and read, in both themes and with each kind of colour blindness."""

from __future__ import annotations

import itertools
import math
import re
from importlib.resources import files

import pytest

from plait.lab.report.series import looks
from tests.support.lab_samples import record

CSS = files("plait.lab.report").joinpath("colours.css").read_text("utf-8")
THEMES = ("light", "dark")
SERIES = [f"c{number}" for number in range(6)]
SHADES = ["dm4", "dm3", "dm2", "dm1", "d0", "d1", "d2", "d3", "d4"]

# G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, "A physiologically-based model for simulation of
# color vision deficiency" (2009), severity 1.0; applied to linear light.
EYES = {
    "full": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def colours(theme: str) -> dict[str, tuple[float, ...]]:
    """Read the theme's colours, in linear light."""
    found = re.findall(r"--([\w-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)", CSS)
    return {name: _linear(both[THEMES.index(theme)]) for name, *both in found}


def _linear(code: str) -> tuple[float, ...]:
    channels = (int(code[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return tuple(one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The contrast of two colours (WCAG 2.2)."""
    low, high = sorted(0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in (one, other))
    return (high + 0.05) / (low + 0.05)


def difference(one: tuple[float, ...], other: tuple[float, ...], eye: str) -> float:
    """The distance of two colours in OKLab, where 2 in a hundred is just noticeable."""
    return 100 * math.dist(_oklab(one, eye), _oklab(other, eye))


def _times(matrix: tuple[tuple[float, ...], ...], vector: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def _oklab(colour: tuple[float, ...], eye: str) -> tuple[float, ...]:
    seen = tuple(min(1.0, max(0.0, one)) for one in _times(EYES[eye], colour))
    cones = _times(
        (
            (0.4122214708, 0.5363325363, 0.0514459929),
            (0.2119034982, 0.6806995451, 0.1073969566),
            (0.0883024619, 0.2817188376, 0.6299787005),
        ),
        seen,
    )
    return _times(
        (
            (0.2104542553, 0.7936177850, -0.0040720468),
            (1.9779984951, -2.4285922050, 0.4505937099),
            (0.0259040371, 0.7827717662, -0.8086757660),
        ),
        tuple(math.cbrt(one) for one in cones),
    )


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read(theme: str) -> None:
    found = colours(theme)
    for ground in ("ground", "raised", "zone"):
        for text in ("ink", "quiet", "link", "faster", "slower"):
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    for shade in SHADES:
        assert contrast(found[f"on-{shade}"], found[shade]) >= 4.5, shade


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_drawn_stands_out_from_the_ground(theme: str) -> None:
    found = colours(theme)
    drawn = [*SERIES, "queued", "waiting", "receiving", "tcp", "tls", "loss", "faster", "slower"]
    for name in drawn:
        assert contrast(found[name], found["ground"]) >= 3, name


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("eye", EYES)
def test_contenders_are_told_apart_by_every_eye(theme: str, eye: str) -> None:
    found = colours(theme)
    for one, other in itertools.combinations(SERIES, 2):
        assert difference(found[one], found[other], eye) > 7, (one, other)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("eye", EYES)
def test_the_two_sides_of_the_map_are_told_apart_by_every_eye(theme: str, eye: str) -> None:
    found = colours(theme)
    for step in (1, 2, 3, 4):
        assert difference(found[f"dm{step}"], found[f"d{step}"], eye) > 4, step
    for one, other in itertools.pairwise(SHADES):
        assert difference(found[one], found[other], eye) > 4, (one, other)


def test_contenders_differ_in_dash_and_marker_too() -> None:
    names = ["h1x1", "h1x6", "h1xN", "h2", "h2-static", "h2xN"]
    found = looks(record({name: [1.0] for name in names}))
    for part in ("class_", "dash", "marker"):
        assert len({getattr(look, part) for look in found.values()}) == 6


@pytest.mark.parametrize("theme", THEMES)
def test_hatched_cells_are_seen_to_be_hatched_whatever_their_colour(theme: str) -> None:
    found = colours(theme)
    for shade in SHADES:
        lines = found["on-d3" if shade[-1] in "34" else "on-d0"]
        # The style draws them at two fifths of their strength; here in linear light, which is near enough.
        mixed = tuple(0.4 * line + 0.6 * ground for line, ground in zip(lines, found[shade], strict=True))
        assert contrast(mixed, found[shade]) > 1.4, shade


def test_the_reference_has_the_colour_of_text_and_a_second_copy_that_of_the_first() -> None:
    found = looks(record({name: [1.0] for name in ("h1x1", "h2", "h1x6", "h1x6-again")}))
    assert found["h1x6"].class_ == "c0"
    assert found["h2"].class_ == "c1"
    assert found["h1x6-again"].class_ == "c0"
    assert found["h1x6-again"].marker != found["h1x6"].marker


def test_a_second_copy_takes_no_colour_from_the_others() -> None:
    names = ("h1x6", "h1x6-again", "h2", "h1x1", "h1x100", "h2-serial", "h2-static")
    shown = looks(record(dict.fromkeys(names, (1.0,))))
    assert {one.class_ for one in shown.values()} == {f"c{number}" for number in range(6)}


def test_with_more_contenders_than_colours_no_two_look_the_same() -> None:
    found = looks(record({f"h1x{number}": [1.0] for number in range(1, 14)}))
    assert len({(look.class_, look.dash, look.marker) for look in found.values()}) == 13
