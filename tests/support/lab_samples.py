"""Records of comparisons with chosen times, for tests of what is made of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from plait.lab.network.profile import Direction, Loss, Network
from plait.lab.record import Cell, ContenderInfo, Environment, Record, ResourceInfo
from plait.lab.samples import (
    ConnectionTimes,
    Cpu,
    Fields,
    LinkUse,
    Measurement,
    Medium,
    RequestTimes,
    Sample,
    Tcp,
    Timeline,
    Traffic,
)
from plait.lab.samples import Loss as LossTimes

__all__ = ["TITLES", "cell", "link_use", "loads", "measurement", "network", "record", "timeline"]

TITLES = {
    "h1x1": "HTTP/1.1 on 1 connection",
    "h1x6": "HTTP/1.1 on 6 connections",
    "h1x100": "HTTP/1.1 on 100 connections",
    "h2": "HTTP/2",
    "h2-serial": "HTTP/2, one request at a time",
    "h2-chunks": "HTTP/2 in chunks of 100",
    "h2-static": "HTTP/2 without HPACK's dynamic table",
    "h2-priorities": "HTTP/2 with priorities",
    "h2x6": "HTTP/2 on 6 connections",
}
"""What some contenders are called; others by their name."""

Outcome = float | Measurement | str
"""One run: the seconds its load took, all of what was measured, or why it failed."""


def loads(count: int, seconds: float, *, noise: float = 0.01, seed: int = 0) -> list[float]:
    """Draw loads of a contender, lognormal around so many seconds.

    Args:
        count: How many.
        seconds: Their median.
        noise: The standard deviation of their logarithm.
        seed: Of the random numbers; contenders with the same one vary alike, block by block.
    """
    chance = random.Random(seed)
    return [seconds * chance.lognormvariate(0, noise) for _ in range(count)]


def measurement(load: float, **changes: object) -> Measurement:
    """Make a measured run whose load took so many seconds.

    Args:
        load: In seconds.
        changes: Other attributes than the plausible ones.
    """
    attributes: dict[str, object] = {
        "load": load,
        "elapsed": load + 0.25,
        "user": load / 2,
        "system": load / 4,
        "peak_memory": 20 * 2**20,
        "minor_faults": 1,
        "major_faults": 2,
        "voluntary_switches": 3,
        "involuntary_switches": 4,
        "connections": 1,
        "handshakes": 0.05,
        "bytes_sent": 1024,
        "bytes_received": 2048,
        "fields": Fields(request=900, request_wire=300, response=1200, response_wire=400),
        "tcp": Tcp(segments_sent=10, segments_received=20, retransmitted=0, out_of_order=0),
        "server": Cpu(total=0.0251, user=0.02, system=0.01),
        "latencies": (1000, 2000, 3000),
        "timeline": None,
        **changes,
    }
    return Measurement(**attributes)  # type: ignore[arg-type]


def timeline(requests: int = 3, *, connections: int = 1, losses: int = 0) -> Timeline:
    """Make a timeline: requests take turns on connections and overlap by half."""
    return Timeline(
        connections=tuple(
            ConnectionTimes(port=50000 + index, started=0, connected=20_000, secured=40_000)
            for index in range(connections)
        ),
        requests=tuple(
            RequestTimes(
                resource=index,
                connection=index % connections,
                known=0,
                sent=40_000 + 10_000 * index,
                answered=50_000 + 10_000 * index,
                done=60_000 + 10_000 * index,
            )
            for index in range(requests)
        ),
        losses=tuple(
            LossTimes(at=55_000 + 1_000 * index, port=50000 + index % connections, down=True, kind="lost")
            for index in range(losses)
        ),
    )


def network(rtt: float = 0.1, *, rate: float | None = 10e6, loss: float = 0.0) -> Network:
    """Make a network, the same in both directions.

    Args:
        rtt: The round trip's propagation, in seconds.
        rate: Bits per second; None for no bound.
        loss: The share of packets that get lost.
    """
    parts = [f"rtt={1000 * rtt:g}ms"]
    parts += [f"rate={rate / 1e6:g}mbit"] if rate else []
    parts += [f"loss={100 * loss:g}%"] if loss else []
    way = Direction(delay=rtt / 2, rate=rate, queue=100, loss=Loss(rate=loss) if loss else None)
    return Network(name=",".join(parts), spec=",".join(parts), down=way, up=way)


def link_use(**changes: object) -> LinkUse:
    """Say that an emulated link had nothing to complain of, with other attributes where they are given."""
    way = Traffic(packets=100, bytes=100_000, lost=0, dropped=0, resent=0)
    attributes: dict[str, object] = {
        "down": way,
        "up": way,
        "late_median": 50e-6,
        "late_p99": 200e-6,
        "late_max": 500e-6,
        "busy": 0.1,
        "capacity": 20_000.0,
        "overruns": 0,
        **changes,
    }
    return LinkUse(**attributes)  # type: ignore[arg-type]


def cell(
    runs: Mapping[str, Sequence[Outcome]], *, over: Network | None = None, link: LinkUse | None = None
) -> Cell:
    """Make a cell of runs by contender, the first of each in block 0 and so on.

    Args:
        runs: Outcomes by the contender's name.
        over: The network, None for loopback.
        link: What the link did in every run.
    """
    samples = [
        Sample(
            block=block,
            position=position,
            contender=name,
            failure=outcome if isinstance(outcome, str) else None,
            measurement=_measured(outcome),
            link=link,
        )
        for position, (name, outcomes) in enumerate(runs.items())
        for block, outcome in enumerate(outcomes)
    ]
    return Cell(network=over, samples=tuple(sorted(samples, key=lambda one: (one.block, one.position))))


def record(*cells: Cell | Mapping[str, Sequence[Outcome]], **changes: object) -> Record:
    """Make a record of cells, or of one cell's runs, by contender.

    Contenders are all that occur, in order; one called ``X-again`` is X a second time.

    Args:
        cells: What :func:`cell` made, or takes.
        changes: Attributes of the record: ``medium=Medium.MODELLED``, ``reference="h1x1"``.
    """
    made = tuple(one if isinstance(one, Cell) else cell(one) for one in cells)
    names = list(dict.fromkeys(sample.contender for one in made for sample in one.samples))
    emulated = any(one.network for one in made)
    attributes: dict[str, object] = {
        "started": "2026-01-01T00:00:00+00:00",
        "command": "plait compare --seed 7",
        "environment": Environment(
            plait="0.1.0",
            python="CPython 3.11.9",
            openssl="OpenSSL 3",
            packages={"ngh2": "0.3.0"},
            congestion_control="cubic",
            kernel="Linux 6.1",
            machine="x86_64",
            cpu_count=2,
        ),
        "workload": "bookstore",
        "base_url": "https://127.0.0.1:8443",
        "medium": Medium.EMULATED if emulated else Medium.LOOPBACK,
        "resources": tuple(ResourceInfo(path=f"/books/{index}", kind="data", size=500) for index in range(3)),
        "in_flight": 100,
        "seed": 7,
        "margin": 0.03,
        "confidence": 0.95,
        "reference": "h1x6" if "h1x6" in names or not names else names[0],
        "contenders": tuple(_infos(names)),
        "cells": made,
        **changes,
    }
    return Record(**attributes)  # type: ignore[arg-type]


def _measured(outcome: Outcome) -> Measurement | None:
    if isinstance(outcome, str):
        return None
    return outcome if isinstance(outcome, Measurement) else measurement(outcome)


def _infos(names: Iterable[str]) -> Iterable[ContenderInfo]:
    for name in names:
        first = name.removesuffix("-again")
        title = TITLES.get(first, first)
        again = first != name
        yield ContenderInfo(
            name=name, title=f"{title}, again" if again else title, again=first if again else None
        )
