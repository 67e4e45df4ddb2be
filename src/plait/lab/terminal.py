"""From samples to what a person reads: two tables, and what was found in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from plait.lab import stats
from plait.lab.samples import ContenderInfo, Measurement, Record

__all__ = ["conclusion", "render", "write"]


FEWEST_RUNS = 4
"""Runs of each that it takes for a verdict: with three, ranges lie apart by chance in one case of ten."""


class _Column(NamedTuple):
    """One figure of a run, of which the table shows the median.

    Attributes:
        heading: With its unit.
        value: Reads it off a measurement; None where the platform did not tell.
        format: How it is written.
    """

    heading: str
    value: Callable[[Measurement], float | None]
    format: str


_COST = (
    _Column("user", lambda run: run.user, ".3f"),
    _Column("system", lambda run: run.system, ".3f"),
    _Column("CPU %", lambda run: run.cpu_percent, ".0f"),
    _Column("peak MiB", lambda run: run.peak_memory / 2**20, ".1f"),
)
_EXCHANGES = (
    _Column("req/s", lambda run: run.requests_per_second, ",.0f"),
    _Column("p50 ms", lambda run: stats.quantile(run.latencies, 0.5) / 1000, ".2f"),
    _Column("p99 ms", lambda run: stats.quantile(run.latencies, 0.99) / 1000, ".2f"),
    _Column("conns", lambda run: run.connections, ".0f"),
    _Column("sent KiB", lambda run: None if run.bytes_sent is None else run.bytes_sent / 1024, ",.1f"),
    _Column(
        "recv KiB", lambda run: None if run.bytes_received is None else run.bytes_received / 1024, ",.1f"
    ),
    _Column("server CPU", lambda run: None if run.server is None else run.server.total, ".3f"),
)


def write(record: Record, console: Console) -> None:
    """Print the tables and the conclusion."""
    console.print(render(record))


def render(record: Record) -> RenderableType:
    """Lay out the tables and the conclusion."""
    runs = len({sample.block for sample in record.samples})
    environment = record.environment
    head = (
        f"{record.scenario}: {record.requests:,} requests a crawl; times in seconds, "
        f"medians of {runs} {'run' if runs == 1 else 'runs'} in random order, seed {record.seed}\n"
        f"plait {environment.plait}, {environment.python}, {environment.kernel}, "
        f"{environment.cpu_count} CPUs\n"
    )
    failures = [
        f"{contender.title} failed in {len(reasons)} of {runs} runs and is timed in the others: {reasons[0]}"
        if record.measurements(contender.name)
        else f"{contender.title} failed and is not timed: {reasons[0]}"
        for contender in record.contenders
        if (reasons := record.failures(contender.name))
    ]
    return Group(
        Text(head),
        _cost_table(record),
        Text(),
        _exchange_table(record),
        Text(),
        *(Text(failure, style="red") for failure in failures),
        Text(conclusion(record)),
    )


def _table(*headings: str) -> Table:
    # One space between the columns, so that eighty hold them.
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if table.columns else "left", no_wrap=True)
    return table


def _cost_table(record: Record) -> Table:
    table = _table(
        "", *(column.heading for column in _COST[:3]), "elapsed", "min-max", "ratio", _COST[3].heading
    )
    first = _elapsed(record, record.contenders[0])
    for contender in record.contenders:
        runs = record.measurements(contender.name)
        if not runs:
            table.add_row(contender.title, *["-"] * 3, "failed", *["-"] * 3, style="red")
            continue
        elapsed = _elapsed(record, contender)
        low, high = stats.spread(elapsed)
        table.add_row(
            contender.title,
            *_cells(_COST[:3], runs),
            f"{stats.median(elapsed):.3f}",
            f"{low:.3f}-{high:.3f}",
            f"{stats.median(elapsed) / stats.median(first):.2f}" if first else "-",
            *_cells(_COST[3:], runs),
        )
    return table


def _exchange_table(record: Record) -> Table:
    table = _table("", *(column.heading for column in _EXCHANGES))
    for contender in record.contenders:
        runs = record.measurements(contender.name)
        table.add_row(contender.title, *_cells(_EXCHANGES, runs), style=None if runs else "red")
    return table


def _cells(columns: Sequence[_Column], runs: Sequence[Measurement]) -> list[str]:
    cells = []
    for column in columns:
        values = [value for run in runs if (value := column.value(run)) is not None]
        cells.append(format(stats.median(values), column.format) if values else "-")
    return cells


def _elapsed(record: Record, contender: ContenderInfo) -> list[float]:
    return [run.elapsed for run in record.measurements(contender.name)]


def conclusion(record: Record) -> str:
    """Say what was found, one thing a line.

    One HTTP/1.1 connection against a window of HTTP/2 streams changes two things: the protocol, and
    how many requests are under way. So the comparisons that change one thing stand beside it.
    """
    found = [
        frame.format(_verdict(record, name, other))
        for name, other, frame in _QUESTIONS
        if record.measurements(name) and record.measurements(other)
    ]
    where = (
        "On this one machine, over loopback and so with no network in between"
        if record.loopback
        else f"From this one machine to {record.base_url}, over whatever network lay in between meanwhile"
    )
    if not found:
        return f"{where}, nothing can be said: too few crawlers finished."
    return "\n- ".join([f"{where}:", *found])


_QUESTIONS = (
    (
        "h2-window",
        "h1-serial",
        "{} That changes two things at once: the protocol, and how many requests are under way.",
    ),
    ("h2-serial", "h1-serial", "The protocol alone, one request at a time: {}"),
    ("h1-pool-6", "h1-serial", "More requests under way, without HTTP/2: {}"),
    ("h2-window", "h2-serial", "More requests under way, over one connection of HTTP/2: {}"),
    ("h2-window", "h1-pool-6", "Many requests under way in both: {}"),
    ("h2-chunks", "requests", "{} That changes three things: the two from above, and the client."),
)
"""Who is compared with whom, and how the answer is put."""


def _verdict(record: Record, name: str, other: str) -> str:
    titles = {contender.name: contender.title for contender in record.contenders}
    mine = [run.elapsed for run in record.measurements(name)]
    theirs = [run.elapsed for run in record.measurements(other)]
    took, base = stats.median(mine), stats.median(theirs)
    times = f"{took:.3f} s against {base:.3f} s"
    if min(len(mine), len(theirs)) < FEWEST_RUNS:
        return f"{titles[name]} took {times} of {titles[other]}; too few runs to call that a difference."
    if stats.spread(mine).overlaps(stats.spread(theirs)):
        return f"{titles[name]} and {titles[other]} do not differ clearly ({times}; their ranges overlap)."
    factor = f"{base / took:.1f} times quicker" if took < base else f"{took / base:.1f} times slower"
    return f"{titles[name]} was {factor} than {titles[other]} ({times})."
