"""One comparison from beginning to end: every contender on every network, and the record of it."""

from __future__ import annotations

import os
import platform
import ssl
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

from plait._version import __version__
from plait.errors import PlaitError
from plait.lab.contenders.base import Contender
from plait.lab.network.link import Link
from plait.lab.network.profile import Network
from plait.lab.questions import asked
from plait.lab.record import Cell, ContenderInfo, Environment, Record, ResourceInfo
from plait.lab.runner import Job, run_once, with_losses
from plait.lab.samples import Sample
from plait.lab.schedule import Blocks, run_blocks, seed_of
from plait.lab.server_process import Running
from plait.lab.verdicts import log_ratios, narrow_enough

__all__ = ["Outcome", "Plan", "Progress", "compare"]

Progress = Callable[[int, int, str], None]
"""Told the number of the network, of the block, and the contender that run next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is compared, and how thoroughly.

    Attributes:
        job: What every run does.
        contenders: Who takes part, in the order of the table.
        reference: The name of the contender that the others are compared with.
        networks: Each makes a cell; ``(None,)`` for whatever the link is by itself.
        blocks: How many blocks in each cell.
        seed: Of the orders and of the links.
        margin: The difference of no practical interest, as a share.
        confidence: Of every interval.
        command: The command that repeats the comparison.
    """

    job: Job
    contenders: tuple[Contender, ...]
    reference: str
    networks: tuple[Network | None, ...]
    blocks: Blocks
    seed: int
    margin: float
    confidence: float
    command: str

    @property
    def infos(self) -> tuple[ContenderInfo, ...]:
        """The contenders as the record names them."""
        return tuple(
            ContenderInfo(name=one.name, title=one.title(self.job.in_flight), again=one.again)
            for one in self.contenders
        )


class Outcome(NamedTuple):
    """What came of a plan.

    Attributes:
        record: The blocks that are done.
        stopped: What kept it from the others, Ctrl-C or a failure; None when it is complete.
    """

    record: Record
    stopped: KeyboardInterrupt | PlaitError | None


def compare(plan: Plan, link: Link, *, server: Running | None, progress: Progress) -> Outcome:
    """Run the plan.

    Args:
        plan: What to do.
        link: What lies between the contenders and the server.
        server: The server, when it is ours: then its CPU is measured.
        progress: Told what runs next.

    Raises:
        PlaitError: The server or the link failed before any block was done.
    """
    record = Record(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=plan.command,
        environment=_environment(plan.contenders, link),
        workload=plan.job.workload.name,
        base_url=plan.job.target.base_url,
        medium=link.medium,
        resources=tuple(
            ResourceInfo(path=one.path, kind=one.kind, size=expected.size)
            for one, expected in zip(plan.job.workload.resources, plan.job.workload.expected, strict=True)
        ),
        in_flight=plan.job.in_flight,
        seed=plan.seed,
        margin=plan.margin,
        confidence=plan.confidence,
        reference=plan.reference,
        contenders=plan.infos,
        cells=(),
    )
    # Every pair that something will be said of.
    pairs = {(one.contender, one.reference) for one in asked(record)}
    others = (one.name for one in plan.contenders if one.again is None and one.name != plan.reference)
    pairs |= {(name, plan.reference) for name in others}
    taken: list[list[Sample]] = []
    stopped: KeyboardInterrupt | PlaitError | None = None
    try:
        _warm_up(plan, link, server)
        for number in range(len(plan.networks)):
            taken.append([])
            for sample in _run_cell(plan, pairs, link, number, server, progress):
                taken[-1].append(sample)
    except (KeyboardInterrupt, PlaitError) as reason:
        # What broke off in a block would have told of some of the contenders only.
        if taken and taken[-1]:
            last = taken[-1][-1].block
            taken[-1] = [sample for sample in taken[-1] if sample.block < last]
        taken = [samples for samples in taken if samples]
        if not taken:
            raise
        stopped = reason
    cells = (
        Cell(network=network, samples=tuple(samples))
        for network, samples in zip(plan.networks, taken, strict=False)
    )
    return Outcome(replace(record, cells=tuple(cells)), stopped)


def _warm_up(plan: Plan, link: Link, server: Running | None) -> None:
    """Have the server do everything once before anything is measured."""
    link.begin(None, 0)
    for http in ("1", "2"):
        warm = next((one.name for one in plan.contenders if one.http == http), None)
        if warm:
            run_once(warm, plan.job, host=link.client, server_pid=None)
    link.end()
    if server is not None:
        server.check()


def _run_cell(
    plan: Plan,
    pairs: Collection[tuple[str, str]],
    link: Link,
    number: int,
    server: Running | None,
    progress: Progress,
) -> Iterator[Sample]:
    network = plan.networks[number]
    # As strict as it has to be for the verdicts on all networks to hold together.
    confidence = 1 - (1 - plan.confidence) / len(plan.networks)

    def run(contender: str, block: int, position: int) -> Sample:
        progress(number, block, contender)
        # The same seed for the whole block: all its runs get the same luck, as far as luck is random.
        link.begin(network, seed_of(plan.seed, number, block))
        pid = None if server is None else server.process.pid
        outcome, began = run_once(contender, plan.job, host=link.client, server_pid=pid)
        report = link.end()
        if server is not None:
            server.check()  # without it there is nothing more to measure
        failure, measurement = (
            (outcome, None) if isinstance(outcome, str) else (None, with_losses(outcome, began, report))
        )
        return Sample(
            block=block,
            position=position,
            contender=contender,
            failure=failure,
            measurement=measurement,
            link=report.use,
        )

    def wanted(samples: Sequence[Sample]) -> set[str]:
        cell = Cell(network=network, samples=tuple(samples))
        found: set[str] = set()
        for pair in pairs:
            ratios = log_ratios(cell, *pair)
            # Who has failed in all the blocks so far would go on failing.
            if ratios and not narrow_enough(
                ratios, confidence=confidence, least=plan.blocks.least, most=plan.blocks.most
            ):
                found.update(pair)
        # The measure of chance comes from the same blocks.
        return found | {one.name for one in plan.contenders if one.again in found}

    return run_blocks(
        [one.name for one in plan.contenders],
        run,
        blocks=plan.blocks,
        seed=seed_of(plan.seed, number),
        wanted=wanted,
    )


def _environment(contenders: Sequence[Contender], link: Link) -> Environment:
    system = platform.uname()
    packages = {name: version(name) for name in ("ngh2", "httptools", "uvloop") if find_spec(name)}
    for contender in contenders:
        packages |= contender.versions()
    return Environment(
        plait=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        openssl=ssl.OPENSSL_VERSION,
        packages=packages,
        congestion_control=link.congestion_control,
        kernel=f"{system.system} {system.release}",
        machine=system.machine,
        cpu_count=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )
