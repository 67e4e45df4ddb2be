"""The record of a comparison: every sample, and all it takes to repeat it.

It is the file that ``plait compare --json`` writes, and nothing in it is derived: medians, ratios and
verdicts are computed from it, here and by whoever reads it later.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from plait.errors import ConfigError
from plait.lab.network.profile import Network
from plait.lab.samples import Measurement, Medium, Sample
from plait.lab.typed import typed

__all__ = ["SCHEMA_VERSION", "Cell", "ContenderInfo", "Environment", "Record", "ResourceInfo"]

SCHEMA_VERSION = 2

_LONGEST_LOAD = 1e6  # seconds: a run may take a day at most


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
            record: Record = typed(cls, found)
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
