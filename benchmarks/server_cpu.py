"""How much CPU time a server spends on one request.

``python -m benchmarks.server_cpu`` serves the same fourteen bytes over TLS with plait, Granian, Twisted
and nghttpd, loads each with h2load, and reads user and system time of the server's processes from /proc
(Linux only). Rounds are interleaved, so that a machine that changes its pace changes it for all.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hello import CONTENT
from benchmarks.report import print_environment, print_figure
from tests.support.servers import Certificate, RunningServer, free_port, make_certificate, plait, run_server

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """How h2load loads a server.

    Attributes:
        title: What the reader sees.
        options: Of h2load.
        contenders: Names in COMMANDS.
        targets: The least ratio to plait, by contender.
    """

    title: str
    options: tuple[str, ...]
    contenders: tuple[str, ...]
    targets: dict[str, float]


LOADS = {
    "4x32": Load(
        "HTTP/2, 4 connections x 32 streams",
        ("--clients=4", "--max-concurrent-streams=32"),
        ("plait", "granian", "twisted", "nghttpd"),
        {"granian": 2.0, "twisted": 25.0, "nghttpd": 1 / 3},
    ),
    "8x1": Load(
        "HTTP/2, 8 connections x 1 stream",
        ("--clients=8", "--max-concurrent-streams=1"),
        ("plait", "granian", "twisted", "nghttpd"),
        {"granian": 1.5},
    ),
    "http1": Load(
        "HTTP/1.1, 4 connections kept alive",
        ("--clients=4", "--h1"),
        ("plait", "uvicorn", "granian"),
        {"uvicorn": 1.0},
    ),
}

# Contenders so slow that a tenth of the requests tells as much.
SLOW = {"twisted"}


def tool(name: str) -> str:
    """Return the path of a program of nghttp2.

    Raises:
        SystemExit: It is not installed.
    """
    # Debian keeps servers in /usr/sbin, which is on root's PATH only.
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if path is None:
        raise SystemExit(f"{name} is not installed; scripts/install-debian-packages installs it")
    return path


def granian(port: int, certificate: Certificate, documents: Path) -> list[str | Path]:
    """Return the command of Granian: one worker, as every server here has one."""
    return [
        sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--loop", "uvloop", "--no-ws", "--no-access-log", "--log-level", "error",
        "--ssl-certificate", certificate.chain, "--ssl-keyfile", certificate.key, "benchmarks.hello:app",
    ]  # fmt: skip


def uvicorn(port: int, certificate: Certificate, documents: Path) -> list[str | Path]:
    """Return the command of uvicorn on httptools and uvloop."""
    return [
        sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port), "--http", "httptools",
        "--loop", "uvloop", "--no-access-log", "--log-level", "error",
        "--ssl-certfile", certificate.chain, "--ssl-keyfile", certificate.key, "benchmarks.hello:app",
    ]  # fmt: skip


def twisted(port: int, certificate: Certificate, documents: Path) -> list[str | Path]:
    """Return the command of Twisted's own web server."""
    return [sys.executable, "-m", "benchmarks.twisted_hello", str(port), certificate.chain, certificate.key]


def nghttpd(port: int, certificate: Certificate, documents: Path) -> list[str | Path]:
    """Return the command of nghttpd, which serves the content from a file: the floor, in C."""
    return [
        tool("nghttpd"),
        "--address=127.0.0.1",
        f"--htdocs={documents}",
        str(port),
        certificate.key,
        certificate.chain,
    ]


def plait_serve(port: int, certificate: Certificate, documents: Path) -> list[str | Path]:
    """Return the command of plait, everything on but the access log."""
    return plait(
        "serve", "benchmarks.hello:app", "--app-dir", HERE.parent, "--port", str(port), "--no-access-log",
        "--cert", certificate.chain, "--key", certificate.key,
    )  # fmt: skip


COMMANDS: dict[str, Callable[[int, Certificate, Path], list[str | Path]]] = {
    "plait": plait_serve,
    "granian": granian,
    "twisted": twisted,
    "uvicorn": uvicorn,
    "nghttpd": nghttpd,
}


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and of its descendants (proc(5))."""
    # After the name, which may hold anything: field 14 is utime, field 15 stime.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / TICK
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        seconds += sum(cpu_seconds(int(child)) for child in children.read_text().split())
    return seconds


def load(server: RunningServer, options: tuple[str, ...], requests: int) -> None:
    """Send requests with h2load, all of which must succeed.

    Raises:
        SystemExit: Some failed.
    """
    command = [tool("h2load"), *options, f"--requests={requests}", server.url("/hello")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if f" {requests} succeeded, 0 failed" not in done.stdout:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}\n{server.output()}")


def measure(server: RunningServer, options: tuple[str, ...], requests: int) -> float:
    """Return the microseconds of CPU that the server spends on one request."""
    before = cpu_seconds(server.process.pid)
    load(server, options, requests)
    return (cpu_seconds(server.process.pid) - before) / requests * 1e6


def main() -> None:
    """Measure every load and print its figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_cpu", description=__doc__)
    parser.add_argument("--requests", type=int, default=40_000, help="a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--load", choices=LOADS, action="append", help="one of the loads (default: all)")
    arguments = parser.parse_args()

    if not Path("/proc/self/stat").exists():
        raise SystemExit("the CPU time of a server is read from /proc, which Linux has")
    print_environment("plait", "granian", "twisted", "uvicorn")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plait-benchmark-")))
        (directory / "hello").write_bytes(CONTENT)
        certificate = make_certificate(directory)
        servers: dict[str, RunningServer] = {}
        for chosen in arguments.load or LOADS:
            one = LOADS[chosen]
            samples: dict[str, list[float]] = {name: [] for name in one.contenders}
            counts = {
                name: max(arguments.requests // (10 if name in SLOW else 1), 100) for name in one.contenders
            }
            for name in one.contenders:
                if name not in servers:
                    port = free_port()
                    command = COMMANDS[name](port, certificate, directory)
                    servers[name] = stack.enter_context(run_server(command, port=port))
                load(servers[name], one.options, max(counts[name] // 10, 100))  # warm
            for _ in range(arguments.rounds):
                for name, values in samples.items():
                    values.append(measure(servers[name], one.options, counts[name]))
            print_figure(f"Server CPU per request, {one.title}", "µs", samples, targets=one.targets)


if __name__ == "__main__":
    main()
