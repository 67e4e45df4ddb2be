"""Two runs of the same comparison: what changed from the first to the second.

The runs share no blocks, so whatever else changed between them, the machine's mood included, is part of
the difference; what is known to have changed is said beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from plait.lab.analysis import analyse
from plait.lab.network.profile import Direction, Network
from plait.lab.record import Cell, Environment, Record
from plait.lab.verdicts import Finding, adjusted_runs, judge_runs

__all__ = ["Change", "Changes", "changes_of", "compare_runs", "is_on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How one contender's time changed on one network.

    Attributes:
        network: The network; None on loopback, or over a real one.
        finding: The second run against the first.
    """

    network: Network | None
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed from one run to another.

    Attributes:
        before: The first run.
        after: The second.
        changes: One for each contender on each network that both runs measured.
        warnings: What else is different, a sentence each.
    """

    before: Record
    after: Record
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]


def compare_runs(before: Record, after: Record) -> Changes:
    """Compare two runs, contender by contender; all verdicts hold together at the second's confidence.

    Args:
        before: The first run.
        after: The second, whose margin counts.
    """
    return Changes(
        before=before,
        after=after,
        changes=tuple(changes_of(before, after, [one.name for one in after.contenders], margin=after.margin)),
        warnings=tuple(_warnings(before, after)),
    )


def changes_of(
    before: Record, after: Record, contenders: Sequence[str], *, margin: float, network: str | None = None
) -> list[Change]:
    """Judge some contenders on the networks that two runs share, all together.

    Args:
        before: The first run.
        after: The second, whose confidence counts.
        contenders: By name.
        margin: The difference of no practical interest, as a share.
        network: On which, by name or specification; None for all.
    """
    then_by_network = {_key(one.cell): one for one in analyse(before).cells}
    found = [
        (now.cell.network, name, earlier, later, now.refusal or then.refusal)
        for now in analyse(after).cells
        if is_on(now.cell.network, network) and (then := then_by_network.get(_key(now.cell)))
        for name in contenders
        if (earlier := list(then.cell.loads(name).values()))
        and (later := list(now.cell.loads(name).values()))
    ]
    levels = adjusted_runs(
        [([], []) if refusal else (earlier, later) for *_, earlier, later, refusal in found],
        margin=margin,
        confidence=after.confidence,
    )
    changes = []
    for (where, name, earlier, later, refusal), level in zip(found, levels, strict=True):
        finding = judge_runs(earlier, later, contender=name, margin=margin, confidence=level)
        changes.append(Change(network=where, finding=finding.refused(refusal) if refusal else finding))
    return changes


def is_on(network: Network | None, name: str | None) -> bool:
    """Say whether a network is the one that was asked for.

    Args:
        network: The network of a cell.
        name: Its name or specification; None asks for every one.
    """
    return name is None or (network is not None and name in (network.name, network.spec))


def _key(cell: Cell) -> tuple[Direction, Direction] | None:
    """Return what a network is, whatever it is called."""
    return (cell.network.down, cell.network.up) if cell.network else None


def _warnings(before: Record, after: Record) -> list[str]:
    warnings = []
    for what, old, new in (
        ("The workload", before.workload, after.workload),
        ("The server", urlsplit(before.base_url).hostname, urlsplit(after.base_url).hostname),
        ("The medium", str(before.medium), str(after.medium)),
        ("The number of requests under way", before.in_flight, after.in_flight),
        *_environment(before.environment, after.environment),
    ):
        if old != new:
            warnings.append(f"{what} changed from {old} to {new}.")
    if before.workload == after.workload and before.resources != after.resources:
        warnings.append("What was fetched changed: other paths, or other sizes.")
    old_cells, new_cells = ({_key(cell): _name(cell) for cell in one.cells} for one in (before, after))
    for cells, others, which in ((old_cells, new_cells, "first"), (new_cells, old_cells, "second")):
        warnings += [f"Only the {which} run has {name}." for key, name in cells.items() if key not in others]
    return warnings


def _environment(old: Environment, new: Environment) -> list[tuple[str, object, object]]:
    """List what may have changed; packages one by one."""
    return [
        *((word, getattr(old, name), getattr(new, name)) for name, word in _WORDS.items()),
        *(
            (name, old.packages.get(name, "none"), new.packages.get(name, "none"))
            for name in sorted(old.packages.keys() | new.packages.keys())
        ),
    ]


_WORDS = {
    "plait": "plait",
    "python": "Python",
    "openssl": "OpenSSL",
    "congestion_control": "TCP's congestion control",
    "kernel": "The kernel",
    "machine": "The machine's architecture",
    "cpu_count": "The number of processors",
}


def _name(cell: Cell) -> str:
    return cell.network.name if cell.network else "a cell without an emulated network"
