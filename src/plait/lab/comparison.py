"""One comparison from beginning to end: which contenders can take part, their runs, the record."""

from __future__ import annotations

import importlib.util
import os
import platform
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from plait._version import __version__
from plait.errors import ConfigError
from plait.lab.contenders import EXTRAS, STANDARD, Contender
from plait.lab.runner import crawl_once, run_blocks
from plait.lab.samples import ContenderInfo, Environment, Measurement, Record
from plait.lab.scenarios import Scenario
from plait.lab.target import Target

__all__ = ["choose_contenders", "compare"]


def choose_contenders(extras: Sequence[str]) -> tuple[Contender, ...]:
    """List the standard contenders and those asked for beside them.

    Args:
        extras: Names of contenders that are not standard.

    Raises:
        ConfigError: One of them is unknown, or its package is not installed.
    """
    known = {contender.name: contender for contender in EXTRAS}
    for name in extras:
        if name not in known:
            raise ConfigError(
                f"--with {name!r} is not a contender that can be added; there is: {', '.join(known)}"
            )
        package = known[name].requires
        if package and importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"--with {name} needs a package that is not installed: pip install 'plait[{package}]'"
            )
    return (*STANDARD, *(known[name] for name in dict.fromkeys(extras)))


def compare(
    target: Target,
    scenario: Scenario,
    contenders: Sequence[Contender],
    *,
    command: str,
    in_flight: int,
    loopback: bool,
    repeats: int,
    seed: int,
    server_pid: int | None,
    time_limit: float,
    progress: Callable[[int, Contender], None],
) -> Record:
    """Run the contenders and record what each run cost.

    Args:
        target: The server.
        scenario: What to fetch and what to expect.
        contenders: Who takes part, in the order of the table.
        command: The command that repeats this comparison.
        in_flight: How many requests the contenders that multiplex have under way.
        loopback: Whether the server is on this machine.
        repeats: Runs of each contender.
        seed: Of the random order.
        server_pid: The server's process, when its CPU is to be measured.
        time_limit: Seconds after which a crawl is given up.
        progress: Told which block and which contender come next.
    """

    def run(contender: Contender) -> Measurement | str:
        return crawl_once(
            contender, target, scenario, in_flight=in_flight, time_limit=time_limit, server_pid=server_pid
        )

    started = datetime.now(UTC).isoformat(timespec="seconds")
    samples = run_blocks(contenders, run, repeats=repeats, seed=seed, progress=progress)
    return Record(
        started=started,
        command=command,
        environment=_environment(contenders),
        scenario=scenario.name,
        base_url=target.base_url,
        loopback=loopback,
        requests=len(scenario.paths),
        in_flight=in_flight,
        seed=seed,
        contenders=tuple(
            ContenderInfo(name=contender.name, title=contender.title(in_flight)) for contender in contenders
        ),
        samples=tuple(samples),
    )


def _environment(contenders: Sequence[Contender]) -> Environment:
    system = platform.uname()
    packages = ["ngh2", "httptools", "uvloop", *(c.requires for c in contenders if c.requires)]
    try:
        congestion_control = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    except OSError:
        congestion_control = None
    return Environment(
        plait=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        openssl=ssl.OPENSSL_VERSION,
        packages={name: version(name) for name in packages if importlib.util.find_spec(name)},
        congestion_control=congestion_control,
        kernel=f"{system.system} {system.release}",
        machine=system.machine,
        cpu_count=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )
