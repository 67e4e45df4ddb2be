"""How many instructions a server executes for one request, which no neighbour on the machine changes.

``python -m benchmarks.instructions`` runs plait under valgrind's callgrind, loads it with h2load twice,
and divides the difference of what was counted by the difference in requests, so that start and end cancel
out. ``--tree`` names checkouts of plait to compare: a change of one in a hundred shows.

It counts what runs outside the kernel only, and instructions are not time. For time see ``server_cpu``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path

from benchmarks.report import print_environment
from benchmarks.server_cpu import HERE, LOADS, load, plait_serve
from tests.support.servers import Certificate, free_port, make_certificate, run_server

__all__ = ["main"]

COLLECTED = re.compile(r"Collected : (\d+)")
#: Titles and h2load's options; fewer connections than ``server_cpu`` opens, since their start counts.
CASES = {
    **{name: (one.title, one.options) for name, one in LOADS.items()},
    "connections": ("HTTP/2, one request on each connection", ("--max-concurrent-streams=1",)),
}


def count(tree: Path, case: str, requests: int, certificate: Certificate, directory: Path) -> int:
    """Return the instructions of a server's whole life in which it answers some requests.

    Raises:
        SystemExit: A request failed, or valgrind said nothing.
    """
    port = free_port()
    command = [
        "env", f"PYTHONPATH={tree / 'src'}", "PYTHONHASHSEED=0",
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
        *plait_serve(port, certificate, directory),
    ]  # fmt: skip
    options = CASES[case][1]
    if case == "connections":
        options = (*options, f"--clients={requests}")
    with run_server(command, port=port) as server:
        load(server, options, requests)
        server.process.terminate()
        server.process.wait()
        collected = COLLECTED.search(server.output())
    if collected is None:
        raise SystemExit(f"valgrind counted nothing:\n{server.output()}")
    return int(collected[1])


def main() -> None:
    """Count every case in every tree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="in the longer run (default: %(default)s)")
    parser.add_argument("--tree", type=Path, action="append", help="a checkout of plait (default: this one)")
    parser.add_argument("--case", choices=CASES, action="append", help="one of the cases (default: all)")
    arguments = parser.parse_args()

    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed; it counts the instructions")
    print_environment("plait")
    trees = [tree.resolve() for tree in arguments.tree or [HERE.parent]]
    with tempfile.TemporaryDirectory(prefix="plait-benchmark-") as name:
        directory = Path(name)
        certificate = make_certificate(directory)
        for case in arguments.case or CASES:
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
