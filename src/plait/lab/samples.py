"""What was measured: one sample for each run of a contender, and the record that keeps them all.

The record is the file that ``plait compare --json`` writes, and nothing in it is derived: medians,
ratios and verdicts are computed from it, here and by whoever reads it later.
"""

from __future__ import annotations

import json
import types
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from plait.errors import ConfigError
from plait.lab.network.profile import Network

__all__ = [
    "SCHEMA_VERSION",
    "Cell",
    "ConnectionTimes",
    "ContenderInfo",
    "Cpu",
    "Environment",
    "Fields",
    "LinkUse",
    "Loss",
    "Measurement",
    "Medium",
    "Record",
    "RequestTimes",
    "ResourceInfo",
    "Sample",
    "Tcp",
    "Timeline",
    "Traffic",
]

SCHEMA_VERSION = 2
_LONGEST_LOAD = 1e6  # seconds: a run may take a day at most


class Medium(StrEnum):
    """What lay between the contenders and the server."""

    LOOPBACK = "loopback"
    """Nothing: both were on one machine."""
    EMULATED = "emulated"
    """The kernel's own TCP over an emulated link, packet by packet."""
    MODELLED = "modelled"
    """A relay that delays bytes: no loss, no queue, and no slow start across it."""
    REAL = "real"
    """Whatever network there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """CPU that another process used during one run, in seconds.

    Attributes:
        total: From the process's CPU clock, exact to the nanosecond.
        user: From the kernel's accounting, which counts in clock ticks (mostly 10 ms).
        system: The same.
    """

    total: float
    user: float
    system: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Bytes of field sections, header and trailer, of all exchanges of one run.

    Attributes:
        request: Names and values of the requests, as HTTP/1.1 would write them: with a request or
            status line, colons and line ends.
        request_wire: What the requests' sections took on the wire: the same in HTTP/1.1, HEADERS and
            CONTINUATION frames with their frame headers in HTTP/2.
        response: As ``request``, of the responses.
        response_wire: As ``request_wire``, of the responses.
    """

    request: int
    request_wire: int
    response: int
    response_wire: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp:
    """What the client's kernel says of all connections of one run (TCP_INFO), added up.

    Attributes:
        segments_sent: Segments that left.
        segments_received: Segments that came in.
        retransmitted: Segments that left more than once.
        out_of_order: Segments that came in behind a gap; None where the kernel does not count them.
    """

    segments_sent: int
    segments_received: int
    retransmitted: int
    out_of_order: int | None


class ConnectionTimes(NamedTuple):
    """One connection's phases, microseconds since the load began.

    Attributes:
        port: Its port on the client's side, 0 when it is not known.
        started: When the client began to connect.
        connected: When TCP was established.
        secured: When TLS was; equal to ``connected`` without TLS.
    """

    port: int
    started: int
    connected: int
    secured: int


class RequestTimes(NamedTuple):
    """One exchange's phases, microseconds since the load began.

    Attributes:
        resource: Which resource, by its index in the workload.
        connection: Which connection, by its index in the timeline.
        known: When the client knew that it would be needed.
        sent: When its request was sent.
        answered: When the response's header section was there.
        done: When its content was complete.
    """

    resource: int
    connection: int
    known: int
    sent: int
    answered: int
    done: int


class Loss(NamedTuple):
    """One packet that the emulated link lost, or that a host sent again.

    Attributes:
        at: Microseconds since the load began.
        port: The connection, by its port on the client's side.
        down: Whether it went from the server to the client.
        kind: ``lost`` (at random), ``dropped`` (the queue was full) or ``resent`` (a retransmission).
    """

    at: int
    port: int
    down: bool
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """When everything happened in one run, for its first requests.

    Attributes:
        connections: In the order they were opened.
        requests: In the order they were sent.
        losses: In the order they happened; empty where there was no emulated link.
    """

    connections: tuple[ConnectionTimes, ...]
    requests: tuple[RequestTimes, ...]
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one direction of an emulated link carried during one run.

    Attributes:
        packets: Packets delivered.
        bytes: Bytes delivered, IP headers included.
        lost: Packets lost at random.
        dropped: Packets that found the queue full.
        resent: Packets that were retransmissions.
    """

    packets: int
    bytes: int
    lost: int
    dropped: int
    resent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkUse:
    """What an emulated link did during one run, and what it added of its own.

    Attributes:
        down: From the server to the client.
        up: From the client to the server.
        late_median: Seconds by which packets were delivered later than they should have been, the median.
        late_p99: The same, 99 % were less late.
        late_max: The same, the worst.
        busy: The share of its CPU that carrying packets took in the busiest tenth of a second, from 0 to 1.
        capacity: Packets per second it could have carried at what each cost then.
        overruns: Packets that the kernel had no room for before the emulator read them.
    """

    down: Traffic
    up: Traffic
    late_median: float
    late_p99: float
    late_max: float
    busy: float
    capacity: float
    overruns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one run cost.

    Attributes:
        load: Seconds from before the first connection was opened until the last response was complete.
            For a browser from the start of the navigation.
        elapsed: Seconds from before the process was started until it was reaped.
        user: Seconds of CPU in user mode, of the whole process.
        system: Seconds of CPU in the kernel.
        peak_memory: The largest resident set, in bytes.
        minor_faults: Page faults without input or output.
        major_faults: Page faults with.
        voluntary_switches: How often the process waited.
        involuntary_switches: How often it was made to.
        connections: Connections opened.
        handshakes: Seconds spent connecting and in TLS handshakes, added up over the connections;
            None where the client does not tell.
        bytes_sent: TCP payload sent, TLS included; None where the platform cannot tell.
        bytes_received: TCP payload received, likewise.
        fields: Bytes of header sections; None where the client does not tell.
        tcp: What the kernel counted; None where it does not tell.
        server: CPU the server used meanwhile; None for a server started by somebody else.
        latencies: Microseconds from sending each request until its content was complete.
        timeline: When everything happened; None where the client does not tell.
    """

    load: float
    elapsed: float
    user: float
    system: float
    peak_memory: int
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int
    connections: int
    handshakes: float | None
    bytes_sent: int | None
    bytes_received: int | None
    fields: Fields | None
    tcp: Tcp | None
    server: Cpu | None
    latencies: tuple[int, ...]
    timeline: Timeline | None

    @property
    def cpu_percent(self) -> float:
        """CPU time as a share of elapsed time."""
        return 100 * (self.user + self.system) / self.elapsed

    @property
    def requests_per_second(self) -> float:
        """Requests over the time of the load."""
        return len(self.latencies) / self.load


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one contender: measured, or failed, never both.

    Attributes:
        block: Which repeat it belongs to, from 0.
        position: Its place in the random order of the block, from 0.
        contender: The name of the contender.
        failure: One sentence why the run does not count; None when it does.
        measurement: What it cost; None when it failed.
        link: What the emulated link did meanwhile; None where there was none.
    """

    block: int
    position: int
    contender: str
    failure: str | None
    measurement: Measurement | None
    link: LinkUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """All samples taken on one network.

    Attributes:
        network: The network; None on loopback, or over a real one.
        samples: In the order they were taken.
    """

    network: Network | None
    samples: tuple[Sample, ...]

    def measurements(self, contender: str) -> list[Measurement]:
        """List the measured runs of one contender."""
        return [s.measurement for s in self.samples if s.contender == contender and s.measurement]

    def failures(self, contender: str) -> list[str]:
        """List why runs of one contender failed."""
        return [s.failure for s in self.samples if s.contender == contender and s.failure]

    def loads(self, contender: str) -> dict[int, float]:
        """Map the blocks in which a contender was measured to the seconds its load took."""
        return {
            s.block: s.measurement.load for s in self.samples if s.contender == contender and s.measurement
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ContenderInfo:
    """How a contender is called in the samples and in a table.

    Attributes:
        name: As samples and options spell it: ``h2``, ``h1x6``.
        title: For people.
        again: The contender that this one is a second time, to see how much chance does; or None.
    """

    name: str
    title: str
    again: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceInfo:
    """What was fetched, as far as a report tells of it.

    Attributes:
        path: Path and query.
        kind: See :class:`plait.lab.workload.Kind`.
        size: Bytes of its content.
    """

    path: str
    kind: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where and with what the samples were taken.

    Attributes:
        plait: The version of plait.
        python: The version and implementation of Python.
        openssl: The version of the TLS library.
        packages: The versions of the packages under the contenders and the server, by name.
        congestion_control: TCP's, None where the system does not tell.
        kernel: Name and release of the operating system's kernel.
        machine: The architecture of the processor.
        cpu_count: How many processors this process may use.
    """

    plait: str
    python: str
    openssl: str
    packages: dict[str, str]
    congestion_control: str | None
    kernel: str
    machine: str
    cpu_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything one comparison found, and all it takes to repeat it.

    Attributes:
        started: When, in ISO 8601 with a time zone.
        command: The command that repeats it, in the same order.
        environment: Where and with what.
        workload: What was fetched: ``bookstore``, or another name of a workload.
        base_url: The server.
        medium: What lay in between.
        resources: What was fetched, in the order of the workload.
        in_flight: How many requests the contenders that multiplex had under way.
        seed: Of the random order and of the links.
        margin: The difference of no practical interest, as a share: 0.03.
        confidence: Of every interval: 0.95.
        reference: The contender that others are compared with, by name.
        contenders: In the order of the table.
        cells: One for each network.
    """

    started: str
    command: str
    environment: Environment
    workload: str
    base_url: str
    medium: Medium
    resources: tuple[ResourceInfo, ...]
    in_flight: int
    seed: int
    margin: float
    confidence: float
    reference: str
    contenders: tuple[ContenderInfo, ...]
    cells: tuple[Cell, ...]

    def title(self, contender: str) -> str:
        """Name a contender for people."""
        return next(one.title for one in self.contenders if one.name == contender)

    def to_json(self) -> str:
        """Write the record as JSON; its shape is described in docs/compare.md."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read what :meth:`to_json` wrote.

        Raises:
            ConfigError: It is not such a record, or of another version of the schema.
        """
        try:
            found: dict[str, Any] = json.loads(text)
            version = found.pop("schema_version")
            if version != SCHEMA_VERSION:
                raise ConfigError(
                    f"these samples have schema version {version}; this plait reads {SCHEMA_VERSION}"
                )
            record: Record = _read(cls, found)
            record._check()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ConfigError(f"these are not samples of plait compare: {error}") from error
        return record

    def _check(self) -> None:
        """See to it that figures and names are such as a comparison writes.

        Raises:
            ValueError: They are not.
        """
        if not 0 < self.confidence < 1 or not 0 < self.margin < 1:
            raise ValueError("its margin and its confidence are not shares")
        names = {one.name for one in self.contenders}
        again = {one.again for one in self.contenders if one.again is not None}
        samples = [sample for cell in self.cells for sample in cell.samples]
        if unknown := {self.reference, *again, *(sample.contender for sample in samples)} - names:
            raise ValueError(f"{min(unknown)!r} is none of its contenders")
        for run in (sample.measurement for sample in samples if sample.measurement):
            if not 0 < run.load < _LONGEST_LOAD:
                raise ValueError(f"a load cannot have taken {run.load} seconds")
            timeline = run.timeline.requests if run.timeline else ()
            if any(not 0 <= request.resource < len(self.resources) for request in timeline):
                raise ValueError("a request is for none of its resources")


def _read(kind: Any, value: Any) -> Any:
    """Make a value of a type out of what JSON made of one; the types above need no more than this."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and types.NoneType in inner:
            return None
        return _read(next(one for one in inner if one is not types.NoneType), value)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        unknown = set(value) - {field.name for field in fields(kind)}
        if unknown:
            raise ValueError(f"{kind.__name__} has no {sorted(unknown)[0]!r}")
        return kind(**{name: _read(hints[name], one) for name, one in value.items()})
    if isinstance(kind, type) and issubclass(kind, tuple):  # a NamedTuple
        return kind(*_checked(kind, value, Sequence))
    if origin is tuple:
        return tuple(_read(inner[0], one) for one in _checked(kind, value, list))
    if origin is dict:
        return {key: _read(inner[1], one) for key, one in _checked(kind, value, dict).items()}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    return _checked(kind, value, (int, float) if kind is float else kind)


def _checked(kind: Any, value: Any, wanted: Any) -> Any:
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{value!r:.60} is not what belongs here")
    return value
