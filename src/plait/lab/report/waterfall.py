"""Waterfalls: when each request was known, sent, answered and done, by connection, on one time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from plait.lab.report import svg
from plait.lab.report.figure import table
from plait.lab.report.lanes import LOSSES, Lane, lay_out
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.series import Look, swatch
from plait.lab.report.svg import Scale
from plait.lab.report.units import duration, duration_step
from plait.lab.samples import ResourceInfo, Timeline

__all__ = ["Panel", "SHOWN", "waterfalls"]

SHOWN = 150
"""Requests of each contender that are drawn."""
_BOTTOM = 24.0


class Panel(NamedTuple):
    """One contender's run.

    Attributes:
        contender: By name.
        title: For people.
        block: Which block the run is of.
        load: Seconds that it took.
        requests: How many requests there were.
        timeline: When everything happened, of the requests that are drawn.
        open: Whether it is shown from the beginning.
    """

    contender: str
    title: str
    block: int
    load: float
    requests: int
    timeline: Timeline
    open: bool


def waterfalls(
    name: str, panels: Sequence[Panel], resources: Sequence[ResourceInfo], shown: Mapping[str, Look]
) -> Markup:
    """Draw the runs side by side.

    Args:
        name: Of the figure, unique in the page.
        panels: The runs; the time axis ends with the slowest of those that are open.
        resources: What was fetched.
        shown: The looks of the contenders.
    """
    scale = svg.linear([_end(panel.timeline) / 1e6 for panel in panels if panel.open])
    losses = sorted({one.kind for panel in panels for one in panel.timeline.losses})
    some = next((panel for panel in panels if len(panel.timeline.requests) < panel.requests), None)
    caption = (
        "Every row is a request, grouped by connection; both axes of time are the same. The thinner the bar, "
        "the less happens: a hairline while the request waits to be sent, half as thick while it waits for "
        "the answer, full while content arrives. Of the runs it is the block whose ratio is the median."
        + (
            f" The first {len(some.timeline.requests):,} of {some.requests:,} requests are drawn."
            if some
            else ""
        )
    )
    return tag(
        "figure",
        tag("figcaption", caption),
        _legend(losses),
        tag(
            "div",
            join(_panel(f"{name}-{index}", panel, resources, scale, shown[panel.contender])
                 for index, panel in enumerate(panels)),
            class_="panels",
        ),
        id=name,
        class_="waterfalls",
    )  # fmt: skip


def _panel(name: str, panel: Panel, resources: Sequence[ResourceInfo], scale: Scale, look: Look) -> Markup:
    layout = lay_out(panel.timeline)
    bottom, end = layout.bottom, _end(panel.timeline) / 1e6
    if scale.at(end) <= 1:
        finish = tag("line", x1=scale.x(end), x2=scale.x(end), y1=0, y2=bottom, class_=f"end {look.class_}")
    else:
        words = f"goes on until {duration(end)} →"
        finish = svg.label("100%", bottom - 6, words, text_anchor="end", class_="halo name")
    requests, connections = len(panel.timeline.requests), len(panel.timeline.connections)
    description = (
        f"{requests:,} {'request' if requests == 1 else 'requests'} on {connections:,} "
        f"{'connection' if connections == 1 else 'connections'}, the last done after {duration(end)}."
    )
    drawing = svg.drawing(
        f"{name}-svg",
        f"Waterfall of {panel.contender}",
        description,
        bottom + _BOTTOM,
        svg.columns(scale, 0, bottom, [(tick, duration_step(tick.value)) for tick in scale.ticks()]),
        layout.drawn(resources, scale),
        tag("rect", x=0, y=0, width="100%", height=0, class_="cursor"),
        finish,
        class_="labels",
    )
    return tag(
        "details",
        tag(
            "summary",
            swatch(look),
            tag("b", panel.contender),
            " ",
            tag("span", f"{duration(panel.load)} in block {panel.block + 1}"),
        ),
        tag(
            "div",
            drawing,
            class_="canvas",
            data_rows=f"{name}-data",
            data_y=" ".join(f"{y:.1f}" for rows in layout.rows for y in rows),
            data_pitch=f"{layout.pitch:.2f}",
        ),
        tag(
            "details",
            tag("summary", "Show the data as a table"),
            tag("div", _table(panel, layout.lanes, resources), id=f"{name}-data"),
            class_="data",
        ),
        class_="panel",
        open="" if panel.open else None,
        data_contender=panel.contender,
    )


def _end(timeline: Timeline) -> int:
    return max((one.done for one in timeline.requests), default=1)


def _legend(losses: Sequence[str]) -> Markup:
    def item(kind: str, words: str, y: float, height: float) -> Markup:
        drawn = tag("path", d=svg.box(0, y, 30, height), class_=f"bar {kind}")
        return tag("li", tag("svg", drawn, width=30, height=14, aria_hidden="true"), words)

    items = [
        item("tcp", "connecting", 5, 4),
        item("tls", "TLS handshake", 2, 10),
        item("queued", "known, not sent yet", 6.2, 1.6),
        item("waiting", "sent, no answer yet", 4, 6),
        item("receiving", "content arrives", 1, 12),
    ]
    items += [
        tag("li", tag("svg", tag("path", d="M8 0V14M18 0V14", class_=f"tick {kind}"), width=26, height=14,
                      aria_hidden="true"), f"packet {words}")
        for kind, words in LOSSES.items()
        if kind in losses
    ]  # fmt: skip
    return tag("ul", *items, class_="legend", aria_label="Legend")


def _table(panel: Panel, lanes: Sequence[Lane], resources: Sequence[ResourceInfo]) -> Markup:
    head = ["path", "connection", "known", "sent", "answered", "done"]
    rows = (
        [resources[one.resource].path, str(lane.number + 1),
         *(f"{at / 1000:.1f}" for at in (one.known, one.sent, one.answered, one.done))]
        for lane in lanes
        for one in lane.requests
    )  # fmt: skip
    return table(f"Requests of {panel.contender}, milliseconds since the load began", head, rows)
