"""What one run of a contender was: measured, with all its figures, or failed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

__all__ = [
    "ConnectionTimes",
    "Cpu",
    "Fields",
    "LinkUse",
    "Loss",
    "Measurement",
    "Medium",
    "RequestTimes",
    "Sample",
    "Tcp",
    "Timeline",
    "Traffic",
]


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
