"""The sites of ``tests/frameworks/apps``, each in a process, and clients that ask it over both versions."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.servers import ROOT, Certificate, RunningServer, serve_app

__all__ = ["APPLICATIONS", "LARGE", "VERSIONS", "Site", "only", "run_site", "unique"]

#: Where each site is, by its name, and what it takes for a hundred of its requests to wait at once.
APPLICATIONS = {
    "starlette": ("starlette_app:app",),
    "fastapi": ("fastapi_app:app",),
    "django": ("django_site:asgi",),
    "django-wsgi": ("django_site:wsgi", "--threads", "100"),
    "flask": ("flask_app:app", "--threads", "100"),
}
VERSIONS = ("1.1", "2")

#: What ``large.bin`` holds: every position of it can be told by its bytes.
LARGE = b"".join(number.to_bytes(4, "big") for number in range(100_000))

SECONDS = 20.0

#: Fields that are about one connection, or one moment.
_OF_THE_MOMENT = {"date", "transfer-encoding", "connection", "keep-alive"}


@dataclass
class Site:
    """One site, served over TLS.

    Attributes:
        name: Which.
        server: The process.
        certificate: What it serves TLS with.
        clients: A client of each version.
    """

    name: str
    server: RunningServer
    certificate: Certificate
    clients: dict[str, httpx.Client]

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask over HTTP/1.1 and over HTTP/2, which must give the same, and return one of the responses.

        Args:
            method: The method.
            path: The path, with a query or without; ``{version}`` in it stands for the version.
            options: What ``httpx.Client.request`` takes; content that can be read only once is to be in
                a function, which is called for each.
        """
        answers = []
        for version in VERSIONS:
            given = {name: value() if callable(value) else value for name, value in options.items()}
            answers.append(self.ask_over(version, method, path.replace("{version}", version), **given))
        assert _told(answers[0]) == _told(answers[1])
        return answers[1]

    def ask_over(self, version: str, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask over one version."""
        client = self.clients[version]
        answer = client.request(method, path, **options)
        assert answer.http_version == f"HTTP/{version}"
        client.cookies.clear()
        return answer

    def tell(self, version: str, name: str) -> None:
        """Let go on what waits for a name."""
        assert self.ask_over(version, "POST", f"/go/{name}").status_code == 204

    def notes(self, name: str) -> list[str]:
        """Return what has been noted under a name."""
        noted: list[str] = self.ask_over("2", "GET", f"/notes/{name}").json()
        return noted

    def until_noted(self, name: str, what: str) -> None:
        """Wait until something has been noted under a name."""
        self._until(lambda: what in self.notes(name), f"{what!r} was not noted of {name}")

    def until_said(self, what: str) -> None:
        """Wait until the server has written something to its log."""
        self._until(lambda: what in self.server.output(), f"{what!r} is not in the log")

    def _until(self, condition: Callable[[], bool], failure: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{failure}:\n{self.server.output()[-2000:]}"
            time.sleep(0.005)  # between two looks; what is waited for tells nobody

    async def connect(self, *alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect for the clients of ``tests.support.serving``."""
        context = self.context(*alpn)
        return await asyncio.open_connection(
            "127.0.0.1", self.server.port, ssl=context, server_hostname="localhost"
        )

    def context(self, *alpn: str) -> ssl.SSLContext:
        """Return a client's context that offers these protocols."""
        context = self.certificate.context()
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def only(*names: str) -> pytest.MarkDecorator:
    """Run a test with some of the sites, for what not every framework has."""
    return pytest.mark.parametrize("site", names, indirect=True)


_numbers = itertools.count()


def unique(what: str) -> str:
    """Return a name that no other test notes something under."""
    return f"{what}-{next(_numbers)}"


def _told(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    fields = [(name, value) for name, value in answer.headers.multi_items() if name not in _OF_THE_MOMENT]
    return answer.status_code, sorted(fields), answer.content


@contextmanager
def run_site(name: str, folder: Path, certificate: Certificate, *options: str) -> Iterator[Site]:
    """Serve a site.

    Args:
        name: Which.
        folder: Where its files go.
        certificate: What to serve TLS with.
        options: Further options of ``plait serve``.
    """
    (folder / "large.bin").write_bytes(LARGE)
    environment = folder / "env"
    environment.write_text(f"SITE_FOLDER={folder}\n")
    app, *own = APPLICATIONS[name]
    directory = ROOT / "tests" / "frameworks" / "apps"
    given = ["--env-file", environment, "--no-access-log", *own, *options]
    with serve_app(app, *given, certificate=certificate, app_dir=directory) as server:
        common = {"base_url": server.url(""), "timeout": SECONDS, "trust_env": False}
        common["headers"] = {"accept-encoding": "identity"}
        with (
            httpx.Client(verify=certificate.context(), **common) as one,
            httpx.Client(verify=certificate.context(), http2=True, http1=False, **common) as two,
        ):
            yield Site(name, server, certificate, {"1.1": one, "2": two})
