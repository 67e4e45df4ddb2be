"""Samples of a comparison with chosen times, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plait.lab.contenders import EXTRAS, STANDARD
from plait.lab.samples import ContenderInfo, Environment, Measurement, Record, Sample, ServerCpu

__all__ = ["measurement", "record"]


def measurement(elapsed: float, **changes: object) -> Measurement:
    """Make a measured run that took so many seconds."""
    fields: dict[str, object] = {
        "elapsed": elapsed,
        "user": elapsed / 2,
        "system": elapsed / 4,
        "peak_memory": 20 * 2**20,
        "minor_faults": 1,
        "major_faults": 2,
        "voluntary_switches": 3,
        "involuntary_switches": 4,
        "connections": 1,
        "bytes_sent": 1024,
        "bytes_received": 2048,
        "server": ServerCpu(total=0.0251, user=0.02, system=0.01),
        "latencies": (1000, 2000, 3000),
        **changes,
    }
    return Measurement(**fields)  # type: ignore[arg-type]


def record(runs: Mapping[str, Sequence[Measurement | str]], *, loopback: bool = True) -> Record:
    """Make a record of runs, given by contender: measured, or why they failed."""
    titles = {contender.name: contender.title(100) for contender in (*STANDARD, *EXTRAS)}
    samples = tuple(
        Sample(
            block=block,
            position=position,
            contender=name,
            failure=outcome if isinstance(outcome, str) else None,
            measurement=None if isinstance(outcome, str) else outcome,
        )
        for position, (name, outcomes) in enumerate(runs.items())
        for block, outcome in enumerate(outcomes)
    )
    return Record(
        started="2026-01-01T00:00:00+00:00",
        command="plait compare --seed 7",
        environment=Environment(
            plait="0.1.0",
            python="CPython 3.11.9",
            openssl="OpenSSL 3",
            packages={"ngh2": "0.3.0"},
            congestion_control="cubic",
            kernel="Linux 6.1",
            machine="x86_64",
            cpu_count=2,
        ),
        scenario="bookstore",
        base_url="https://127.0.0.1:8443",
        loopback=loopback,
        requests=3,
        in_flight=100,
        seed=7,
        contenders=tuple(ContenderInfo(name=name, title=titles[name]) for name in runs),
        samples=samples,
    )
