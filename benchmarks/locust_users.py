"""What a request of a Locust user costs the load generator.

``python -m benchmarks.locust_users`` runs each class of users as its own process, rounds interleaved, against
one hello world on plait: plait's ``HttpUser`` over HTTP/2, all on one connection, and Locust's own over
HTTP/1.1, each user on a connection of its own. It compares the CPU time of a request once connections are
made, everything counted as in a test, with one user and with many.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import print_environment, print_figure
from tests.support.servers import ROOT, make_certificate, serve_app

__all__ = ["main"]

KINDS = ("plait", "FastHttpUser", "HttpUser")


def ask(kind: str, url: str, ca: str, users: int, requests: int) -> float:
    """Return the microseconds of CPU time that a request took of this process.

    Args:
        kind: One of ``KINDS``.
        url: What to ask for.
        ca: The authority of its certificate.
        users: How many ask at once.
        requests: How many requests they send in all.

    Raises:
        SystemExit: A request failed.
    """
    import gevent
    import locust
    from locust.env import Environment

    if kind == "plait":
        from plait.integrations.locust import HttpUser as Base
    else:
        Base = getattr(locust, kind)

    class User(Base):  # type: ignore[misc]
        host = url
        verify = ca

    environment = Environment(user_classes=[User])
    environment.create_local_runner()
    asking = [User(environment) for _ in range(users)]
    each = requests // users

    def run(user: locust.User, times: int) -> None:
        if kind == "HttpUser":
            user.client.verify = ca
        for _ in range(times):
            user.client.get("/")

    gevent.joinall([gevent.spawn(run, user, 1) for user in asking])
    before = time.process_time()
    gevent.joinall([gevent.spawn(run, user, each) for user in asking])
    took = time.process_time() - before
    total = environment.stats.total
    if total.num_failures or total.num_requests != users * (each + 1):
        raise SystemExit(f"{kind}: {total.num_failures} of {total.num_requests} requests failed")
    return took / (users * each) * 1e6


def main() -> None:
    """Measure and print what a request takes, with one user and with many."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.locust_users", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--requests", type=int, default=4000)
    arguments = parser.parse_args()
    print_environment("plait", "locust", "geventhttpclient", "requests")
    with tempfile.TemporaryDirectory(prefix="plait-benchmark-") as directory:
        certificate = make_certificate(Path(directory))
        here = ROOT / "benchmarks"
        with serve_app("hello:app", "--no-access-log", certificate=certificate, app_dir=here) as server:
            for users in (1, arguments.users):
                samples: dict[str, list[float]] = {kind: [] for kind in KINDS}
                for number in range(arguments.rounds):
                    for kind in KINDS if number % 2 else reversed(KINDS):
                        words = [kind, server.url(""), certificate.ca, users, arguments.requests]
                        samples[kind].append(in_a_process(*map(str, words)))
                title = f"CPU time of a request, {users} user{'s' if users > 1 else ''}"
                print_figure(title, "µs", samples, targets={})


def in_a_process(*words: str) -> float:
    """Do what :func:`ask` does in a process of its own.

    Raises:
        SystemExit: It failed.
    """
    command = (
        f"from benchmarks.locust_users import ask; a = {words!r}; print(ask(*a[:3], int(a[3]), int(a[4])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{words[0]} failed:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
