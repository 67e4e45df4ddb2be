"""A server of ours as a process of its own, as long as a comparison takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from plait import certificates
from plait.errors import PlaitError
from plait.lab.network.link import Host
from plait.lab.target import Target

__all__ = ["BOOKSTORE", "Running", "application", "running_server"]

STARTUP_LIMIT = 20.0
SHUTDOWN_LIMIT = 5.0
LISTENING = re.compile(rb"^plait: serving .* on https://.*:([0-9]+)", re.MULTILINE)

BOOKSTORE = ("bookstore",)
"""The arguments of plait that serve the bookstore."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs.

    Attributes:
        target: Where it is, for who reaches its host.
        process: Its process.
        output: What it has said so far.
    """

    target: Target
    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def check(self) -> None:
        """See to it that the server has not ended by itself.

        Raises:
            PlaitError: It has.
        """
        status = self.process.poll()
        if status is not None:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
            raise PlaitError(f"the server to compare {how}: {_last_words(self.output)}")


def application(name: str) -> Sequence[str]:
    """Return the arguments of plait that serve an application of the current directory."""
    return ("serve", name)


@contextmanager
def running_server(
    arguments: Sequence[str], *, host: Host, address: str = "127.0.0.1", name: str = "127.0.0.1"
) -> Iterator[Running]:
    """Serve over TLS with the development certificate.

    Args:
        arguments: What plait is told to serve.
        host: Where it runs.
        address: Where it listens there, on a port of the kernel's choice.
        name: What clients call it; the development certificate is for localhost and its addresses.

    Raises:
        PlaitError: It does not start; what it says of that is its last line.
    """
    paths = certificates.ensure()
    # -P: a module in the current directory must not pass for one of the standard library.
    command = [sys.executable, "-P", "-m", "plait", *arguments, "--host", address, "--port", "0"]
    command += ["--no-access-log", "--cert", str(paths.cert), "--key", str(paths.key)]
    with tempfile.TemporaryFile() as output:
        # In a process group of its own: Ctrl-C is for the comparison, which then ends its server.
        process = host.popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0)
        try:
            port = _listening(process, output)
            if port is None:
                late = process.returncode is None
                why = f"it is not ready after {STARTUP_LIMIT:g} seconds" if late else _last_words(output)
                raise PlaitError(f"the server to compare did not start: {why}")
            yield Running(Target(scheme="https", host=name, port=port, cafile=paths.ca), process, output)
        finally:
            process.terminate()
            try:
                process.wait(SHUTDOWN_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listening(process: subprocess.Popen[bytes], output: IO[bytes]) -> int | None:
    """Wait until the server says where it listens: its host's addresses may be out of reach from here."""
    deadline = time.monotonic() + STARTUP_LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        if found := LISTENING.search(_said(output)):
            return int(found[1])
        time.sleep(0.02)
    return None


def _said(output: IO[bytes]) -> bytes:
    """Read the end of what was said, without moving the file's offset, which the server writes at."""
    size = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), 65_536, max(0, size - 65_536))


def _last_words(output: IO[bytes]) -> str:
    lines = _said(output).decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("plait: ") if lines else "it says nothing"
