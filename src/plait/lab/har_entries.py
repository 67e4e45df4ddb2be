"""The entries of a HAR 1.2 file, each of them checked.

The format is that of http://www.softwareishard.com/blog/har-12-spec/. Chrome adds ``_initiator``, which is
that of its debugging protocol (Network.Initiator), ``_resourceType`` and ``_fromCache``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plait.errors import ConfigError
from plait.lab.addresses import Address, locate, resolve
from plait.lab.paths import quoted
from plait.lab.source import kind_of
from plait.lab.workload import Kind

__all__ = ["SIZE_LIMIT", "Entry", "read_entries"]

SIZE_LIMIT = 64 * 1024 * 1024
"""Bytes of a HAR; one that is larger holds the contents, which are not needed."""

_KINDS = {
    "document": Kind.DOCUMENT,
    "stylesheet": Kind.STYLE,
    "script": Kind.SCRIPT,
    "font": Kind.FONT,
    "image": Kind.IMAGE,
    "xhr": Kind.DATA,
    "fetch": Kind.DATA,
}

_DAY = 24 * 3600 * 1000.0

_STREAMS = ("websocket", "eventsource", "webtransport", "directsocket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request as it was recorded.

    Attributes:
        url: What was asked for, without the fragment.
        address: The same, when it is fetched by HTTP.
        page: Which of the pages it belongs to.
        method: The request's method.
        status: The response's status code; 0 when there was none.
        start: When it was asked for, in seconds.
        end: When its response was through, in seconds.
        kind: What it is.
        initiators: The URLs of what may have made it known, the nearest first.
        redirect: Where the response leads, when it does.
        stream: Whether it is one that has no end.
        ranged: Whether a part of the content was asked for.
        memory: Whether the browser had it in its memory.
        stored: Whether the browser had it from an earlier load, or asked whether it was still fresh.
    """

    url: str
    address: Address | None
    page: str
    method: str
    status: int
    start: float
    end: float
    kind: Kind
    initiators: tuple[str, ...]
    redirect: str | None
    stream: bool
    ranged: bool
    memory: bool
    stored: bool


def read_entries(file: Path) -> list[Entry]:
    """Read a HAR for its entries, in their order.

    Args:
        file: The HAR.

    Raises:
        ConfigError: It is not a HAR, or an entry is malformed.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    if len(data) > SIZE_LIMIT:
        raise ConfigError(
            f"{file} is larger than {SIZE_LIMIT // 2**20} MiB: save it without the contents of the responses"
        )
    try:
        whole = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is no HAR: it is not UTF-8 at byte {error.start:,}") from error
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{file} is no HAR: not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:  # a number too long, or brackets too deep
        raise ConfigError(f"{file} is no HAR: its JSON cannot be read: {error}") from error
    log = whole.get("log") if isinstance(whole, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise ConfigError(f"{file} is no HAR: it has no list log.entries")
    if not entries:
        raise ConfigError(f"{file} has no entries: nothing was recorded")
    return [_Reader(f"{file}, entry {number}").entry(raw) for number, raw in enumerate(entries, 1)]


class _Reader:
    """Reads one entry, and quotes what is wrong with it.

    Args:
        where: The file and the number of the entry.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def entry(self, raw: object) -> Entry:
        """Read an entry.

        Raises:
            ConfigError: It is malformed.
        """
        if not isinstance(raw, dict):
            raise ConfigError(f"{self._where}: {quoted(raw)} is not an object")
        request, response = self._object(raw, "request"), self._object(raw, "response")
        url = self._of_type(request.get("url"), str, "request.url", "a URL").partition("#")[0]
        status = self._of_type(response.get("status"), int, "response.status", "a status code")
        start = self._date(raw.get("startedDateTime"))
        content = response.get("content")
        media_type = content.get("mimeType") if isinstance(content, dict) else None
        resource_type = raw.get("_resourceType")
        headers = dict(_headers(request.get("headers")))
        redirect = response.get("redirectURL")
        return Entry(
            url=url,
            address=locate(url),
            page=str(raw.get("pageref")),
            method=self._of_type(request.get("method"), str, "request.method", "a method").upper(),
            status=status,
            start=start,
            end=start + self._milliseconds(raw.get("time")) / 1000,
            kind=_kind(resource_type, media_type),
            initiators=(*_initiators(raw.get("_initiator")), headers.get("referer", "").partition("#")[0]),
            redirect=resolve(url, redirect) if isinstance(redirect, str) and redirect else None,
            stream=resource_type in _STREAMS or url.startswith(("ws:", "wss:")),
            ranged="range" in headers,
            memory=raw.get("_fromCache") == "memory",
            stored="_fromCache" in raw or status == 304,
        )

    def _object(self, raw: dict[str, Any], name: str) -> dict[str, Any]:
        value: dict[str, Any] = self._of_type(raw.get(name), dict, name, "an object")
        return value

    def _of_type(self, value: Any, wanted: type, name: str, what: str) -> Any:
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ConfigError(f"{self._where}: {name} {_given(value)} is not {what}")
        return value

    def _date(self, value: Any) -> float:
        try:
            date = datetime.fromisoformat(value)
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"{self._where}: startedDateTime {_given(value)} is not a date such as "
                f"2026-01-31T12:00:00.000Z"
            ) from error

    def _milliseconds(self, value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _DAY:
            return float(value)
        raise ConfigError(
            f"{self._where}: time {_given(value)} is not a number of milliseconds, of a day at most"
        )


def _given(value: Any) -> str:
    return "is missing and" if value is None else quoted(value)


def _headers(raw: Any) -> Iterator[tuple[str, str]]:
    for field in raw if isinstance(raw, list) else ():
        if isinstance(field, dict) and isinstance(field.get("name"), str):
            yield field["name"].lower(), str(field.get("value", ""))


def _kind(resource_type: Any, media_type: Any) -> Kind:
    if isinstance(resource_type, str) and resource_type in _KINDS:
        return _KINDS[resource_type]
    return kind_of(media_type) if isinstance(media_type, str) else Kind.DATA


def _initiators(raw: Any) -> Iterator[str]:
    """Yield the URLs of what Chrome says made a request known: a document, a style sheet, a stack."""
    if not isinstance(raw, dict):
        return
    if isinstance(raw.get("url"), str):
        yield raw["url"].partition("#")[0]
    stack = raw.get("stack")
    while isinstance(stack, dict):
        frames = stack.get("callFrames")
        for frame in frames if isinstance(frames, list) else ():
            if isinstance(frame, dict) and isinstance(frame.get("url"), str):
                yield frame["url"].partition("#")[0]
        stack = stack.get("parent")
