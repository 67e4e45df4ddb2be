"""Paired differences: each block's ratio of a contender's time to the reference's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plait.lab.report import svg
from plait.lab.report.figure import Figure, table
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.outliers import span
from plait.lab.report.rows import bar, said, told
from plait.lab.report.series import Look, marker
from plait.lab.report.svg import Drawing, Scale
from plait.lab.report.units import finding_ratio, interval, percent, ratio, ratio_step
from plait.lab.verdicts import Finding

__all__ = ["paired"]

_ROW = 64.0
_TOP = 6.0


def paired(
    name: str,
    findings: Sequence[Finding],
    ratios: Mapping[str, Mapping[int, float]],
    shown: Mapping[str, Look],
    margin: float,
) -> Figure:
    """Draw every block's ratio, with the median and its interval.

    Args:
        name: Of the figure, unique in the page.
        findings: One for each contender, all against the same reference.
        ratios: By contender, for each block the contender's time over the reference's.
        shown: The looks of the contenders.
        margin: The difference of no practical interest, as a share.
    """
    reference = findings[0].reference
    ends = [each for one in findings for each in (one.low, one.high)]
    low, high = span(
        (list(ratios[one.contender].values()) for one in findings), (*ends, 1 / (1 + margin), 1 + margin)
    )
    scale = svg.logarithmic([low, high], margin=1.06)
    beyond = any(not low <= each <= high for one in findings for each in ratios[one.contender].values())
    bottom = _TOP + _ROW * len(findings)
    zone = (scale.at(1 / (1 + margin)), scale.at(1 + margin))
    parts = [
        tag("rect", x=scale.x(1 / (1 + margin)), width=f"{100 * (zone[1] - zone[0]):.3f}%", y=0,
            height=bottom, class_="zone"),
        svg.columns(scale, 0, bottom, [(tick, ratio_step(tick.value)) for tick in scale.ticks()]),
        tag("line", x1=scale.x(1), x2=scale.x(1), y1=0, y2=bottom, class_="one"),
        svg.label(0, bottom + 34, f"← faster than {reference}", class_="quiet"),
        svg.label("100%", bottom + 34, "slower →", class_="quiet", text_anchor="end"),
        join(
            _row(scale, one, ratios[one.contender], shown[one.contender], _TOP + _ROW * row)
            for row, one in enumerate(findings)
        ),
    ]  # fmt: skip
    heard = "; ".join(f"{one.contender} {said(one)}" for one in findings)
    drawing = Drawing(
        f"{name}-svg",
        f"Paired differences from {reference}",
        f"Ratios of times: {heard}.",
        bottom + 42,
        join(parts),
    )
    caption = (
        f"Each small mark is one block, in which both ran on the same network with the same seed: the time "
        f"of the contender over that of {reference}. The large mark is the median, the bar its interval "
        f"({_levels(findings)}). Within the shaded zone, {percent(margin)} to either side, a difference is "
        f"of no practical interest." + (" Arrows at the edges are blocks beyond the axis." if beyond else "")
    )
    return Figure(name, caption, drawing, _table(findings, ratios, reference))


def _levels(findings: Sequence[Finding]) -> str:
    """Say how sure the intervals are: surer than the others where verdicts hold together."""
    usual = min(one.confidence for one in findings)
    surer = [f"{one.contender} {percent(one.confidence)}" for one in findings if one.confidence > usual]
    together = f"; {', '.join(surer)}, so that verdicts of all networks hold together" if surer else ""
    return f"{percent(usual)}{together}"


def _row(scale: Scale, one: Finding, ratios: Mapping[int, float], look: Look, top: float) -> Markup:
    above, middle = top + 31, top + 48
    # Marks of neighbouring blocks stand on different lines, so that equal ones do not hide each other.
    dots = join(
        _block(scale, each, above + (block * 5 % 7 - 3) * 2.4, look,
               f"{one.contender}, block {block + 1}: {ratio(each)}")
        for block, each in sorted(ratios.items())
    )  # fmt: skip
    return tag(
        "g",
        told(one.contender, one, top + 15),
        dots,
        bar(scale, one, look.class_, middle),
        marker(
            look,
            scale.x(one.ratio),
            middle,
            data_tip=f"{one.contender}: median {finding_ratio(one)} {interval(one)}",
        ),
        data_contender=one.contender,
    )


def _block(scale: Scale, found: float, y: float, look: Look, tip: str) -> Markup:
    """Draw one block's ratio, or an arrow at the edge that it is beyond."""
    x, class_ = scale.x(found), f"dot {look.class_}"
    if scale.low <= found <= scale.high:
        return tag("circle", cx=x, cy=y, r=2.6, class_=class_, data_tip=tip)
    arrow = "M-7 0L0 -3.6V3.6z" if found < scale.low else "M7 0L0 -3.6V3.6z"
    return tag("svg", tag("path", d=arrow, class_=class_, data_tip=tip), x=x, y=y, class_="at")


def _table(findings: Sequence[Finding], ratios: Mapping[str, Mapping[int, float]], reference: str) -> Markup:
    blocks = sorted({block for one in findings for block in ratios[one.contender]})
    head = ["", *(one.contender for one in findings)]
    rows = [
        ["median", *(ratio(one.ratio) for one in findings)],
        ["interval", *(f"{one.low:.3f} to {one.high:.3f}" for one in findings)],
        ["verdict", *(one.verdict + (f" ({one.reason})" if one.reason else "") for one in findings)],
        *(
            [
                f"block {block + 1}",
                *(
                    f"{ratios[one.contender][block]:.3f}" if block in ratios[one.contender] else "–"
                    for one in findings
                ),
            ]
            for block in blocks
        ),
    ]
    return table(f"Time over that of {reference}", head, rows)
