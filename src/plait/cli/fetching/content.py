"""What the options say about a request: its method, its fields and its content, as curl understands them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from plait.cli.fetching.options import Given
from plait.errors import ConfigError

__all__ = ["Demand", "given_fields", "open_form", "open_upload", "read_file", "standard_input"]

_DATA = ("data", "data_raw", "data_binary", "data_urlencode", "json")
_FORM = ("form", "form_string")
_PIECE = 65_536


class Demand:
    """What every request of the command line has in common.

    Args:
        given: The options.

    Attributes:
        method: The method.
        headers: The fields.
        content: The content, None for none, or for one that each URL has of its own.
        query: What the URL's query is continued with, ``""`` for nothing.

    Raises:
        ConfigError: Two options contradict each other, or a file cannot be read.
    """

    def __init__(self, given: Given) -> None:
        data = _data(given)
        kinds = [data is not None and not given.get, bool(given.upload_file), _has_form(given), given.head]
        if sum(kinds) > 1:
            raise ConfigError("a request has one content: choose one of -d, -F, -T and -I")
        self.query = ""
        self.content: bytes | None = None
        if data is not None and given.get:
            self.query = data.decode("utf-8", "surrogateescape")
        else:
            self.content = data
        if given.head:
            method = "HEAD"
        elif given.upload_file:
            method = "PUT"
        else:
            method = "POST" if self.content is not None or _has_form(given) else "GET"
        self.method = given.request or method
        self.headers = _headers(given, is_data=self.content is not None)


def _headers(given: Given, *, is_data: bool) -> list[tuple[str, str | None]]:
    fields = given_fields(given.header)
    said = {name.lower() for name, _ in fields}

    def unless_said(name: str, value: str | None) -> None:
        if value is not None and name not in said:
            # An empty value leaves a field out, as with curl.
            fields.append((name, value or None))

    unless_said("user-agent", given.user_agent)
    unless_said("referer", given.referer and given.referer.partition(";auto")[0])
    unless_said("range", f"bytes={given.range}" if given.range else None)
    if is_data:
        form = "application/x-www-form-urlencoded"
        unless_said("content-type", "application/json" if given.json else form)
    if given.json:
        unless_said("accept", "application/json")
    return fields


def given_fields(lines: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """Read the values of -H; a field whose value is None is left out.

    Raises:
        ConfigError: One is no field, or its file cannot be read.
    """
    fields: list[tuple[str, str | None]] = []
    for line in lines:
        if line.startswith("@"):
            text = read_file(line[1:]).decode("latin-1")
            fields += given_fields(tuple(one for one in text.splitlines() if one.strip()))
            continue
        name, colon, value = line.partition(":")
        if colon:
            fields.append((name.strip(), value.strip() or None))
        elif line.rstrip().endswith(";"):
            fields.append((line.rstrip()[:-1], ""))
        else:
            raise ConfigError(f"{line!r} is no field such as 'name: value'")
    return fields


def _data(given: Given) -> bytes | None:
    """Join what the data options say, in their order; None when there is none."""
    content: bytes | None = None
    for kind, value in given.order:
        if kind in _DATA:
            piece = _piece_of(kind, value)
            # curl puts pieces of JSON side by side, and other pieces after an ampersand.
            content = piece if content is None else content + (b"" if kind == "json" else b"&") + piece
    return content


def _piece_of(kind: str, value: str) -> bytes:
    if kind == "data_urlencode":
        return _urlencoded(value)
    if kind == "data_raw" or not value.startswith("@"):
        return value.encode("utf-8", "surrogateescape")
    content = read_file(value[1:])
    if kind == "data":
        content = content.translate(None, b"\r\n\0")
    return content


def _urlencoded(value: str) -> bytes:
    from urllib.parse import quote_plus

    cut = min((at for mark in "=@" if (at := value.find(mark)) >= 0), default=-1)
    name, content = ("", value) if cut < 0 else (value[:cut], value[cut + 1 :])
    raw = read_file(content) if cut >= 0 and value[cut] == "@" else content.encode("utf-8", "surrogateescape")
    return f"{name}{'=' if name else ''}{quote_plus(raw)}".encode("utf-8", "surrogateescape")


def read_file(name: str) -> bytes:
    """Read a file that an option names, or standard input for ``-``.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return standard_input().read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror}") from error


def standard_input() -> IO[bytes]:
    """Return standard input.

    Raises:
        ConfigError: It was closed before this process began.
    """
    if sys.stdin is None:
        raise ConfigError("cannot read standard input: it is closed")
    return sys.stdin.buffer


def _open(name: str, opened: ExitStack) -> IO[bytes]:
    try:
        return opened.enter_context(open(name, "rb"))
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror}") from error


# -- forms -------------------------------------------------------------------------------------------


def _has_form(given: Given) -> bool:
    return bool(given.form or given.form_string)


def open_form(given: Given, opened: ExitStack) -> list[tuple[str, Any]] | None:
    """Return the parts of a form, as a client takes files; None when there is none.

    Args:
        given: The options.
        opened: What closes the files that are sent.

    Raises:
        ConfigError: A part is not one, or its file cannot be read.
    """
    if not _has_form(given):
        return None
    parts = []
    for kind, value in given.order:
        if kind in _FORM:
            name, equals, text = value.partition("=")
            if not equals:
                raise ConfigError(f"{value!r} is no part of a form such as name=content")
            parts.append((name, (None, text) if kind == "form_string" else _part(text, opened)))
    return parts


def _part(text: str, opened: ExitStack) -> list[Any] | tuple[Any, ...]:
    """Read what -F says of one part: its content, and what may follow it."""
    content, said = _parameters(text)
    filename, media_type = said.get("filename"), said.get("type")
    more = () if media_type is None else (media_type,)
    if content[:1] == "<":
        return (filename, read_file(content[1:]), *more)
    if content[:1] != "@":
        return (filename, content, *more)
    # Several files in one part, with commas, are several parts of one name.
    files = []
    for path in [content[1:]] if "filename" in said else content[1:].split(","):
        file: Any = read_file(path) if path == "-" else _open(path, opened)
        files.append((filename or (path if path == "-" else Path(path).name), file, *more))
    return files


def _parameters(text: str) -> tuple[str, dict[str, str]]:
    said: dict[str, str] = {}
    content = text
    if text[:1] == '"' and (end := text.find('"', 1)) > 0:
        content, text = text[1:end], text[end + 1 :]
    found = [part.partition("=") for part in text.split(";")]
    at = next((at for at, one in enumerate(found) if at and one[0].strip() in ("type", "filename")), None)
    if at is None:
        return content, said
    if content == text:
        content = text[: sum(len("".join(one)) + 1 for one in found[:at]) - 1]
    key = ""
    for name, equals, value in found[at:]:
        if name.strip() in ("type", "filename"):
            key = name.strip()
            said[key] = value.strip().strip('"')
        elif key:  # such as a charset, which belongs to the type
            said[key] += f";{name}{equals}{value}"
    return content, said


# -- uploads -----------------------------------------------------------------------------------------


def open_upload(name: str, opened: ExitStack) -> Any:
    """Return a file as content that is read while it is sent."""
    if name in ("-", "."):
        return _pieces(standard_input())
    return _open(name, opened)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Read a file as it comes, without keeping others waiting."""
    import asyncio

    read = getattr(file, "read1", file.read)
    while piece := await asyncio.to_thread(read, _PIECE):
        yield piece
