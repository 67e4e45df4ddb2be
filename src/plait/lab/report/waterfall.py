"""Waterfalls: when each request was known, sent, answered and done, by connection, on one time axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from plait.lab.report import svg
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.figure import table
from plait.lab.report.series import Look, swatch
from plait.lab.report.svg import Scale
from plait.lab.report.units import count, duration, duration_step
from plait.lab.samples import ConnectionTimes, Loss, RequestTimes, ResourceInfo, Timeline

__all__ = ["Panel", "SHOWN", "waterfalls"]

SHOWN = 150
"""Requests of each contender that are drawn."""
_TALLEST = 760.0
"""Pixels: a panel stays on one printed page."""
_PITCH = (3.0, 15.0)
_LABELS_APART = 11.5
_LABEL_LENGTH = 17
_BOTTOM = 24.0
_KINDS = {"lost": "lost at random", "dropped": "dropped by a full queue", "resent": "sent again"}


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


class _Lane(NamedTuple):
    """One connection and its requests, in the order they were sent; no connection for the others."""

    number: int
    connection: ConnectionTimes | None
    requests: list[RequestTimes]
    losses: list[Loss]


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
        "the answer, full while content arrives."
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
    lanes = list(_lanes(panel.timeline))
    units = sum(len(lane.requests) for lane in lanes) + 1.6 * len(lanes)
    pitch = max(_PITCH[0], min(_PITCH[1], _TALLEST / max(1.0, units)))
    drawn, places, bottom = _lanes_drawn(lanes, pitch, resources, scale)
    end = _end(panel.timeline) / 1e6
    beyond = scale.at(end) > 1
    parts = [
        svg.columns(scale, 0, bottom, [(tick, duration_step(tick.value)) for tick in scale.ticks()]),
        drawn,
        tag("rect", x=0, y=0, width="100%", height=0, class_="cursor"),
        tag("line", x1=scale.x(end), x2=scale.x(end), y1=0, y2=bottom, class_=f"end {look.class_}")
        if not beyond
        else svg.label("100%", bottom - 6, f"goes on until {duration(end)} →", text_anchor="end",
                       class_="halo name"),
    ]  # fmt: skip
    description = (
        f"{count(len(panel.timeline.requests))} requests on {count(len(panel.timeline.connections))} "
        f"connections, the last done after {duration(end)}."
    )
    drawing = svg.drawing(
        f"{name}-svg",
        f"Waterfall of {panel.contender}",
        description,
        bottom + _BOTTOM,
        *parts,
        class_="labels",
    )
    return tag(
        "details",
        tag(
            "summary",
            swatch(look),
            tag("b", panel.contender),
            tag("span", f"{duration(panel.load)} in block {panel.block + 1}"),
        ),
        tag(
            "div",
            drawing,
            class_="canvas",
            data_rows=f"{name}-data",
            data_y=" ".join(places),
            data_pitch=f"{pitch:.2f}",
        ),
        tag(
            "details",
            tag("summary", "Show the data as a table"),
            tag("div", _table(panel, lanes, resources), id=f"{name}-data"),
            class_="data",
        ),
        class_="panel",
        open="" if panel.open else None,
        data_contender=panel.contender,
    )


def _lanes(timeline: Timeline) -> Iterator[_Lane]:
    """Group requests and losses by connection; losses of no known connection come last, by themselves."""
    ports = [one.port for one in timeline.connections]
    for number, connection in enumerate(timeline.connections):
        yield _Lane(
            number,
            connection,
            [one for one in timeline.requests if one.connection == number],
            [one for one in timeline.losses if one.port == connection.port and one.port],
        )
    if others := [one for one in timeline.losses if not one.port or one.port not in ports]:
        yield _Lane(len(ports), None, [], others)


def _lanes_drawn(
    lanes: Sequence[_Lane], pitch: float, resources: Sequence[ResourceInfo], scale: Scale
) -> tuple[Markup, list[str], float]:
    """Draw the lanes below each other.

    Returns:
        The drawing, where each request's row begins, and where the last lane ends.
    """
    head = max(3.0, min(pitch * 1.6, 16.0))
    bars: dict[str, list[str]] = {one: [] for one in ("queued", "waiting", "receiving", "tcp", "tls")}
    marks: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    labels: list[Markup] = []
    stripes: list[Markup] = []
    places: list[str] = []
    y, last = 0.0, -_LABELS_APART

    def bar(kind: str, start: int, end: int, top: float, thickness: float) -> None:
        left, right = scale.across(start / 1e6), scale.across(end / 1e6)
        if left < svg.STRETCH and end > start:
            height = max(1.0, thickness * pitch)
            bars[kind].append(svg.box(left, top + (pitch - height) / 2, max(right - left, 0.6), height))

    for lane in lanes:
        top = y
        if lane.connection is not None:
            bar("tcp", lane.connection.started, lane.connection.connected, y + (head - pitch) / 2, 0.4)
            bar("tls", lane.connection.connected, lane.connection.secured, y + (head - pitch) / 2, 0.9)
        said = "no connection" if lane.connection is None else f"connection {lane.number + 1}"
        if y + head / 2 - last >= _LABELS_APART:
            last = y + head / 2
            labels.append(svg.label(-8, last + 3.5, said, text_anchor="end", class_="lane"))
        y += head
        for one in lane.requests:
            bar("queued", one.known, one.sent, y, 0.12)
            bar("waiting", one.sent, one.answered, y, 0.46)
            bar("receiving", one.answered, one.done, y, 0.84)
            if y + pitch / 2 - last >= _LABELS_APART:
                last = y + pitch / 2
                labels.append(svg.label(-8, last + 3.5, _shortened(resources[one.resource].path),
                                        text_anchor="end"))  # fmt: skip
            places.append(f"{y:.1f}")
            y += pitch
        for loss in lane.losses:
            if loss.kind in marks and 0 <= loss.at / 1e6 <= scale.high:
                x = scale.across(loss.at / 1e6)
                marks[loss.kind].append(f"M{x:.2f} {top:.1f}V{y:.1f}")
        stripes.append(tag("line", x1=0, x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="stripe"))
    places.append(f"{y:.1f}")
    drawn = svg.stretched(
        0,
        y,
        *(tag("path", d="".join(found), class_=f"loss {kind}") for kind, found in marks.items() if found),
        *(tag("path", d="".join(found), class_=f"bar {kind}") for kind, found in bars.items() if found),
    )
    return join([*stripes, drawn, tag("g", *labels, class_="rows")]), places, y


def _end(timeline: Timeline) -> int:
    return max((one.done for one in timeline.requests), default=1)


def _shortened(path: str) -> str:
    """Keep the end of a path, which is what differs."""
    return path if len(path) <= _LABEL_LENGTH else "…" + path[1 - _LABEL_LENGTH :]


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
        tag("li", tag("svg", tag("path", d="M8 0V14M18 0V14", class_=f"loss {kind}"), width=26, height=14,
                      aria_hidden="true"), f"packet {words}")
        for kind, words in _KINDS.items()
        if kind in losses
    ]  # fmt: skip
    return tag("ul", *items, class_="legend", aria_label="Legend")


def _table(panel: Panel, lanes: Sequence[_Lane], resources: Sequence[ResourceInfo]) -> Markup:
    head = ["path", "connection", "known", "sent", "answered", "done"]
    rows = (
        [resources[one.resource].path, str(lane.number + 1),
         *(f"{at / 1000:.1f}" for at in (one.known, one.sent, one.answered, one.done))]
        for lane in lanes
        for one in lane.requests
    )  # fmt: skip
    return table(f"Requests of {panel.contender}, milliseconds since the load began", head, rows)
