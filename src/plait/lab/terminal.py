"""From samples to what a person reads on a terminal: tables, and what was found in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from plait.lab import stats
from plait.lab.analysis import Analysis, CellAnalysis
from plait.lab.changes import Changes
from plait.lab.network.spec import describe
from plait.lab.record import Cell, Record
from plait.lab.samples import Measurement, Medium
from plait.lab.verdicts import Finding, Verdict, number

__all__ = ["render", "write", "write_changes"]

FULL_CELLS = 6
"""Networks that are told of in full; of more, a line each."""

_STYLES = {Verdict.FASTER: "green", Verdict.SLOWER: "red", Verdict.SAME: "", Verdict.OPEN: "dim"}


class _Column(NamedTuple):
    """One figure of a run, of which a table shows the median.

    Attributes:
        heading: With its unit.
        value: Reads it off a measurement; None where the platform or the client does not tell.
        format: How it is written.
    """

    heading: str
    value: Callable[[Measurement], float | None]
    format: str


def _kib(value: int | None) -> float | None:
    return None if value is None else value / 1024


def _latency(run: Measurement, fraction: float) -> float | None:
    # Samples saved from a page have none.
    return stats.quantile(run.latencies, fraction) / 1000 if run.latencies else None


def _fields_saved(run: Measurement) -> float | None:
    if run.fields is None:
        return None
    written = run.fields.request + run.fields.response
    return 100 * (1 - (run.fields.request_wire + run.fields.response_wire) / written)


_COST = (
    _Column("user", lambda run: run.user, ".3f"),
    _Column("system", lambda run: run.system, ".3f"),
    _Column("CPU %", lambda run: run.cpu_percent, ".0f"),
    _Column("elapsed", lambda run: run.elapsed, ".3f"),
    _Column("peak MiB", lambda run: run.peak_memory / 2**20, ".1f"),
    _Column("server CPU", lambda run: None if run.server is None else run.server.total, ".3f"),
)
_WIRE = (
    _Column("p50 ms", lambda run: _latency(run, 0.5), ",.1f"),
    _Column("p99 ms", lambda run: _latency(run, 0.99), ",.1f"),
    _Column("conns", lambda run: run.connections, ".0f"),
    _Column("sent KiB", lambda run: _kib(run.bytes_sent), ",.1f"),
    _Column("recv KiB", lambda run: _kib(run.bytes_received), ",.1f"),
    _Column("headers -%", _fields_saved, ".0f"),
)


def write(record: Record, analysis: Analysis, console: Console) -> None:
    """Print everything."""
    console.print(render(record, analysis))


def write_changes(changes: Changes, console: Console) -> None:
    """Print what changed from one run to another."""
    before, after = changes.before, changes.after
    console.print(Text(f"From {before.started} to {after.started}:", style="bold"))
    table = _table("", "network", "ratio", "interval", "verdict")
    table.columns[1].justify = table.columns[-1].justify = "left"
    for change in changes.changes:
        finding = change.finding
        table.add_row(
            after.title(finding.contender),
            f" {change.network.name}" if change.network else "",
            *_ratio(finding),
            f" {finding.verdict}",
            style=_STYLES[finding.verdict],
        )
    console.print(Group(table, *_lines(changes.warnings)))


def render(record: Record, analysis: Analysis) -> RenderableType:
    """Lay everything out."""
    cells = analysis.cells
    parts: list[RenderableType] = [Text(_head(record))]
    if len(cells) > FULL_CELLS:
        parts += [_overview(analysis), Text()]
    else:
        for cell in cells:
            parts += [*_cell(record, cell), Text()]
    parts += [Text(f"Note: {warning}", style="yellow") for warning in analysis.warnings]
    return Group(*parts)


def _head(record: Record) -> str:
    environment = record.environment
    requests = len(record.resources)
    where = {
        Medium.LOOPBACK: "over loopback, so with no network in between",
        Medium.REAL: f"from {record.base_url}, over whatever network lay in between",
        Medium.EMULATED: f"over emulated networks, TCP {environment.congestion_control}",
        Medium.MODELLED: "over a relay that delays bytes: modelled, not emulated",
    }[record.medium]
    return (
        f"{record.workload}: {requests:,} requests a load, {where}\n"
        f"plait {environment.plait}, {environment.python}, {environment.kernel}, "
        f"{environment.cpu_count} CPUs; seed {record.seed}\n"
    )


def _cell(record: Record, found: CellAnalysis) -> Iterator[RenderableType]:
    cell = found.cell
    if cell.network is not None:
        yield Text(f"{cell.network.name}: {describe(cell.network)}", style="bold")
    blocks = len({sample.block for sample in cell.samples})
    yield Text(f"Seconds, medians of up to {blocks} blocks; ratios to {record.title(record.reference)}")
    yield _loads(record, found)
    yield Text()
    yield _figures(record, cell, _COST)
    yield Text()
    yield _figures(record, cell, _WIRE)
    yield Text()
    verdict, *others = _findings(record, found)
    yield verdict
    yield from (Padding(one, (0, 0, 0, 2), expand=False) for one in others)


def _table(*headings: str) -> Table:
    # One space between the columns, so that eighty hold them.
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if table.columns else "left", no_wrap=True)
    return table


def _loads(record: Record, found: CellAnalysis) -> Table:
    table = _table("", "load", "ratio", "interval", "verdict")
    table.columns[-1].justify = "left"
    for contender in record.contenders:
        title = "  the same, again" if contender.again else contender.title
        loads = list(found.cell.loads(contender.name).values())
        if not loads:
            table.add_row(title, "failed", *["-"] * 3, style="red")
            continue
        finding = found.ratios.get(contender.name)
        cells = ["1.00", "", " reference"] if finding is None else [*_ratio(finding), f" {finding.verdict}"]
        style = _STYLES[finding.verdict] if finding is not None else "bold"
        table.add_row(title, f"{stats.median(loads):.3f}", *cells, style=style)
    return table


def _ratio(finding: Finding) -> tuple[str, str]:
    low, high = finding.low, finding.high
    ratio, *ends = (number(value, low, high) for value in (finding.ratio, low, high))
    return ratio, f"{ends[0]} to {ends[1]}"


def _figures(record: Record, cell: Cell, columns: Sequence[_Column]) -> Table:
    table = _table("", *(column.heading for column in columns))
    for contender in record.contenders:
        if contender.again is None:
            runs = cell.measurements(contender.name)
            table.add_row(contender.title, *_medians(columns, runs), style=None if runs else "red")
    return table


def _medians(columns: Sequence[_Column], runs: Sequence[Measurement]) -> Iterator[str]:
    for column in columns:
        values = [value for run in runs if (value := column.value(run)) is not None]
        yield format(stats.median(values), column.format) if values else "-"


def _findings(record: Record, found: CellAnalysis) -> Iterator[Text]:
    """Say what was found, the verdict first."""
    title = record.title
    if found.primary is None:
        yield Text("Nothing can be said: the contenders to compare did not both finish.")
    for number_, answer in enumerate(found.answers):
        finding = answer.finding
        style = "bold" if not number_ else ""
        yield Text(f"{_first_upper(answer.question.change)}: {finding.sentence(title)}", style=style)
    if found.noise is not None:
        yield Text(f"Noise floor: {title(found.noise.reference)} against itself: {found.noise.words()}.")
    if found.attribution is not None:
        steps = "; ".join(
            f"{step.cause}: ratio {_ratio(step.finding)[0]}" for step in found.attribution.shares
        )
        if steps:
            yield Text(f"Where the difference comes from, step by step: {steps}.")
    for warning in found.warnings:
        yield Text(warning, style="yellow")


def _overview(analysis: Analysis) -> RenderableType:
    """One line for each network."""
    table = _table("network", "ratio", "interval", "blocks", "verdict")
    table.columns[-1].justify = "left"
    for found in analysis.cells:
        network = found.cell.network
        name = network.name if network is not None else ""
        if found.primary is None:
            table.add_row(name, *["-"] * 3, " failed", style="red")
        else:
            finding = found.primary
            cells = (*_ratio(finding), str(finding.blocks), f" {finding.verdict}")
            table.add_row(name, *cells, style=_STYLES[finding.verdict])
    question = analysis.question
    caption = f"{_first_upper(question.change)}; below 1 is faster\n" if question else ""
    warnings = dict.fromkeys(warning for found in analysis.cells for warning in found.warnings)
    return Group(Text(caption), table, *_lines(warnings))


def _lines(sentences: Iterable[str]) -> Iterator[Text]:
    return (Text(sentence, style="yellow") for sentence in sentences)


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
