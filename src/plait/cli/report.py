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
from plait.lab.report.page import render
from plait.lab.samples import Record
from plait.lab.terminal import write, write_changes

__all__ = ["command"]

_FILE = click.Path(path_type=Path)


@click.command("report")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE [LATER]")
@click.option("--report", "page", type=_FILE, metavar="FILE.html", help="Write a page with pictures, too.")
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help='Exit with status 1 if this is so: "h2 slower than h1x6 by 5%".',
)
def command(files: tuple[Path, ...], page: Path | None, conditions: tuple[str, ...]) -> None:
    """Show what plait compare --json has kept in FILE; with LATER, what changed from one to the other.

    Conditions and the page are about the later of two files; a condition may compare with `before`,
    the same contender in the earlier one.
    """
    if len(files) > 2:
        raise ConfigError(f"two files can be compared, not {len(files)}")
    wanted = [Condition.parse(text) for text in conditions]
    records = [_read(file) for file in files]
    before, record = records[0] if len(records) == 2 else None, records[-1]
    analysis = analyse(record)
    out = console()
    write(record, analysis, out)
    if before is not None:
        write_changes(compare_runs(before, record), out)
    if page is not None:
        write_file(page, render(record, analysis))
        say(f"the page is in {page}")
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
