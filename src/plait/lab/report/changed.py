"""What changed: how long each contender took in relation to itself in an earlier run, on each network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from plait.lab.changes import Change, Changes
from plait.lab.report import svg
from plait.lab.report.environment import command_words
from plait.lab.report.figure import Figure, table
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.rows import bar, said, told
from plait.lab.report.series import Look, marker
from plait.lab.report.svg import Drawing, Scale
from plait.lab.report.units import percent, ratio_step
from plait.lab.verdicts import Verdict

__all__ = ["changed", "runs"]

_HEAD = 30.0
_ROW = 42.0


def changed(name: str, changes: Changes, shown: Mapping[str, Look]) -> Figure:
    """Draw the ratio of the times after and before, for each contender on each network.

    Args:
        name: Of the figure, unique in the page.
        changes: What changed; at least one contender on one network is in it.
        shown: The looks of the contenders.
    """
    margin = changes.after.margin
    found = [one.finding for one in changes.changes]
    ends = [value for one in found for value in (one.low, one.high)]
    scale = svg.logarithmic([*ends, 1 / (1 + margin), 1 + margin], margin=1.06)
    rows, y = [], 0.0
    for network, group in groupby(changes.changes, key=_network):
        if network:
            rows.append(svg.label(0, y + 20, network, class_="halo group"))
            y += _HEAD
        for one in group:
            rows.append(_row(scale, one, shown[one.finding.contender], y))
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
    heard = "; ".join(_words(one) for one in changes.changes)
    caption = (
        f"The time of each contender in this run over its time in the earlier one: below 1 it became faster. "
        f"Marks are ratios of medians, bars their intervals; all verdicts hold together at "
        f"{percent(changes.after.confidence)}. Within the shaded zone, {percent(margin)} to either side, a "
        f"difference is of no practical interest; hollow marks are undecided. The runs share no blocks: "
        f"whatever else changed between them is part of the difference."
    )
    drawing = Drawing(f"{name}-svg", "Times after over times before", f"{heard}.", bottom + 42, join(parts))
    return Figure(name, caption, drawing, _table(changes.changes))


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


def _network(change: Change) -> str:
    return change.network.name if change.network else ""


def _words(change: Change) -> str:
    on = f" on {change.network.name}" if change.network else ""
    return f"{change.finding.contender}{on} {said(change.finding)}"


def _row(scale: Scale, change: Change, look: Look, top: float) -> Markup:
    one, middle = change.finding, top + 29
    kind = "point hollow" if one.verdict is Verdict.OPEN else "marker"
    return tag(
        "g",
        told(one.contender, one, top + 15),
        bar(scale, one, look.class_, middle),
        marker(look, scale.x(one.ratio), middle, kind=kind, data_tip=_words(change)),
    )


def _table(changes: Sequence[Change]) -> Markup:
    head = ["contender", "network", "ratio", "from", "to", "verdict"]
    return table(
        "Time after over time before",
        head,
        (
            [
                one.contender,
                _network(change) or "–",
                f"{one.ratio:.3f}",
                f"{one.low:.3f}",
                f"{one.high:.3f}",
                one.verdict + (f" ({one.reason})" if one.reason else ""),
            ]
            for change in changes
            for one in [change.finding]
        ),
    )
