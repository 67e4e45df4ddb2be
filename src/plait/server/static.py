"""Files of a directory, as an ASGI application: strict about paths, exact about conditions and ranges.

Written here because what there is falls short: servestatic (4.4) serves the range of a file that has
changed since (no If-Range), knows one entity tag and no list of them in If-None-Match, serves .git, and
finds new files only while developing; Starlette's StaticFiles has no precompressed variants and serves
dotfiles too. Sending is the server's own, by ``http.response.zerocopysend``.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from plait.server.interfaces import Receive, Scope, Send
from plait.server.representations import CODINGS, Validators, choose_coding, range_of, status_of

__all__ = ["StaticFiles", "say"]

_INDEX = "index.html"
#: Names that begin with a dot are nobody's business but for this one (RFC 8615).
_WELL_KNOWN = ".well-known"
_CONDITIONS = frozenset(
    {
        b"accept-encoding",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
    }
)
#: The library's own table, and not the machine's, so that a file has one type everywhere.
_TYPES = mimetypes.MimeTypes()
for _suffix, _type in {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".map": "application/json",
    ".md": "text/markdown",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}.items():
    _TYPES.add_type(_type, _suffix)
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_WITH_CHARSET = frozenset({"application/json", "application/manifest+json", "image/svg+xml"})


@dataclass(frozen=True, slots=True)
class _File:
    """An open file.

    Attributes:
        descriptor: Its descriptor, which whoever has this closes.
        size: Its size, in bytes.
        validators: What tells its state.
        content_type: The type of what it holds, its coding undone.
        coding: Its content-coding, or None.
        varies: Whether there are other codings of it.
    """

    descriptor: int
    size: int
    validators: Validators
    content_type: str
    coding: str | None
    varies: bool


class StaticFiles:
    """Serves the files of a directory to GET and HEAD.

    Args:
        directory: The directory; links inside that lead out of it are not followed.
        prefix: What paths begin with, without a slash at its end.
    """

    def __init__(self, directory: Path, prefix: bytes = b"") -> None:
        self._root = os.path.realpath(directory)
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await say(send, 405, b"only GET and HEAD", (b"allow", b"GET, HEAD"))
            return
        names = _names(scope["raw_path"][len(self._prefix) :])
        if names is None:
            await say(send, 404, b"not found")
            return
        fields = _conditions(scope)
        finding = asyncio.get_running_loop().run_in_executor(None, self._find, names, fields)
        try:
            found = await asyncio.shield(finding)
        except asyncio.CancelledError:
            finding.add_done_callback(_close)
            raise
        if found is None:
            await say(send, 404, b"not found")
        elif isinstance(found, str):
            # Relative, so that neither prefix nor host has to be known here.
            query = scope["query_string"]
            location = b"./" + scope["raw_path"].rpartition(b"/")[2] + b"/" + (b"?" + query if query else b"")
            await say(send, 301, b"it is a directory", (b"location", location))
        else:
            try:
                await _send(found, fields, scope["method"], send)
            finally:
                os.close(found.descriptor)

    def _find(self, names: list[str], fields: dict[str, str]) -> _File | str | None:
        """Open the file of these names; a string instead says that it is a directory, which it names."""
        if names[-1] == "":
            names = [*names[:-1], _INDEX]
        path = os.path.join(self._root, *names)
        try:
            whole = self._open(path)
        except IsADirectoryError:
            return path if os.path.isfile(os.path.join(path, _INDEX)) else None
        except (OSError, ValueError):
            return None
        available = [coding for coding, suffix in CODINGS.items() if os.path.isfile(path + suffix)]
        coding = choose_coding(fields.get("accept-encoding"), available)
        descriptor = whole
        if coding is not None:
            try:
                descriptor = self._open(path + CODINGS[coding])
            except (OSError, ValueError):
                coding = None
            else:
                os.close(whole)
        status = os.fstat(descriptor)
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}{f"-{coding}" if coding else ""}"'
        # RFC 9110 §8.8.2.1: no later than now, whatever the file says.
        modified = max(min(int(status.st_mtime), int(time.time())), 0)
        return _File(
            descriptor, status.st_size, Validators(etag, modified), _type_of(path), coding, bool(available)
        )

    def _open(self, path: str) -> int:
        """Open a regular file inside the directory.

        Raises:
            IsADirectoryError: It is a directory.
            OSError: It is not there, not to be read, no regular file, or leads out of the directory.
        """
        real = os.path.realpath(path)
        inside = os.path.relpath(real, self._root)
        if any(_hidden(name) for name in inside.split(os.sep)):
            raise FileNotFoundError(path)
        # O_NONBLOCK: opening a pipe would wait for its other end.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(real, flags | getattr(os, "O_BINARY", 0))
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            raise IsADirectoryError(path) if stat.S_ISDIR(mode) else FileNotFoundError(path)
        return descriptor


def _hidden(name: str) -> bool:
    return name.startswith(".") and name not in (_WELL_KNOWN, ".")


def _names(raw_path: bytes) -> list[str] | None:
    """Take a path apart before it is decoded, so that an encoded slash stays part of a name.

    Returns:
        The names, the last of which is empty for a directory; None for a path that no file has.
    """
    if raw_path == b"":
        return ["."]  # the directory itself, without the slash at its end
    if not raw_path.startswith(b"/"):
        return None
    names = [os.fsdecode(unquote_to_bytes(name)) for name in raw_path.split(b"/")[1:]]
    for index, name in enumerate(names):
        if not name and index < len(names) - 1:
            return None
        if name.startswith(".") and name != _WELL_KNOWN:
            return None
        if any(mark in name for mark in ("\0", "/", "\\")) or (os.name == "nt" and ":" in name):
            return None
    return names


def _conditions(scope: Scope) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _CONDITIONS:
            key, text = name.decode(), value.decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields


def _type_of(path: str) -> str:
    kind, coding = _TYPES.guess_type(path)
    if coding is not None:
        return _COMPRESSED.get(coding, "application/octet-stream")
    if kind is None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind in _WITH_CHARSET else kind


def _close(finding: asyncio.Future[_File | str | None]) -> None:
    if not finding.cancelled() and finding.exception() is None and isinstance(finding.result(), _File):
        os.close(finding.result().descriptor)  # type: ignore[union-attr]


async def _send(file: _File, fields: dict[str, str], method: str, send: Send) -> None:
    headers = [
        (b"etag", file.validators.etag.encode()),
        (b"last-modified", file.validators.last_modified.encode()),
    ]
    if file.varies:
        headers.append((b"vary", b"accept-encoding"))
    status = status_of(fields, file.validators)
    if status == 412:
        await say(send, 412, b"the file has changed", *headers)
        return
    if status == 304:
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body"})
        return
    start, end = 0, file.size
    part = range_of(fields, file.validators, file.size) if method == "GET" else None
    if part is not None:
        if part.end == 0:
            where = (b"content-range", b"bytes */%d" % file.size)
            await say(send, 416, b"the file has no such range", where, *headers)
            return
        status, start, end = 206, part.start, part.end
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, file.size)))
    headers += [
        (b"accept-ranges", b"bytes"),
        (b"content-length", b"%d" % (end - start)),
        (b"content-type", file.content_type.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if file.coding is not None:
        headers.append((b"content-encoding", file.coding.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if method == "HEAD" or start == end:
        await send({"type": "http.response.body"})
        return
    await send(
        {
            "type": "http.response.zerocopysend",
            "file": file.descriptor,
            "offset": start,
            "count": end - start,
        }
    )


async def say(send: Send, status: int, sentence: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Answer with a sentence."""
    start = [(b"content-type", b"text/plain; charset=utf-8"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": sentence + b"\n"})
