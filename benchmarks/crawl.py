"""What a crawl of the bookstore's 3,000 books costs a client.

``python -m benchmarks.crawl`` runs each client as its own process against one `plait bookstore`, rounds
interleaved, and compares the CPU time and the wall time of the whole process, start-up and all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import print_environment, print_figure
from tests.support.servers import ROOT, Certificate, RunningServer, make_certificate, serve_bookstore

__all__ = ["Samples", "arguments_of", "compare", "main"]

# The level of pycurl is its own figure and a margin for noise.
CPU_TARGETS = {"httpx": 10.0, "primp": 2.0, "pycurl": 0.9}


@dataclass(frozen=True)
class Samples:
    """What each client took, round by round.

    Attributes:
        cpu: Milliseconds of user and system time, by client.
        wall: Milliseconds from start to end, by client.
    """

    cpu: dict[str, list[float]]
    wall: dict[str, list[float]]


def crawl(name: str, server: RunningServer, certificate: Certificate) -> tuple[str, float, float]:
    """Run one client; return what it received, its CPU and its wall time in milliseconds.

    Raises:
        SystemExit: The client failed.
    """
    base_url = server.url("")
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.crawlers", name, base_url, str(certificate.ca)],
            stdout=output, stderr=output, cwd=ROOT,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)  # the usage of this child alone
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        received = output.read().decode()
    if process.returncode:
        raise SystemExit(f"{name} failed:\n{received}")
    return received, (usage.ru_utime + usage.ru_stime) * 1e3, wall * 1e3


@contextmanager
def bookstore() -> Iterator[tuple[RunningServer, Certificate]]:
    """Run the bookstore, without an access log."""
    with tempfile.TemporaryDirectory(prefix="plait-benchmark-") as directory:
        certificate = make_certificate(Path(directory))
        with serve_bookstore("--no-access-log", certificate=certificate) as server:
            yield server, certificate


def compare(names: Sequence[str], rounds: int) -> Samples:
    """Crawl with every client, a round at a time, after one round that counts for nothing.

    Args:
        names: Clients, names in benchmarks/crawlers.py.
        rounds: How often each crawls.

    Raises:
        SystemExit: A client failed, or received something else than the others.
    """
    samples = Samples(cpu={name: [] for name in names}, wall={name: [] for name in names})
    with bookstore() as (server, certificate):
        expected, _, _ = crawl(names[0], server, certificate)
        for number in range(rounds + 1):
            for name in names:
                received, cpu, wall = crawl(name, server, certificate)
                if received != expected:
                    raise SystemExit(f"{name} received {received.strip()}, not {expected.strip()}")
                if number:
                    samples.cpu[name].append(cpu)
                    samples.wall[name].append(wall)
    print(f"books received and their digest: {expected}")
    return samples


def arguments_of(description: str, prog: str) -> argparse.Namespace:
    """Read the command line that both crawling benchmarks have."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    """Measure and print both figures."""
    arguments = arguments_of(__doc__, "python -m benchmarks.crawl")
    print_environment("plait", "httpx", "pycurl", "primp")
    samples = compare(["plait.Client", "plait.AsyncClient", "pycurl", "primp", "httpx"], arguments.rounds)
    print_figure("CPU of the whole process", "ms", samples.cpu, targets=CPU_TARGETS, plait="plait.Client")
    print_figure("Wall time of the whole process", "ms", samples.wall, targets={}, plait="plait.Client")


if __name__ == "__main__":
    main()
