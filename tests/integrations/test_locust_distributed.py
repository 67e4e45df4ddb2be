"""Locust's distributed mode: a master and two workers, each of which has connections that its users share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import ceil
from pathlib import Path

import plait
from tests.support.servers import ROOT, free_port, make_certificate, serve_app

SECONDS = 60


def locust(*options: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a process of Locust's."""
    file = ROOT / "tests" / "support" / "distributed_locustfile.py"
    return subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", str(file), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
    )


def test_two_workers_have_what_the_server_saw_counted_by_their_master(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    port = str(free_port())
    with serve_app("locust_site:app", certificate=certificate) as server:
        site = {"SITE": server.url(""), "CA": str(certificate.ca)}
        master = locust(
            "--master", "--headless", "--json", "--expect-workers", "2", "--master-bind-host", "127.0.0.1",
            "--master-bind-port", port, "--users", "24", "--spawn-rate", "100", "--run-time", "60s",
            cwd=tmp_path, **site,
        )  # fmt: skip
        workers = [
            locust("--worker", "--master-host", "127.0.0.1", "--master-port", port, cwd=tmp_path, **site)
            for _ in range(2)
        ]
        processes = [master, *workers]
        try:
            told, *others = [process.communicate(timeout=SECONDS) for process in processes]
        finally:
            for process in processes:
                process.kill()
        for process, (_, errors) in zip(processes, (told, *others), strict=True):
            assert process.returncode == 0, errors
            assert "Traceback" not in errors, errors
        with plait.Client(server.url(), verify=certificate.ca) as client:
            seen = client.get("/seen").json()

    counted = {one["name"]: one for one in json.loads(told[0])}
    assert counted.keys() == {"/shared", "/groups"}
    for path, one in counted.items():
        assert (one["num_requests"], one["num_failures"]) == (12 * 25, 0)
        assert one["num_requests"] == sum(two["requests"] for at, two in seen.items() if at.startswith(path))
    assert len({at.split(" ")[1] for at in seen}) == 2  # workers
    for at, two in seen.items():
        assert two["versions"] == ["2"]
        sharing = len(two["users"]) if at.startswith("/shared") else 3
        assert len(two["connections"]) == ceil(len(two["users"]) / sharing)
