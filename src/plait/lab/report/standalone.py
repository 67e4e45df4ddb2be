"""The figures of a report as SVG files of their own, for documents and slides.

Programs that show such files know less of CSS than browsers: there are no variables in their style.
"""

from __future__ import annotations

import math
import re
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from importlib.resources import files

from plait.lab.analysis import Analysis
from plait.lab.changes import Changes
from plait.lab.record import Record
from plait.lab.report.figures import NetworkFigures, figures
from plait.lab.report.markup import Markup, tag
from plait.lab.report.svg import Drawing, label

__all__ = ["figure_files"]

WIDTH = 960
_PAD = 24.0
_LINE = 17.0
_LETTERS = 140
"""That many letters have room on one line."""
_ROOM = {"wide-left": (48.0, 4.0), "labels": (122.0, 2.0)}
"""Pixels that a drawing needs for labels on its left and on its right."""

_COLOUR = re.compile(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)")
_FONT = re.compile(r"--(sans|mono): ([^;]+);")
_RULE = re.compile(r"([^{}]+)\{([^{}]+)\}")


def figure_files(record: Record, analysis: Analysis, changes: Changes | None = None) -> dict[str, str]:
    """Draw every figure of a report by itself.

    Args:
        record: The samples.
        analysis: What was found in them.
        changes: What changed from an earlier run.

    Returns:
        SVG documents, by the name of the file that is to hold each.
    """
    drawn = figures(record, analysis, changes)
    about = f"plait compare, {len(record.resources):,} requests a load, {record.started}"
    found = {}
    for number, change in enumerate(drawn.changes):
        heading = f"{record.workload}: what changed"
        since = f"{about}, and before on {changes.before.started}" if changes else about
        name = f"changes-{number + 1}.svg" if number else "changes.svg"
        found[name] = _document(heading, since, change.caption, [change.drawing])
    if one := drawn.map:
        parts = [one.legend, one.drawing] if one.legend else [one.drawing]
        found["map.svg"] = _document(f"{record.workload}: where HTTP/2 pays", about, one.caption, parts)
    for each, name in zip(drawn.networks, _names(drawn.networks, record), strict=True):
        for what, heading, caption, parts in _of(each):
            heading = f"{record.workload}, {each.title}: {heading}"
            found[f"{name}-{what}.svg"] = _document(heading, about, caption, parts)
    return found


def _of(network: NetworkFigures) -> Iterator[tuple[str, str, str, list[Drawing]]]:
    """Yield the figures of a network: the end of the file's name, the heading, the caption, the drawings."""
    for what, heading, one in (
        ("distribution", "how long a load took", network.loads),
        ("paired", "block by block", network.pairs),
    ):
        if one:
            yield what, heading, one.caption, [one.drawing]
    if falls := network.falls:
        for fall in falls.falls:
            heading = f"{fall.panel.contender}, {fall.summary()}"
            parts = [fall.legend_drawing(WIDTH - 2 * _PAD), fall.drawing]
            yield f"waterfall-{_file_name(fall.panel.contender)}", heading, falls.caption, parts
    if one := network.steps:
        yield "why", "why", one.caption, [one.drawing]


def _names(networks: Sequence[NetworkFigures], record: Record) -> list[str]:
    """Make the beginnings of files' names: of letters, digits, points and hyphens, and no two the same."""
    found: list[str] = []
    for one in networks:
        words = one.title if one.found.cell.network else str(record.medium)
        name = _file_name(words) or "network"
        found.append(name if name not in found else f"{name}-{len(found) + 1}")
    return found


def _file_name(words: str) -> str:
    # Units stay with their numbers: "100 ms" is 100ms.
    joined = re.sub(r"(\d) (?=[a-z%])", r"\1", words.lower())
    return re.sub(r"[^a-z0-9.]+", "-", joined.replace("bit/s", "bit").replace("%", "pc"))[:60].strip("-.")


def _document(heading: str, about: str, caption: str, drawings: Sequence[Drawing]) -> str:
    """Put drawings below each other, with words above them, into one document."""
    main = drawings[-1]
    parts: list[Markup] = [
        *main.named(),
        tag("rect", width="100%", height="100%", class_="ground"),
        label(_PAD, _PAD + 14, textwrap.shorten(heading, 100, placeholder=" …"), class_="heading"),
    ]
    y = _PAD + 36
    for line in (textwrap.shorten(about, _LETTERS, placeholder=" …"), *textwrap.wrap(caption, _LETTERS)):
        parts.append(label(_PAD, y, line, class_="quiet"))
        y += _LINE
    y += 6
    for one in drawings:
        left, right = next((room for name, room in _ROOM.items() if name in one.class_.split()), (0.0, 0.0))
        y += 16 if "top" in one.class_.split() else 4
        width = WIDTH - 2 * _PAD - left - right
        parts.append(tag("svg", one.parts, x=_PAD + left, y=y, width=width, height=one.height, class_="plot"))
        y += one.height + 8
    height = math.ceil(y + _PAD / 2)
    written = tag(
        "svg", tag("style", Markup(_style())), *parts, xmlns="http://www.w3.org/2000/svg", width=WIDTH,
        height=height, viewBox=f"0 0 {WIDTH} {height}", role="img",
        aria_labelledby=f"{main.name}-t {main.name}-d",
    )  # fmt: skip
    return _still(written)


def _still(written: str) -> str:
    """Take away what only a page can do: links within it, and what a script tells."""
    root = ET.fromstring(written)
    ET.register_namespace("", "http://www.w3.org/2000/svg")
    for one in root.iter():
        one.tag = one.tag.replace("}a", "}g") if one.tag.endswith("}a") else one.tag
        for name in [name for name in one.attrib if name.startswith("data-") or name == "href"]:
            del one.attrib[name]
    return ET.tostring(root, encoding="unicode") + "\n"


def _style() -> str:
    """Write the style of drawings, light, and dark where the reader prefers it."""
    folder = files("plait.lab.report")
    colours, drawing = (folder.joinpath(name).read_text("utf-8") for name in ("colours.css", "drawing.css"))
    fonts = {name: " ".join(value.split()) for name, value in _FONT.findall(colours)}
    light, dark = (
        fonts | {name: both[which] for name, *both in _COLOUR.findall(colours)} for which in (0, 1)
    )
    page = (
        "svg { font: 400 12px/1 var(--sans); font-variant-numeric: tabular-nums; } "
        ".plot { overflow: visible; } .ground { fill: var(--ground); } "
        ".heading { font-size: 17px; font-weight: 650; } "
    )
    rules = [(selector.strip(), body.strip()) for selector, body in _RULE.findall(page + drawing)]
    everything = "\n".join(f"{selector} {{ {_resolved(body, light)} }}" for selector, body in rules)
    changing = "\n".join(
        f"{selector} {{ {_resolved(coloured, dark)} }}"
        for selector, body in rules
        if (coloured := _coloured(body))
    )
    return f"\n{everything}\n@media (prefers-color-scheme: dark) {{\n{changing}\n}}\n"


def _coloured(body: str) -> str:
    """Keep the declarations that a theme changes."""
    return "; ".join(
        one.strip() for one in body.split(";") if "var(" in one and not one.strip().startswith("font")
    )


def _resolved(body: str, values: dict[str, str]) -> str:
    return re.sub(r"var\(--([\w-]+)\)", lambda found: values[found[1]], body)
