"""What a crawl of the bookstore's 3,000 books costs a client.

``python -m benchmarks.crawl`` runs each client as its own process against one `plait bookstore`, rounds
interleaved, and compares the CPU time, the wall time and the most memory of the whole process, start-up and
all.

niquests brings its own package in the place of urllib3, and so it has to have an environment of its own:
``--python niquests=PATH``, by default that of ``make bench``. Without it niquests is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import print_environment
from tests.support.servers import ROOT, Certificate, RunningServer, make_certificate, serve_bookstore

__all__ = ["Samples", "compare", "main", "parser_of"]

# The level of pycurl is its own figure and a margin for noise.
CPU_TARGETS = {"httpx": 10.0, "primp": 2.0, "pycurl": 0.9}

NAMES = (
    "plait.Client", "plait.AsyncClient", "pycurl", "primp", "httpx", "httpx2", "niquests", "aiohttp",
    "requests, serial", "requests, 32 threads",
)  # fmt: skip
#: Interpreters that are not this one, as ``make bench`` makes them.
ENVIRONMENTS = {"niquests": ROOT / ".venv-niquests" / "bin" / "python"}


@dataclass(frozen=True)
class Samples:
    """What each client took, round by round.

    Attributes:
        cpu: Milliseconds of user and system time, by client.
        wall: Milliseconds from start to end, by client.
        memory: MiB that its process had in memory, at most, by client.
    """

    cpu: dict[str, list[float]]
    wall: dict[str, list[float]]
    memory: dict[str, list[float]]


def crawl(
    name: str, server: RunningServer, certificate: Certificate, books: int, python: str | Path
) -> tuple[str, float, float, float]:
    """Run one client; return what it received, its CPU and wall time in milliseconds, and its memory in MiB.

    Raises:
        SystemExit: The client failed.
    """
    command = [python, "-m", "benchmarks.crawlers", name, server.url(""), certificate.ca, str(books)]
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)  # the usage of this child alone
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        received = output.read().decode()
    if process.returncode:
        raise SystemExit(f"{name} failed:\n{received}")
    received, _, memory = received.strip().rpartition(" ")
    return received, (usage.ru_utime + usage.ru_stime) * 1e3, wall * 1e3, float(memory)


@contextmanager
def bookstore() -> Iterator[tuple[RunningServer, Certificate]]:
    """Run the bookstore, without an access log."""
    with tempfile.TemporaryDirectory(prefix="plait-benchmark-") as directory:
        certificate = make_certificate(Path(directory))
        with serve_bookstore("--no-access-log", certificate=certificate) as server:
            yield server, certificate


def compare(
    names: Sequence[str], rounds: int, books: int = 3000, pythons: Mapping[str, Path] | None = None
) -> Samples:
    """Crawl with every client, a round at a time, after one round that counts for nothing.

    Every other round runs in the opposite order, so that none always follows the same one.

    Args:
        names: Clients, names in benchmarks/crawlers.py.
        rounds: How often each crawls.
        books: How many books each fetches.
        pythons: Interpreters of clients that are not installed beside this one, by name.

    Raises:
        SystemExit: A client failed, or received something else than the others.
    """
    samples = Samples(*({name: [] for name in names} for _ in range(3)))
    with bookstore() as (server, certificate):
        expected = ""
        for number in range(rounds + 1):
            for name in names if number % 2 else reversed(names):
                python = (pythons or {}).get(name, sys.executable)
                received, cpu, wall, memory = crawl(name, server, certificate, books, python)
                expected = expected or received
                if received != expected:
                    raise SystemExit(f"{name} received {received}, not {expected}")
                if number:
                    samples.cpu[name].append(cpu)
                    samples.wall[name].append(wall)
                    samples.memory[name].append(memory)
    print(f"books received and their digest: {expected}\n")
    return samples


def parser_of(description: str, prog: str) -> argparse.ArgumentParser:
    """Return what reads the command line that all crawling benchmarks have."""
    parser = argparse.ArgumentParser(prog=prog, description=description.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--books", type=int, default=3000, help="to fetch (default: %(default)s)")
    return parser


def environments_of(options: Sequence[str]) -> dict[str, Path]:
    """Return the interpreters to use, where they are: those of ``make bench``, and what was said of others.

    Raises:
        SystemExit: What was said is not NAME=PATH, or there is no such client or no such file.
    """
    pythons = dict(ENVIRONMENTS)
    for option in options:
        name, _, path = option.partition("=")
        if name not in NAMES or not Path(path).is_file():
            raise SystemExit(f"--python takes NAME=PATH, a client here and its interpreter, not {option!r}")
        pythons[name] = Path(path).absolute()
    return {name: path for name, path in pythons.items() if path.is_file()}


def print_table(samples: Samples) -> None:
    """Print a row for each client: medians, and how many times plait.Client's they are."""
    figures = [(samples.cpu, "CPU, ms"), (samples.wall, "wall, ms"), (samples.memory, "peak, MiB")]
    heads = "".join(f"{title:>12}{'x plait':>9}" for _, title in figures)
    print(f"{'of the whole process':<22}{heads}   CPU at least")
    for name in samples.cpu:
        row = f"{name:<22}"
        for values, _ in figures:
            median = statistics.median(values[name])
            row += f"{median:>12.4g}{median / statistics.median(values['plait.Client']):>9.2f}"
        if name in CPU_TARGETS:
            ratio = statistics.median(samples.cpu[name]) / statistics.median(samples.cpu["plait.Client"])
            row += f"   {CPU_TARGETS[name]:.3g}: {'held' if ratio >= CPU_TARGETS[name] else 'missed'}"
        print(row)


def main() -> None:
    """Measure and print the table."""
    parser = parser_of(__doc__, "python -m benchmarks.crawl")
    parser.add_argument(
        "--only", action="append", choices=NAMES[1:], help="compare plait.Client with this (default: all)"
    )
    parser.add_argument(
        "--python", action="append", default=[], metavar="NAME=PATH", help="a client's own interpreter"
    )
    arguments = parser.parse_args()
    pythons = environments_of(arguments.python)
    names = [NAMES[0], *(name for name in NAMES[1:] if name in (arguments.only or NAMES))]
    if "niquests" in names and "niquests" not in pythons:
        names.remove("niquests")
        print("niquests is left out: make bench installs it, and --python niquests=PATH says where it is.")
    print_environment("plait", "pycurl", "primp", "httpx", "httpx2", "aiohttp", "requests")
    print_table(compare(names, arguments.rounds, arguments.books, pythons))


if __name__ == "__main__":
    main()
