"""What stands around every figure: its caption, and its data as a table for who prefers to read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.svg import Drawing

__all__ = ["Figure", "grouped_table", "section", "table"]


class Figure(NamedTuple):
    """A drawing with what stands around it.

    Attributes:
        name: Unique in the page.
        caption: How to read it, in a sentence or two.
        drawing: The drawing.
        data: A table of what is drawn.
        legend: A drawing of what the colours mean, above it.
        hint: What can be done with it on a page, in a sentence.
    """

    name: str
    caption: str
    drawing: Drawing
    data: Markup
    legend: Drawing | None = None
    hint: str | None = None

    def on_page(self) -> Markup:
        """Write the figure."""
        return tag(
            "figure",
            tag("figcaption", self.caption, f" {self.hint}" if self.hint else None),
            tag("div", self.legend.on_page(), class_="scale") if self.legend else None,
            tag("div", self.drawing.on_page(), class_="canvas"),
            tag("details", tag("summary", "Show the data as a table"), self.data, class_="data"),
            id=self.name,
        )


def section(name: str, heading: str, level: int, *parts: str | None) -> Markup:
    """Open a section with its heading."""
    return tag("section", tag(f"h{level}", heading, id=f"{name}-h"), *parts, id=name,
               aria_labelledby=f"{name}-h")  # fmt: skip


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Write a table that can be scrolled sideways by itself; the first cell of a row heads it."""
    return _table(caption, head, [tag("tbody", _rows(rows))], None)


def grouped_table(
    caption: str, head: Sequence[str], groups: Mapping[str, Iterable[Sequence[str]]], *, class_: str
) -> Markup:
    """Write a table whose rows stand in groups, each with a heading."""
    bodies = [
        tag(
            "tbody",
            tag("tr", tag("th", heading, scope="rowgroup", colspan=len(head), class_="group")),
            _rows(rows),
        )
        for heading, rows in groups.items()
    ]
    return _table(caption, head, bodies, class_)


def _rows(rows: Iterable[Sequence[str]]) -> Markup:
    return join(
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows
    )


def _table(caption: str, head: Sequence[str], bodies: Sequence[Markup], class_: str | None) -> Markup:
    written = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head))),
        *bodies,
        class_=class_,
    )
    return tag("div", written, class_="scroll", tabindex="0", role="region", aria_label=caption)
