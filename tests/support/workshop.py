"""``plait serve`` in processes of its own, for tests of signals and of the lives of workers."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.servers import ROOT, free_port, plait

__all__ = ["Workshop", "gone", "until", "workshop"]

SECONDS = 30.0


def until(condition: Callable[[], object], what: object = "") -> None:
    """Wait until a condition holds; there is no event of another process to wait for.

    Args:
        condition: Asked again and again.
        what: What to show when it does not come to hold, or a function that says it.
    """
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether there is no such process any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:  # who was orphaned may wait to be reaped by the first process
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return not Path("/proc/self").exists()


class Workshop:
    """A running server and the application it serves.

    Attributes:
        process: The server's first process.
        port: Where it listens on 127.0.0.1.
        app: The application's source file.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, app: Path, lives: Path, log: IO[bytes]
    ) -> None:
        self.process = process
        self.port = port
        self.app = app
        self._lives = lives
        self._log = log

    def output(self) -> str:
        """Return all that was written to standard output and standard error."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def lives(self, what: str) -> list[int]:
        """Return the processes that noted one thing: ``up``, ``down`` or ``waiting``."""
        lines = self._lives.read_text().split("\n") if self._lives.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(f"{what} ")]

    def get(self, path: str = "/") -> tuple[int, str]:
        """Fetch a path on a connection of its own; return which process answered, and its version.

        Raises:
            OSError: No response came.
            http.client.HTTPException: No response came.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200
            pid, version = response.read().decode().split()
            return int(pid), version
        finally:
            connection.close()

    def let_go(self) -> None:
        """Let requests for ``/wait`` be answered."""
        self._lives.with_name("go").touch()

    def send(self, number: int) -> None:
        """Send the first process a signal."""
        self.process.send_signal(number)

    def says(self, text: str, times: int = 1) -> None:
        """Wait until something was written so often."""
        until(lambda: self.output().count(text) >= times, self.output)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal that ends the server, and return its exit status."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end, and return the exit status."""
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end:\n{self.output()}") from None


@contextmanager
def workshop(
    directory: Path, *options: str | Path, ready: str = "Ctrl-C stops", port: bool = True
) -> Iterator[Workshop]:
    """Serve a copy of the application while the block runs, and let no process outlive it.

    Args:
        directory: Where the copy goes.
        options: Of ``plait serve``.
        ready: What the server says once it is as far as the test wants it; empty for not to wait.
        port: Whether to listen on a port.
    """
    app = directory / "workshop.py"
    if not app.exists():
        shutil.copy(ROOT / "tests" / "support" / "workshop_app.py", app)
    lives = directory / "lives"
    number = free_port()
    command = plait(
        "serve", "workshop:app", "--app-dir", directory, "--insecure", "--no-access-log",
        *(("--port", str(number)) if port else ()), *options,
    )  # fmt: skip
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "WORKSHOP_LIVES": str(lives)},
            start_new_session=True,
        )  # fmt: skip
        running = Workshop(process, number, app, lives, log)
        try:
            if ready:
                until(lambda: ready in running.output() or process.poll() is not None, running.output)
                assert process.poll() is None, running.output()
            yield running
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
