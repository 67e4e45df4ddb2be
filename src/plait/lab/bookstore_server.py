"""The bookstore as a process of its own, as long as a comparison takes."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from plait import certificates
from plait.errors import PlaitError
from plait.lab.target import Target

__all__ = ["running_bookstore"]

STARTUP_LIMIT = 20.0
SHUTDOWN_LIMIT = 5.0


@contextmanager
def running_bookstore() -> Iterator[tuple[Target, int]]:
    """Serve the bookstore over TLS with the development certificate, on a free port.

    Yields:
        Where it is, and its process id.

    Raises:
        PlaitError: It does not start.
    """
    paths = certificates.ensure()
    port = _free_port()
    # -P: a module in the current directory must not pass for one of the standard library.
    command = [sys.executable, "-P", "-m", "plait", "bookstore", "--port", str(port), "--no-access-log"]
    command += ["--cert", str(paths.cert), "--key", str(paths.key)]
    with tempfile.TemporaryFile() as output:
        # In a process group of its own: Ctrl-C is for the comparison, which then ends its server.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )
        try:
            if not _listening(process, port):
                output.seek(0)
                lines = output.read().decode(errors="replace").strip().splitlines()
                raise PlaitError(f"the bookstore did not start: {lines[-1] if lines else 'it says nothing'}")
            yield Target(scheme="https", host="127.0.0.1", port=port, cafile=paths.ca), process.pid
        finally:
            process.terminate()
            try:
                process.wait(SHUTDOWN_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _listening(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + STARTUP_LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False
