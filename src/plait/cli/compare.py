"""``plait compare``: what HTTP/2 buys over HTTP/1.1, measured."""

from __future__ import annotations

import random
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from plait.bookstore.generate import bundled
from plait.errors import ConfigError, PlaitError
from plait.lab import terminal
from plait.lab.bookstore_server import running_bookstore
from plait.lab.comparison import choose_contenders, compare
from plait.lab.contenders import Contender
from plait.lab.samples import Record
from plait.lab.scenarios import Scenario, bookstore_scenario, paths_scenario, read_paths
from plait.lab.target import Target, is_loopback, parse_target, spoken_versions

__all__ = ["command"]

IN_FLIGHT = 100
POLITE_IN_FLIGHT = 6
PIPE_WIDTH = 120

_FILE = click.Path(path_type=Path)


@click.command("compare")
@click.argument("url", required=False)
@click.option("--paths", type=_FILE, metavar="FILE", help="What to fetch from URL, one path a line.")
@click.option("--with", "extras", multiple=True, metavar="CLIENT", help="Compare this client, too: requests.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each crawler."
)
@click.option("--seed", type=int, help="Seed of the random order; by default a new one, which is printed.")
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Keep every raw sample in this file.")
@click.option("--cacert", type=_FILE, metavar="FILE", help="Certificate authority to trust for URL, PEM.")
@click.option("-k", "--insecure", is_flag=True, help="Take any certificate from URL.")
@click.option(
    "--i-own-this",
    is_flag=True,
    help=f"Have {IN_FLIGHT} requests under way on a server elsewhere, too, instead of {POLITE_IN_FLIGHT}.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up a crawl that takes longer.",
)
def command(
    url: str | None,
    paths: Path | None,
    extras: tuple[str, ...],
    repeats: int,
    seed: int | None,
    json_file: Path | None,
    cacert: Path | None,
    insecure: bool,
    i_own_this: bool,
    time_limit: float,
) -> None:
    """Crawl a server over HTTP/1.1 and over HTTP/2, and print what each way costs.

    Without URL the server is the bookstore that comes with plait, started for the purpose. With URL
    it is one that is running already, and --paths says what to fetch from it.
    """
    if url is None and (paths or cacert or insecure or i_own_this):
        raise ConfigError(
            "--paths, --cacert, --insecure and --i-own-this are about a server: give its URL, too"
        )
    if url is not None and paths is None:
        raise ConfigError(f"--paths FILE is missing: it says what to fetch from {url}")
    contenders = choose_contenders(extras)
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed

    def run(target: Target, scenario: Scenario, versions: frozenset[str], pid: int | None = None) -> Record:
        loopback = is_loopback(target)
        polite = not loopback and not i_own_this
        if polite:
            _say(f"{target.host} is not this machine: at most {POLITE_IN_FLIGHT} requests at a time; "
                 f"--i-own-this makes it {IN_FLIGHT}")  # fmt: skip
        taking_part = _able(contenders, versions, target)
        rerun = ["plait", "compare", *_given(url, paths, extras, cacert, insecure, i_own_this)]
        rerun += ["--repeats", str(repeats), "--seed", str(seed), "--time-limit", f"{time_limit:g}"]
        with _progress(len(taking_part) * repeats, repeats) as progress:
            return compare(
                target,
                scenario,
                taking_part,
                command=shlex.join(rerun),
                in_flight=POLITE_IN_FLIGHT if polite else IN_FLIGHT,
                loopback=loopback,
                repeats=repeats,
                seed=seed,
                server_pid=pid,
                time_limit=time_limit,
                progress=progress,
            )

    with _terminable(), _writable(json_file):
        if url is None:
            with running_bookstore() as (target, pid):
                record = run(target, bookstore_scenario(bundled()), frozenset("12"), pid)
        else:
            assert paths is not None
            to_fetch = read_paths(paths)
            target = parse_target(url, cafile=cacert, insecure=insecure)
            versions = spoken_versions(target)
            record = run(target, paths_scenario(target, to_fetch, versions), versions)
        try:
            if json_file:
                json_file.write_text(record.to_json(), encoding="utf-8")
        except OSError as error:
            raise PlaitError(f"cannot write {json_file}: {error.strerror}") from error
        finally:
            # Whatever became of the file: the figures took minutes.
            console = Console(highlight=False)
            terminal.write(
                record, console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)
            )
    if any(sample.failure for sample in record.samples):
        raise PlaitError("not every crawl received what it was to receive")


def _say(sentence: str) -> None:
    click.echo(f"plait: {sentence}", err=True)


def _able(contenders: tuple[Contender, ...], versions: frozenset[str], target: Target) -> list[Contender]:
    for version, name in (("1", "HTTP/1.1"), ("2", "HTTP/2")):
        if version not in versions:
            _say(f"{target.base_url} does not speak {name}: the crawlers that need it are left out")
    return [contender for contender in contenders if contender.http in versions]


def _given(
    url: str | None,
    paths: Path | None,
    extras: tuple[str, ...],
    cacert: Path | None,
    insecure: bool,
    i_own_this: bool,
) -> Iterator[str]:
    """Spell the options again, as they were given."""
    if url is not None:
        yield from (url, "--paths", str(paths))
    for extra in extras:
        yield from ("--with", extra)
    if cacert:
        yield from ("--cacert", str(cacert))
    if insecure:
        yield "--insecure"
    if i_own_this:
        yield "--i-own-this"


@contextmanager
def _writable(file: Path | None) -> Iterator[None]:
    """See to it that the samples can be written, before minutes are spent on taking them."""
    if file is None:
        yield
        return
    existed = file.exists()
    try:
        file.open("a").close()
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}") from error
    try:
        yield
    except BaseException:
        if not existed:
            file.unlink(missing_ok=True)
        raise


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does, so that no process outlives it."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(total: int, repeats: int) -> Iterator[Callable[[int, Contender], None]]:
    """Show on a terminal what is running; in a pipe, stay quiet."""
    console = Console(stderr=True)
    # Drawn between the runs only: a thread that draws meanwhile would take CPU from what is measured.
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)
        done = 0

        def progress(block: int, contender: Contender) -> None:
            nonlocal done
            bar.update(
                task,
                completed=done,
                description=f"round {block + 1} of {repeats}: {contender.name}",
                refresh=True,
            )
            done += 1

        yield progress
