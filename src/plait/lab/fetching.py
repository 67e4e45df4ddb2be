"""Asking the server, before anything is timed, what each resource answers."""

from __future__ import annotations

import http.client
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

from plait._version import __version__
from plait.errors import ConnectFailed, PlaitError
from plait.lab.target import Target

__all__ = ["ANSWER_SECONDS", "TOTAL_LIMIT", "Answer", "Fetcher", "fetcher", "site_headers"]

ANSWER_SECONDS = 60.0
"""Seconds one answer may take to its end; an endless stream of events takes longer than any."""

TOTAL_LIMIT = 256 * 1024 * 1024
"""Bytes of content over one version of HTTP."""

_PIECE = 65536


def site_headers() -> tuple[tuple[str, str], ...]:
    """Name the fields of every request to a server that is not ours.

    The coding that every browser and client decodes, so that what is fetched is what most visitors are
    sent, and nobody is sent another one.
    """
    return (("user-agent", f"plait/{__version__}"), ("accept", "*/*"), ("accept-encoding", "gzip"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response.

    Attributes:
        status: The status code.
        content: The content as it was transferred, so before any content coding is undone.
        media_type: The content-type field, empty when there is none.
        coding: The content-encoding field in lower-case, empty when there is none.
        location: The location field, None when there is none.
    """

    status: int
    content: bytes
    media_type: str = ""
    coding: str = ""
    location: str | None = None

    def decoded(self, limit: int) -> bytes:
        """Undo the content coding.

        Args:
            limit: Bytes at which the content is cut off.

        Raises:
            PlaitError: It is in a coding that was not asked for, or not in the one it says.
        """
        if self.coding in ("", "identity"):
            return self.content[:limit]
        if self.coding not in ("gzip", "x-gzip"):
            raise PlaitError(f"the content is coded as {self.coding!r}, which was not asked for")
        try:
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(self.content, limit)
        except zlib.error as error:
            raise PlaitError(f"the content says that it is gzip, and is not: {error}") from error


class _Connection(Protocol):
    def ask(self, path: str, take: Callable[[bytes], None]) -> Answer:
        """Send a request, hand over the content in pieces, and return the rest."""

    def close(self) -> None:
        """End the connection, if there is one."""


class Fetcher:
    """Fetches over one version of HTTP, one path after the other; a context manager.

    Attributes:
        target: The server.
        version: ``"1"`` or ``"2"``.
    """

    def __init__(self, target: Target, version: str, connection: _Connection) -> None:
        self.target = target
        self.version = version
        self._connection = connection
        self._answers: dict[str, Answer] = {}
        self._total = 0

    def get(self, path: str) -> Answer:
        """Fetch a path, or return what it answered before.

        Raises:
            PlaitError: The server broke off or took too long, sent something that is not HTTP, or has
                sent too much.
        """
        if path not in self._answers:
            self._answers[path] = self.again(path)
        return self._answers[path]

    def again(self, path: str) -> Answer:
        """Fetch a path, whatever it answered before.

        Raises:
            PlaitError: As in :meth:`get`.
        """
        pieces = []
        deadline = time.monotonic() + ANSWER_SECONDS

        def take(piece: bytes) -> None:
            pieces.append(piece)
            self._total += len(piece)
            if self._total > TOTAL_LIMIT:
                raise PlaitError(
                    f"{self.target.base_url} has sent more than {TOTAL_LIMIT // 2**20} MiB, the last of it "
                    f"for {path}: that is too much to fetch over and over"
                )
            if time.monotonic() > deadline:
                raise PlaitError(
                    f"{self.target.base_url}{path} is still being sent after {ANSWER_SECONDS:g} seconds: "
                    f"what has no end cannot be compared"
                )

        answer = self._connection.ask(path, take)
        return replace(answer, content=b"".join(pieces))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()


def fetcher(target: Target, version: str, headers: Iterable[tuple[str, str]]) -> Fetcher:
    """Make what fetches over one version of HTTP.

    Over HTTP/1.1 that is a client that is not ours, so that what the contenders receive is compared with
    somebody else's word.

    Args:
        target: The server.
        version: ``"1"`` or ``"2"``, which it speaks.
        headers: Fields of every request.
    """
    fields = tuple(headers)
    connection = _Http1(target, fields) if version == "1" else _Http2(target, fields)
    return Fetcher(target, version, connection)


class _Http1:
    """The standard library's client."""

    def __init__(self, target: Target, headers: Sequence[tuple[str, str]]) -> None:
        self._target = target
        self._headers = dict(headers)
        self._connection = target.http1_connection()

    def ask(self, path: str, take: Callable[[bytes], None]) -> Answer:
        try:
            response = self._response(path)
            while piece := response.read1(_PIECE):
                take(piece)
            if response.length:  # which read1 does not mind
                raise http.client.IncompleteRead(b"", response.length)
            response.close()
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            reason = str(error) or type(error).__name__
            raise ConnectFailed(
                f"{self._target.base_url} broke off while {path} was fetched over HTTP/1.1: {reason}"
            ) from error
        return Answer(
            status=response.status,
            content=b"",
            media_type=response.headers.get("content-type", ""),
            coding=response.headers.get("content-encoding", "").strip().lower(),
            location=response.headers.get("location"),
        )

    def _response(self, path: str) -> http.client.HTTPResponse:
        reused = self._connection.sock is not None
        try:
            self._connection.request("GET", path, headers=self._headers)
            return self._connection.getresponse()
        except (ConnectionError, ssl.SSLEOFError):
            if not reused:
                raise
        # A server may close an idle connection at any moment, the same in which it is used again
        # (RFC 9112 §9.5).
        self._connection.close()
        self._connection.request("GET", path, headers=self._headers)
        return self._connection.getresponse()

    def close(self) -> None:
        self._connection.close()


class _Http2:
    """Ours."""

    def __init__(self, target: Target, headers: Sequence[tuple[str, str]]) -> None:
        from plait.client.sync_client import Client

        self._target = target
        self._headers = headers
        verify = not target.insecure and (target.cafile or True)
        self._client = Client(target.base_url, verify=verify, http="2", decode=False, keep_cookies=False)

    def ask(self, path: str, take: Callable[[bytes], None]) -> Answer:
        try:
            with self._client.stream("GET", path, headers=self._headers, timeout=ANSWER_SECONDS) as response:
                for piece in response.iter_bytes():
                    take(piece)
        except PlaitError as error:
            if type(error) is PlaitError:  # from take, and a whole sentence
                raise
            raise ConnectFailed(
                f"{self._target.base_url} broke off while {path} was fetched over HTTP/2: {error}"
            ) from error
        headers = response.headers
        return Answer(
            status=response.status,
            content=b"",
            media_type=headers.get("content-type", ""),
            coding=headers.get("content-encoding", "").strip().lower(),
            location=headers.get("location"),
        )

    def close(self) -> None:
        self._client.close()
