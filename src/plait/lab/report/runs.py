"""Which runs are drawn as waterfalls: the median block's, and no more requests than one can look at."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from plait.lab import stats
from plait.lab.analysis import CellAnalysis
from plait.lab.record import Cell, Record
from plait.lab.report.waterfall import SHOWN, Panel
from plait.lab.samples import Timeline

__all__ = ["Runs", "choose_runs"]

_ALL_SHOWN = 900
"""Requests drawn in all networks together."""


class Runs(NamedTuple):
    """The runs of one cell that are drawn.

    Attributes:
        panels: Those of the main question first.
        kept: Their timelines, by the number of the cell and of the sample in it.
    """

    panels: list[Panel]
    kept: dict[tuple[int, int], Timeline]


def choose_runs(record: Record, found: CellAnalysis, number: int, cells: int) -> Runs:
    """Choose the runs of one cell.

    All contenders are drawn where there is one network, and those of the main question where there are
    several, of fewer requests the more there are.

    Args:
        record: What was measured.
        found: What was found in the cell.
        number: The number of the cell.
        cells: How many there are.
    """
    cell = found.cell
    pair = [record.reference, found.primary.contender] if found.primary else [record.reference]
    block = _median_block(cell, pair)
    others = [one.name for one in record.contenders if one.again is None and one.name not in pair]
    names = pair + others if cells == 1 else pair
    limit = max(20, min(SHOWN, _ALL_SHOWN // (len(names) * cells or 1)))
    panels, kept = [], {}
    for name in names:
        at = _run(cell, name, block)
        if at is None:
            continue
        sample = cell.samples[at]
        assert sample.measurement
        assert sample.measurement.timeline
        timeline = first(sample.measurement.timeline, limit)
        panels.append(
            Panel(
                contender=name,
                title=record.title(name),
                block=sample.block,
                load=sample.measurement.load,
                requests=len(record.resources),
                timeline=timeline,
                open=name in pair,
            )
        )
        kept[number, at] = timeline
    return Runs(panels, kept)


def first(timeline: Timeline, limit: int) -> Timeline:
    """Cut a timeline to its first requests, the connections that they used, and what was lost meanwhile."""
    requests = timeline.requests[:limit]
    end = max((one.done for one in requests), default=0)
    used = sorted({one.connection for one in requests})
    place = {connection: index for index, connection in enumerate(used)}
    return replace(
        timeline,
        connections=tuple(timeline.connections[index] for index in used),
        requests=tuple(one._replace(connection=place[one.connection]) for one in requests),
        losses=tuple(one for one in timeline.losses if one.at <= end),
    )


def _median_block(cell: Cell, pair: list[str]) -> int | None:
    """Find the block whose ratio is the median, among those of which both timelines are there."""
    drawable = [blocks for name in pair if (blocks := _with_timeline(cell, name))]
    common = set.intersection(*drawable) if drawable else set()
    if not common:
        return None
    loads = [cell.loads(name) for name in pair]
    values = {block: loads[-1][block] / loads[0][block] if len(pair) > 1 else loads[0][block]
              for block in common}  # fmt: skip
    middle = stats.median([*values.values()])
    return min(sorted(common), key=lambda block: abs(values[block] - middle))


def _with_timeline(cell: Cell, name: str) -> set[int]:
    return {
        sample.block
        for sample in cell.samples
        if sample.contender == name and sample.measurement and sample.measurement.timeline
    }


def _run(cell: Cell, name: str, block: int | None) -> int | None:
    """Find the run of a contender to draw: that of the block, or else the one nearest to its median."""
    found = {
        at: sample.measurement.load
        for at, sample in enumerate(cell.samples)
        if sample.contender == name and sample.measurement and sample.measurement.timeline
    }
    if not found:
        return None
    same = [at for at in found if cell.samples[at].block == block]
    middle = stats.median([*found.values()])
    return same[0] if same else min(found, key=lambda at: abs(found[at] - middle))
