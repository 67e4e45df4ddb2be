"""The units in deploy/systemd/: by systemd's own programs, and run the way systemd runs them."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plait.cli.configuration import load
from tests.support.deployment import DEPLOY, changed
from tests.support.servers import ROOT
from tests.support.tools import require_tool

SECONDS = 20.0
PROGRAM = Path(sys.executable).parent / "plait"
#: Puts a socket where sd_listen_fds(3) looks for it, and becomes the service, whose process id it has.
BECOME = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def unit(name: str) -> configparser.ConfigParser:
    """Read a unit, of which only keys that are given once are asked for."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / "systemd" / name).read_text())
    return parser


SERVICE, SOCKET = unit("plait.service")["Service"], unit("plait.socket")["Socket"]


def shipped_configuration(directory: Path) -> Path:
    """Return plait.toml with an application that is here, and any port for its metrics."""
    app_dir = ROOT / "tests" / "support"
    changes = {"hello:app": "deployed_app:app", "/srv/hello": app_dir, "127.0.0.1:9100": "127.0.0.1:0"}
    return changed("systemd/plait.toml", directory, changes)


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """Return the units with the path that plait has here."""
    service = changed("systemd/plait.service", tmp_path, {"/opt/plait/bin/plait": PROGRAM})
    return [service, Path(shutil.copy(DEPLOY / "systemd" / "plait.socket", tmp_path))]


def test_systemd_finds_nothing_wrong(units: list[Path]) -> None:
    command = [require_tool("systemd-analyze"), "verify", "--man=no", *units]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Nothing, that is, about these: the machine's own units may have their faults.
    complaints = [line for line in done.stderr.splitlines() if "plait" in line]
    assert (done.returncode, complaints) == (0, [])


def test_systemd_finds_the_service_well_shut_in(units: list[Path]) -> None:
    """From 0 to 10, where 10 is exposed; a service that says nothing has 9.6."""
    analyze = require_tool("systemd-analyze")
    command = [analyze, "security", "--offline=yes", "--threshold=15", "--no-pager", units[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_waits_longer_than_plait_takes_to_end(tmp_path: Path) -> None:
    config = load({}, {}, shipped_configuration(tmp_path))
    assert float(SERVICE["TimeoutStopSec"]) > config.grace + config.worker_timeout
    assert int(SERVICE["LimitNOFILE"]) > 2 * config.limits.max_connections


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """Open the socket of plait.socket, as systemd does and keeps it."""
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / Path(SOCKET["ListenStream"]).name))
        opened.listen(int(SOCKET["Backlog"]))
        yield opened


class Manager:
    """As much of systemd as the service sees: the socket, and the one it tells how it is doing.

    Attributes:
        process: The service.
    """

    def __init__(self, listener: socket.socket, directory: Path, watchdog: float) -> None:
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = directory / "notify"
        address.unlink(missing_ok=True)
        self._notified.bind(str(address))
        self._notified.settimeout(SECONDS)
        configuration = shipped_configuration(directory)
        command = shlex.split(SERVICE["ExecStart"])
        assert command[0] == "/opt/plait/bin/plait"
        at = command.index("/etc/plait/plait.toml")
        command = [str(PROGRAM), *command[1:at], str(configuration), *command[at + 1 :]]
        self._log = (directory / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-c", BECOME, str(listener.fileno()), *command],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[listener.fileno()],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "LISTEN_FDS": "1",
                "LISTEN_FDNAMES": SOCKET["FileDescriptorName"],
                "NOTIFY_SOCKET": str(address),
                "WATCHDOG_USEC": str(int(watchdog * 1e6)),
            },
            start_new_session=True,
        )

    def hear(self, *words: str) -> None:
        """Wait for states that begin with these words, in this order."""
        for word in words:
            while True:
                states = self._notified.recv(4096).decode().splitlines()
                if any(state.startswith(word) for state in states):
                    break

    def close(self) -> None:
        """End what is left."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._notified.close()
        self._log.close()


@contextmanager
def started(listener: socket.socket, directory: Path, watchdog: float = 30.0) -> Iterator[Manager]:
    """Start the service of plait.service, and wait until it says that it is ready."""
    manager = Manager(listener, directory, watchdog)
    try:
        manager.hear("READY=1")
        yield manager
    finally:
        manager.close()


def ask(listener: socket.socket, *fields: bytes) -> socket.socket:
    """Connect, and send a request."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SECONDS)
    client.connect(listener.getsockname())
    client.sendall(b"".join([b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n", *fields, b"\r\n"]))
    return client


def answer(client: socket.socket) -> dict[str, object]:
    """Return what the application saw."""
    with client, client.makefile("rb") as file:
        head, _, content = file.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    seen: dict[str, object] = json.loads(content)
    return seen


def test_the_service_serves_on_the_socket_and_believes_the_proxy(
    listener: socket.socket, tmp_path: Path
) -> None:
    with started(listener, tmp_path) as manager:
        fields = (b"x-forwarded-for: 192.0.2.1\r\n", b"x-forwarded-proto: https\r\n")
        seen = answer(ask(listener, *fields))
        assert (seen["client"], seen["scheme"]) == (["192.0.2.1", 0], "https")

        manager.process.send_signal(signal.SIGHUP)  # ExecReload
        manager.hear("RELOADING=1", "READY=1")
        answer(ask(listener))

        manager.process.terminate()  # KillMode=mixed: the supervisor alone
        manager.hear("STOPPING=1")
        assert manager.process.wait(SECONDS) == 0


def test_who_comes_while_the_service_is_restarted_waits(listener: socket.socket, tmp_path: Path) -> None:
    with started(listener, tmp_path) as manager:
        manager.process.terminate()
        assert manager.process.wait(SECONDS) == 0
    waiting = ask(listener)
    with started(listener, tmp_path):
        answer(waiting)


def test_the_watchdog_is_pinged(listener: socket.socket, tmp_path: Path) -> None:
    assert int(SERVICE["WatchdogSec"]) > 0
    with started(listener, tmp_path, watchdog=0.2) as manager:
        manager.hear("WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1")


def test_systemds_own_activation_starts_it_with_the_first_client(tmp_path: Path) -> None:
    path = tmp_path / "plait.sock"
    name = SOCKET["FileDescriptorName"]
    command = [
        require_tool("systemd-socket-activate"), f"--listen={path}", f"--fdname={name}",
        "-E", f"PYTHONPATH={ROOT}", PROGRAM, "serve", "--config", shipped_configuration(tmp_path),
        *shlex.split(SERVICE["ExecStart"].partition("plait.toml")[2]),
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            assert b"Listening on" in process.stderr.readline()
            curl = [require_tool("curl"), "--silent", "--max-time", "20", "--unix-socket", path, "http://a/"]
            seen = json.loads(subprocess.run(curl, capture_output=True, check=True).stdout)
            assert seen["http_version"] == "1.1"
        finally:
            process.terminate()
            said = process.stderr.read()
    assert process.returncode == 0, said
