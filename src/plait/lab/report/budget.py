"""The budget: what a load costs beside time, the medians over the blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from plait.lab import stats
from plait.lab.record import Cell, ContenderInfo
from plait.lab.report.figure import grouped_table
from plait.lab.report.markup import Markup, join, tag
from plait.lab.report.series import Look, swatch
from plait.lab.report.units import count, duration, octets
from plait.lab.samples import Sample

__all__ = ["budget"]


_Value = Callable[[Sample], float | None]


class _Row(NamedTuple):
    """One figure of a run.

    Attributes:
        words: What it is.
        value: Reads it off a sample that was measured; None where nobody told.
        write: How it is written.
        absent: Why nobody might have told.
        full: What it is a share of, where that is worth saying.
        each: Whether it is told for each request.
    """

    words: str
    value: _Value
    write: Callable[[float], str]
    absent: str
    full: _Value | None = None
    each: bool = False


_CLIENT = "this client does not tell"
_KERNEL = "the client's system does not count it"
_LINK = "there was no emulated link to count it"
_SERVER = "the server was started by somebody else"


def _fields(which: str) -> _Value:
    def value(sample: Sample) -> float | None:
        found = sample.measurement and sample.measurement.fields
        return float(getattr(found, which)) if found else None

    return value


def _run(which: str) -> _Value:
    return lambda sample: getattr(sample.measurement, which)


def _link(which: str) -> _Value:
    def value(sample: Sample) -> float | None:
        if sample.link is None:
            return None
        return float(getattr(sample.link.down, which) + getattr(sample.link.up, which))

    return value


def _tcp(which: str) -> _Value:
    def value(sample: Sample) -> float | None:
        found = sample.measurement and sample.measurement.tcp
        return getattr(found, which) if found else None

    return value


def _client_cpu(sample: Sample) -> float | None:
    return sample.measurement.user + sample.measurement.system if sample.measurement else None


def _server_cpu(sample: Sample) -> float | None:
    return sample.measurement.server.total if sample.measurement and sample.measurement.server else None


_GROUPS = {
    "Time": (
        _Row("of the load", _run("load"), duration, _CLIENT),
        _Row("connecting and in handshakes, all connections", _run("handshakes"), duration, _CLIENT),
    ),
    "Header sections": (
        _Row("of requests, as HTTP/1.1 writes them", _fields("request"), octets, _CLIENT),
        _Row("of requests, on the wire", _fields("request_wire"), octets, _CLIENT, _fields("request")),
        _Row("of responses, as HTTP/1.1 writes them", _fields("response"), octets, _CLIENT),
        _Row("of responses, on the wire", _fields("response_wire"), octets, _CLIENT, _fields("response")),
    ),
    "Network": (
        _Row("connections", _run("connections"), count, _CLIENT),
        _Row("bytes sent, TLS included", _run("bytes_sent"), octets, _KERNEL),
        _Row("bytes received, TLS included", _run("bytes_received"), octets, _KERNEL),
        _Row("bytes on the link, IP headers included", _link("bytes"), octets, _LINK),
        _Row("packets on the link, both ways", _link("packets"), count, _LINK),
        _Row("packets lost at random", _link("lost"), count, _LINK),
        _Row("packets dropped by full queues", _link("dropped"), count, _LINK),
        _Row("packets sent again, both ways", _link("resent"), count, _LINK),
        _Row("segments that the client sent again", _tcp("retransmitted"), count, _KERNEL),
    ),
    "Processor and memory": (
        _Row("client's CPU for each request", _client_cpu, duration, _CLIENT, each=True),
        _Row("server's CPU for each request", _server_cpu, duration, _SERVER, each=True),
        _Row("client's peak memory", _run("peak_memory"), octets, _KERNEL),
    ),
}


def budget(
    cell: Cell, contenders: Sequence[ContenderInfo], shown: Mapping[str, Look], requests: int
) -> Markup:
    """Write the table of what each contender's load cost.

    Args:
        cell: The samples.
        contenders: Those that were measured in it.
        shown: Their looks.
        requests: How many there are in a load.
    """
    notes: list[str] = []
    head = [
        tag("span", "median of a load", class_="quiet"),
        *(join([swatch(shown[one.name]), tag("b", one.name)]) for one in contenders),
    ]
    groups = {
        group: [
            [row.words, *(_cell(row, cell, one.name, requests, notes) for one in contenders)] for row in rows
        ]
        for group, rows in _GROUPS.items()
    }
    written = grouped_table("What a load costs", head, groups, class_="budget")
    return join([written, tag("ol", *(tag("li", note) for note in notes), class_="notes") if notes else ""])


def _cell(row: _Row, cell: Cell, contender: str, requests: int, notes: list[str]) -> str:
    found = _median(row.value, cell, contender)
    if found is None:
        if row.absent not in notes:
            notes.append(row.absent)
        return join(["–", tag("sup", str(notes.index(row.absent) + 1))])
    if row.each:
        found /= requests
    full = _median(row.full, cell, contender) if row.full else None
    change = round(100 * (found / full - 1)) if full else 0
    if not change:
        return row.write(found)
    return join([row.write(found), tag("small", f" {'−' if change < 0 else '+'}{abs(change)} %")])


def _median(value: _Value, cell: Cell, contender: str) -> float | None:
    runs = (one for one in cell.samples if one.contender == contender and one.measurement)
    known = [found for one in runs if (found := value(one)) is not None]
    return stats.median(known) if known else None
