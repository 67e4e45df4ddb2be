"""The questions a comparison answers: pairs of contenders between which one thing changes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from plait.lab.record import Record

__all__ = ["BROWSER", "QUESTIONS", "Question", "asked", "on_most", "primary"]


class Question(NamedTuple):
    """Who is compared with whom, and what changes between the two.

    Attributes:
        contender: By name.
        reference: By name.
        change: What changes, in words.
    """

    contender: str
    reference: str
    change: str


QUESTIONS = (
    Question("h2", "h1x6", "HTTP/2 as it is meant instead of HTTP/1.1 as browsers use it"),
    Question("h2-serial", "h1x1", "the protocol alone, one request after the other"),
    Question("h1x6", "h1x1", "six connections instead of one, over HTTP/1.1"),
    Question("h2", "h2-serial", "requests side by side instead of one after the other, over HTTP/2"),
    Question("h1xN", "h1x6", "a connection for every request under way instead of six for all"),
    Question("h2", "h1xN", "one connection instead of many, header compression included"),
    Question("h2-static", "h2", "header compression without its dynamic table"),
    Question("h2xN", "h2", "several HTTP/2 connections instead of one"),
    Question("h2-priorities", "h2", "priorities by what a resource is to a page"),
    Question("chromium", "chromium-h1", "HTTP/2 in a browser"),
    Question("httpx-h2", "httpx", "HTTP/2 in httpx"),
    Question("pycurl-h2", "pycurl", "HTTP/2 in libcurl"),
)
"""Each changes one thing, but the first, which is why the whole comparison is made.

``h1xN`` and ``h2xN`` stand for the contender on the most connections: see :func:`on_most`.
"""

BROWSER = 6
"""Connections that browsers open to an origin over HTTP/1.1."""


def primary(record: Record) -> Question | None:
    """Find the question that a record's verdict is about, in every cell.

    It is about the record's reference and ``h2``, or the first other contender over HTTP/2. None where
    there is no such pair.
    """
    names = [one.name for one in record.contenders if one.again is None and one.name != record.reference]
    over_h2 = [name for name in names if name.startswith("h2") or name.endswith("-h2") or name == "chromium"]
    if record.reference not in {one.name for one in record.contenders} or not over_h2:
        return None
    contender = "h2" if "h2" in over_h2 else over_h2[0]
    known = (one for one in QUESTIONS if (one.contender, one.reference) == (contender, record.reference))
    change = f"{record.title(contender)} instead of {record.title(record.reference)}"
    return next(known, Question(contender, record.reference, change))


def asked(record: Record) -> list[Question]:
    """List the questions whose contenders both take part, that of the verdict first."""
    names = [one.name for one in record.contenders]
    first = primary(record)
    resolved = [
        question._replace(contender=contender, reference=reference)
        for question in QUESTIONS
        if (contender := on_most(question.contender, names))
        and (reference := on_most(question.reference, names))
    ]
    return [first, *(one for one in resolved if one != first)] if first else resolved


def on_most(name: str, names: Iterable[str]) -> str | None:
    """Find a contender among those that take part.

    Args:
        name: What it is called; ``h1xN`` and ``h2xN`` are the one on the most connections over HTTP/1.1,
            more than a browser has, and over HTTP/2.
        names: Who takes part.
    """
    if name not in ("h1xN", "h2xN"):
        return name if name in names else None
    counts = [int(found[1]) for one in names if (found := re.fullmatch(name.replace("N", r"(\d+)"), one))]
    most = max((count for count in counts if name == "h2xN" or count > BROWSER), default=None)
    return name.replace("N", str(most)) if most else None
