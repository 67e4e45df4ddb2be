"""The raw samples as they travel with a report: in columns, which take a third of the room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from plait.lab.record import SCHEMA_VERSION, Record
from plait.lab.samples import Sample, Timeline

__all__ = ["packed"]


def packed(record: Record, drawn: Mapping[tuple[int, int], Timeline]) -> dict[str, Any]:
    """Pack a record, without latencies and without the timelines that are not drawn.

    The script of the page unpacks it: a column's name is the way to the value, ``measurement.tcp.resent``,
    and an object all of whose values are missing is null.

    Args:
        record: The record.
        drawn: The timelines to keep, by the number of the cell and of the sample in it.
    """
    whole = asdict(replace(record, resources=(), cells=()))
    whole["resources"] = _columns([asdict(one) for one in record.resources])
    whole["cells"] = [
        {
            "network": asdict(cell.network) if cell.network else None,
            "samples": _columns([_flat(sample) for sample in cell.samples]),
            "timelines": {str(at): asdict(one) for (of, at), one in drawn.items() if of == number},
        }
        for number, cell in enumerate(record.cells)
    ]
    return {"schema_version": SCHEMA_VERSION, **whole}


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return {"columns": columns, "rows": [[row.get(column) for column in columns] for row in rows]}


def _flat(sample: Sample) -> dict[str, Any]:
    if sample.measurement:
        sample = replace(sample, measurement=replace(sample.measurement, latencies=(), timeline=None))
    return dict(_leaves("", asdict(sample)))


def _leaves(prefix: str, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(f"{prefix}{name}.", inner)
        elif name not in ("latencies", "timeline"):
            # What is finer than a tenth of a microsecond was not measured.
            yield f"{prefix}{name}", round(inner, 7) if isinstance(inner, float) else inner
