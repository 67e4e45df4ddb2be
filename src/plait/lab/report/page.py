"""The page: its sections in order, and everything it needs within one file."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from importlib.resources import files

from plait.lab.analysis import Analysis, CellAnalysis
from plait.lab.network.profile import Network
from plait.lab.report.budget import budget
from plait.lab.report.conditions import described, medium_words, titles
from plait.lab.report.decision_map import Point, decision_map
from plait.lab.report.distribution import distribution
from plait.lab.report.environment import environment
from plait.lab.report.figure import section
from plait.lab.report.markup import Markup, join, json_text, tag
from plait.lab.report.paired import paired
from plait.lab.report.runs import Runs, choose_runs
from plait.lab.report.samples_json import packed
from plait.lab.report.series import Look, key, looks
from plait.lab.report.verdict import card, summary
from plait.lab.report.waterfall import waterfalls
from plait.lab.report.why import why
from plait.lab.samples import Cell, Medium, Record

__all__ = ["render"]

_CARDS = 6
"""More networks are counted, and then folded away."""


def render(record: Record, analysis: Analysis) -> str:
    """Write a comparison as one HTML file that needs nothing else.

    Args:
        record: The samples.
        analysis: What was found in them.
    """
    named = titles(record)
    shown = looks(record)
    runs = [
        choose_runs(record, found, number, len(record.cells)) for number, found in enumerate(analysis.cells)
    ]
    sections = [
        ("verdict", "Verdict", _verdicts(record, analysis, named)),
        *_map(record, analysis, named),
        *(
            (f"network-{number}", title, _network(record, found, title, number, shown, runs[number]))
            for number, (title, found) in enumerate(zip(named, analysis.cells, strict=True))
        ),
        ("environment", "Environment and samples", section("environment", "Environment and samples", 2,
                                                           environment(record, named))),
    ]  # fmt: skip
    drawn = {place: timeline for one in runs for place, timeline in one.kept.items()}
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
    return _document(heading, body, packed(record, drawn))


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


def _map(record: Record, analysis: Analysis, named: list[str]) -> list[tuple[str, str, Markup]]:
    points = [
        Point(one.cell.network, title, one.primary, f"network-{number}")
        for number, (one, title) in enumerate(zip(analysis.cells, named, strict=True))
        if one.cell.network
    ]
    question = analysis.question
    if question is None or len(points) < 2:
        return []
    drawn = decision_map("map-figure", points, question.contender, question.reference, record.margin)
    return [("map", "Decision map", section("map", "Where it pays", 2, drawn))]


def _network(
    record: Record, found: CellAnalysis, title: str, number: int, shown: dict[str, Look], runs: Runs
) -> Markup:
    cell = found.cell
    measured = [one for one in record.contenders if cell.loads(one.name)]
    name = f"network-{number}"
    parts: list[Markup] = [key(measured, shown)]
    if measured:
        loads = {one.name: list(cell.loads(one.name).values()) for one in measured}
        parts.append(section(f"{name}-loads", "How long a load took", 3,
                             distribution(f"{name}-ecdf", loads, shown, record.confidence)))  # fmt: skip
    if found.ratios:
        drawn = paired(f"{name}-pairs", list(found.ratios.values()), _ratios(record, cell, found), shown,
                       record.margin)  # fmt: skip
        parts.append(section(f"{name}-paired", "Block by block", 3, drawn))
    if runs.panels:
        drawn = waterfalls(f"{name}-falls", runs.panels, record.resources, shown)
        parts.append(section(f"{name}-waterfalls", "What happened when", 3, drawn))
    if measured:
        parts.append(
            section(
                f"{name}-budget", "What a load costs", 3, budget(cell, measured, shown, len(record.resources))
            )
        )
    parts.append(section(f"{name}-why", "Why", 3, _why(record, found, name)))
    heading = tag("h2", title, id=f"{name}-h")
    return tag(
        "details",
        tag("summary", heading, tag("span", _condition(record, cell.network), class_="quiet")),
        *parts,
        id=name,
        class_="network",
        open="" if number == 0 else None,
    )


def _why(record: Record, found: CellAnalysis, name: str) -> Markup:
    if found.attribution:
        return why(f"{name}-steps", found.attribution, record.title)
    if found.refusal:
        return tag("p", f"The difference is not taken apart, because no verdict is given: {found.refusal}.")
    return tag(
        "p",
        "The difference is not taken apart: that takes the contenders h1x6 and h2, and in between one with "
        "a connection for every request, or h2-static, all measured in the same blocks.",
    )


def _ratios(record: Record, cell: Cell, found: CellAnalysis) -> dict[str, dict[int, float]]:
    base = cell.loads(record.reference)
    return {
        name: {block: load / base[block] for block, load in cell.loads(name).items() if block in base}
        for name in found.ratios
    }


def _day(started: str) -> str:
    try:
        return f"{datetime.fromisoformat(started):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return started


def _document(title: str, body: list[Markup], samples: object) -> str:
    style, script = _resource("style.css"), _resource("script.js")
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
