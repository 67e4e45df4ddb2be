"""All figures of a report, for its page and for files of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from plait.lab.analysis import Analysis, CellAnalysis
from plait.lab.changes import Changes
from plait.lab.record import ContenderInfo, Record
from plait.lab.report.changed import changed
from plait.lab.report.conditions import titles
from plait.lab.report.decision_map import Point, decision_map
from plait.lab.report.distribution import distribution
from plait.lab.report.figure import Figure
from plait.lab.report.paired import paired
from plait.lab.report.runs import choose_runs
from plait.lab.report.series import Look, looks
from plait.lab.report.waterfall import Waterfalls, waterfalls
from plait.lab.report.why import steps
from plait.lab.samples import Timeline

__all__ = ["Figures", "NetworkFigures", "figures"]


class NetworkFigures(NamedTuple):
    """What is drawn of one network.

    Attributes:
        title: What the network is called.
        found: What was found on it.
        measured: The contenders that were.
        loads: How their loads are distributed; None when there are none.
        pairs: The blocks' ratios; None when there is nothing to compare with.
        falls: Single runs; None when nobody told when things happened.
        steps: The difference, taken apart; None when that cannot be done.
    """

    title: str
    found: CellAnalysis
    measured: list[ContenderInfo]
    loads: Figure | None
    pairs: Figure | None
    falls: Waterfalls | None
    steps: Figure | None


class Figures(NamedTuple):
    """What is drawn of a comparison.

    Attributes:
        looks: Of the contenders, in every figure.
        changes: What changed from an earlier run; none when there was none, or nothing in common with it.
        map: The main question's answer over the networks; None when there are not several.
        networks: In the order of the cells.
        timelines: Those that are drawn, by the number of the cell and of the sample in it.
    """

    looks: dict[str, Look]
    changes: list[Figure]
    map: Figure | None
    networks: list[NetworkFigures]
    timelines: dict[tuple[int, int], Timeline]


def figures(record: Record, analysis: Analysis, changes: Changes | None = None) -> Figures:
    """Draw a comparison.

    Args:
        record: The samples.
        analysis: What was found in them.
        changes: What changed from an earlier run.
    """
    named, shown = titles(record), looks(record)
    runs = [
        choose_runs(record, found, number, len(record.cells)) for number, found in enumerate(analysis.cells)
    ]
    by_network = dict(zip((cell.network for cell in record.cells), named, strict=True))
    networks = []
    for number, (title, found, chosen) in enumerate(zip(named, analysis.cells, runs, strict=True)):
        name = f"network-{number}"
        falls = waterfalls(f"{name}-falls", chosen.panels, record.resources, shown) if chosen.panels else None
        networks.append(_network(record, found, name, title, shown, falls))
    return Figures(
        looks=shown,
        changes=changed("changes-figure", changes, shown, by_network) if changes else [],
        map=_map(record, analysis, named),
        networks=networks,
        timelines={place: timeline for one in runs for place, timeline in one.kept.items()},
    )


def _map(record: Record, analysis: Analysis, named: Sequence[str]) -> Figure | None:
    points = [
        Point(one.cell.network, title, one.primary, f"network-{number}")
        for number, (one, title) in enumerate(zip(analysis.cells, named, strict=True))
        if one.cell.network
    ]
    question = analysis.question
    if question is None or len(points) < 2:
        return None
    return decision_map("map-figure", points, question.contender, question.reference, record.margin)


def _network(
    record: Record,
    found: CellAnalysis,
    name: str,
    title: str,
    shown: Mapping[str, Look],
    falls: Waterfalls | None,
) -> NetworkFigures:
    cell = found.cell
    base = cell.loads(record.reference)
    main = [record.reference, found.primary.contender] if found.primary else []
    loads = {one.name: list(times.values()) for one in record.contenders if (times := cell.loads(one.name))}
    ratios = {
        name: {block: load / base[block] for block, load in cell.loads(name).items() if block in base}
        for name in found.ratios
    }
    return NetworkFigures(
        title=title,
        found=found,
        measured=[one for one in record.contenders if one.name in loads],
        loads=distribution(f"{name}-ecdf", loads, shown, record.confidence, main) if loads else None,
        pairs=paired(f"{name}-pairs", list(found.ratios.values()), ratios, shown, record.margin)
        if ratios
        else None,
        falls=falls,
        steps=steps(f"{name}-steps", found.attribution) if found.attribution else None,
    )
