"""Why: the difference, taken apart by contenders in between, as steps from the reference's time."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate, pairwise

from plait.lab.attribution import Attribution, Share
from plait.lab.report import svg
from plait.lab.report.figure import Figure, table
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.units import duration, percent, ratio, ratio_step

__all__ = ["steps", "words"]

_PITCH = 54.0
_LITTLE = 0.005
"""A rest of the logarithms that is not worth a bar: half a per cent."""


def steps(name: str, found: Attribution) -> Figure:
    """Draw the steps.

    Args:
        name: Of the figure, unique in the page.
        found: The difference and its steps.
    """
    whole = found.whole
    ends = [math.exp(log) for log in accumulate((share.log for share in found.shares), initial=0.0)]
    scale = svg.logarithmic([1.0, *ends, whole.ratio], margin=1.08)
    rows = [
        _step(scale, index * _PITCH, share, begin, end)
        for index, (share, (begin, end)) in enumerate(zip(found.shares, pairwise(ends), strict=True))
    ]
    if abs(found.rest) > _LITTLE:
        why = "not attributed, because medians do not add up"
        rows.append(_bar(scale, len(rows) * _PITCH, (ends[-1], whole.ratio), "rest", why, why))
    rows.append(_whole(scale, len(rows) * _PITCH, found))
    bottom = len(rows) * _PITCH + 4
    said = "; ".join(f"{_step_words(share)}: {share.cause}" for share in found.shares)
    parts = [
        svg.columns(scale, 0, bottom, [(tick, ratio_step(tick.value)) for tick in scale.ticks()]),
        *rows,
        svg.label("100%", bottom + 34, f"time over that of {whole.reference} (logarithmic)",
                  text_anchor="end", class_="quiet"),
    ]  # fmt: skip
    drawing = svg.Drawing(
        f"{name}-svg", f"From {whole.reference} to {whole.contender} in steps", said, bottom + 42, join(parts)
    )
    caption = (
        f"From {whole.reference} to {whole.contender} one thing changes at a time; a bar goes from the time "
        f"before a step to the time after it, a minus saves and a plus costs. On the logarithmic axis the "
        f"steps add up to the whole."
    )
    return Figure(name, caption, drawing, _table(found))


def words(found: Attribution, title: Callable[[str], str]) -> Markup:
    """Say the steps.

    Args:
        found: The difference and its steps.
        title: Names a contender for people.
    """
    return tag("ul", *_items(found, title), class_="findings")


def _step_words(share: Share) -> str:
    part = f", {percent(share.share)} of the difference" if share.share is not None else ""
    one = share.finding
    return f"{one.reference} → {one.contender} {ratio(one.ratio)}{part}"


def _step(scale: svg.Scale, top: float, share: Share, begin: float, end: float) -> Markup:
    # The effects that a cause names after a colon are for the list below.
    cause = tag("tspan", f"  {share.cause.split(':')[0]}", class_="quiet minor")
    written = join([_step_words(share), cause])
    class_ = "saves" if share.log < 0 else "costs"
    return _bar(scale, top, (begin, end), class_, written, f"{share.cause}: {share.finding.words()}")


def _bar(
    scale: svg.Scale, top: float, ends: tuple[float, float], class_: str, written: str, tip: str
) -> Markup:
    """Draw one step, with a line down to it from where the step before it ended."""
    begin, end = ends
    left, right = sorted((100 * scale.at(begin), 100 * scale.at(end)))
    riser = tag("line", x1=scale.x(begin), x2=scale.x(begin), y1=top - 11, y2=top + 27, class_="riser")
    return tag(
        "g",
        riser if top else None,
        tag("text", tag("tspan", "− " if end < begin else "+ ", class_="name"), written, x=0, y=top + 18,
            class_="halo"),
        tag("rect", x=f"{left:.3f}%", y=top + 27, width=f"{max(right - left, 0.3):.3f}%", height=16,
            class_=class_, data_tip=tip),
    )  # fmt: skip


def _whole(scale: svg.Scale, top: float, found: Attribution) -> Markup:
    one = found.whole
    left, right = sorted((100 * scale.at(1.0), 100 * scale.at(one.ratio)))
    return tag(
        "g",
        tag("line", x1=scale.x(one.ratio), x2=scale.x(one.ratio), y1=top - 11, y2=top + 31, class_="riser"),
        tag("text", tag("tspan", "= ", class_="name"),
            tag("tspan", f"{one.reference} → {one.contender} {ratio(one.ratio)}", class_="name"), x=0,
            y=top + 18, class_="halo"),
        tag("rect", x=f"{left:.3f}%", y=top + 31, width=f"{max(right - left, 0.3):.3f}%", height=8,
            class_="total", data_tip=f"the whole: {one.words()}"),
    )  # fmt: skip


def _items(found: Attribution, title: Callable[[str], str]) -> list[Markup]:
    items = []
    for share in found.shares:
        one = share.finding
        said = [tag("b", f"{share.cause[:1].upper()}{share.cause[1:]}. "), one.sentence(title)]
        if share.handshakes:
            times = (share.handshakes.before, share.handshakes.after)
            said.append(
                f" Connecting and TLS took {duration(times[0])} before the step and {duration(times[1])} "
                f"after it, added up over connections that are set up side by side."
            )
        items.append(tag("li", *said))
    if found.head_of_line:
        items.append(
            tag("li", tag("b", "Waiting behind lost packets: several HTTP/2 connections instead of one. "),
                found.head_of_line.sentence(title))
        )  # fmt: skip
    items.append(
        tag("li", "This is an attribution and not a proof: what a step is worth depends on the order of the "
            "steps, and a step changes all that follows from its one thing.", class_="quiet")
    )  # fmt: skip
    return items


def _table(found: Attribution) -> Markup:
    head = ["step", "what changes", "ratio", "from", "to", "share of the difference", "verdict"]
    rows = [
        [
            f"{one.reference} → {one.contender}", share.cause, f"{one.ratio:.3f}", f"{one.low:.3f}",
            f"{one.high:.3f}", "–" if share.share is None else f"{share.share:.0%}", str(one.verdict),
        ]
        for share in found.shares
        for one in [share.finding]
    ]  # fmt: skip
    whole = found.whole
    rows.append(
        [f"{whole.reference} → {whole.contender}", "all of it", f"{whole.ratio:.3f}", f"{whole.low:.3f}",
         f"{whole.high:.3f}", "", str(whole.verdict)]
    )  # fmt: skip
    return table("The difference in steps", head, rows)
