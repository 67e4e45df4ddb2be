"""Primitives of the figures.

A figure is as wide as the page lets it be while its text keeps its size, without a script: so positions
across are percentages of the plot, positions down are pixels, and what has no percentages (paths) is
drawn in an inner coordinate system that is stretched to the plot, with strokes that are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from plait.lab.report.markup import Markup, join, tag

__all__ = [
    "STRETCH",
    "Drawing",
    "Scale",
    "Tick",
    "box",
    "columns",
    "label",
    "linear",
    "logarithmic",
    "path",
    "stretched",
]

STRETCH = 1000
"""Units across of the inner coordinate system."""


class Tick(NamedTuple):
    """A position of an axis.

    Attributes:
        value: Where.
        major: Whether it keeps its label where there is little room.
    """

    value: float
    major: bool


class Scale(NamedTuple):
    """From quantities to positions across.

    Attributes:
        low: The quantity at the left edge.
        high: The quantity at the right edge, larger.
        log: Whether equal ratios are equally far apart, and not equal differences.
    """

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Find the position of a quantity, 0 at the left edge and 1 at the right one."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def x(self, value: float) -> str:
        """Write the position as a percentage, within the plot."""
        return f"{_short(100 * min(1.0, max(0.0, self.at(value))), 3)}%"

    def across(self, value: float) -> float:
        """Find the position in the stretched coordinate system, within the plot."""
        return STRETCH * min(1.0, max(0.0, self.at(value)))

    def ticks(self) -> list[Tick]:
        """Choose round quantities, some four of them major."""
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high)


class Drawing(NamedTuple):
    """A drawing, for a page or a file of its own.

    Attributes:
        name: Unique in the page.
        title: What it is.
        description: What it shows, for who cannot see it.
        height: In pixels.
        parts: What is drawn.
        class_: Of the element, which says how much room labels need beside the plot.
        role: ``group`` where parts of it have names of their own, and ``img`` elsewhere.
    """

    name: str
    title: str
    description: str
    height: float
    parts: Markup
    class_: str = ""
    role: str = "img"

    def on_page(self) -> Markup:
        """Write it as an element as wide as the page lets it be, for readers and for screen readers."""
        return tag(
            "svg",
            *self.named(),
            self.parts,
            class_=f"plot {self.class_}".strip(),
            role=self.role,
            aria_labelledby=f"{self.name}-t" + (f" {self.name}-d" if self.role == "img" else ""),
            width="100%",
            height=self.height,
        )

    def named(self) -> tuple[Markup, Markup]:
        """Write title and description."""
        return (
            tag("title", self.title, id=f"{self.name}-t"),
            tag("desc", self.description, id=f"{self.name}-d"),
        )


def linear(values: Iterable[float]) -> Scale:
    """Make a scale from zero to beyond the largest value."""
    return Scale(0.0, (max(values, default=0.0) or 1.0) * 1.04)


def logarithmic(values: Iterable[float], *, margin: float = 1.08) -> Scale:
    """Make a logarithmic scale around positive values."""
    known = list(values) or [1.0]
    return Scale(min(known) / margin, max(known) * margin, log=True)


def stretched(y: float, height: float, *parts: str) -> Markup:
    """Open a coordinate system 1,000 wide whatever the plot's width is, and as high as its pixels."""
    return tag(
        "svg",
        *parts,
        x="0",
        y=y,
        width="100%",
        height=height,
        viewBox=f"0 0 {STRETCH} {_short(height, 2)}",
        preserveAspectRatio="none",
    )


def label(x: str | float, y: float, content: str, **attributes: str | float | None) -> Markup:
    """Write text into a figure."""
    return tag("text", content, x=x, y=y, **attributes)


def columns(scale: Scale, top: float, bottom: float, written: Sequence[tuple[Tick, str]]) -> Markup:
    """Draw an axis at the bottom: a line up from each tick, and its label below."""
    return tag(
        "g",
        join(
            tag(
                "g",
                tag("line", x1=scale.x(tick.value), x2=scale.x(tick.value), y1=top, y2=bottom),
                label(scale.x(tick.value), bottom + 15, content, text_anchor="middle"),
                class_=None if tick.major else "minor",
            )
            for tick, content in written
        ),
        class_="axis",
    )


def path(points: Iterable[tuple[float, float]]) -> str:
    """Write a polyline as the data of a path; level and upright parts take one number."""
    pieces: list[str] = []
    before = ("", "")
    for across, down in points:
        x, y = _short(across, 1), _short(down, 1)
        if not pieces:
            pieces.append(f"M{x} {y}")
        elif y == before[1] and x != before[0]:
            pieces.append(f"H{x}")
        elif x == before[0] and y != before[1]:
            pieces.append(f"V{y}")
        elif (x, y) != before:
            pieces.append(f"L{x} {y}")
        before = (x, y)
    return "".join(pieces)


def box(x: float, y: float, width: float, height: float) -> str:
    """Write a rectangle as a part of the data of a path."""
    w = _short(width, 1)
    return f"M{_short(x, 1)} {_short(y, 1)}h{w}v{_short(height, 1)}h-{w}z"


def _short(value: float, digits: int) -> str:
    written = f"{value:.{digits}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _linear_ticks(low: float, high: float) -> list[Tick]:
    rough = (high - low) / 8
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # Where there is little room every other one stays, beginning at the round ones.
    return [Tick(round(n * step, 12), n % 2 == 0) for n in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[Tick]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors, major in (((1,), (1,)), ((1, 3), (1,)), ((1, 2, 5), (1,)), ((1, 2, 5), (1, 2, 5)),
                           ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 4)), ):  # fmt: skip
        found = [
            Tick(factor * 10.0**power, factor in major)
            for power in decades
            for factor in factors
            if low <= factor * 10.0**power <= high
        ]
        if sum(tick.major for tick in found) >= 3:
            return found
    return _linear_ticks(low, high)
