"""Where and with what it was measured, how to repeat it, and the raw samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plait.lab import stats
from plait.lab.record import Cell, Record
from plait.lab.report.figure import table
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.units import count, duration, percent
from plait.lab.samples import LinkUse

__all__ = ["command_words", "environment"]


def environment(record: Record, titles: Sequence[str]) -> Markup:
    """Write the section on the environment.

    Args:
        record: What was measured.
        titles: What each network is called, in the order of the cells.
    """
    where = record.environment
    packages = ", ".join(f"{name} {version}" for name, version in sorted(where.packages.items()))
    facts = [
        ("Measured", record.started),
        ("Fetched", f"{record.workload}: {len(record.resources):,} resources from {record.base_url}"),
        ("In flight", f"{record.in_flight} requests, for contenders that multiplex"),
        ("Seed", f"{record.seed}, of the random order and of the networks"),
        ("plait", where.plait),
        ("Python", where.python),
        ("TLS", where.openssl),
        ("Packages", packages),
        ("Kernel", where.kernel),
        ("Congestion control", where.congestion_control or "– (the system does not tell)"),
        ("Machine", f"{where.machine}, {where.cpu_count} processors"),
    ]
    return join(
        [
            tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)),
            _links(record, titles) or "",
            tag("h3", "To measure it again"),
            tag("pre", tag("code", *command_words(record.command)), class_="command", tabindex="0"),
            tag("p", tag("button", "Copy the command", type="button", id="copy", class_="scripted")),
            tag("h3", "Raw samples"),
            tag(
                "p",
                "The samples of this run are part of this file, without the latencies of single requests "
                "and without the timelines that are not drawn. ",
                tag("button", "Save them as JSON", type="button", id="save", class_="scripted"),
                " What is saved is read by ",
                tag("code", "plait report"),
                ".",
            ),
        ]
    )


def command_words(command: str) -> Iterator[Markup]:
    """Keep the words of a command whole where its line breaks."""
    for index, word in enumerate(command.split(" ")):
        yield join([" " if index else "", tag("span", word)])


def _links(record: Record, titles: Sequence[str]) -> Markup | None:
    """Say what the emulated links added of their own; None where there were none."""
    rows = [row for cell, title in zip(record.cells, titles, strict=True) for row in _link_rows(title, cell)]
    if not rows:
        return None
    head = [
        "network", "runs", "late by, median", "99 % less late than", "worst", "busy, at most",
        "could carry", "overruns", "lost", "dropped",
    ]  # fmt: skip
    return join(
        [
            tag("h3", "What the emulated link added of its own"),
            table("Lateness of packets and load of the emulator", head, rows),
        ]
    )


def _link_rows(title: str, cell: Cell) -> Iterator[list[str]]:
    used: list[LinkUse] = [sample.link for sample in cell.samples if sample.link]
    if used:
        yield [
            title,
            count(len(used)),
            duration(stats.median([one.late_median for one in used])),
            duration(stats.median([one.late_p99 for one in used])),
            duration(max(one.late_max for one in used)),
            percent(max(one.busy for one in used)),
            f"{stats.median([one.capacity for one in used]):,.0f} packets/s",
            count(sum(one.overruns for one in used)),
            count(sum(one.down.lost + one.up.lost for one in used)),
            count(sum(one.down.dropped + one.up.dropped for one in used)),
        ]
