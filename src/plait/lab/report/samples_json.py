"""The raw samples as they travel with a report: in columns, which take a third of the room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from plait.lab.samples import SCHEMA_VERSION, Record, Sample, Timeline

__all__ = ["packed"]


def packed(record: Record, drawn: Mapping[tuple[int, int], Timeline]) -> dict[str, Any]:
    """Pack a record, without latencies and without the timelines that are not drawn.

    The script of the page unpacks it: a column's name is the way to the value, ``measurement.tcp.resent``,
    and an object all of whose values are missing is null.

    Args:
        record: The record.
        drawn: The timelines to keep, by the number of the cell and of the sample in it.
    """
    whole = asdict(record)
    for number, (cell, found) in enumerate(zip(record.cells, whole["cells"], strict=True)):
        rows = [_flat(sample) for sample in cell.samples]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        found["samples"] = {
            "columns": columns,
            "rows": [[row.get(column) for column in columns] for row in rows],
        }
        found["timelines"] = {str(at): asdict(one) for (of, at), one in drawn.items() if of == number}
    return {"schema_version": SCHEMA_VERSION, **whole}


def _flat(sample: Sample) -> dict[str, Any]:
    return dict(_leaves("", asdict(sample)))


def _leaves(prefix: str, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if name in ("latencies", "timeline"):
            continue
        if isinstance(inner, dict):
            yield from _leaves(f"{prefix}{name}.", inner)
        else:
            yield f"{prefix}{name}", round(inner, 7) if isinstance(inner, float) else inner
