"""Why one contender was faster: the difference, taken apart by contenders in between.

Between HTTP/1.1 on six connections and HTTP/2 stand contenders that change one thing each, so the
difference is the sum of steps, in logarithms. That is an attribution and not a proof, for three
reasons: what a step is worth depends on the order in which steps are taken (with header compression
first it would be measured on six connections); a step changes all that follows from its one thing, not
only the one effect it is named after (many connections wait less, and also begin with more windows of
slow start); and medians of ratios add up only nearly, so that what is left over is stated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from plait.lab import stats
from plait.lab.questions import BROWSER, on_most
from plait.lab.record import Cell, Record
from plait.lab.verdicts import Finding, Verdict, judge, log_ratios

__all__ = ["Attribution", "Handshakes", "Share", "attribute"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshakes:
    """What connecting and TLS took, added up over the connections, which are set up side by side.

    Attributes:
        before: Seconds before a step, the median.
        after: Seconds after it, the median.
    """

    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One step of the difference.

    Attributes:
        finding: The contender after the step against the one before it.
        cause: What the step changes, in words.
        log: The logarithm of its ratio: below 0 is time saved.
        share: Of the logarithm of the whole ratio: negative where the step works against the rest, None
            where the whole is no difference to speak of.
        handshakes: None where the clients do not tell.
    """

    finding: Finding
    cause: str
    log: float
    share: float | None
    handshakes: Handshakes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """A difference and its steps, all from the blocks in which every contender of them was measured.

    Attributes:
        whole: The last contender against the first.
        shares: The steps, in order.
        rest: What the logarithms of the steps lack of the whole's, because medians do not add up.
        head_of_line: Several HTTP/2 connections against one where packets were lost: what of a lost packet
            every exchange of one connection waits for. None where nothing was lost, or nobody measured it.
    """

    whole: Finding
    shares: tuple[Share, ...]
    rest: float
    head_of_line: Finding | None


_WAITING = "waiting for a free connection"
_STEPS = (
    ("h1x6", ""),
    ("h1xN", _WAITING),
    ("h2-static", "one connection instead of many: handshakes, slow start, and waiting behind lost packets"),
    ("h2", "the dynamic table of header compression"),
)
"""Contenders from the first to the last, and what changes from each to the next."""


def attribute(record: Record, cell: Cell) -> Attribution | None:
    """Take the difference between six HTTP/1.1 connections and HTTP/2 apart.

    A contender in between that was not measured joins two steps into one.

    Args:
        record: Whose margin and confidence count, the latter for every interval by itself.
        cell: One of its cells.

    Returns:
        None when one of the two ends was not measured, or nothing stands between them.
    """
    names = [one.name for one in record.contenders]
    steps = [(on_most(name, names) or name, cause) for name, cause in _STEPS]
    loads = {name: cell.loads(name) for name, _ in steps}
    present = [name for name in loads if loads[name]]
    if len(present) < 3 or present[0] != _STEPS[0][0] or present[-1] != _STEPS[-1][0]:
        return None
    blocks = sorted(set.intersection(*(set(loads[name]) for name in present)))
    if not blocks:
        return None

    def find(contender: str, reference: str) -> Finding:
        ratios = [math.log(loads[contender][block] / loads[reference][block]) for block in blocks]
        return _judge(record, ratios, contender, reference)

    whole = find(present[-1], present[0])
    total = math.log(whole.ratio)
    decided = whole.verdict in (Verdict.FASTER, Verdict.SLOWER)
    shares, causes = [], []
    before = present[0]
    for name, cause in steps[1:]:
        if cause != _WAITING or record.in_flight > BROWSER:  # else there is a connection for every request
            causes.append(cause)
        if name in present:
            finding = find(name, before)
            log = math.log(finding.ratio)
            shares.append(
                Share(
                    finding=finding,
                    cause="; ".join(causes),
                    log=log,
                    share=log / total if decided else None,
                    handshakes=_handshakes(cell, before, name),
                )
            )
            before, causes = name, []
    return Attribution(
        whole=whole,
        shares=tuple(shares),
        rest=total - sum(share.log for share in shares),
        head_of_line=_head_of_line(record, cell),
    )


def _handshakes(cell: Cell, before: str, after: str) -> Handshakes | None:
    old, new = (
        [run.handshakes for run in cell.measurements(name) if run.handshakes is not None]
        for name in (before, after)
    )
    return Handshakes(before=stats.median(old), after=stats.median(new)) if old and new else None


def _head_of_line(record: Record, cell: Cell) -> Finding | None:
    several = on_most("h2xN", [one.name for one in record.contenders])
    ratios = log_ratios(cell, several, "h2") if several else []
    return _judge(record, ratios, several, "h2") if several and ratios and _loses(cell) else None


def _judge(record: Record, ratios: Sequence[float], contender: str, reference: str) -> Finding:
    return judge(
        ratios,
        contender=contender,
        reference=reference,
        margin=record.margin,
        confidence=record.confidence,
    )


def _loses(cell: Cell) -> bool:
    """Say whether packets were lost, at random or to a full queue."""
    if cell.network and (cell.network.down.loss or cell.network.up.loss):
        return True
    ways = [way for sample in cell.samples if sample.link for way in (sample.link.down, sample.link.up)]
    return any(way.lost or way.dropped for way in ways)
