"""Loses nothing: clients at full load while workers are reloaded, killed, and told to end.

    python -m benchmarks.kill

Exit status 1 when a request was lost that the server had accepted, other than by the SIGKILL of the
worker that had it, or when a response looked complete and was not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.kill_clients import CLIENTS, Tally
from tests.support.servers import ROOT, RunningServer, free_port, make_certificate, plait

SECONDS = 60.0


def until(condition: Callable[[], object], server: RunningServer) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline or server.process.poll() is not None:
            sys.exit(f"the server did not do what it should:\n{server.output()}")
        time.sleep(0.02)


def workers_of(server: RunningServer) -> list[int]:
    """Return the server's children."""
    pid = server.process.pid
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def reload(server: RunningServer, times: int) -> None:
    """Reload every worker, so often."""
    for done in range(times):
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.output().count("reloaded; workers") > done, server)  # noqa: B023


def kill(server: RunningServer, times: int, workers: int) -> None:
    """Kill a worker, so often, each time when all are there."""
    for done in range(times):
        until(lambda: len(workers_of(server)) == workers, server)  # those before the last reload are gone
        time.sleep(1.1)  # for that long a worker must serve for its end not to slow down the next start
        os.kill(random.choice(workers_of(server)), signal.SIGKILL)
        until(lambda: server.output().count("it is replaced") > done, server)  # noqa: B023
    time.sleep(1)  # until clients have seen the last


def main() -> None:
    """Run the load through all three, and print what became of every request."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20, help="reloads, and kills (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="(default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as log:
        certificate = make_certificate(Path(name))
        port = free_port()
        command = plait(
            "serve", "benchmarks.kill_app:app", "--app-dir", ROOT, "--port", str(port), "--no-access-log",
            "--cert", certificate.chain, "--key", certificate.key, "--workers", str(options.workers),
        )  # fmt: skip
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        server = RunningServer(process=process, port=port, scheme="https", log=log)
        clients: dict[str, subprocess.Popen[str]] = {}
        try:
            until(lambda: "Ctrl-C stops" in server.output(), server)
            for client in CLIENTS:
                clients[client] = subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.kill_clients", client, str(port), certificate.ca],
                    stdout=subprocess.PIPE, cwd=ROOT, text=True,
                )  # fmt: skip
            time.sleep(1)
            reload(server, options.times)
            killing = time.monotonic()
            kill(server, options.times, options.workers)
            ending = time.monotonic()
            process.send_signal(signal.SIGTERM)
            status = process.wait(SECONDS)
            tallies = {
                client: Tally(**json.loads(one.communicate(timeout=SECONDS)[0]))
                for client, one in clients.items()
            }
        finally:
            for one in (process, *clients.values()):
                one.kill()
                one.wait()
    lost = report(tallies, killing, ending, options.times)
    if lost or status:
        sys.exit(f"requests lost: {lost}; exit status of the server: {status}")


def report(tallies: dict[str, Tally], killing: float, ending: float, times: int) -> int:
    """Print a row for each client; return how many requests were lost that must not be."""
    print(f"SIGHUP x{times}, SIGKILL of a worker x{times}, SIGTERM")
    print(f"{'':18} served  wrong  again  cut: reload  kill  end  unconnected")
    lost = 0
    for client, tally in tallies.items():
        reload = sum(moment < killing for moment in tally.cut)
        end = sum(moment >= ending for moment in tally.cut)
        killed = len(tally.cut) - reload - end
        lost += reload + end + tally.wrong + (not tally.served)
        print(
            f"{client:18} {tally.served:6} {tally.wrong:6} {tally.again:6} {reload:12} {killed:5} {end:4}"
            f" {tally.unconnected:12}"
        )
    return lost


if __name__ == "__main__":
    main()
