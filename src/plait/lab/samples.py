"""What was measured: one sample for each run of a crawler, and the record that keeps them all.

The record is the file that ``plait compare --json`` writes, and nothing in it is derived: medians and
ratios are computed from it, here and by whoever reads it later.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from plait.errors import ConfigError

__all__ = ["SCHEMA_VERSION", "ContenderInfo", "Environment", "Measurement", "Record", "Sample", "ServerCpu"]

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCpu:
    """CPU that the server's process used during one run, in seconds.

    Attributes:
        total: From the process's CPU clock, exact to the nanosecond.
        user: From the kernel's accounting, which counts in clock ticks (mostly 10 ms).
        system: The same.
    """

    total: float
    user: float
    system: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one crawl cost.

    Attributes:
        elapsed: Seconds from before the process was started until it was reaped.
        user: Seconds of CPU in user mode.
        system: Seconds of CPU in the kernel.
        peak_memory: The largest resident set, in bytes.
        minor_faults: Page faults without input or output.
        major_faults: Page faults with.
        voluntary_switches: How often the process waited.
        involuntary_switches: How often it was made to.
        connections: Connections opened.
        bytes_sent: TCP payload sent, TLS included; None where the platform cannot tell.
        bytes_received: TCP payload received, likewise.
        server: What the server used meanwhile; None for a server started by somebody else.
        latencies: Microseconds from sending each request until its content was complete.
    """

    elapsed: float
    user: float
    system: float
    peak_memory: int
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int
    connections: int
    bytes_sent: int | None
    bytes_received: int | None
    server: ServerCpu | None
    latencies: tuple[int, ...]

    @property
    def cpu_percent(self) -> float:
        """CPU time as a share of elapsed time."""
        return 100 * (self.user + self.system) / self.elapsed

    @property
    def requests_per_second(self) -> float:
        """Requests over the whole life of the process, its start included."""
        return len(self.latencies) / self.elapsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one crawler: measured, or failed, never both.

    Attributes:
        block: Which repeat it belongs to, from 0.
        position: Its place in the random order of the block, from 0.
        contender: The name of the contender.
        failure: One sentence why the crawl does not count; None when it does.
        measurement: What it cost; None when it failed.
    """

    block: int
    position: int
    contender: str
    failure: str | None
    measurement: Measurement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContenderInfo:
    """How a contender is called in the samples and in a table."""

    name: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where and with what the samples were taken.

    Attributes:
        plait: The version of plait.
        python: The version and implementation of Python.
        openssl: The version of the TLS library.
        packages: The versions of the packages under the crawlers and the server, by name.
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
        scenario: What was crawled: ``bookstore``, or the server's URL.
        base_url: The server.
        loopback: Whether the server was on this machine.
        requests: How many requests one crawl makes.
        in_flight: How many requests the contenders that multiplex had under way.
        seed: Of the random order.
        contenders: In the order of the table; the first is the one that others are compared with.
        samples: In the order they were taken.
    """

    started: str
    command: str
    environment: Environment
    scenario: str
    base_url: str
    loopback: bool
    requests: int
    in_flight: int
    seed: int
    contenders: tuple[ContenderInfo, ...]
    samples: tuple[Sample, ...]

    def measurements(self, contender: str) -> list[Measurement]:
        """List the measured runs of one contender."""
        return [s.measurement for s in self.samples if s.contender == contender and s.measurement]

    def failures(self, contender: str) -> list[str]:
        """List why runs of one contender failed."""
        return [s.failure for s in self.samples if s.contender == contender and s.failure]

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
            fields: dict[str, Any] = json.loads(text)
            version = fields.pop("schema_version")
            if version != SCHEMA_VERSION:
                raise ConfigError(
                    f"these samples have schema version {version}; this plait reads {SCHEMA_VERSION}"
                )
            fields["environment"] = Environment(**fields["environment"])
            fields["contenders"] = tuple(ContenderInfo(**contender) for contender in fields["contenders"])
            fields["samples"] = tuple(_sample(sample) for sample in fields["samples"])
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(f"these are not samples of plait compare: {error}") from error


def _sample(fields: dict[str, Any]) -> Sample:
    measured = fields["measurement"]
    if measured is not None:
        server = measured["server"] and ServerCpu(**measured["server"])
        measured = Measurement(**{**measured, "server": server, "latencies": tuple(measured["latencies"])})
    return Sample(**{**fields, "measurement": measured})
