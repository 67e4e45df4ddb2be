"""What changed: how long each contender took in relation to itself in an earlier run, on each network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from plait.lab.changes import Change, Changes
from plait.lab.network.profile import Network
from plait.lab.report import svg
from plait.lab.report.environment import command_words
from plait.lab.report.figure import Figure, table
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.rows import bar, said, told
from plait.lab.report.series import Look, marker
from plait.lab.report.svg import Drawing, Scale
from plait.lab.report.units import percent, ratio_step
from plait.lab.verdicts import Finding, Verdict

__all__ = ["changed", "runs"]

_HEAD = 30.0
_ROW = 42.0
_TALLEST = 800.0
"""Pixels: a figure stays on one printed page."""


def changed(
    name: str, changes: Changes, shown: Mapping[str, Look], titles: Mapping[Network | None, str]
) -> list[Figure]:
    """Draw the ratio of the times after and before, for each contender on each network.

    Args:
        name: Of the figures, unique in the page.
        changes: What changed.
        shown: The looks of the contenders.
        titles: What each network is called.

    Returns:
        As many figures as it takes for each to stay on one printed page, with one scale; none when there is
        nothing in common.
    """
    margin = changes.after.margin
    ends = [end for change in changes.changes for end in (change.finding.low, change.finding.high)]
    scale = svg.logarithmic([*ends, 1 / (1 + margin), 1 + margin], margin=1.06)
    caption = (
        f"The time of each contender in this run over its time in the earlier one: below 1 it became faster. "
        f"Marks are ratios of medians, bars their intervals; all verdicts hold together at "
        f"{percent(changes.after.confidence)}. Within the shaded zone, {percent(margin)} to either side, a "
        f"difference is of no practical interest; hollow marks are undecided. The runs share no blocks: "
        f"whatever else changed between them is part of the difference."
    )
    figures = []
    for number, groups in enumerate(_pages(changes.changes)):
        here = [one for group in groups for one in group]
        heard = "; ".join(f"{_place(one, titles)}{said(one.finding)}" for one in here)
        height, drawn = _drawn(scale, margin, groups, shown, titles)
        this = f"{name}-{number}"
        title = "Times after over times before" + (f", continued ({number + 1})" if number else "")
        drawing = Drawing(f"{this}-svg", title, f"{heard}.", height, drawn)
        words = "Further networks, on the same scale." if number else caption
        figures.append(Figure(this, words, drawing, _table(here, titles)))
    return figures


def _pages(changes: Sequence[Change]) -> list[list[list[Change]]]:
    """Share networks out to figures."""
    pages: list[list[list[Change]]] = []
    used = 0.0
    for _, group in groupby(changes, key=lambda change: change.network):
        here = list(group)
        height = _HEAD + _ROW * len(here)
        if not pages or used + height > _TALLEST:
            pages.append([])
            used = 0.0
        pages[-1].append(here)
        used += height
    return pages


def _drawn(
    scale: Scale,
    margin: float,
    groups: Sequence[Sequence[Change]],
    shown: Mapping[str, Look],
    titles: Mapping[Network | None, str],
) -> tuple[float, Markup]:
    """Draw the groups of some networks, and tell how high that is."""
    rows, y = [], 0.0
    for group in groups:
        rows.append(svg.label(0, y + 20, titles[group[0].network], class_="halo group"))
        y += _HEAD
        for one in group:
            rows.append(_row(scale, one.finding, shown[one.finding.contender], y, _place(one, titles)))
            y += _ROW
    bottom = y + 4
    zone = scale.at(1 + margin) - scale.at(1 / (1 + margin))
    parts = [
        tag("rect", x=scale.x(1 / (1 + margin)), width=f"{100 * zone:.3f}%", y=0, height=bottom,
            class_="zone"),
        svg.columns(scale, 0, bottom, [(tick, ratio_step(tick.value)) for tick in scale.ticks()]),
        tag("line", x1=scale.x(1), x2=scale.x(1), y1=0, y2=bottom, class_="one"),
        *rows,
        svg.label(0, bottom + 34, "← faster than before", class_="quiet"),
        svg.label("100%", bottom + 34, "slower →", class_="quiet", text_anchor="end"),
    ]  # fmt: skip
    return bottom + 42, join(parts)


def runs(changes: Changes) -> Markup:
    """Say which two runs are compared, and what else is different between them."""
    both = [
        tag("div", tag("dt", words), tag("dd", run.started, tag("code", *command_words(run.command))))
        for words, run in (("Before", changes.before), ("After", changes.after))
    ]
    return join(
        [
            tag("dl", *both, class_="runs"),
            tag("ul", *(tag("li", one) for one in changes.warnings), class_="warnings")
            if changes.warnings
            else "",
        ]
    )


def _place(change: Change, titles: Mapping[Network | None, str]) -> str:
    return f"{change.finding.contender} ({titles[change.network]}) "


def _row(scale: Scale, one: Finding, look: Look, top: float, place: str) -> Markup:
    middle = top + 29
    kind = "point hollow" if one.verdict is Verdict.OPEN else "marker"
    return tag(
        "g",
        told(one.contender, one, top + 15),
        bar(scale, one, look.class_, middle),
        marker(look, scale.x(one.ratio), middle, kind=kind, data_tip=f"{place}{said(one)}"),
    )


def _table(changes: Sequence[Change], titles: Mapping[Network | None, str]) -> Markup:
    head = ["contender", "network", "ratio", "from", "to", "verdict"]
    rows = (
        [
            one.contender, titles[change.network], f"{one.ratio:.3f}", f"{one.low:.3f}", f"{one.high:.3f}",
            one.verdict + (f" ({one.reason})" if one.reason else ""),
        ]
        for change in changes
        for one in [change.finding]
    )  # fmt: skip
    return table("Time after over time before", head, rows)
