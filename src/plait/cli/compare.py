"""``plait compare``: what HTTP/2 buys over HTTP/1.1, measured."""

from __future__ import annotations

import random
import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from plait.cli.amounts import BlockRange, Seconds, Share
from plait.cli.console import console, say, writable, write_file
from plait.cli.report import fail_if, fail_if_option
from plait.errors import ConfigError, PlaitError
from plait.lab import comparison
from plait.lab.analysis import analyse
from plait.lab.comparison import Plan
from plait.lab.condition import Condition
from plait.lab.contenders.base import Contender
from plait.lab.contenders.registry import AGAIN, contender_named, default_names
from plait.lab.network.parse import parse_networks
from plait.lab.network.profile import Network
from plait.lab.network.relay import refuse_loss
from plait.lab.network.sweep import parse_sweep
from plait.lab.report.page import render
from plait.lab.runner import Job
from plait.lab.schedule import Blocks
from plait.lab.setting import LinkKind, Setting, setting
from plait.lab.subject import BOOKSTORE, Choice, subject_of
from plait.lab.terminal import write
from plait.lab.verdicts import LEAST_BLOCKS, fewest_blocks

__all__ = ["command"]

IN_FLIGHT = 100
POLITE_IN_FLIGHT = 6
NETWORK_REQUESTS = 100
"""Requests to the bookstore over an emulated network, where 3,000 one after the other take an hour."""
ARGUMENTS = "plait.arguments"

_FILE = click.Path(path_type=Path)


class _Compare(click.Command):
    """Takes several axes after one ``--sweep``, and remembers how it was called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        spelled: list[str] = []
        sweeping = False
        for argument in args:
            if sweeping and "=" in argument and not argument.startswith("-") and spelled[-1] != "--sweep":
                spelled.append("--sweep")
            elif spelled[-1:] != ["--sweep"]:
                sweeping = argument == "--sweep"
            spelled.append(argument)
        return super().parse_args(ctx, spelled)


@click.command("compare", cls=_Compare)
@click.argument("subject", metavar="[TARGET]", default="bookstore")
@click.option("--paths", type=_FILE, metavar="FILE", help="What to fetch from TARGET, one path a line.")
@click.option("--har", type=_FILE, metavar="FILE", help="What to fetch, as a browser recorded it.")
@click.option("--page", is_flag=True, help="Fetch TARGET's page with all its resources of the same origin.")
@click.option("--requests", type=click.IntRange(min=1), metavar="N", help="Fetch the first N resources only.")
@click.option("--header", multiple=True, metavar="LINE", help='Send this with every request: "cookie: a=b".')
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NETWORK",
    help="Emulate fiber, cable, 4g, 3g, satellite, lossy-wifi, or rtt=100ms,down=10mbit,up=1mbit,loss=1%.",
)
@click.option(
    "--sweep",
    multiple=True,
    metavar="AXIS...",
    help="Emulate a range of networks: rtt=5..300ms loss=0..3%.",
)
@click.option(
    "--link",
    "kind",
    type=click.Choice([kind.value for kind in LinkKind]),
    default=LinkKind.TUN.value,
    show_default=True,
    callback=lambda ctx, param, value: LinkKind(value),
    help="What the network is emulated with.",
)
@click.option("--congestion-control", metavar="NAME", help="TCP's: cubic, bbr, reno.  [default: cubic]")
@click.option(
    "--contenders",
    metavar="NAMES",
    help="Who takes part, with commas.  [default: " + ",".join(default_names(IN_FLIGHT)) + "]",
)
@click.option("--with", "extras", multiple=True, metavar="NAME", help="Compare this contender, too.")
@click.option("--reference", metavar="NAME", help="Whom the others are compared with.  [default: h1x6]")
@click.option(
    "--in-flight",
    type=click.IntRange(1, 1000),
    help=f"Requests under way at once over HTTP/2.  [default: {IN_FLIGHT}; elsewhere {POLITE_IN_FLIGHT}]",
)
@click.option(
    "--blocks",
    type=BlockRange(),
    default="10..60",
    show_default=True,
    metavar="LEAST..MOST",
    help="Runs of each contender.",
)
@click.option(
    "--margin", type=Share(), default="3%", show_default=True, help="A difference that does not matter."
)
@click.option("--confidence", type=Share(), default="95%", show_default=True, help="That of every interval.")
@click.option("--seed", type=int, help="Seed of all that is random; by default a new one, which is printed.")
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Keep every raw sample in this file.")
@click.option("--report", "page_file", type=_FILE, metavar="FILE.html", help="Draw everything in this file.")
@fail_if_option
@click.option("--cacert", type=_FILE, metavar="FILE", help="Certificate authority to trust for URL, PEM.")
@click.option("-k", "--insecure", is_flag=True, help="Take any certificate from URL.")
@click.option(
    "--i-own-this",
    is_flag=True,
    help=f"Have {IN_FLIGHT} requests under way on a server elsewhere, too, instead of {POLITE_IN_FLIGHT}.",
)
@click.option(
    "--time-limit",
    type=Seconds(),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up a run that takes longer.",
)
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Load a site over HTTP/1.1 and over HTTP/2 in several ways, and say which is faster, and why.

    TARGET is the bookstore that comes with plait, one of the other workloads that do (many-small,
    mixed-page, few-large, api-crawl), your own application as MODULE:APP, or the URL of a server that is
    running already. With --network or --sweep, the network to it is emulated.
    """
    _compare(_Given(**given), ctx.meta[ARGUMENTS])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """The options, as they were given."""

    subject: str
    paths: Path | None
    har: Path | None
    page: bool
    requests: int | None
    header: tuple[str, ...]
    networks: tuple[str, ...]
    sweep: tuple[str, ...]
    kind: LinkKind
    congestion_control: str | None
    contenders: str | None
    extras: tuple[str, ...]
    reference: str | None
    in_flight: int | None
    blocks: Blocks
    margin: float
    confidence: float
    seed: int | None
    json_file: Path | None
    page_file: Path | None
    conditions: tuple[str, ...]
    cacert: Path | None
    insecure: bool
    i_own_this: bool
    time_limit: float


def _compare(given: _Given, arguments: list[str]) -> None:
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    conditions = [Condition.parse(text) for text in given.conditions]
    networks = _networks(given)
    if given.kind is LinkKind.RELAY:
        refuse_loss(networks)
    small = given.requests or (NETWORK_REQUESTS if networks and given.subject == BOOKSTORE else None)
    choice = Choice(
        name=given.subject,
        paths=given.paths,
        har=given.har,
        page=given.page,
        requests=small,
        headers=given.header,
        cacert=given.cacert,
        insecure=given.insecure,
        own=given.i_own_this,
    )
    subject = subject_of(choice, say)
    polite = subject.elsewhere and not given.i_own_this
    in_flight = _in_flight(given, polite)
    contenders = _contenders(given, in_flight, polite)
    for condition in conditions:
        condition.check([one.name for one in contenders], networks or (None,), twice=False)
    needed = fewest_blocks(given.confidence, len(networks) or 1)
    # That a single verdict takes ten is said beside it.
    if LEAST_BLOCKS <= given.blocks.most < needed:
        say(f"{len(networks)} verdicts that hold together take {needed} blocks, not {given.blocks.most}")
    command = ["plait", "compare", *arguments, *(() if given.seed is not None else ("--seed", str(seed)))]
    with (
        _terminable(),
        writable(given.json_file, given.page_file),
        setting(subject, given.kind if networks else None, given.congestion_control) as where,
    ):
        able = _able(contenders, where)
        reference = _reference(given, able)
        plan = Plan(
            job=Job(
                target=where.target,
                workload=where.workload,
                in_flight=in_flight,
                time_limit=given.time_limit,
                address=where.address,
            ),
            contenders=_with_twin(able, reference),
            reference=reference,
            networks=networks or (None,),
            blocks=given.blocks,
            seed=seed,
            margin=given.margin,
            confidence=given.confidence,
            command=shlex.join(command),
        )
        with _progress(plan) as progress:
            record, stopped = comparison.compare(plan, where.link, server=where.server, progress=progress)
        analysis = analyse(record)
        try:
            if given.json_file:
                write_file(given.json_file, record.to_json())
            if given.page_file:
                write_file(given.page_file, render(record, analysis))
        finally:
            # Whatever became of the files: the figures took minutes.
            write(record, analysis, console())
    if stopped is not None:
        blocks = sum(len({sample.block for sample in cell.samples}) for cell in record.cells)
        say(
            f"interrupted: {blocks} {'block' if blocks == 1 else 'blocks'} on {len(record.cells)} of "
            f"{len(plan.networks)} {'network' if len(plan.networks) == 1 else 'networks'} can be told of"
        )
        raise stopped
    fail_if(conditions, record)
    if any(sample.failure for cell in record.cells for sample in cell.samples):
        raise PlaitError("not every run received what it was to receive")


def _networks(given: _Given) -> tuple[Network, ...]:
    networks = parse_networks(given.networks)
    if given.sweep:
        if len(networks) > 1:
            raise ConfigError("--sweep changes one network: give --network once, with the rest of it")
        return parse_sweep(given.sweep, networks[0] if networks else None).networks
    if not networks and given.congestion_control:
        raise ConfigError("--congestion-control is for an emulated network: give --network or --sweep, too")
    return networks


def _in_flight(given: _Given, polite: bool) -> int:
    if not polite:
        return given.in_flight or IN_FLIGHT
    if (given.in_flight or 0) > POLITE_IN_FLIGHT:
        raise ConfigError(
            f"--in-flight {given.in_flight} is too much for a server elsewhere, {POLITE_IN_FLIGHT} is the "
            f"most; --i-own-this allows it"
        )
    say(
        f"{given.subject} is not this machine: at most {POLITE_IN_FLIGHT} requests at a time; "
        f"--i-own-this makes it {IN_FLIGHT}"
    )
    return given.in_flight or POLITE_IN_FLIGHT


def _contenders(given: _Given, in_flight: int, polite: bool) -> list[Contender]:
    """Choose who is to take part.

    Raises:
        ConfigError: There is no such contender, or it cannot run here or against this server.
    """
    chosen = default_names(in_flight) if given.contenders is None else given.contenders.split(",")
    names = list(dict.fromkeys([*(name.strip() for name in chosen), *given.extras]))
    if given.reference not in (None, *names):
        raise ConfigError(f"--reference {given.reference!r} does not take part; there is: {', '.join(names)}")
    if given.reference is not None and given.reference.endswith(AGAIN):
        raise ConfigError(f"--reference {given.reference!r} takes part twice by itself: leave out {AGAIN!r}")
    contenders = [contender_named(name) for name in names]
    for contender in contenders:
        if contender.again not in (None, *names):
            raise ConfigError(
                f"{contender.name} is {contender.again} a second time, and {contender.again} does not take"
                " part"
            )
        if missing := contender.missing():
            raise ConfigError(missing)
        if polite and contender.connections > POLITE_IN_FLIGHT:
            raise ConfigError(
                f"{contender.name} opens {contender.connections} connections, too many for a server "
                f"elsewhere; --i-own-this allows it"
            )
    return contenders


def _able(contenders: Sequence[Contender], where: Setting) -> list[Contender]:
    """Leave out those who cannot speak to the server.

    Raises:
        PlaitError: Nobody can.
    """
    url, scheme = where.target.base_url, where.target.scheme
    for version, name in (("1", "HTTP/1.1"), ("2", "HTTP/2")):
        if version not in where.versions and any(c.http == version for c in contenders):
            say(f"{url} does not speak {name}: the contenders that need it are left out")
    able = []
    for contender in contenders:
        if scheme not in contender.schemes:
            say(f"{contender.name} does not speak to {scheme} servers and is left out")
        elif contender.http in where.versions:
            able.append(contender)
    if not able:
        raise PlaitError(f"no contender speaks a version of HTTP that {url} does")
    return able


def _reference(given: _Given, contenders: Sequence[Contender]) -> str:
    names = [one.name for one in contenders if one.again is None]
    wanted = ("h1x6", "h1x1", names[0]) if given.reference is None else (given.reference, names[0])
    return next(name for name in wanted if name in names)


def _with_twin(contenders: Sequence[Contender], reference: str) -> tuple[Contender, ...]:
    """Have the reference take part twice, as a measure of what chance does."""
    twin = contender_named(f"{reference}{AGAIN}")
    others = [one for one in contenders if one.name != twin.name]
    return tuple(one for each in others for one in ((each, twin) if each.name == reference else (each,)))


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
def _progress(plan: Plan) -> Iterator[comparison.Progress]:
    """Show on a terminal what is running; in a pipe, stay quiet."""
    console = Console(stderr=True)
    # Drawn between the runs only: a thread that draws meanwhile would take CPU from what is measured.
    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
    ) as bar:
        most = plan.blocks.most
        task = bar.add_task("", total=len(plan.networks) * most)

        def progress(number: int, block: int, contender: str) -> None:
            network = plan.networks[number]
            where = f"{network.name} ({number + 1} of {len(plan.networks)}), " if network else ""
            bar.update(
                task,
                completed=number * most + block,
                description=f"{where}block {block + 1} of at most {most}: {contender}",
                refresh=True,
            )

        yield progress
