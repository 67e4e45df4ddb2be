"""What a record says: findings with their verdicts, the noise floor, and what to be careful about.

The table on the terminal, the report and ``--fail-if`` all read this, so that they cannot disagree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from plait.lab import stats
from plait.lab.attribution import Attribution, attribute
from plait.lab.network.emulator import bottleneck
from plait.lab.questions import Question, asked, primary
from plait.lab.record import Cell, Record
from plait.lab.samples import Measurement, Medium
from plait.lab.verdicts import Finding, Verdict, adjusted, judge, log_ratios

__all__ = ["Analysis", "Answer", "CellAnalysis", "Failures", "analyse"]

BOTTLENECK_SHARE = 0.1
"""Of the runs of a contender: fewer than that cannot carry an interval of a median with them, whose ends
leave at least the outermost tenth of ten blocks out."""
VARIES = 0.1
"""Loads that vary more than that from one block to the next are worth a word (pyperf warns at 10 %, too)."""
DRIFTS = 0.01
"""How unlikely a trend must be to be called one."""
PREEMPTED = 1000
"""Times a second of CPU that a process is made to wait, from which on others compete for its processor all
the time: 1,500 where every processor has two processes that compute (Linux 6.18), some hundreds where only
the lab's own server wakes up beside it. An emulated link wakes up for every few packets, so it says nothing
there; the link tells by itself when it was late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A question, and what was found.

    Attributes:
        question: Who is compared with whom, and what changes.
        finding: How they differ.
    """

    question: Question
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Runs of one contender that do not count.

    Attributes:
        contender: By name.
        failed: How many.
        runs: Of how many.
        reason: Why the first of them does not.
    """

    contender: str
    failed: int
    runs: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellAnalysis:
    """What was found on one network.

    Attributes:
        cell: Its samples.
        primary: The finding that the verdict is about; None when one of the two has no measured run.
        answers: What one change does, each; the primary question first.
        ratios: Every contender against the record's reference, by the contender's name.
        noise: The reference against itself: what chance does; None when it did not run twice.
        refusal: Why no verdict of this cell can be trusted, in words that go into brackets; or None.
        attribution: Where the difference comes from; None when the contenders it takes are missing.
        failures: Of the contenders that failed.
        warnings: What to be careful about, a sentence each.
    """

    cell: Cell
    primary: Finding | None
    answers: tuple[Answer, ...]
    ratios: dict[str, Finding]
    noise: Finding | None
    refusal: str | None
    attribution: Attribution | None
    failures: tuple[Failures, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What was found.

    Attributes:
        record: The samples.
        question: What the verdict of every cell is about; None when nobody takes part who could.
        cells: In the order of the record.
        warnings: What to be careful about in all of them, a sentence each.
    """

    record: Record
    question: Question | None
    cells: tuple[CellAnalysis, ...]
    warnings: tuple[str, ...]


def analyse(record: Record) -> Analysis:
    """Find out what a record says.

    The primary question is judged in all cells together (see :func:`plait.lab.verdicts.adjusted`), the
    others each by itself.

    Args:
        record: The samples.
    """
    question = primary(record)
    noises = [_noise(record, cell) for cell in record.cells]
    refusals = [
        _held_up(record, cell) or _indistinct(noise) for cell, noise in zip(record.cells, noises, strict=True)
    ]
    levels = [record.confidence] * len(record.cells)
    if question is not None:
        family = [
            [] if refusal else log_ratios(cell, question.contender, question.reference)
            for cell, refusal in zip(record.cells, refusals, strict=True)
        ]
        levels = adjusted(family, margin=record.margin, confidence=record.confidence)
    return Analysis(
        record=record,
        question=question,
        cells=tuple(
            _analyse_cell(record, *of_cell)
            for of_cell in zip(record.cells, noises, refusals, levels, strict=True)
        ),
        warnings=tuple(_general(record)),
    )


def _analyse_cell(
    record: Record, cell: Cell, noise: Finding | None, refusal: str | None, confidence: float
) -> CellAnalysis:
    question = primary(record)

    def find(contender: str, reference: str) -> Finding | None:
        same = question and (contender, reference) == (question.contender, question.reference)
        finding = _find(record, cell, contender, reference, confidence if same else record.confidence)
        return finding.refused(refusal) if finding and refusal else finding

    ratios = {
        one.name: finding
        for one in record.contenders
        if one.name != record.reference and (finding := find(one.name, record.reference))
    }
    return CellAnalysis(
        cell=cell,
        primary=find(question.contender, question.reference) if question else None,
        answers=tuple(
            Answer(question=one, finding=finding)
            for one in asked(record)
            if (finding := find(one.contender, one.reference))
        ),
        ratios=ratios,
        noise=noise,
        refusal=refusal,
        attribution=None if refusal else attribute(record, cell),
        failures=tuple(_failures(record, cell)),
        warnings=tuple(_warnings(record, cell)),
    )


def _find(record: Record, cell: Cell, contender: str, reference: str, confidence: float) -> Finding | None:
    ratios = log_ratios(cell, contender, reference)
    if not ratios:
        return None
    return judge(
        ratios, contender=contender, reference=reference, margin=record.margin, confidence=confidence
    )


def _noise(record: Record, cell: Cell) -> Finding | None:
    for one in record.contenders:
        if one.again is not None:
            return _find(record, cell, one.name, one.again, record.confidence)
    return None


def _indistinct(noise: Finding | None) -> str | None:
    if noise is not None and noise.verdict in (Verdict.FASTER, Verdict.SLOWER):
        return f"the lab could not tell a contender from itself: it was {noise.words()}"
    return None


def _held_up(record: Record, cell: Cell) -> str | None:
    for one in record.contenders:
        uses = [s.link for s in cell.samples if s.contender == one.name and s.link and s.measurement]
        reasons = [reason for use in uses if (reason := bottleneck(use, cell.network))]
        if len(reasons) > BOTTLENECK_SHARE * len(uses):
            return f"{reasons[0]}, in {len(reasons)} of {len(uses)} runs of {one.title}"
    return None


def _failures(record: Record, cell: Cell) -> list[Failures]:
    return [
        Failures(
            contender=one.name,
            failed=len(reasons),
            runs=sum(sample.contender == one.name for sample in cell.samples),
            reason=reasons[0],
        )
        for one in record.contenders
        if (reasons := cell.failures(one.name))
    ]


def _general(record: Record) -> list[str]:
    if record.medium is Medium.MODELLED:
        return [
            "The network was modelled by delaying bytes, not emulated packet by packet: there is no loss, "
            "no queue and no slow start in these figures."
        ]
    return []


def _warnings(record: Record, cell: Cell) -> list[str]:
    warnings = []
    for one in record.contenders:
        runs = cell.measurements(one.name)
        failed = cell.failures(one.name)
        if failed and runs:
            warnings.append(
                f"{one.title} failed in {len(failed)} of {len(runs) + len(failed)} runs and is judged by "
                f"the others, which may be the lucky ones: {failed[0]}"
            )
        elif failed:
            warnings.append(f"{one.title} failed in every run and is not judged: {failed[0]}")
    return warnings + _noisy(record, cell)


def _noisy(record: Record, cell: Cell) -> list[str]:
    """Warn of a machine that did something else meanwhile."""
    warnings = []
    for one in record.contenders if cell.network is None else ():
        runs = cell.measurements(one.name)
        preempted = stats.median([_preemptions(run) for run in runs]) if runs else 0
        if preempted > PREEMPTED:
            warnings.append(
                f"The machine was busy: {one.title} had to give up its processor {preempted:.0f} times "
                "a second of CPU."
            )
            break
    runs = cell.measurements(record.reference)
    loads = [run.load for run in runs]
    title = record.title(record.reference) if runs else ""
    if len(loads) > 1 and not _random(record, cell) and (share := stats.variation(loads)) > VARIES:
        warnings.append(
            f"Loads of {title} vary by {share:.0%}, and no randomness of the network explains it."
        )
    half = len(loads) // 2
    if half and stats.drift(loads) < DRIFTS:
        change = math.log(stats.median(loads[-half:]) / stats.median(loads[:half]))
        if abs(change) > math.log1p(record.margin):
            warnings.append(
                f"Loads of {title} {'rose' if change > 0 else 'fell'} by {abs(math.expm1(change)):.0%} from "
                "the first half of the blocks to the second; ratios are taken within blocks and suffer "
                "less, but something changed."
            )
    return warnings


def _preemptions(run: Measurement) -> float:
    cpu = run.user + run.system
    # A process that hardly computes is hardly preempted, and one preemption more is no rate.
    return run.involuntary_switches / cpu if cpu > 0.05 else 0.0


def _random(record: Record, cell: Cell) -> bool:
    """Say whether the network itself makes runs differ."""
    ways = (cell.network.down, cell.network.up) if cell.network else ()
    return record.medium is Medium.REAL or any(way.loss or way.jitter for way in ways)
