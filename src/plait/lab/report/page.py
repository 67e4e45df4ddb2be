"""The page: its sections in order, and everything it needs within one file."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from importlib.resources import files

from plait.lab.analysis import Analysis, CellAnalysis
from plait.lab.changes import Changes
from plait.lab.network.profile import Network
from plait.lab.record import Record
from plait.lab.report.budget import budget
from plait.lab.report.changed import runs
from plait.lab.report.conditions import described, medium_words
from plait.lab.report.environment import environment
from plait.lab.report.figure import section
from plait.lab.report.figures import NetworkFigures, figures
from plait.lab.report.markup import Markup, join, json_text, tag
from plait.lab.report.samples_json import packed
from plait.lab.report.series import Look, key
from plait.lab.report.verdict import card, summary
from plait.lab.report.why import words as step_words
from plait.lab.samples import Medium

__all__ = ["render"]

_CARDS = 6
"""More networks are counted, and then folded away."""


def render(record: Record, analysis: Analysis, changes: Changes | None = None) -> str:
    """Write a comparison as one HTML file that needs nothing else.

    Args:
        record: The samples.
        analysis: What was found in them.
        changes: What changed from an earlier run to this one.
    """
    drawn = figures(record, analysis, changes)
    named = [one.title for one in drawn.networks]
    sections = [("verdict", "Verdict", _verdicts(record, analysis, named))]
    if changes:
        written = join(one.on_page() for one in drawn.changes)
        if not written:
            written = tag("p", "The runs have nothing in common.")
        sections.append(
            ("changes", "What changed", section("changes", "What changed", 2, runs(changes), written))
        )
    if drawn.map:
        sections.append(("map", "Decision map", section("map", "Where it pays", 2, drawn.map.on_page())))
    sections += [
        (f"network-{number}", one.title, _network(record, one, number, drawn.looks))
        for number, one in enumerate(drawn.networks)
    ]
    sections.append(
        ("environment", "Environment and samples",
         section("environment", "Environment and samples", 2, environment(record, named)))
    )  # fmt: skip
    heading = f"{record.workload}: HTTP/1.1 and HTTP/2"
    body = [
        tag("a", "Skip to the verdict", href="#verdict", class_="skip"),
        tag(
            "header",
            tag("p", "plait compare", class_="brand"),
            tag("h1", heading),
            tag("p", f"{record.base_url}, {len(record.resources):,} requests a load, {_day(record.started)}",
                class_="quiet"),
            tag("button", "Theme: as the system", type="button", id="theme", class_="scripted"),
        ),
        _navigation([(name, words) for name, words, _ in sections], len(named)),
        tag("main", *(written for _, _, written in sections)),
        tag("div", id="tip", role="status", aria_live="polite", hidden=""),
    ]  # fmt: skip
    return _document(heading, body, packed(record, drawn.timelines))


def _navigation(sections: list[tuple[str, str]], networks: int) -> Markup:
    items = [
        tag("li", tag("a", words, href=f"#{name}"))
        for name, words in sections
        if networks <= _CARDS or not name.startswith("network-")
    ]
    return tag("nav", tag("ol", *items), aria_label="Sections")


def _verdicts(record: Record, analysis: Analysis, named: list[str]) -> Markup:
    cards = [_card(record, found, title) for found, title in zip(analysis.cells, named, strict=True)]
    if len(cards) > _CARDS:
        tally = summary([found.primary for found in analysis.cells])
        written = join([tally, tag("details", tag("summary", "Every network"), *cards)])
    else:
        written = tag("div", *cards, class_="cards" if len(cards) > 1 else None)
    question = analysis.question
    asked = f"The question: {question.change}." if question else None
    # A loopback or a model is a condition of the verdict, so it stands before it.
    return section(
        "verdict", "Verdict", 2,
        tag("p", tag("b", medium_words(record.medium)), class_=f"medium {record.medium}"),
        tag("p", asked, class_="quiet") if asked else None,
        tag("ul", *(tag("li", one) for one in analysis.warnings), class_="warnings")
        if analysis.warnings else None,
        written,
    )  # fmt: skip


def _card(record: Record, found: CellAnalysis, title: str) -> Markup:
    network = found.cell.network
    noise = (
        f"The same contender twice: {found.noise.words()}."
        if found.noise
        else "Not measured: the reference did not run twice."
    )
    warnings = list(found.warnings)
    if found.refusal and not found.primary:
        warnings.insert(0, f"No verdict: {found.refusal}.")
    others = [
        tag(
            "span",
            one.finding.sentence(record.title),
            tag("span", f" ({one.question.change})", class_="quiet"),
        )
        for one in found.answers
    ]
    return card(
        title,
        _condition(record, network),
        found.primary,
        record.title,
        others,
        noise,
        warnings,
    )


def _condition(record: Record, network: Network | None) -> str:
    if network is None:
        loopback = record.medium is Medium.LOOPBACK
        return "client and server on one machine" if loopback else "whatever it was like meanwhile"
    spelled = f" ({network.spec})" if network.spec != network.name else ""
    return described(network) + spelled


def _network(record: Record, drawn: NetworkFigures, number: int, shown: dict[str, Look]) -> Markup:
    cell, name = drawn.found.cell, f"network-{number}"
    costs = budget(cell, drawn.measured, shown, len(record.resources)) if drawn.measured else None
    parts = [
        section(f"{name}-{what}", heading, 3, written)
        for what, heading, written in (
            ("loads", "How long a load took", drawn.loads and drawn.loads.on_page()),
            ("paired", "Block by block", drawn.pairs and drawn.pairs.on_page()),
            ("waterfalls", "What happened when", drawn.falls and drawn.falls.on_page()),
            ("budget", "What a load costs", costs),
            ("why", "Why", _why(record, drawn)),
        )
        if written
    ]
    heading = tag("h2", drawn.title, id=f"{name}-h")
    return tag(
        "details",
        tag("summary", heading, tag("span", _condition(record, cell.network), class_="quiet")),
        key(drawn.measured, shown),
        *parts,
        id=name,
        class_="network",
        open="" if number == 0 else None,
    )


def _why(record: Record, drawn: NetworkFigures) -> Markup:
    found = drawn.found
    if drawn.steps and found.attribution:
        return join([drawn.steps.on_page(), step_words(found.attribution, record.title)])
    if found.refusal:
        return tag("p", f"The difference is not taken apart, because no verdict is given: {found.refusal}.")
    return tag(
        "p",
        "The difference is not taken apart: that takes the contenders h1x6 and h2, and in between one with "
        "a connection for every request, or h2-static, all measured in the same blocks.",
    )


def _day(started: str) -> str:
    try:
        return f"{datetime.fromisoformat(started):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return started


def _document(title: str, body: list[Markup], samples: object) -> str:
    style = "".join(map(_resource, ("colours.css", "drawing.css", "style.css")))
    script = _resource("script.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        f"base-uri 'none'; form-action 'none'"
    )
    head = [
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    ]
    foot = [
        tag("script", json_text(samples), type="application/json", id="samples"),
        tag("script", Markup(script)),
    ]
    html = tag("html", tag("head", *head), tag("body", *body, *foot), lang="en")
    return f"<!doctype html>\n{html}\n"


def _resource(name: str) -> str:
    return files("plait.lab.report").joinpath(name).read_text("utf-8")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
