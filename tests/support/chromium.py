"""Headless Chromium, driven through chromedriver's own HTTP interface (W3C WebDriver)."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.servers import free_port, run_server
from tests.support.tools import require_tool

__all__ = ["Chromium", "trust"]

# A test machine has no screen, often no user namespaces, and nothing to look up at Google.
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def trust(home: Path, ca: Path) -> None:
    """Make a certificate authority trusted by the browser of one home directory.

    Args:
        home: The home directory, where Chromium on Linux looks for the user's own authorities.
        ca: The authority, PEM.
    """
    certutil = require_tool("certutil")
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-n", "test authority", "-t", "C,,", "-i", str(ca)],
    ):
        subprocess.run([certutil, "-d", f"sql:{database}", *arguments], check=True, capture_output=True)


class Chromium:
    """One browser window.

    Args:
        endpoint: Address of the WebDriver session.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    @classmethod
    @contextmanager
    def start(cls, home: Path, **logs: str) -> Iterator[Chromium]:
        """Start chromedriver and a browser, and end both.

        Args:
            home: Home directory of the browser, with what it trusts.
            logs: The logs that ``log`` reads later, with the level from which they are kept.
        """
        driver, browser = require_tool("chromedriver"), require_tool("chromium")
        port = free_port()
        # Chromium finds its own authorities through HOME.
        command = ["env", f"HOME={home}", driver, f"--port={port}"]
        with (
            tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile,
            run_server(command, port=port, scheme="http") as running,
        ):
            base = f"http://127.0.0.1:{running.port}/session"
            options = {"binary": browser, "args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
            wanted = {"acceptInsecureCerts": False, "goog:chromeOptions": options}
            wanted["goog:loggingPrefs"] = logs
            session = _call("POST", base, {"capabilities": {"alwaysMatch": wanted}})
            endpoint = f"{base}/{session['sessionId']}"
            try:
                yield cls(endpoint)
            finally:
                _call("DELETE", endpoint)

    def open(self, url: str) -> None:
        """Open a page and wait until it has loaded."""
        _call("POST", f"{self._endpoint}/url", {"url": url})

    def evaluate(self, script: str) -> Any:
        """Run the body of an async function in the page and return what it returns."""
        body = {"script": f"return (async () => {{ {script} }})()", "args": []}
        return _call("POST", f"{self._endpoint}/execute/sync", body)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Send one command of the DevTools protocol and return its answer."""
        body = {"cmd": command, "params": parameters}
        return _call("POST", f"{self._endpoint}/goog/cdp/execute", body)

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of a log since they were last asked for."""
        entries: list[dict[str, Any]] = _call("POST", f"{self._endpoint}/se/log", {"type": kind})
        return entries


def _call(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"content-type": "application/json"}, method=method)
    # No proxy of the environment stands between a test and its own machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as response:
            return json.load(response)["value"]
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{method} {os.path.basename(url)}: {error.read().decode()}") from None
