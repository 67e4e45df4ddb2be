"""How many instructions plait executes for one request, which no neighbour on the machine changes.

``python -m benchmarks.instructions`` runs a server under valgrind's callgrind, loads it with h2load twice,
and divides the difference of what was counted by the difference in requests, so that start and end cancel
out. With clients, which crawl the bookstore, it is the same, and what start and end took is told, too.
``--tree`` names checkouts of plait to compare: a change of one in a hundred shows.

It counts what runs outside the kernel only, and instructions are not time. For time see ``server_cpu``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.crawl import bookstore
from benchmarks.report import print_environment
from benchmarks.server_cpu import HERE, LOADS, load, plait_serve
from tests.support.servers import ROOT, Certificate, free_port, make_certificate, run_server

__all__ = ["main"]

COLLECTED = re.compile(r"Collected : (\d+)")
#: Titles and h2load's options; fewer connections than ``server_cpu`` opens, since their start counts.
CASES = {
    **{name: (one.title, one.options) for name, one in LOADS.items()},
    "connections": ("HTTP/2, one request on each connection", ("--max-concurrent-streams=1",)),
}
#: Titles and names of crawlers.
CLIENTS = {
    "client": ("a crawl with plait.Client", "plait.Client"),
    "async-client": ("a crawl with plait.AsyncClient", "plait.AsyncClient"),
}


def count(tree: Path, case: str, requests: int, certificate: Certificate, directory: Path) -> int:
    """Return the instructions of a server's whole life in which it answers some requests.

    Raises:
        SystemExit: A request failed, or valgrind said nothing.
    """
    port = free_port()
    command = [*counted_in(tree), *plait_serve(port, certificate, directory)]
    options = CASES[case][1]
    if case == "connections":
        options = (*options, f"--clients={requests}")
    with run_server(command, port=port) as server:
        load(server, options, requests)
        server.process.terminate()
        server.process.wait()
        return collected_in(server.output())


def counted_in(tree: Path) -> list[str]:
    """Return what a command begins with that is counted, with the plait of a checkout."""
    return [
        "env", f"PYTHONPATH={tree / 'src'}", "PYTHONHASHSEED=0",
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
    ]  # fmt: skip


def collected_in(output: str) -> int:
    """Return what valgrind counted.

    Raises:
        SystemExit: It says nothing of that.
    """
    collected = COLLECTED.search(output)
    if collected is None:
        raise SystemExit(f"valgrind counted nothing:\n{output}")
    return int(collected[1])


def count_client(tree: Path, name: str, url: str, certificate: Certificate, books: int) -> int:
    """Return the instructions of a client's whole life in which it fetches some books."""
    command = [sys.executable, "-m", "benchmarks.crawlers", name, url, str(certificate.ca), str(books)]
    done = subprocess.run(
        [*counted_in(tree), *command],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return collected_in(done.stdout)


def print_clients(trees: list[Path], case: str, requests: int) -> None:
    """Count a client in every tree."""
    title, name = CLIENTS[case]
    print(f"Instructions per request, {title}, and millions for start and end")
    first = 0.0
    few, many = requests // 10, requests
    with bookstore() as (server, certificate):
        for tree in trees:
            counted = [count_client(tree, name, server.url(""), certificate, books) for books in (few, many)]
            each = (counted[1] - counted[0]) / (many - few)
            first = first or each
            rest = (counted[0] - few * each) / 1e6
            print(f"  {each:>10,.0f}   {each / first:>5.3f}   {rest:>6.0f}   {tree}", flush=True)
    print()


def main() -> None:
    """Count every case in every tree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="in the longer run (default: %(default)s)")
    parser.add_argument("--tree", type=Path, action="append", help="a checkout of plait (default: this one)")
    parser.add_argument(
        "--case", choices=[*CASES, *CLIENTS], action="append", help="one of the cases (default: all)"
    )
    arguments = parser.parse_args()

    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed; it counts the instructions")
    print_environment("plait")
    trees = [tree.resolve() for tree in arguments.tree or [HERE.parent]]
    with tempfile.TemporaryDirectory(prefix="plait-benchmark-") as name:
        directory = Path(name)
        certificate = make_certificate(directory)
        for case in arguments.case or [*CASES, *CLIENTS]:
            if case in CLIENTS:
                print_clients(trees, case, arguments.requests)
                continue
            print(f"Instructions per request, {CASES[case][0]}")
            first = 0.0
            few, many = arguments.requests // 10, arguments.requests
            if case == "connections":
                few, many = few // 4, many // 4  # all are open at once
            for tree in trees:
                counted = [count(tree, case, requests, certificate, directory) for requests in (few, many)]
                each = (counted[1] - counted[0]) / (many - few)
                first = first or each
                print(f"  {each:>10,.0f}   {each / first:>5.3f}   {tree}", flush=True)
            print()


if __name__ == "__main__":
    main()
