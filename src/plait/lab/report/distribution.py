"""How the loads of each contender are distributed: empirical distributions with their bands."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from plait.lab import stats
from plait.lab.report import svg
from plait.lab.report.figure import Figure, table
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.outliers import span
from plait.lab.report.series import Look, marker
from plait.lab.report.svg import Drawing, Scale
from plait.lab.report.units import count, duration, duration_step, percent

__all__ = ["distribution"]

_HEIGHT = 240.0
_LABEL = 18.0
_TO_THE_LEFT = 0.6
"""From there on, a label on the narrowest page has no room to the right of its line."""
_LOG_FROM = 8.0
"""Where the slowest load takes that many times as long as the quickest, equal ratios are equally wide."""
_BEYOND = 2.0
"""Rather than that, the axis ends before who takes that many times as long as the main question's slower."""


def distribution(
    name: str,
    loads: Mapping[str, Sequence[float]],
    shown: Mapping[str, Look],
    confidence: float,
    main: Sequence[str],
) -> Figure:
    """Draw the distributions of the loads.

    Args:
        name: Of the figure, unique in the page.
        loads: Seconds, by contender; none of them without any.
        shown: The looks of the contenders.
        confidence: Of the bands.
        main: The contenders of the main question, whom the axis is for.
    """
    medians = {one: stats.median(times) for one, times in loads.items()}
    ordered = sorted(loads, key=medians.__getitem__)
    near = _near(loads, medians, main)
    far = span(loads[one] for one in near)[1]
    scale, log = _scale([min(far, value) for one in near for value in loads[one]])
    rows, top = _flags([min(1.0, scale.at(medians[one])) for one in ordered])
    bottom = top + _HEIGHT
    shares = [0.0, 0.25, 0.5, 0.75, 1.0]
    grid = join(
        tag("g", tag("line", x1="0", x2="100%", y1=y, y2=y),
            svg.label(-8, y + 4, f"{share:.0%}", text_anchor="end"),
            class_="middle" if share == 0.5 else None)
        for share in shares
        for y in [bottom - share * _HEIGHT]
    )  # fmt: skip
    parts = [
        tag("g", grid, class_="axis rows"),
        svg.columns(scale, top, bottom, [(tick, duration_step(tick.value)) for tick in scale.ticks()]),
        svg.label("100%", bottom + 34, "time of one load" + (" (logarithmic)" if log else ""),
                  text_anchor="end", class_="quiet"),
    ]  # fmt: skip
    parts += [_curve(scale, loads[one], shown[one], confidence, top) for one in ordered if one in near]
    parts += [
        _flag(scale, medians[one], shown[one], row, top)
        if one in near
        else _flag_beyond(medians[one], shown[one], row, top)
        for one, row in zip(ordered, rows, strict=True)
    ]
    parts += _tails(scale, loads, [one for one in ordered if one in near], bottom)
    said = "; ".join(f"{one} {duration(medians[one])}" for one in ordered)
    drawing = Drawing(
        f"{name}-svg", "Distribution of the loads' times", f"Medians, the quickest first: {said}.",
        bottom + 42, join(parts), "wide-left",
    )  # fmt: skip
    caption = (
        f"Share of the loads that took at most so long; steep and far left is good. "
        f"The shaded band holds the whole true curve in {percent(confidence)} of such runs; "
        f"markers are medians."
        + (" Beyond the end of the axis are those with an arrow." if len(near) < len(loads) else "")
    )
    return Figure(name, caption, drawing, _table(loads, ordered))


def _near(
    loads: Mapping[str, Sequence[float]], medians: Mapping[str, float], main: Sequence[str]
) -> Collection[str]:
    """Choose whom the axis holds: those far slower than the main question's would squeeze the others."""
    values = [value for times in loads.values() for value in times]
    slower = max((medians[one] for one in main if one in medians), default=max(values))
    if max(values) <= _LOG_FROM * min(values):
        return loads
    return {one for one, median in medians.items() if median <= _BEYOND * slower}


def _curve(scale: Scale, times: Sequence[float], look: Look, confidence: float, top: float) -> Markup:
    steps = stats.ecdf(times)
    reach = stats.band(len(times), confidence)

    def line(offset: float) -> list[tuple[float, float]]:
        # Beyond the samples the band would go on for ever, and say nothing.
        points: list[tuple[float, float]] = []
        before = offset
        for step in steps:
            x = scale.across(step.value)
            if step.value > scale.high:
                points.append((x, _down(before)))
                break
            points += [(x, _down(before)), (x, _down(step.share + offset))]
            before = step.share + offset
        return points

    area = svg.path([*line(reach), *reversed(line(-reach))]) + "z"
    return tag(
        "g",
        svg.stretched(
            top,
            _HEIGHT,
            tag("path", d=area, class_=f"band {look.class_}"),
            tag("path", d=svg.path(line(0.0)), class_=f"line {look.class_}", stroke_dasharray=look.dash),
        ),
        data_contender=look.name,
    )


def _down(share: float) -> float:
    return _HEIGHT * (1 - max(0.0, min(1.0, share)))


def _scale(values: Sequence[float]) -> tuple[Scale, bool]:
    """Choose the axis of time, and say whether it is logarithmic.

    A position on it means something and a length does not, so it need not begin at zero.
    """
    low, high = min(values), max(values)
    if high > _LOG_FROM * low:
        return svg.logarithmic(values, margin=1.15), True
    if low > high / 2:
        # At least a tenth of the time is shown, lest noise look like a landscape.
        pad = max(0.1 * (high - low), 0.05 * high)
        return Scale(low - pad, high + pad), False
    return svg.linear(values), False


def _flags(positions: Sequence[float]) -> tuple[list[int], float]:
    """Choose the rows of the labels above the plot, so that none is crossed by the line of another.

    Labels on the left extend to the right and stand the higher the more they are to the left; those on
    the right extend to the left, the other way round.

    Args:
        positions: Across, from 0 to 1, ascending.

    Returns:
        The row of each, counted from the plot upwards, and the height of all.
    """
    left = [index for index, at in enumerate(positions) if at < _TO_THE_LEFT]
    right = [index for index, at in enumerate(positions) if at >= _TO_THE_LEFT]
    rows = [0] * len(positions)
    for row, index in enumerate(right):
        rows[index] = row
    for row, index in enumerate(reversed(left)):
        rows[index] = len(right) + row
    return rows, _LABEL * len(positions) + 10


def _flag(scale: Scale, median: float, look: Look, row: int, top: float) -> Markup:
    x, y, middle = scale.x(median), top - 10 - _LABEL * row, top + _HEIGHT / 2
    end = scale.at(median) >= _TO_THE_LEFT
    return tag(
        "g",
        tag("line", x1=x, x2=x, y1=y - 9, y2=middle, class_=f"leader {look.class_}"),
        marker(look, x, middle),
        tag("text", *_words(median, look), x=x, y=y, dx=-6 if end else 6, text_anchor="end" if end else None,
            class_="halo"),
        data_contender=look.name,
    )  # fmt: skip


def _flag_beyond(median: float, look: Look, row: int, top: float) -> Markup:
    y = top - 10 - _LABEL * row
    words = tag("text", *_words(median, look), " →", x="100%", y=y, text_anchor="end", class_="halo")
    return tag("g", words, data_contender=look.name)


def _tails(
    scale: Scale, loads: Mapping[str, Sequence[float]], shown: Sequence[str], bottom: float
) -> Iterator[Markup]:
    """Tell of loads beyond the axis, in the corner where no curve comes."""
    y = bottom - 10
    for one in reversed(shown):
        if late := [time for time in loads[one] if time > scale.high]:
            words = f" {len(late)} of {len(loads[one])} loads later, until {duration(max(late))} →"
            yield tag("text", tag("tspan", one, class_="name"), words, x="100%", y=y, text_anchor="end",
                      class_="halo", data_contender=one)  # fmt: skip
            y -= _LABEL


def _words(median: float, look: Look) -> tuple[Markup, Markup]:
    return tag("tspan", look.name, class_="name"), tag("tspan", f" {duration(median)}")


def _table(loads: Mapping[str, Sequence[float]], ordered: Sequence[str]) -> Markup:
    fractions = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
    head = ["contender", "loads", "quickest", "10 %", "25 %", "median", "75 %", "90 %", "slowest"]
    return table(
        "Quantiles of the loads' times",
        head,
        (
            [one, count(len(loads[one])), *(duration(stats.quantile(loads[one], f)) for f in fractions)]
            for one in ordered
        ),
    )
