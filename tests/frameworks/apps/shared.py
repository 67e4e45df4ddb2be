"""What the sites of this folder share: what is seen of them from outside, and meeting points of requests.

Nothing here knows plait, or a framework. Requests are handled in one process, in its event loop or in
threads, and whoever waits may be in either; so the loop looks, every few milliseconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "CONNECTION",
    "FOLDER",
    "LATIN",
    "LINKS",
    "Digest",
    "Gathering",
    "Notes",
    "allowed",
    "asignal",
    "events",
    "gathering",
    "notes",
    "pieces",
    "signal",
]

#: With ``large.bin``, and where a site leaves ``stopped`` when its lifespan ends; the tests name it.
FOLDER = Path(os.environ["SITE_FOLDER"])

#: The field that comes with HTTP/1.1 only; every other one is the same over HTTP/2.
CONNECTION = "connection"

#: The value of a field outside of ASCII.
LATIN = "caf\xe9"

#: What early hints are of.
LINKS = ("</style.css>; rel=preload; as=style", "</script.js>; rel=preload; as=script")

PIECE = bytes(range(256)) * 64  # 16 KiB
SECONDS = 20.0


class Notes:
    """What happened that no response tells, by the name that a request gave it."""

    def __init__(self) -> None:
        self._notes: dict[str, list[str]] = defaultdict(list)
        self._news = threading.Condition()

    def add(self, name: str, what: str) -> None:
        """Note that something happened."""
        with self._news:
            self._notes[name].append(what)
            self._news.notify_all()

    def of(self, name: str) -> list[str]:
        """Return what happened under a name."""
        with self._news:
            return list(self._notes[name])


notes = Notes()
_signals: dict[str, threading.Event] = defaultdict(threading.Event)


def signal(name: str) -> threading.Event:
    """Return what one request waits for in a thread and another one sets."""
    return _signals[name]


async def asignal(name: str) -> None:
    """Wait for the same in the event loop."""
    async with asyncio.timeout(SECONDS):
        while not signal(name).is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Gathering:
    """Requests that wait until so many are there."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self._lock = threading.Lock()
        self._full = threading.Event()

    def enter(self) -> None:
        """Count one more."""
        with self._lock:
            self._missing -= 1
            if self._missing == 0:
                self._full.set()

    def wait(self) -> bool:
        """Wait in a thread, and say whether all came."""
        self.enter()
        return self._full.wait(SECONDS)

    async def meet(self) -> bool:
        """Wait in the event loop, and say whether all came."""
        self.enter()
        async with asyncio.timeout(SECONDS):
            while not self._full.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return True


_gatherings: dict[tuple[str, int], Gathering] = {}
_gatherings_lock = threading.Lock()


def gathering(name: str, count: int) -> Gathering:
    """Return the gathering of a name."""
    with _gatherings_lock:
        return _gatherings.setdefault((name, count), Gathering(count))


class Digest:
    """What is told of content that nobody keeps."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0

    def add(self, data: bytes) -> None:
        """Take some content."""
        self._hash.update(data)
        self._size += len(data)

    def result(self) -> dict[str, int | str]:
        """Return the size in bytes and the SHA-256."""
        return {"size": self._size, "sha256": self._hash.hexdigest()}

    @classmethod
    def of(cls, data: bytes) -> dict[str, int | str]:
        """Return the same of content that is whole."""
        digest = cls()
        digest.add(data)
        return digest.result()


def pieces(size: int) -> Iterator[bytes]:
    """Yield so many bytes in pieces."""
    while size > 0:
        yield PIECE[:size]
        size -= len(PIECE)


def events(number: int) -> bytes:
    """Return one server-sent event."""
    return b"id: %d\ndata: event %d\n\n" % (number, number)


def allowed(authorization: str | None) -> bool:
    """Say whether a field is the right name and password (RFC 7617): ``ada`` and ``lovelace``."""
    return authorization == "Basic YWRhOmxvdmVsYWNl"
