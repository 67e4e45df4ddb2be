"""Carrying out loads: a job for the crawler, its process, and a look at the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

__all__ = ["Wanted", "job", "most_under_way", "received", "run_load", "times"]

#: Path, kind, parent and delay.
Wanted = tuple[str, str, int | None, float]


def job(contender: str, base_url: str, resources: Iterable[Wanted], **changes: Any) -> dict[str, Any]:
    """Make a job; ``changes`` are its other fields."""
    return {
        "contender": contender,
        "base_url": base_url,
        "cafile": None,
        "insecure": False,
        "in_flight": 100,
        "address": None,
        "page": None,
        "headers": [],
        "resources": [list(one) for one in resources],
        "timeline": 400,
        **changes,
    }


def run_load(
    contender: str, base_url: str, resources: Iterable[Wanted], *, path: Path | None = None, **changes: Any
) -> dict[str, Any]:
    """Run the crawler as a process of its own and return its result.

    Args:
        contender: Its name.
        base_url: The server.
        resources: The graph.
        path: A folder with further modules.
        changes: Other fields of the job.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "plait.lab.crawler"],
        input=json.dumps(job(contender, base_url, resources, **changes)),
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(path or ""),
            # Nobody may go by what the environment says.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
            "ALL_PROXY": "http://127.0.0.1:9",
        },
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def received(answers: Sequence[tuple[int, Any, bytes]]) -> list[list[Any]]:
    """Return what a result says of responses with these contents, in the order of the resources."""
    return [
        [index, status, len(content), sha256(content).hexdigest()]
        for index, (status, _, content) in enumerate(answers)
    ]


def times(result: dict[str, Any]) -> dict[int, dict[str, int]]:
    """Map each resource to the phases of its request."""
    names = ("connection", "known", "sent", "answered", "done")
    return {index: dict(zip(names, rest, strict=True)) for index, *rest in result["timeline"]["requests"]}


def most_under_way(result: dict[str, Any]) -> int:
    """Return how many requests were under way at once, at most."""
    changes = [(one["sent"], 1) for one in times(result).values()]
    changes += [(one["done"], -1) for one in times(result).values()]
    count = most = 0
    for _, change in sorted(changes):  # those that end at a time before those that begin then
        count += change
        most = max(most, count)
    return most
