"""A page load as a browser recorded it, read for what depends on what."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from plait.errors import ConfigError
from plait.lab.har_entries import Entry, read_entries
from plait.lab.source import OTHER_ORIGIN, RESOURCES_LIMIT, LeftAlone, Source
from plait.lab.workload import Kind, Resource

__all__ = ["IDLE_SECONDS", "read_har"]

IDLE_SECONDS = 5.0
"""Seconds in which nothing is fetched that end a page load: what comes later is somebody's doing."""


def read_har(file: Path, origin: str | None) -> Source:
    """Read a HAR for the resources of one origin, in order, with what made each known and when.

    Between the end of what made a resource known and the request for it the browser computes, or waits for
    something of another origin; that time is the resource's delay.

    Args:
        file: The HAR.
        origin: The site, as ``Target.base_url`` spells it; None for that of the first page, to fetch the
            same paths from another server.

    Raises:
        ConfigError: The file is not a HAR, an entry is malformed, or nothing in it is of the origin.
    """
    entries = sorted(read_entries(file), key=lambda entry: entry.start)
    document = _document(entries, origin)
    if document is not None:
        address = entries[document].address
        assert address is not None
        origin = address.origin
    if origin is None:
        raise ConfigError(f"{file} holds no page: none of its {len(entries):,} entries is a document")
    kept, left = _sorted_out(entries, document, origin)
    if not kept:
        raise ConfigError(f"{file} holds nothing of {origin}; it holds {left}")
    if len(kept) > RESOURCES_LIMIT:
        raise ConfigError(f"{file} holds {len(kept):,} resources, and a workload at most {RESOURCES_LIMIT:,}")
    resources = _resources(entries, document, kept)
    return Source(
        name=file.name,
        resources=tuple(resources),
        page=None if document is None else _root(resources, kept.index(document)).path,
        remarks=tuple(_remarks(file, left, sum(entries[place].stored for place in kept))),
    )


def _sorted_out(entries: Sequence[Entry], document: int | None, origin: str) -> tuple[list[int], LeftAlone]:
    """Tell the places of the entries that are fetched from what is left alone."""
    page = None if document is None else entries[document].page
    busy = math.inf if document is None else entries[document].end
    kept: list[int] = []
    left = LeftAlone()
    fetched: set[str] = set()
    for place, entry in enumerate(entries):
        reason = _reason(entry, origin, page)
        if reason is None and entry.memory and entry.url in fetched:
            reason = "from the memory of the page itself"
        if reason is None and entry.start > busy + IDLE_SECONDS:
            reason = f"after {IDLE_SECONDS:g} seconds in which nothing was fetched"
        if reason is None:
            kept.append(place)
            fetched.add(entry.url)
            busy = max(busy, entry.end)
        else:
            left.add(reason, entry.address.origin if entry.address else None)
    return kept, left


def _reason(entry: Entry, origin: str, page: str | None) -> str | None:
    """Say why an entry is left alone, in words that follow a number; None if it is not."""
    if entry.stream:
        return "streams without an end"
    if entry.address is None:
        return "not fetched by HTTP"
    if page is not None and entry.page != page:
        return "of other pages"
    if entry.address.origin != origin:
        return OTHER_ORIGIN
    if entry.method != "GET":
        return "not GET"
    if entry.status == 0 or entry.status >= 400:
        return "failed"
    if entry.ranged:
        return "parts of a content"
    return None


def _resources(entries: Sequence[Entry], document: int | None, kept: Sequence[int]) -> list[Resource]:
    """Make resources of the entries that are kept, each known through the nearest that is kept, too."""
    parents = _parents(entries, document)
    indexes: dict[int, int] = {}
    resources: list[Resource] = []
    for place in kept:
        entry = entries[place]
        assert entry.address is not None
        parent = parents[place]
        while parent is not None and parent not in indexes:
            parent = parents[parent]
        if parent is None and document in indexes:
            parent = document
        indexes[place] = len(resources)
        resources.append(
            Resource(
                path=entry.address.path,
                kind=entry.kind,
                parent=None if parent is None else indexes[parent],
                delay=0.0 if parent is None else max(0.0, round(entry.start - entries[parent].end, 6)),
            )
        )
    return resources


def _remarks(file: Path, left: LeftAlone, stored: int) -> Iterator[str]:
    if left:
        yield f"left alone in {file.name}: {left}"
    if stored:
        yield (
            f"{stored:,} of the resources in {file.name} came from the browser's cache, and so did their "
            f"times: record it with the cache off"
        )


def _document(entries: Sequence[Entry], origin: str | None) -> int | None:
    """Find the page: the first document that is one, rather than a redirect to one."""
    for place, entry in enumerate(entries):
        if (
            entry.kind is Kind.DOCUMENT
            and (200 <= entry.status < 300 or entry.status == 304)
            and entry.address is not None
            and origin in (None, entry.address.origin)
            and _reason(entry, entry.address.origin, None) is None
        ):
            return place
    return None


def _root(resources: Sequence[Resource], place: int) -> Resource:
    """Find what a browser opens to come to a resource: the first of the redirects that lead to it."""
    while (parent := resources[place].parent) is not None:
        place = parent
    return resources[place]


def _parents(entries: Sequence[Entry], document: int | None) -> list[int | None]:
    """Find what made each entry known, among those before it; whoever they belong to."""
    places: dict[str, int] = {}
    redirects: dict[str, int] = {}
    parents: list[int | None] = []
    for place, entry in enumerate(entries):
        parent = redirects.pop(entry.url, None)
        if parent is None:
            parent = next((places[url] for url in entry.initiators if url in places), None)
        if parent is None and document is not None and place > document:
            parent = document
        if place == document and parent is not None and entries[parent].redirect != entry.url:
            parent = None  # a page that was opened from the one before
        parents.append(parent)
        places[entry.url] = place
        if entry.redirect:
            redirects[entry.redirect] = place
    return parents
