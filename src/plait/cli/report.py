"""``plait report``: samples that were kept, shown again, judged, or compared with those of another day."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import click

from plait.cli.console import console, say, write_file
from plait.errors import ConfigError, PlaitError
from plait.lab.analysis import analyse
from plait.lab.changes import compare_runs
from plait.lab.condition import Condition
from plait.lab.record import Record
from plait.lab.report.page import render
from plait.lab.report.standalone import figure_files
from plait.lab.terminal import write, write_changes

__all__ = ["command", "fail_if", "fail_if_option"]

_FILE = click.Path(path_type=Path)

fail_if_option = click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help='Exit with status 1 if this is so: "h2 slower than h1x6 by 5%".',
)


@click.command("report")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE [LATER]")
@click.option("--report", "page", type=_FILE, metavar="FILE.html", help="Write a page with pictures, too.")
@click.option(
    "--figures", type=_FILE, metavar="DIR", help="Write each picture of the page as an SVG file into DIR."
)
@fail_if_option
def command(
    files: tuple[Path, ...], page: Path | None, figures: Path | None, conditions: tuple[str, ...]
) -> None:
    """Show what plait compare --json has kept in FILE; with LATER, what changed from one to the other.

    Conditions, the page and its pictures are about the later of two files; a condition may compare with
    `before`, the same contender in the earlier one.
    """
    if len(files) > 2:
        raise ConfigError(f"two files can be compared, not {len(files)}")
    wanted = [Condition.parse(text) for text in conditions]
    records = [_read(file) for file in files]
    before, record = records[0] if len(records) == 2 else None, records[-1]
    analysis = analyse(record)
    out = console()
    write(record, analysis, out)
    changes = compare_runs(before, record) if before is not None else None
    if changes is not None:
        write_changes(changes, out)
    if page is not None:
        write_file(page, render(record, analysis, changes))
        say(f"the page is in {page}")
    if figures is not None:
        _write_figures(figures, figure_files(record, analysis, changes))
    fail_if(wanted, record, before)


def fail_if(conditions: list[Condition], record: Record, before: Record | None = None) -> None:
    """Fail when a condition holds.

    Raises:
        PlaitError: One does.
        ConfigError: One is about something that was not measured.
    """
    held = [sentence for one in conditions if (sentence := one.holds(record, before))]
    if held:
        raise PlaitError("; ".join(held))


def _write_figures(directory: Path, drawn: dict[str, str]) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlaitError(f"cannot make the directory {directory}: {error.strerror}") from error
    for name, document in drawn.items():
        write_file(directory / name, document)
    say(f"{len(drawn)} figures are in {directory}")


def _read(file: Path) -> Record:
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ConfigError(f"{file} is not compressed by gzip, as its name says: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} holds no samples: it is not text") from error
    try:
        return Record.from_json(text)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
