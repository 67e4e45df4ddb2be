"""How contenders look in every figure: a colour, a dash and a marker each, so that no colour stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from plait.lab.questions import primary
from plait.lab.record import ContenderInfo, Record
from plait.lab.report.markup import Markup, join, tag

__all__ = ["Look", "key", "looks", "marker"]

COLOURS = 6
_DASHES = ("none", "7 3", "2 3", "9 3 2 3", "4 2", "12 4")
_MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",  # circle
    "M-3.6 -3.6h7.2v7.2h-7.2z",  # square
    "M0 -4.8L4.4 3.4H-4.4z",  # triangle
    "M0 -5L4.6 0L0 5L-4.6 0z",  # diamond
    "M0 4.8L4.4 -3.4H-4.4z",  # triangle on its head
    "M-4.4 -1.5h2.9v-2.9h3v2.9h2.9v3h-2.9v2.9h-3v-2.9h-2.9z",  # cross
)


class Look(NamedTuple):
    """How one contender is drawn.

    Attributes:
        name: The contender's.
        class_: Of its elements, which gives the colour.
        dash: Of its lines.
        marker: The path of its marker, around the origin.
    """

    name: str
    class_: str
    dash: str
    marker: str


def looks(record: Record) -> dict[str, Look]:
    """Give each contender a look: the reference that of text, the main question's contender the next.

    A contender that is there a second time has the colour of the first, and another dash and marker.
    """
    found: dict[str, Look] = {}
    question = primary(record)
    first = (record.reference, question.contender if question else record.reference)
    ordered = sorted(record.contenders, key=lambda one: first.index(one.name) if one.name in first else 2)
    colours: dict[str, int] = {}
    taken: set[tuple[int, int]] = set()
    for number, contender in enumerate(ordered):
        colour = colours.setdefault(contender.again or contender.name, len(colours)) % COLOURS
        # Beyond six, the same colour comes with another dash and marker, while there are any.
        turns = [(number + more) % len(_MARKERS) for more in range(len(_MARKERS))]
        turn = next((one for one in turns if (colour, one) not in taken), turns[0])
        taken.add((colour, turn))
        found[contender.name] = Look(
            name=contender.name, class_=f"c{colour}", dash=_DASHES[turn], marker=_MARKERS[turn]
        )
    return found


def marker(look: Look, x: str, y: float, *, kind: str = "marker", **attributes: str | float | None) -> Markup:
    """Draw a contender's marker at a percentage across; of the kind ``point hollow``, as an outline."""
    drawn = tag("path", d=look.marker, class_=f"{kind} {look.class_}", **attributes)
    return tag("svg", drawn, x=x, y=y, class_="at")


def key(contenders: Sequence[ContenderInfo], shown: Mapping[str, Look]) -> Markup:
    """List the contenders with their looks; the script makes a switch of each."""
    return tag(
        "ul",
        join(
            tag(
                "li",
                tag(
                    "label",
                    tag("input", type="checkbox", checked="", class_="scripted", value=one.name),
                    swatch(shown[one.name]),
                    tag("b", one.name),
                    " ",
                    tag("span", one.title),
                ),
            )
            for one in contenders
        ),
        class_="key",
        aria_label="Contenders",
    )


def swatch(look: Look) -> Markup:
    """Draw a piece of a contender's line with its marker."""
    return tag(
        "svg",
        tag("line", x1=0, x2=34, y1=7, y2=7, stroke_dasharray=look.dash, class_=f"line {look.class_}"),
        tag("path", d=look.marker, transform="translate(17 7)", class_=f"marker {look.class_}"),
        width=34,
        height=14,
        aria_hidden="true",
        class_="swatch",
    )
