"""What rows about one finding have in common: what was found in words, and its interval as a bar."""

from __future__ import annotations

from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.svg import Scale
from plait.lab.report.units import finding_ratio, interval
from plait.lab.verdicts import Finding

__all__ = ["bar", "said", "told"]


def told(name: str, one: Finding | None, y: float) -> Markup:
    """Write what was found above its bar; where there is little room, the interval is left to the bar.

    Args:
        name: Whom it is about; may be empty.
        one: What was found; None when nothing could be compared.
        y: Of the line, in pixels.
    """
    parts = [tag("tspan", f"{name}  ", class_="name")] if name else []
    if one is None:
        parts.append(tag("tspan", "not compared", class_="verdict"))
    else:
        parts += [
            tag("tspan", finding_ratio(one)),
            tag("tspan", f" {interval(one)}", class_="minor"),
            tag("tspan", f"  {one.verdict}", class_="verdict"),
        ]
    return tag("text", *parts, x=0, y=y, class_="halo")


def said(one: Finding | None) -> str:
    """Say the same in one line."""
    if one is None:
        return "not compared"
    return f"{finding_ratio(one)} {interval(one)} {one.verdict}" + (f" ({one.reason})" if one.reason else "")


def bar(scale: Scale, one: Finding, class_: str, y: float) -> Markup:
    """Draw an interval.

    Args:
        scale: From ratios to positions across.
        one: What was found.
        class_: Which gives the colour.
        y: Of its middle, in pixels.
    """
    low, high = scale.x(one.low), scale.x(one.high)
    ends = (tag("line", x1=x, x2=x, y1=y - 6, y2=y + 6, class_=f"interval-end {class_}") for x in (low, high))
    return join([tag("line", x1=low, x2=high, y1=y, y2=y, class_=f"interval {class_}"), *ends])
