"""The decision map: how the ratio of the main question depends on the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from plait.lab.network.profile import Network
from plait.lab.report import svg
from plait.lab.report.conditions import Axis, axes
from plait.lab.report.figure import Figure, table
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.rows import bar, said, told
from plait.lab.report.svg import Drawing, Scale
from plait.lab.report.units import ratio, ratio_step
from plait.lab.verdicts import Finding, Verdict

__all__ = ["Point", "decision_map", "shade"]

_STEPS = (1.25, 2.0, 4.0)
"""Where the colours change, beyond the margin: by these factors, to either side."""


class Point(NamedTuple):
    """What was found on one network.

    Attributes:
        network: The network.
        title: What it is called.
        finding: What was found; None when nothing could be compared.
        place: Where the page tells more of it.
    """

    network: Network
    title: str
    finding: Finding | None
    place: str


def shade(value: float, margin: float) -> int:
    """Choose the colour of a ratio: from -4, much faster, over 0, within the margin, to 4, much slower."""
    size = math.exp(abs(math.log(value)))
    step = sum(size > edge for edge in (1 + margin, *_STEPS))
    return -step if value < 1 else step


def decision_map(name: str, points: Sequence[Point], contender: str, reference: str, margin: float) -> Figure:
    """Draw the ratio over the networks: a map, a line, or a row for each, as their number of axes allows.

    Args:
        name: Of the figure, unique in the page.
        points: One for each network, at least two.
        contender: Who is compared.
        reference: With whom.
        margin: The difference of no practical interest, as a share.
    """
    swept = axes([point.network for point in points])
    over = f"Each figure is the time of {contender} over that of {reference}: below 1 it is faster. "
    hatch = "Hatched is what the samples do not decide."
    hint = "A cell leads to the details of its network."
    data = _table(points)
    if swept and len(swept) == 2:
        drawing = _map(name, points, swept[0], swept[1], margin)
        return Figure(name, over + hatch, drawing, data, _colours(name, margin), hint)
    drawing = _line(name, points, swept[0], margin) if swept else _rows(name, points, margin)
    return Figure(name, over + "Bars are intervals; hollow marks are undecided.", drawing, data)


def _undecided(finding: Finding | None) -> bool:
    return finding is None or finding.verdict is Verdict.OPEN


def _map(name: str, points: Sequence[Point], across: Axis, up: Axis, margin: float) -> Drawing:
    columns = sorted({across.value(point.network) for point in points})
    rows = sorted({up.value(point.network) for point in points}, reverse=True)
    height, width = 58.0, 100 / len(columns)
    bottom = height * len(rows)
    cells = []
    for point in sorted(
        points, key=lambda one: (rows.index(up.value(one.network)), across.value(one.network))
    ):
        column, row = columns.index(across.value(point.network)), rows.index(up.value(point.network))
        where = f"{across.words} {across.write(columns[column])}, {up.words} {up.write(rows[row])}"
        box = (column * width, row * height, width, height)
        cells.append(_cell(*box, point, where, f"{name}-hatch", margin))
    labels = [
        *(svg.label(f"{(index + 0.5) * width:.3f}%", bottom + 18, across.write(value), text_anchor="middle")
          for index, value in enumerate(columns)),
        *(svg.label(-8, (index + 0.5) * height + 4, up.write(value), text_anchor="end")
          for index, value in enumerate(rows)),
        svg.label("100%", bottom + 38, f"{across.words} →", text_anchor="end", class_="quiet"),
        svg.label(-8, -8, f"{up.words}", text_anchor="end", class_="quiet"),
    ]  # fmt: skip
    heard = "; ".join(f"{point.title}: {said(point.finding)}" for point in points)
    parts = [
        tag("defs", *(_hatch(f"{name}-hatch", ground) for ground in ("pale", "strong"))),
        *labels,
        tag("g", *cells, class_="map"),
    ]
    return Drawing(
        f"{name}-svg", f"Ratio by {across.words} and {up.words}", heard, bottom + 46, join(parts),
        "wide-left top", "group",
    )  # fmt: skip


def _hatch(name: str, ground: str) -> Markup:
    """Define lines that stand out from cells of pale or of strong colours."""
    return tag(
        "pattern",
        tag("line", x1=0, x2=0, y1=0, y2=7, class_=f"hatch {ground}"),
        id=f"{name}-{ground}",
        patternUnits="userSpaceOnUse",
        width=7,
        height=7,
        patternTransform="rotate(45)",
    )


def _ground(step: int) -> str:
    return "strong" if abs(step) > 2 else "pale"


def _cell(
    x: float,
    y: float,
    width: float,
    height: float,
    point: Point,
    where: str,
    hatch: str,
    margin: float,
) -> Markup:
    finding = point.finding
    left, middle = f"{x:.3f}%", f"{x + width / 2:.3f}%"
    size: dict[str, str | float] = {"x": left, "y": y, "width": f"{width:.3f}%", "height": height}
    step = 0 if finding is None or finding.verdict is Verdict.SAME else shade(finding.ratio, margin)
    words = "–" if finding is None else ratio(finding.ratio)
    ends = "" if finding is None else f"{finding.low:.2f}–{finding.high:.2f}"
    return tag(
        "a",
        tag("rect", **size, class_="cell"),
        tag("rect", **size, class_="hatched", fill=f"url(#{hatch}-{_ground(step)})")
        if _undecided(finding)
        else None,
        svg.label(middle, y + height / 2, words, text_anchor="middle", class_="figure"),
        svg.label(middle, y + height / 2 + 17, ends, text_anchor="middle", class_="minor"),
        class_=_class(step),
        href=f"#{point.place}",
        aria_label=f"{where}: {said(finding)}",
        data_tip=f"{where}: {said(finding)}",
    )


def _class(step: int) -> str:
    return f"d{step}" if step >= 0 else f"dm{-step}"


def _colours(name: str, margin: float) -> Drawing:
    """Draw the scale of the colours: faster to the left, slower to the right."""
    steps = (1 + margin, *_STEPS)
    edges = [*(1 / edge for edge in reversed(steps)), *steps]
    width = 100 / (len(edges) + 1)
    cells = [
        tag(
            "rect",
            x=f"{index * width:.3f}%",
            y=20,
            width=f"{width:.3f}%",
            height=14,
            class_=f"cell {_class(step)}",
        )
        for index, step in enumerate(range(-len(steps), len(steps) + 1))
    ]
    labels = [
        svg.label(f"{(index + 1) * width:.3f}%", 48, f"{edge:.3g}×" if edge >= 1 else f"{edge:.2f}×",
                  text_anchor="middle")
        for index, edge in enumerate(edges)
    ]  # fmt: skip
    parts = [
        svg.label(0, 12, "← faster", class_="quiet"),
        svg.label("100%", 12, "slower →", class_="quiet", text_anchor="end"),
        *cells,
        tag("g", *labels, class_="edges"),
    ]
    heard = f"From faster to slower, they change at {', '.join(ratio(edge) for edge in edges)}."
    return Drawing(f"{name}-colours", "Colours of ratios", heard, 56, join(parts), "colours")


def _ratios(points: Sequence[Point], margin: float) -> Scale:
    found = [point.finding for point in points if point.finding]
    ends = [value for one in found for value in (one.low, one.high)]
    return svg.logarithmic([*ends, 1 / (1 + margin), 1 + margin], margin=1.12)


def _line(name: str, points: Sequence[Point], axis: Axis, margin: float) -> Drawing:
    height = 250.0
    values = [axis.value(point.network) for point in points]
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    log = low > 0 and high > 8 * low
    # No bound has no place on a scale: it stands behind the largest.
    beyond = high * (high / low) ** 0.2 if log else high + 0.2 * (high - low)
    far = beyond if len(finite) < len(values) else high
    pad = (far / low) ** 0.06 if log else 0.06 * (far - low)
    across = Scale(low / pad, far * pad, log=True) if log else Scale(low - pad, far + pad)
    up = _ratios(points, margin)

    def y(value: float) -> float:
        return round(height * (1 - up.at(value)), 2)

    ordered = sorted(points, key=lambda one: axis.value(one.network))
    places = [(min(axis.value(one.network), far), one.finding) for one in ordered]
    known = [(value, finding) for value, finding in places if finding]
    marks = []
    for (value, finding), point in zip(places, ordered, strict=True):
        x, where = across.x(value), f"{axis.words} {axis.write(axis.value(point.network))}"
        marks.append(svg.label(x, height + 18, axis.write(axis.value(point.network)), text_anchor="middle"))
        if finding is None:
            continue
        open_ = " hollow" if _undecided(finding) else ""
        marks.append(
            tag(
                "g",
                tag("line", x1=x, x2=x, y1=y(finding.low), y2=y(finding.high), class_="interval c1"),
                tag("circle", cx=x, cy=y(finding.ratio), r=5, class_=f"point c1{open_}",
                    data_tip=f"{where}: {said(finding)}"),
                svg.label(x, y(finding.high) - 8, ratio(finding.ratio), text_anchor="middle",
                          class_="halo name"),
            )
        )  # fmt: skip
    grid = [
        tag("g", tag("line", x1="0", x2="100%", y1=y(tick.value), y2=y(tick.value)),
            svg.label(-8, y(tick.value) + 4, ratio_step(tick.value), text_anchor="end"))
        for tick in up.ticks()
        if tick.major
    ]  # fmt: skip
    zone = tag("rect", x=0, width="100%", y=y(1 + margin), height=y(1 / (1 + margin)) - y(1 + margin),
               class_="zone")  # fmt: skip
    curve = svg.path((across.across(value), y(finding.ratio)) for value, finding in known)
    heard = "; ".join(f"{axis.write(axis.value(one.network))}: {said(one.finding)}" for one in ordered)
    parts = [
        zone,
        tag("g", *grid, class_="axis rows"),
        svg.stretched(0, height, tag("path", d=curve, class_="line c1")) if known else "",
        *marks,
        svg.label("100%", height + 38, f"{axis.words} →", text_anchor="end", class_="quiet"),
    ]
    return Drawing(f"{name}-svg", f"Ratio by {axis.words}", heard, height + 46, join(parts), "wide-left top")


def _rows(name: str, points: Sequence[Point], margin: float) -> Drawing:
    scale, pitch = _ratios(points, margin), 64.0
    bottom = pitch * len(points) + 4
    zone = 100 * (scale.at(1 + margin) - scale.at(1 / (1 + margin)))
    rows = []
    for index, point in enumerate(points):
        top, finding = index * pitch, point.finding
        # On lines of their own, because networks have long names.
        rows += [svg.label(0, top + 16, point.title, class_="halo name"), told("", finding, top + 32)]
        if finding:
            kind = "point c1" + (" hollow" if _undecided(finding) else "")
            rows += [
                bar(scale, finding, "c1", top + 47),
                tag("circle", cx=scale.x(finding.ratio), cy=top + 47, r=5, class_=kind,
                    data_tip=f"{point.title}: {said(finding)}"),
            ]  # fmt: skip
    heard = "; ".join(f"{point.title}: {said(point.finding)}" for point in points)
    parts = [
        tag("rect", x=scale.x(1 / (1 + margin)), width=f"{zone:.3f}%", y=0, height=bottom, class_="zone"),
        svg.columns(scale, 0, bottom, [(tick, ratio_step(tick.value)) for tick in scale.ticks()]),
        tag("line", x1=scale.x(1), x2=scale.x(1), y1=0, y2=bottom, class_="one"),
        *rows,
        svg.label(0, bottom + 34, "← faster", class_="quiet"),
        svg.label("100%", bottom + 34, "slower →", class_="quiet", text_anchor="end"),
    ]
    return Drawing(f"{name}-svg", "Ratio on each network", heard, bottom + 42, join(parts))


def _table(points: Sequence[Point]) -> Markup:
    head = ["network", "ratio", "from", "to", "blocks", "verdict"]
    rows = []
    for point in points:
        one = point.finding
        figures = (
            ["–"] * 4 if one is None else [f"{one.ratio:.3f}", f"{one.low:.3f}", f"{one.high:.3f}",
                                           str(one.blocks)]
        )  # fmt: skip
        verdict = "not compared" if one is None else one.verdict + (f" ({one.reason})" if one.reason else "")
        rows.append([point.title, *figures, verdict])
    return table("Ratio of the times on each network", head, rows)
