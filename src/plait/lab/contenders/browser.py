"""A Chromium process of our own, spoken to over a pipe with the Chrome DevTools Protocol.

The pipe (``--remote-debugging-pipe``) needs no port and no library, and Chromium ends when it is
closed: a browser does not outlive whoever started it, however that one ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from plait.errors import PlaitError

__all__ = ["Browser", "chromium_version", "find_certutil", "find_chromium", "running_browser"]

PATIENCE = 30.0
"""Seconds that Chromium has to start, and for each command; a page may take any time."""

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")

# No window, no first-run dialogues, no calls home, and nothing that another run left behind.
_FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--no-pings",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    # A page that is given to the browser, as an empty one is, may not call servers of a private network.
    "--disable-features=LocalNetworkAccessChecks",
    "--disable-sync",
    "--metrics-recording-only",
    "--password-store=basic",
    "--use-mock-keychain",
)

Event = dict[str, Any]


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome; None when there is none."""
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


def chromium_version() -> str:
    """Ask Chromium for its version."""
    program = find_chromium()
    assert program is not None
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout)
    return found[0] if found else "unknown"


def find_certutil() -> str | None:
    """Return the path of the tool that tells Chromium on Linux whom to trust; None when there is none."""
    return shutil.which("certutil")


class Browser:
    """A running Chromium.

    Args:
        commands: File descriptor to write commands to.
        replies: File descriptor to read replies and events from.
        complaints: Where it writes what goes wrong.
    """

    def __init__(self, commands: int, replies: int, complaints: Path) -> None:
        self._commands = commands
        self._replies = replies
        self._complaints = complaints
        self._numbers = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._rest = b""
        self.on_event: Callable[[Event], None] = lambda event: None

    def send(self, method: str, session: str | None = None, **params: Any) -> int:
        """Give a command and do not wait for its result.

        Args:
            method: Such as ``Page.navigate``.
            session: The page it is for; None for the browser.
            params: Its parameters.

        Returns:
            The number of the command.

        Raises:
            PlaitError: Chromium ended.
        """
        self._numbers += 1
        command = {"id": self._numbers, "method": method, "params": params}
        if session:
            command["sessionId"] = session
        data = memoryview(json.dumps(command).encode() + b"\0")
        try:
            while data:
                data = data[os.write(self._commands, data) :]
        except BrokenPipeError:
            raise self._ended() from None
        return self._numbers

    def call(
        self, method: str, session: str | None = None, *, patience: float | None = PATIENCE, **params: Any
    ) -> dict[str, Any]:
        """Give a command and return the result; see :meth:`send`.

        Args:
            method: Such as ``Page.navigate``.
            session: The page it is for; None for the browser.
            patience: Seconds it may take; None for any time.
            params: Its parameters.

        Raises:
            PlaitError: It was refused, or Chromium ended or does not answer.
        """
        number = self.send(method, session, **params)
        deadline = inf if patience is None else time.monotonic() + patience
        while number not in self._answers:
            left = deadline - time.monotonic()
            if left < 0:
                raise PlaitError(f"Chromium did not answer {method} within {patience:g} seconds")
            self.turn(min(left, PATIENCE))
        answer = self._answers.pop(number)
        if "error" in answer:
            raise PlaitError(f"Chromium refused {method}: {answer['error'].get('message')}")
        result: dict[str, Any] = answer["result"]
        return result

    def turn(self, seconds: float) -> None:
        """Wait for messages, at most so long, and hand on the events among them to ``on_event``.

        Raises:
            PlaitError: Chromium ended.
        """
        if not select.select([self._replies], [], [], seconds)[0]:
            return
        data = os.read(self._replies, 1 << 20)
        if not data:
            raise self._ended()
        *messages, self._rest = (self._rest + data).split(b"\0")
        for text in messages:
            message = json.loads(text)
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self.on_event(message)

    def _ended(self) -> PlaitError:
        lines = self._complaints.read_text(errors="replace").strip().splitlines()
        return PlaitError("Chromium ended unexpectedly" + (f": {lines[-1]}" if lines else ""))


@contextlib.contextmanager
def running_browser(
    flags: Sequence[str], *, cafile: str | None, preferences: dict[str, Any]
) -> Iterator[Browser]:
    """Start Chromium with a fresh profile, and end it and remove the profile afterwards.

    Args:
        flags: Options beside those that every one of ours has.
        cafile: A file with the authority to trust beside the usual ones.
        preferences: What the profile has beside the defaults.

    Raises:
        PlaitError: There is no Chromium, or it cannot be told whom to trust.
    """
    program = find_chromium()
    if program is None:
        raise PlaitError("Chromium is not installed")
    # A short name: Chromium's socket is in there, and the name of a socket has room for a hundred bytes.
    with TemporaryDirectory(prefix="", ignore_cleanup_errors=True) as home:
        if cafile:
            _trust(Path(home), cafile)
        profile = Path(home) / "profile" / "Default"
        profile.mkdir(parents=True)
        (profile / "Preferences").write_text(json.dumps(preferences))
        command = [program, *_FLAGS, *flags, f"--user-data-dir={home}/profile", "about:blank"]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium does not start as root without
        pid, to_browser, from_browser = _spawn(command, Path(home))
        browser = Browser(to_browser, from_browser, Path(home) / "complaints")
        try:
            yield browser
            browser.call("Browser.close")
        finally:
            os.close(to_browser)
            os.close(from_browser)
            _end(pid)


def _trust(home: Path, cafile: str) -> None:
    """Make an authority trusted by the browser of one home directory.

    On Linux Chromium asks the user's NSS database beside its own authorities. The alternative, a list of
    keys to take without looking (``--ignore-certificate-errors-spki-list``), would need another
    connection to learn the server's key, and turn off what is to be measured as it is.
    """
    certutil = find_certutil()
    if sys.platform != "linux" or certutil is None:
        raise PlaitError(f"Chromium can be told to trust {cafile} on Linux only, by certutil")
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-n", "plait", "-t", "C,,", "-i", cafile],
    ):
        done = subprocess.run(
            [certutil, "-d", f"sql:{database}", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PlaitError(f"certutil does not take {cafile}: {' '.join(done.stderr.split())}")


def _spawn(command: list[str], home: Path) -> tuple[int, int, int]:
    """Start Chromium: its process id, and where to write commands and to read replies."""
    ends = [*os.pipe(), *os.pipe()]
    # It reads commands from 3 and writes to 4: move ours out of the way of these numbers.
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in ends]
    for fd in ends:
        os.close(fd)
    commands_out, commands_in, replies_out, replies_in = moved
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "CHROM", "DBUS_"))
    }
    environment |= {"HOME": str(home), "TMPDIR": str(home)}
    try:
        pid = os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(home / "complaints"), os.O_WRONLY | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_DUP2, commands_out, 3),
                (os.POSIX_SPAWN_DUP2, replies_in, 4),
            ],
        )
    finally:
        os.close(commands_out)
        os.close(replies_in)
    return pid, commands_in, replies_out


def _end(pid: int) -> None:
    """Wait for Chromium, whose pipe is closed, to end; kill what is left of it."""
    deadline = time.monotonic() + PATIENCE / 6
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.01)
