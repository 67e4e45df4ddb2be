"""Waterfalls: when each request was known, sent, answered and done, by connection, on one time axis."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from plait.lab.record import ResourceInfo
from plait.lab.report import svg
from plait.lab.report.figure import table
from plait.lab.report.lanes import LOSSES, Lane, Layout, lay_out
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.series import Look, swatch
from plait.lab.report.svg import Drawing, Scale
from plait.lab.report.units import duration, duration_step
from plait.lab.samples import Timeline

__all__ = ["SHOWN", "Panel", "Waterfalls", "waterfalls"]

SHOWN = 150
"""Requests of each contender that are drawn."""
_BOTTOM = 24.0
_LETTER = 6.2
"""Pixels that a letter takes, on the average."""


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


class Waterfalls(NamedTuple):
    """The runs of one network, side by side.

    Attributes:
        name: Unique in the page.
        caption: How to read them.
        legend: What is drawn, in the order of the legend.
        falls: One for each run.
    """

    name: str
    caption: str
    legend: list[Item]
    falls: list[Fall]

    def on_page(self) -> Markup:
        """Write them as one figure."""
        items = (tag("li", one.drawn(), one.words) for one in self.legend)
        return tag(
            "figure",
            tag("figcaption", self.caption),
            tag("ul", *items, class_="legend", aria_label="Legend"),
            tag("div", *(one.on_page() for one in self.falls), class_="panels"),
            id=self.name,
            class_="waterfalls",
        )


class Fall(NamedTuple):
    """One run as it is drawn.

    Attributes:
        panel: The run.
        look: Of its contender.
        drawing: The drawing.
        layout: Where everything is in it.
        data: The same as a table.
    """

    panel: Panel
    look: Look
    drawing: Drawing
    layout: Layout
    data: Markup

    def summary(self) -> str:
        """Say how long the run took, and which it is."""
        return f"{duration(self.panel.load)} in block {self.panel.block + 1}"

    def legend_drawing(self, width: float) -> Drawing:
        """Draw a legend for a file of its own, where it cannot flow as the page's does.

        Args:
            width: In pixels, how much room there is.
        """
        legend = _legend({one.kind for one in self.panel.timeline.losses})
        parts, x, y = [], 0.0, 0.0
        for one in legend:
            needed = 58 + _LETTER * len(one.words)
            if x and x + needed > width:
                x, y = 0.0, y + 20
            sample = tag("g", one.drawn(), transform=f"translate({x:.0f} {y:.0f})")
            parts += [sample, svg.label(x + 36, y + 11, one.words)]
            x += needed
        said = ", ".join(one.words for one in legend)
        return Drawing(f"{self.drawing.name}-legend", "Legend", said, y + 20, join(parts))

    def on_page(self) -> Markup:
        """Write it with what can be folded away."""
        data_name = f"{self.drawing.name}-data"
        return tag(
            "details",
            tag(
                "summary",
                swatch(self.look),
                tag("b", self.panel.contender),
                " ",
                tag("span", self.summary()),
            ),
            tag(
                "div",
                self.drawing.on_page(),
                class_="canvas",
                data_rows=data_name,
                data_y=" ".join(f"{y:.1f}" for rows in self.layout.rows for y in rows),
                data_pitch=f"{self.layout.pitch:.2f}",
            ),
            tag(
                "details",
                tag("summary", "Show the data as a table"),
                tag("div", self.data, id=data_name),
                class_="data",
            ),
            class_="panel",
            open="" if self.panel.open else None,
            data_contender=self.panel.contender,
        )


class Item(NamedTuple):
    """One thing that the legend names.

    Attributes:
        class_: Of the path.
        path: What it looks like, 30 wide and 14 high.
        words: What it is.
    """

    class_: str
    path: str
    words: str

    def drawn(self) -> Markup:
        """Draw what it looks like."""
        sample = tag("path", d=self.path, class_=self.class_)
        return tag("svg", sample, width=30, height=14, aria_hidden="true")


def waterfalls(
    name: str, panels: Sequence[Panel], resources: Sequence[ResourceInfo], shown: Mapping[str, Look]
) -> Waterfalls:
    """Draw runs.

    Args:
        name: Of the figure, unique in the page.
        panels: The runs; the time axis ends with the slowest of those that are open.
        resources: What was fetched.
        shown: The looks of the contenders.
    """
    scale = svg.linear([_end(panel.timeline) / 1e6 for panel in panels if panel.open])
    some = next((panel for panel in panels if len(panel.timeline.requests) < panel.requests), None)
    caption = (
        "Every row is a request, grouped by connection; all have one axis of time. The thinner the bar, the "
        "less happens: a hairline while the request waits to be sent, half as thick while it waits for "
        "the answer, full while content arrives. Of the runs it is the block whose ratio is the median."
        + (
            f" The first {len(some.timeline.requests):,} of {some.requests:,} requests are drawn."
            if some
            else ""
        )
    )
    falls = [
        _fall(f"{name}-{index}", panel, resources, scale, shown[panel.contender])
        for index, panel in enumerate(panels)
    ]
    losses = {one.kind for panel in panels for one in panel.timeline.losses}
    return Waterfalls(name, caption, _legend(losses), falls)


def _fall(name: str, panel: Panel, resources: Sequence[ResourceInfo], scale: Scale, look: Look) -> Fall:
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
    parts = [
        svg.columns(scale, 0, bottom, [(tick, duration_step(tick.value)) for tick in scale.ticks()]),
        layout.drawn(resources, scale),
        tag("rect", x=0, y=0, width="100%", height=0, class_="cursor"),
        finish,
    ]
    drawing = Drawing(
        name, f"Waterfall of {panel.contender}", description, bottom + _BOTTOM, join(parts), "labels"
    )
    return Fall(panel, look, drawing, layout, _table(panel, layout.lanes, resources))


def _end(timeline: Timeline) -> int:
    return max((one.done for one in timeline.requests), default=1)


def _legend(losses: Collection[str]) -> list[Item]:
    return [
        Item("bar tcp", svg.box(0, 5, 30, 4), "connecting"),
        Item("bar tls", svg.box(0, 2, 30, 10), "TLS handshake"),
        Item("bar queued", svg.box(0, 6.2, 30, 1.6), "known, not sent yet"),
        Item("bar waiting", svg.box(0, 4, 30, 6), "sent, no answer yet"),
        Item("bar receiving", svg.box(0, 1, 30, 12), "content arrives"),
        *(
            Item(f"tick {kind}", "M8 0V14M18 0V14", f"packet {words}")
            for kind, words in LOSSES.items()
            if kind in losses
        ),
    ]


def _table(panel: Panel, lanes: Sequence[Lane], resources: Sequence[ResourceInfo]) -> Markup:
    head = ["path", "connection", "known", "sent", "answered", "done"]
    rows = (
        [resources[one.resource].path, str(lane.number + 1),
         *(f"{at / 1000:.1f}" for at in (one.known, one.sent, one.answered, one.done))]
        for lane in lanes
        for one in lane.requests
    )  # fmt: skip
    return table(f"Requests of {panel.contender}, milliseconds since the load began", head, rows)
