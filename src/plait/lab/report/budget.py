"""The budget: what a load costs beside time, the medians over the blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from plait.lab import stats
from plait.lab.report.figure import table
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.series import Look, swatch
from plait.lab.report.units import count, duration, octets
from plait.lab.samples import Cell, ContenderInfo, Sample

__all__ = ["budget"]


class _Row(NamedTuple):
    """One figure of a run.

    Attributes:
        words: What it is.
        value: Reads it off a sample that was measured; None where nobody told.
        write: How it is written.
        absent: Why nobody might have told.
    """

    words: str
    value: Callable[[Sample], float | None]
    write: Callable[[float], str]
    absent: str


_CLIENT = "this client does not tell"
_KERNEL = "the client's system does not count it"
_LINK = "there was no emulated link to count it"
_SERVER = "the server was started by somebody else"


def _fields(which: str) -> Callable[[Sample], float | None]:
    def value(sample: Sample) -> float | None:
        found = sample.measurement and sample.measurement.fields
        return float(getattr(found, which)) if found else None

    return value


def _run(which: str) -> Callable[[Sample], float | None]:
    return lambda sample: getattr(sample.measurement, which)


def _link(sample: Sample, which: str) -> float | None:
    if sample.link is None:
        return None
    return float(getattr(sample.link.down, which) + getattr(sample.link.up, which))


def _tcp(which: str) -> Callable[[Sample], float | None]:
    def value(sample: Sample) -> float | None:
        found = sample.measurement and sample.measurement.tcp
        return getattr(found, which) if found else None

    return value


def _each(seconds: float | None, sample: Sample) -> float | None:
    requests = len(sample.measurement.latencies) if sample.measurement else 0
    return seconds / requests if requests and seconds is not None else None


def _client_cpu(sample: Sample) -> float | None:
    run = sample.measurement
    return _each(run.user + run.system, sample) if run else None


def _server_cpu(sample: Sample) -> float | None:
    run = sample.measurement
    return _each(run.server.total, sample) if run and run.server else None


_ROWS = (
    _Row("time of the load", _run("load"), duration, _CLIENT),
    _Row("connections", _run("connections"), count, _CLIENT),
    _Row("time connecting and in handshakes, all connections", _run("handshakes"), duration, _CLIENT),
    _Row("request headers, as HTTP/1.1 writes them", _fields("request"), octets, _CLIENT),
    _Row("request headers on the wire", _fields("request_wire"), octets, _CLIENT),
    _Row("response headers, as HTTP/1.1 writes them", _fields("response"), octets, _CLIENT),
    _Row("response headers on the wire", _fields("response_wire"), octets, _CLIENT),
    _Row("sent, TLS included", _run("bytes_sent"), octets, _KERNEL),
    _Row("received, TLS included", _run("bytes_received"), octets, _KERNEL),
    _Row("packets on the link, both ways", lambda sample: _link(sample, "packets"), count, _LINK),
    _Row("bytes on the link, IP headers included", lambda sample: _link(sample, "bytes"), octets, _LINK),
    _Row("packets lost at random", lambda sample: _link(sample, "lost"), count, _LINK),
    _Row("packets dropped by full queues", lambda sample: _link(sample, "dropped"), count, _LINK),
    _Row("packets sent again, both ways", lambda sample: _link(sample, "resent"), count, _LINK),
    _Row("segments the client sent again", _tcp("retransmitted"), count, _KERNEL),
    _Row("client's CPU for each request", _client_cpu, duration, _CLIENT),
    _Row("server's CPU for each request", _server_cpu, duration, _SERVER),
    _Row("client's peak memory", _run("peak_memory"), octets, _KERNEL),
)


def budget(cell: Cell, contenders: Sequence[ContenderInfo], shown: Mapping[str, Look]) -> Markup:
    """Write the table of what each contender's load cost.

    Args:
        cell: The samples.
        contenders: Those that were measured in it.
        shown: Their looks.
    """
    notes: list[str] = []
    rows = []
    for row in _ROWS:
        cells = []
        for contender in contenders:
            found = [
                value
                for sample in cell.samples
                if sample.contender == contender.name and sample.measurement
                if (value := row.value(sample)) is not None
            ]
            cells.append(row.write(stats.median(found)) if found else _absent(row.absent, notes))
        rows.append([row.words, *cells])
    head = [
        tag("span", "median of a load", class_="quiet"),
        *(join([swatch(shown[one.name]), tag("b", one.name)]) for one in contenders),
    ]
    return join(
        [
            table("What a load costs", head, rows, class_="budget"),
            tag("ol", *(tag("li", note) for note in notes), class_="notes") if notes else "",
        ]
    )


def _absent(reason: str, notes: list[str]) -> Markup:
    if reason not in notes:
        notes.append(reason)
    return join(["–", tag("sup", str(notes.index(reason) + 1))])
