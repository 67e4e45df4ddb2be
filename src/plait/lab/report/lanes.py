"""The lanes of a waterfall: one for each connection, a row for each of its requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from plait.lab.record import ResourceInfo
from plait.lab.report import svg
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.svg import Scale
from plait.lab.samples import ConnectionTimes, Loss, RequestTimes, Timeline

__all__ = ["LOSSES", "Lane", "Layout", "lanes", "lay_out"]

LOSSES = {"lost": "lost at random", "dropped": "dropped by a full queue", "resent": "sent again"}
"""The kinds of losses, in words."""

_TALLEST = 640.0
"""Pixels: a panel and what introduces it stay on one printed page."""
_PITCH = (3.0, 15.0)
_HEAD = (3.0, 16.0)
_LABELS_APART = 11.5
_LABEL_LENGTH = 17
_THICK = {"tcp": 0.4, "tls": 0.9, "queued": 0.12, "waiting": 0.46, "receiving": 0.84}
"""How much of a row each phase fills: what a phase is must not be told by its colour alone."""


class Lane(NamedTuple):
    """One connection, its requests in the order they were sent, and its packets that were lost.

    Attributes:
        number: Of the connection, from 0.
        connection: When it was set up; None for packets of no known connection.
        requests: What went over it.
        losses: What was lost of it, and sent again.
    """

    number: int
    connection: ConnectionTimes | None
    requests: list[RequestTimes]
    losses: list[Loss]


class Layout(NamedTuple):
    """Where everything of one panel is, in pixels.

    Attributes:
        lanes: From the top to the bottom.
        tops: Where each lane begins.
        rows: Where the rows of the requests begin, lane by lane.
        head: How high the strip of a connection is.
        pitch: How high the row of a request is.
        bottom: Where the last lane ends.
    """

    lanes: list[Lane]
    tops: list[float]
    rows: list[list[float]]
    head: float
    pitch: float
    bottom: float

    def drawn(self, resources: Sequence[ResourceInfo], scale: Scale) -> Markup:
        """Draw bars, losses and labels.

        Args:
            resources: What was fetched.
            scale: From seconds to positions across.
        """
        paths = defaultdict(list)
        for kind, piece in self._pieces(scale):
            paths[kind].append(piece)
        # Hairlines of losses below the bars, their ticks above.
        order = sorted(paths, key=lambda kind: (not kind.startswith("loss"), kind.startswith("tick")))
        edges = [*self.tops[1:], self.bottom]
        return join(
            [
                *(tag("line", x1=0, x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="stripe") for y in edges),
                svg.stretched(
                    0, self.bottom, *(tag("path", d="".join(paths[kind]), class_=kind) for kind in order)
                ),
                tag("g", *self._labels(resources), class_="rows"),
            ]
        )

    def _pieces(self, scale: Scale) -> Iterator[tuple[str, str]]:
        """Yield pieces of paths, each with the class of the path that it is a part of."""

        def bar(kind: str, start: int, end: int, top: float, height: float) -> Iterator[tuple[str, str]]:
            left, right = scale.across(start / 1e6), scale.across(end / 1e6)
            if left < svg.STRETCH and end > start:
                thick = max(1.0, _THICK[kind] * self.pitch)
                piece = svg.box(left, top + (height - thick) / 2, max(right - left, 0.6), thick)
                yield f"bar {kind}", piece

        for lane, top, rows in zip(self.lanes, self.tops, self.rows, strict=True):
            bottom = top + self.head + self.pitch * len(rows)
            for loss in lane.losses:
                if loss.kind in LOSSES and 0 <= loss.at / 1e6 <= scale.high:
                    x = scale.across(loss.at / 1e6)
                    yield f"loss {loss.kind}", f"M{x:.1f} {top:.1f}V{bottom:.1f}"
                    yield f"tick {loss.kind}", f"M{x:.1f} {top + 1:.1f}v{self.head - 2:.1f}"
            if one := lane.connection:
                yield from bar("tcp", one.started, one.connected, top, self.head)
                yield from bar("tls", one.connected, one.secured, top, self.head)
            for request, y in zip(lane.requests, rows, strict=True):
                yield from bar("queued", request.known, request.sent, y, self.pitch)
                yield from bar("waiting", request.sent, request.answered, y, self.pitch)
                yield from bar("receiving", request.answered, request.done, y, self.pitch)

    def _labels(self, resources: Sequence[ResourceInfo]) -> Iterator[Markup]:
        """Name connections, and the requests between them that there is room to name."""
        last = -_LABELS_APART
        for index, (lane, top, rows) in enumerate(zip(self.lanes, self.tops, self.rows, strict=True)):
            y = top + self.head / 2
            if y - last >= _LABELS_APART:
                last = y
                words = "others" if lane.connection is None else f"connection {lane.number + 1}"
                yield svg.label(-8, round(y + 3.5, 1), words, text_anchor="end", class_="lane")
            following = self.tops[index + 1] + self.head / 2 if index + 1 < len(self.tops) else float("inf")
            for request, row in zip(lane.requests, rows, strict=True):
                y = row + self.pitch / 2
                if y - last >= _LABELS_APART and following - y >= _LABELS_APART:
                    last = y
                    path = _shortened(resources[request.resource].path)
                    yield svg.label(-8, round(y + 3.5, 1), path, text_anchor="end")


def lanes(timeline: Timeline) -> list[Lane]:
    """Group requests and losses by connection; losses of no known connection come last, by themselves."""
    found = [
        Lane(
            number,
            connection,
            [one for one in timeline.requests if one.connection == number],
            [one for one in timeline.losses if one.port == connection.port and one.port],
        )
        for number, connection in enumerate(timeline.connections)
    ]
    ports = {one.port for one in timeline.connections} - {0}
    if others := [one for one in timeline.losses if one.port not in ports]:
        found.append(Lane(len(found), None, [], others))
    return found


def lay_out(timeline: Timeline) -> Layout:
    """Find room for every row of a timeline."""
    found = lanes(timeline)
    units = sum(len(lane.requests) for lane in found) + 1.6 * len(found)
    pitch = max(_PITCH[0], min(_PITCH[1], _TALLEST / max(1.0, units)))
    head = max(_HEAD[0], min(_HEAD[1], 1.6 * pitch))
    tops, rows, y = [], [], 0.0
    for lane in found:
        tops.append(y)
        y += head
        rows.append([y + pitch * index for index in range(len(lane.requests))])
        y += pitch * len(lane.requests)
    return Layout(found, tops, rows, head, pitch, y)


def _shortened(path: str) -> str:
    """Keep the end of a path, which is what differs: its last segment, if that has room."""
    if len(path) <= _LABEL_LENGTH:
        return path
    last = path[path.rfind("/", 0, -1) :]
    return "…" + (last if len(last) < _LABEL_LENGTH else path[1 - _LABEL_LENGTH :])
