"""``twist plait``: the command that Twisted finds, as a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import ROOT, Certificate, RunningServer, free_port, run_server
from tests.support.tools import require_tool

# What the script `twist` does.
TWIST = [sys.executable, "-c", "from twisted.application.twist._twist import Twist; Twist.main()"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a directory of files."""
    directory = tmp_path_factory.mktemp("files")
    (directory / "index.html").write_text("an index")
    (directory / "numbers").write_text("0123456789")
    return directory


@pytest.fixture(scope="module")
def running(certificate: Certificate, files: Path) -> Iterator[tuple[RunningServer, int]]:
    """Serve the directory with TLS, and on a second port without."""
    port, plain = free_port(), free_port()
    endpoint = f"ssl:{port}:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.chain}"
    command = [
        *TWIST, "plait", "--listen", endpoint, "--listen", f"tcp:{plain}:interface=127.0.0.1",
        "--path", files, "--add-header", "x-served-by: twist", "--logfile", files / "log",
    ]  # fmt: skip
    with run_server(command, port=port) as server:
        yield server, plain
        assert "Traceback" not in server.output(), server.output()


def curl(certificate: Certificate, *arguments: str) -> str:
    """Run curl, which must succeed, and return what it prints."""
    command = [require_tool("curl"), "--silent", "--show-error", "--cacert", certificate.ca, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def twist(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``twist plait`` to its end."""
    return subprocess.run(
        [*TWIST, "plait", *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "version"), [("--http2", "2"), ("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")]
)
def test_files_are_served_over_both_versions_on_every_endpoint(
    running: tuple[RunningServer, int], certificate: Certificate, flag: str, version: str
) -> None:
    server, plain = running
    for url in (server.url("/"), f"http://127.0.0.1:{plain}/"):
        assert curl(certificate, flag, "--write-out", " %{http_version}", url) == f"an index {version}"


def test_the_options_of_twist_web_mean_what_they_do_there(
    running: tuple[RunningServer, int], certificate: Certificate, files: Path
) -> None:
    server, _ = running
    said = curl(certificate, "--include", "--range", "3-5", server.url("/numbers"))

    assert said.startswith("HTTP/2 206")
    assert "x-served-by: twist" in said
    assert said.endswith("345")
    assert '"GET /numbers HTTP/2" 206' in (files / "log").read_text()


def test_a_class_and_a_wsgi_application_are_served(certificate: Certificate) -> None:
    for option, name, path, content in (
        ("--class", "tests.support.twisted_program.Bytes", "/?n=3", "xxx"),
        ("--wsgi", "wsgiref.simple_server.demo_app", "/", "Hello world!"),
    ):
        port = free_port()
        command = [*TWIST, "plait", "--listen", f"tcp:{port}:interface=127.0.0.1", option, name]
        with run_server(command, port=port, scheme="http") as server:
            said = curl(certificate, "--http2-prior-knowledge", server.url(path))
            assert said.startswith(content), server.output()


def test_the_command_is_listed_and_helps() -> None:
    listed = subprocess.run([*TWIST, "--help"], capture_output=True, text=True, check=True).stdout
    helped = twist("--help")

    assert "A web server like web, for HTTP/2 and HTTP/1.1." in " ".join(listed.split())
    assert helped.returncode == 0
    assert {"--listen=", "--path=", "--class=", "--wsgi=", "--resource-script="} <= set(helped.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--path", "/nowhere/at/all"], "--path /nowhere/at/all: there is no such file or directory"),
        (["--resource-script", "no.rpy"], "--resource-script no.rpy: there is no such file"),
        (["--class", "no.such"], "--class no.such: ModuleNotFoundError: No module named 'no'"),
        (["--class", "builtins.list"], "[] is list, not a resource"),
        (["--wsgi", "no.such"], "No such WSGI application: 'no.such'"),
        (["--listen", "bogus:1"], "--listen bogus:1: ValueError: Unknown endpoint type: 'bogus'"),
        (
            ["--add-header", "x"],
            "--add-header x: ValueError: not enough values to unpack (expected 2, got 1)",
        ),
        (["--bad"], "option --bad not recognized"),
    ],
)
def test_bad_use_is_one_sentence(arguments: list[str], sentence: str) -> None:
    done = twist(*arguments)

    assert done.returncode == os.EX_USAGE
    assert (done.stdout + done.stderr).splitlines()[0] == f"Error: {sentence}"
    assert "Traceback (most" not in done.stdout + done.stderr


def test_a_port_that_is_taken_and_a_log_that_cannot_be_are_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = twist("--listen", f"tcp:{port}:interface=127.0.0.1")
    logless = twist("--listen", "tcp:0:interface=127.0.0.1", "--logfile", "/nowhere/log")

    assert (busy.returncode, logless.returncode) == (1, 1)
    assert busy.stderr.startswith(f"twist plait: Couldn't listen on 127.0.0.1:{port}: ")
    assert len(busy.stderr.splitlines()) == 1
    assert logless.stderr == "twist plait: [Errno 2] No such file or directory: '/nowhere/log'\n"


def test_the_plugin_is_shipped_beside_plait_and_twisted_stays_a_namespace_there() -> None:
    shipped = [path.relative_to(ROOT / "src") for path in (ROOT / "src" / "twisted").rglob("*.py")]

    assert shipped == [Path("twisted/plugins/plait_plugin.py")]
    assert '"src/twisted"' in (ROOT / "pyproject.toml").read_text()
