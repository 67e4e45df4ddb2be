"""How much CPU time a Twisted site spends on one request: with plait's ``Site``, and with Twisted's own.

``python -m benchmarks.twisted_site`` serves the same resource with both, on the same reactor and over TLS,
and with ``plait serve --twisted``, and measures them as :mod:`benchmarks.server_cpu` does (Linux only).
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.report import print_environment, print_figure
from benchmarks.server_cpu import LOADS, load, measure, twisted
from tests.support.servers import ROOT, Certificate, free_port, make_certificate, plait, run_server

__all__ = ["main"]

#: The least ratio to plait, by load; HTTP/1.1 is Twisted's own in both.
TARGETS = {"4x32": {"twisted": 4.0}, "8x1": {"twisted": 2.0}}


def plait_serve(port: int, certificate: Certificate) -> list[str | Path]:
    """Return the command that serves the resource on plait's own server."""
    return plait(
        "serve", "--twisted", "benchmarks.twisted_hello:root", "--app-dir", ROOT, "--no-access-log",
        "--port", str(port), "--cert", certificate.chain, "--key", certificate.key,
    )  # fmt: skip


def main() -> None:
    """Measure every load and print its figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twisted_site", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    arguments = parser.parse_args()

    print_environment("plait", "twisted")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plait-benchmark-")))
        certificate = make_certificate(directory)
        servers = {}
        for name in ("plait", "twisted", "plait serve"):
            port = free_port()
            if name == "plait serve":
                command = plait_serve(port, certificate)
            else:
                command = twisted(port, certificate, directory)
                command += ["plait"] if name == "plait" else []
            servers[name] = stack.enter_context(run_server(command, port=port))
        for chosen, targets in TARGETS.items():
            one = LOADS[chosen]
            samples: dict[str, list[float]] = {name: [] for name in servers}
            for server in servers.values():
                load(server, one.options, max(arguments.requests // 10, 100))  # warm
            for _ in range(arguments.rounds):
                for name, server in servers.items():
                    samples[name].append(measure(server, one.options, arguments.requests))
            print_figure(f"CPU of a Twisted site per request, {one.title}", "µs", samples, targets=targets)


if __name__ == "__main__":
    main()
