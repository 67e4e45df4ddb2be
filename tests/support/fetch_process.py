"""Runs ``plait`` as a process of its own for each command line, without paying for its start each time.

As a program it imports what ``plait fetch`` does, and forks for each line of JSON on standard input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

__all__ = ["Done", "Forking"]


class Done(NamedTuple):
    """How a command ended."""

    status: int
    stdout: bytes
    stderr: str


class Forking:
    """Runs command lines of ``plait``, one after the other."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fetch_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def __call__(
        self, *arguments: str | Path, cwd: Path, stdin: bytes = b"", closed: Sequence[str] = ()
    ) -> Done:
        """Run ``plait`` with arguments in a directory.

        Args:
            arguments: What follows ``plait``.
            cwd: Where it runs.
            stdin: What it can read.
            closed: Which of ``stdin``, ``stdout`` and ``stderr`` are closed.
        """
        around = cwd.with_name(f"{cwd.name}.io")
        around.mkdir(exist_ok=True)
        (around / "stdin").write_bytes(stdin)
        job = {
            "arguments": [str(one) for one in arguments],
            "cwd": str(cwd),
            "io": str(around),
            "closed": closed,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return Done(status, (around / "stdout").read_bytes(), (around / "stderr").read_text())


def _child(job: dict[str, Any], arguments: list[str]) -> None:
    os.chdir(job["cwd"])
    for number, (name, mode) in enumerate([("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb")]):
        with open(f"{job['io']}/{name}", mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 – the other has read ahead
    for name in job["closed"]:  # as Python does when they are closed before it begins
        os.close(("stdin", "stdout", "stderr").index(name))
        setattr(sys, name, None)
    sys.argv = ["plait", *arguments]
    from plait.cli.main import main

    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)


def _serve() -> None:
    import plait.cli.fetch
    import plait.cli.fetching.run
    import plait.client.async_streams
    import plait.protocol.h1_client
    import plait.protocol.h2  # noqa: F401

    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            _child(job, job["arguments"])
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
