"""Servers as processes of their own, over real sockets: plait, and the peers it is tested with."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import trustme

__all__ = [
    "ROOT",
    "Certificate",
    "RunningServer",
    "free_port",
    "make_certificate",
    "run_server",
    "plait",
    "serve_app",
    "serve_bookstore",
    "serve_hypercorn",
    "serve_nghttpd",
]

ROOT = Path(__file__).resolve().parents[2]

START_SECONDS = 20.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Certificate:
    """A local authority and a certificate it signed for localhost, as PEM files."""

    ca: Path
    chain: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return a client's context that trusts this authority only."""
        return ssl.create_default_context(cafile=self.ca)


def make_certificate(directory: Path) -> Certificate:
    """Make an authority and a certificate for localhost and 127.0.0.1 in a directory.

    Args:
        directory: Where ``ca.pem``, ``chain.pem`` and ``key.pem`` go.
    """
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    certificate = Certificate(
        ca=directory / "ca.pem", chain=directory / "chain.pem", key=directory / "key.pem"
    )
    authority.cert_pem.write_to_path(str(certificate.ca))
    leaf.private_key_pem.write_to_path(str(certificate.key))
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(certificate.chain), append=True)
    return certificate


def free_port() -> int:
    """Return a port that nothing listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class RunningServer:
    """One server process that accepts connections.

    Attributes:
        process: The process.
        port: Where it listens on 127.0.0.1.
        scheme: ``https``, or ``http`` without TLS.
        log: What it wrote to standard output and standard error, in order.
    """

    process: subprocess.Popen[bytes]
    port: int
    scheme: str
    log: IO[bytes]

    def url(self, path: str = "/") -> str:
        """Return the address of a path, by the name in the certificate."""
        return f"{self.scheme}://localhost:{self.port}{path}"

    def output(self) -> str:
        """Return everything the server has written so far."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


@contextmanager
def run_server(
    command: Sequence[str | Path],
    *,
    port: int,
    scheme: str = "https",
    cwd: Path = ROOT,
    exit_status: int | None = None,
) -> Iterator[RunningServer]:
    """Run a server, wait until it accepts, and stop it with SIGINT unless the test has waited for its end.

    Args:
        command: The program and its arguments.
        port: Where it was told to listen.
        scheme: ``https`` or ``http``, for ``RunningServer.url``.
        cwd: Its working directory.
        exit_status: What it must exit with; None takes anything.

    Raises:
        AssertionError: The server did not start, died early, or ended otherwise than it should.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )  # fmt: skip
        server = RunningServer(process=process, port=port, scheme=scheme, log=log)
        try:
            _wait_until_it_accepts(server)
            yield server
            if process.returncode is None:  # nobody has waited for its end
                assert process.poll() is None, (
                    f"the server died with {process.returncode}:\n{server.output()}"
                )
                process.send_signal(signal.SIGINT)
            try:
                status = process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"the server ignored SIGINT:\n{server.output()}") from None
            if exit_status is not None:
                assert status == exit_status, f"the server exited with {status}:\n{server.output()}"
        finally:
            if process.poll() is None:
                # Its own group, so that a server's worker processes end with it.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_until_it_accepts(server: RunningServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            return
        except OSError:
            pass
        status = server.process.poll()
        assert status is None, f"the server exited with {status} before it listened:\n{server.output()}"
        assert time.monotonic() < deadline, f"the server does not listen:\n{server.output()}"
        time.sleep(0.02)  # between two attempts; there is no event to wait for


def plait(*arguments: str | Path) -> list[str | Path]:
    """Return the command line of ``plait`` in this environment."""
    return [sys.executable, "-m", "plait", *arguments]


@contextmanager
def serve_app(
    app: str,
    *options: str | Path,
    certificate: Certificate | None,
    app_dir: Path = ROOT / "tests" / "support",
) -> Iterator[RunningServer]:
    """Run ``plait serve APP``, which must end with status 0 on SIGINT.

    Args:
        app: ``module:attribute`` of an ASGI application.
        options: Further options of ``plait serve``.
        certificate: What to serve TLS with; None serves without TLS.
        app_dir: Where the module is.
    """
    port = free_port()
    command = plait("serve", app, "--app-dir", app_dir, "--port", str(port), *_tls(certificate), *options)
    with run_server(command, port=port, scheme=_scheme(certificate), exit_status=0) as server:
        yield server


@contextmanager
def serve_bookstore(*options: str | Path, certificate: Certificate | None) -> Iterator[RunningServer]:
    """Run ``plait bookstore``, which must end with status 0 on SIGINT.

    Args:
        options: Further options of ``plait bookstore``.
        certificate: What to serve TLS with; None serves without TLS.
    """
    port = free_port()
    command = plait("bookstore", "--port", str(port), *_tls(certificate), *options)
    with run_server(command, port=port, scheme=_scheme(certificate), exit_status=0) as server:
        yield server


@contextmanager
def serve_nghttpd(
    nghttpd: str, documents: Path, *options: str, certificate: Certificate
) -> Iterator[RunningServer]:
    """Run ``nghttpd`` over a folder of files.

    Args:
        nghttpd: Path of the program.
        documents: The folder it serves.
        options: Further options.
        certificate: What it serves TLS with.
    """
    port = free_port()
    command = [
        nghttpd,
        "--address=127.0.0.1",
        f"--htdocs={documents}",
        *options,
        str(port),
        certificate.key,
        certificate.chain,
    ]
    with run_server(command, port=port) as server:
        yield server


@contextmanager
def serve_hypercorn(app: str, *, certificate: Certificate) -> Iterator[RunningServer]:
    """Run an application of ``tests/support`` on Hypercorn.

    Args:
        app: ``module:attribute`` of an ASGI application.
        certificate: What it serves TLS with.
    """
    port = free_port()
    command = [
        sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{port}",
        "--certfile", certificate.chain, "--keyfile", certificate.key, app,
    ]  # fmt: skip
    with run_server(command, port=port, cwd=ROOT / "tests" / "support") as server:
        yield server


def _tls(certificate: Certificate | None) -> list[str | Path]:
    if certificate is None:
        return ["--insecure"]
    return ["--cert", certificate.chain, "--key", certificate.key]


def _scheme(certificate: Certificate | None) -> str:
    return "http" if certificate is None else "https"
