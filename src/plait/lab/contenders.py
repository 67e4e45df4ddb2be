"""The crawlers that are compared: a small class each.

The ``crawl`` method runs in a process of its own, whose start is part of what is measured. So this
module imports nothing that a crawl does not need, and each contender imports its client when it starts.
"""

from __future__ import annotations

import json
import time
from collections import deque
from hashlib import sha256

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from plait.client.sync_client import Client, Pending

__all__ = ["EXTRAS", "STANDARD", "Contender", "Crawl", "contender_named", "digest"]


AHEAD = 100
"""Requests submitted beyond those that may travel, so that the next is at hand whichever is answered."""


def digest(status: int, content: bytes) -> str:
    """Sum up a response in a few characters; two responses with the same digest are the same."""
    return sha256(b"%d %b" % (status, content)).hexdigest()[:32]


class Crawl:
    """One crawl: what to fetch, and what came of it.

    Attributes:
        base_url: The server, such as ``https://127.0.0.1:8443``.
        cafile: A file with the authority to trust; None for the system's.
        insecure: Take any certificate.
        in_flight: How many requests the contenders that multiplex have under way.
        received: Path and digest of each response, in the order they were read.
        seconds: From sending each request until its content was complete, in the same order.
        connections: Connections opened.
        bytes_sent: TCP payload sent, or None.
        bytes_received: TCP payload received, or None.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.base_url: str = job["base_url"]
        self.cafile: str | None = job["cafile"]
        self.insecure: bool = job["insecure"]
        self.in_flight: int = job["in_flight"]
        self._index: dict[str, str] | None = job["index"]
        self._paths: list[str] = job["paths"]
        self.received: list[tuple[str, str]] = []
        self.seconds: list[float] = []
        self.connections = 0
        self.bytes_sent: int | None = None
        self.bytes_received: int | None = None

    def receive(self, path: str, status: int, content: bytes, seconds: float) -> None:
        """Record a response; its content is not kept, so that memory is what the client needs."""
        self.received.append((path, digest(status, content)))
        self.seconds.append(seconds)

    @property
    def verify(self) -> bool | str:
        """Whom to trust, as clients take it in ``verify=``."""
        return not self.insecure and (self.cafile or True)

    def paths(self, get: Callable[[str], bytes]) -> list[str]:
        """List what to fetch, asking the server's index for it where there is one.

        Args:
            get: Fetches one path and records it.
        """
        if self._index is None:
            return self._paths
        item = self._index["item"]
        return [item.format(id) for id in json.loads(get(self._index["path"]))]


class Contender:
    """One way to crawl a server.

    Attributes:
        name: As ``--json`` spells it.
        http: The version of HTTP it needs, "1" or "2".
        requires: The package it needs beside plait; the extra of plait that installs it has its name.
    """

    name: str
    http: str
    requires: str | None = None

    def title(self, in_flight: int) -> str:
        """Name the contender for a table, in at most 23 characters."""
        raise NotImplementedError

    def crawl(self, crawl: Crawl) -> None:
        """Fetch all there is to fetch and record it."""
        raise NotImplementedError


class _PlaitContender(Contender):
    """A way to use :class:`plait.Client`."""

    connections = 1

    def crawl(self, crawl: Crawl) -> None:
        from plait.client.sync_client import Client

        with Client(
            crawl.base_url,
            verify=crawl.verify,
            http=self.http,
            max_connections=self.connections,
            max_in_flight=crawl.in_flight,
        ) as client:

            def get(path: str) -> bytes:
                response = client.get(path)
                crawl.receive(path, response.status, response.content, response.elapsed)
                return response.content

            self.fetch(client, crawl, crawl.paths(get))
            statistics = client.statistics
            crawl.connections = statistics.connections_opened
            crawl.bytes_sent = statistics.bytes_sent
            crawl.bytes_received = statistics.bytes_received

    def fetch(self, client: Client, crawl: Crawl, paths: list[str]) -> None:
        """Fetch the paths; by default one after the other."""
        for path in paths:
            response = client.get(path)
            crawl.receive(path, response.status, response.content, response.elapsed)


def _submit(client: Client, crawl: Crawl, paths: list[str], ahead: int) -> None:
    """Submit the paths and read them in the same order.

    Args:
        client: Decides how many of those submitted travel at once.
        crawl: Takes the responses.
        paths: What to fetch.
        ahead: How many may be submitted and not read.
    """
    pending: deque[tuple[str, Pending]] = deque()

    def read_one() -> None:
        path, exchange = pending.popleft()
        response = exchange.result()
        crawl.receive(path, response.status, response.content, response.elapsed)

    for path in paths:
        if len(pending) == ahead:
            read_one()
        pending.append((path, client.submit("GET", path)))
    while pending:
        read_one()


class Http1Serial(_PlaitContender):
    """One request after the other on one connection: what most scripts do."""

    name = "h1-serial"
    http = "1"

    def title(self, in_flight: int) -> str:
        return "HTTP/1.1, 1 connection"


class Http1Pool(_PlaitContender):
    """Six connections, as browsers open to one origin."""

    name = "h1-pool-6"
    http = "1"
    connections = 6

    def title(self, in_flight: int) -> str:
        return "HTTP/1.1, 6 connections"

    def fetch(self, client: Client, crawl: Crawl, paths: list[str]) -> None:
        _submit(client, crawl, paths, AHEAD)


class Http2Serial(_PlaitContender):
    """One request after the other over HTTP/2: only the protocol changes."""

    name = "h2-serial"
    http = "2"

    def title(self, in_flight: int) -> str:
        return "HTTP/2, serial"


class Http2Chunks(_PlaitContender):
    """A chunk of requests is sent and read to its end before the next is sent."""

    name = "h2-chunks"
    http = "2"

    def title(self, in_flight: int) -> str:
        return f"HTTP/2, chunks of {in_flight}"

    def fetch(self, client: Client, crawl: Crawl, paths: list[str]) -> None:
        for start in range(0, len(paths), crawl.in_flight):
            _submit(client, crawl, paths[start : start + crawl.in_flight], crawl.in_flight)


class Http2Window(_PlaitContender):
    """The next request is sent as soon as one of those under way is answered; the client bounds them."""

    name = "h2-window"
    http = "2"

    def title(self, in_flight: int) -> str:
        return f"HTTP/2, window of {in_flight}"

    def fetch(self, client: Client, crawl: Crawl, paths: list[str]) -> None:
        _submit(client, crawl, paths, crawl.in_flight + AHEAD)


class RequestsSerial(Contender):
    """One ``requests.Session``, one request after the other."""

    name = "requests"
    http = "1"
    requires = "requests"

    def title(self, in_flight: int) -> str:
        return "requests, 1 connection"

    def crawl(self, crawl: Crawl) -> None:
        import requests

        from plait.lab.wire import watch_urllib3

        sockets = watch_urllib3()
        with requests.Session() as session:
            # The environment may name proxies and authorities of its own; every contender must go
            # the same way.
            session.trust_env = False
            # plait.Client asks for no compression.
            session.headers["accept-encoding"] = "identity"

            def get(path: str) -> bytes:
                sent = time.perf_counter()
                response = session.get(crawl.base_url + path, verify=crawl.verify, allow_redirects=False)
                seconds = time.perf_counter() - sent
                crawl.receive(path, response.status_code, response.content, seconds)
                return response.content

            for path in crawl.paths(get):
                get(path)
            crawl.connections = len(sockets)
            crawl.bytes_sent, crawl.bytes_received = sockets.totals()


STANDARD: tuple[Contender, ...] = (Http1Serial(), Http1Pool(), Http2Serial(), Http2Chunks(), Http2Window())
"""In the order of the table; the first is what the others are compared with."""

EXTRAS: tuple[Contender, ...] = (RequestsSerial(),)
"""Those that ``--with`` adds, by their names."""


def contender_named(name: str) -> Contender:
    """Find a contender."""
    return next(contender for contender in (*STANDARD, *EXTRAS) if contender.name == name)
