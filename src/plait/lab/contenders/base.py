"""What a contender is, and the load it carries out: a job in, a result out.

A load runs in a process of its own, whose start is part of what is measured. So the modules of this
package import nothing that a load does not need, and each contender imports its client when it starts.
"""

from __future__ import annotations

import time
from hashlib import sha256
from heapq import heappop, heappush

from plait.lab.contenders.graph import Graph

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["TCP", "Contender", "Load", "add_up", "peak_memory"]

TCP = ("segments_sent", "segments_received", "retransmitted", "out_of_order")
"""The beginning of :class:`plait.client.statistics.TcpInfo`, as :class:`plait.lab.samples.Tcp` has it."""


class Load:
    """One load: what to fetch, and what came of it.

    All times are seconds of ``time.monotonic``.

    Args:
        job: What the crawler reads; docs/contenders.md describes it.

    Attributes:
        contender: The name of who carries it out.
        base_url: The server, such as ``https://localhost:8443``.
        cafile: A file with the authority to trust; None for the system's.
        insecure: Take any certificate.
        in_flight: How many requests the contenders that multiplex have under way.
        address: The address that the host of the URL stands for, for clients that do not look it up
            like all others; None where they need no help.
        page: The path that a browser opens to fetch everything; None when it has to be told each.
        headers: Fields of every request.
        paths: The path and query of each resource.
        kinds: What each resource is to a page.
        parents: The resource that makes each known, by its index; None for the beginning.
        delays: Seconds from then until it is asked for.
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
        self.contender: str = job["contender"]
        self.base_url: str = job["base_url"]
        self.cafile: str | None = job["cafile"]
        self.insecure: bool = job["insecure"]
        self.in_flight: int = job["in_flight"]
        self.address: str | None = job["address"]
        self.page: str | None = job["page"]
        # Tuples, for what cannot change is read once by plait's client.
        self.headers: tuple[tuple[str, str], ...] = tuple([(name, value) for name, value in job["headers"]])
        self.paths: Sequence[str]
        self.kinds: Sequence[str]
        self.parents: Sequence[int | None]
        self.delays: Sequence[float]
        self.paths, self.kinds, self.parents, self.delays = zip(*job["resources"], strict=True)
        self.graph = Graph(self.parents, self.delays)
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

    def one_by_one(self) -> Iterator[int]:
        """Yield the resources that are known, the first of the workload first; wait for the next to be.

        Whoever iterates receives each before asking for the next.
        """
        known: list[int] = []
        while self.graph.unfinished:
            for index in self.due():
                heappush(known, index)
            if known:
                yield heappop(known)
            else:
                time.sleep(self.until_due or 0.0)

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
        self._received.append((index, status, len(content), sha256(content).hexdigest()))
        self._latencies.append(round((done - sent) * 1e6))
        if done > self._ended:
            self._ended = done
        if index in self._first and answered is not None and connection is not None:
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

    @property
    def ports(self) -> set[int]:
        """The ports of the connections recorded so far."""
        return {port for port, *_ in self._connections}

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
        connections: How many connections it opens, at most.
        schemes: Which of ``https`` and ``http`` it can do that over.
        requires: The packages it needs beside plait.
        again: The contender that this one is a second time, or None.
    """

    name: str
    label: str
    http: str
    connections: int = 1
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


def add_up(names: Sequence[str], counts: Sequence[Sequence[Any] | None]) -> dict[str, Any] | None:
    """Add up counts of several connections, by name; None for one that nobody counted.

    Args:
        names: What the counts of each connection are, in their order; there may be more of them.
        counts: Those of each connection, None where nothing was counted.

    Returns:
        None when some connection has none, or there is no connection.
    """
    told = [one for one in counts if one is not None]
    if not told or len(told) < len(counts):
        return None
    columns = zip(names, zip(*told, strict=True), strict=False)
    return {name: None if None in column else sum(column) for name, column in columns}


def peak_memory(process: int | str = "self") -> int | None:
    """Ask the kernel for the largest resident set of a program, in bytes; None where it cannot be asked.

    What it says of a child that has ended (``ru_maxrss``) counts the copy of the parent, too, that
    the child was before it started the program: a small crawler would look as large as its parent.

    Args:
        process: Its id; by default this one.
    """
    try:
        with open(f"/proc/{process}/status", "rb") as status:
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
