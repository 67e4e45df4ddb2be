"""What a contender is, and the load it carries out: a job in, a result out.

A load runs in a process of its own, whose start is part of what is measured. So the modules of this
package import nothing that a load does not need, and each contender imports its client when it starts.
"""

from __future__ import annotations

import time
from hashlib import sha256

from plait.lab.contenders.graph import Graph

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["Contender", "Load"]


class Load:
    """One load: what to fetch, and what came of it.

    All times are seconds of ``time.monotonic``.

    Args:
        job: What the crawler reads; docs/contenders.md describes it.

    Attributes:
        base_url: The server, such as ``https://localhost:8443``.
        cafile: A file with the authority to trust; None for the system's.
        insecure: Take any certificate.
        in_flight: How many requests the contenders that multiplex have under way.
        address: The address that the host of the URL stands for; None where it is looked up.
        page: The path that a browser opens to fetch everything; None when it has to be told each.
        headers: Fields of every request.
        paths: The path and query of each resource.
        kinds: What each resource is to a page.
        graph: Which resources are known.
        began: When the load began.
        connections: Connections opened; None counts those told to :meth:`connected`.
        bytes_sent: TCP payload sent, TLS included; None where the client does not tell.
        bytes_received: TCP payload received, likewise.
        fields: Bytes of field sections, as :class:`plait.lab.samples.Fields` has them; None likewise.
        tcp: What the kernel counted, as :class:`plait.lab.samples.Tcp` has it; None likewise.
        peak_memory: The largest resident set of the client, in bytes, where it is another process.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.base_url: str = job["base_url"]
        self.cafile: str | None = job["cafile"]
        self.insecure: bool = job["insecure"]
        self.in_flight: int = job["in_flight"]
        self.address: str | None = job["address"]
        self.page: str | None = job["page"]
        self.headers: list[tuple[str, str]] = [(name, value) for name, value in job["headers"]]
        parents: Sequence[int | None]
        delays: Sequence[float]
        self.paths: Sequence[str]
        self.kinds: Sequence[str]
        self.paths, self.kinds, parents, delays = zip(*job["resources"], strict=True)
        self.graph = Graph(parents, delays)
        self._timeline: int = job["timeline"]
        self.began = 0.0
        self._ended = 0.0
        self._received: list[tuple[int, int, int | None, str | None]] = []
        self._latencies: list[int] = []
        self._first: set[int] = set()
        self._requests: list[tuple[int, int, float, float, float, float]] = []
        self._connections: list[tuple[int, float, float, float]] = []
        self.connections: int | None = None
        self.bytes_sent: int | None = None
        self.bytes_received: int | None = None
        self.fields: dict[str, int] | None = None
        self.tcp: dict[str, int | None] | None = None
        self.peak_memory: int | None = None

    @property
    def verify(self) -> bool | str:
        """Whom to trust, as clients take it in ``verify=``."""
        return not self.insecure and (self.cafile or True)

    # -- what to fetch, and when -----------------------------------------------------------------

    def begin(self) -> None:
        """Start the clock; everything is imported, and no connection is open."""
        self.began = time.monotonic()
        self.graph.begin(self.began)

    def due(self) -> list[int]:
        """Return the resources that became known since the last call, in the order they did."""
        found = self.graph.due(time.monotonic())
        if len(self._first) < self._timeline:
            self._first.update(found[: self._timeline - len(self._first)])
        return found

    @property
    def until_due(self) -> float | None:
        """Seconds until the next resource becomes known by itself; None when none will."""
        when = self.graph.next_due
        return None if when is None else max(0.0, when - time.monotonic())

    # -- what came of it -------------------------------------------------------------------------

    def receive(
        self,
        index: int,
        status: int,
        content: bytes,
        *,
        sent: float,
        done: float,
        answered: float | None = None,
        connection: int | None = None,
    ) -> None:
        """Record a complete response; its content is not kept, so that memory is what the client needs.

        Args:
            index: Which resource.
            status: Its status code.
            content: Its content, as it was transferred.
            sent: When the request was sent.
            done: When the content was complete.
            answered: When the header section was there; None where the client does not tell.
            connection: Which connection, in the order of :meth:`connected`; None likewise.
        """
        self.record(index, status, len(content), sha256(content).hexdigest(), sent=sent, done=done)
        if answered is not None and connection is not None and index in self._first:
            self.note(index, connection, self.graph.known[index], sent, answered, done)
        self.graph.complete(index, done)

    def record(
        self, index: int, status: int, size: int | None, digest: str | None, *, sent: float, done: float
    ) -> None:
        """Record a response of which only this is known: None for a size or digest that is not."""
        self._received.append((index, status, size, digest))
        self._latencies.append(round((done - sent) * 1e6))
        if done > self._ended:
            self._ended = done

    def note(
        self, index: int, connection: int, known: float, sent: float, answered: float, done: float
    ) -> None:
        """Keep the phases of one request."""
        self._requests.append((index, connection, known, sent, answered, done))

    def connected(self, port: int, started: float, connected: float, secured: float) -> None:
        """Record a connection.

        Args:
            port: Its port on this side, 0 when it is not known.
            started: When the client began to connect.
            connected: When TCP was established.
            secured: When TLS was; ``connected`` without TLS.
        """
        self._connections.append((port, started, connected, secured))

    def result(self) -> dict[str, Any]:
        """Make what the crawler writes; docs/contenders.md describes it."""
        began = self.began

        def since(seconds: float) -> int:
            return max(0, round((seconds - began) * 1e6))

        opened = self._connections
        self._requests.sort(key=lambda times: times[3])
        return {
            "failure": None,
            "began": began,
            "load": self._ended - began,
            "received": self._received,
            "latencies": self._latencies,
            "connections": len(opened) if self.connections is None else self.connections,
            "handshakes": sum(times[3] - times[1] for times in opened) if opened else None,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "fields": self.fields,
            "tcp": self.tcp,
            "peak_memory": self.peak_memory,
            "timeline": {
                "connections": [(port, *map(since, times)) for port, *times in opened],
                "requests": [
                    (index, connection, *map(since, times))
                    for index, connection, *times in self._requests[: self._timeline]
                ],
            }
            if opened and self._requests
            else None,
        }


class Contender:
    """One way to fetch what a workload lists.

    Attributes:
        name: As samples and options spell it.
        label: For people, in at most 26 characters; ``{in_flight}`` stands for the requests under way.
        http: The version of HTTP it needs, ``"1"`` or ``"2"``.
        schemes: Which of ``https`` and ``http`` it can do that over.
        requires: The packages it needs beside plait.
        again: The contender that this one is a second time, or None.
    """

    name: str
    label: str
    http: str
    schemes: tuple[str, ...] = ("https", "http")
    requires: tuple[str, ...] = ()
    again: str | None = None

    def title(self, in_flight: int) -> str:
        """Name the contender for a table, in at most 26 characters."""
        return f"{self.again}, again" if self.again else self.label.format(in_flight=in_flight)

    def missing(self) -> str | None:
        """Say in one sentence what it needs that is not installed; None when it can run."""
        from importlib.util import find_spec

        absent = [package for package in self.requires if find_spec(package) is None]
        if not absent:
            return None
        return (
            f"{self.name} needs {' and '.join(absent)}, not installed here: pip install 'plait[lab-clients]'"
        )

    def versions(self) -> dict[str, str]:
        """Return the versions of what it needs, by name."""
        from importlib.metadata import version

        return {package: version(package) for package in self.requires}

    def run(self, load: Load) -> None:
        """Fetch everything and record it: import the client, ``load.begin()``, and go on from there.

        Raises:
            Exception: Whatever the client raises; the load has failed.
        """
        raise NotImplementedError
