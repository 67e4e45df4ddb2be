"""Which URLs to fetch: those of the command line, with globs undone, or the lines of a file."""

from __future__ import annotations

import asyncio
import os
import re
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from itertools import product
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import quote, unquote

from plait import urls
from plait.cli.fetching.content import standard_input
from plait.cli.fetching.options import Given
from plait.errors import ConfigError, LocalProtocolError

__all__ = ["Target", "complete", "count", "expand", "remote_name", "straight", "targets", "with_name"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#@]*)@")
_PATH = re.compile(r"([^/?#]*//[^/?#]*)/([^?#]*)(.*)", re.DOTALL).fullmatch
_GLOB = re.compile(r"\\(.)|\{([^{}]*)\}|\[([^\[\]]*)\]", re.DOTALL)
_NUMBERS = re.compile(r"([0-9]+)-([0-9]+)(?::([0-9]+))?")
_LETTERS = re.compile(r"([a-z])-([a-z])(?::([0-9]+))?|([A-Z])-([A-Z])(?::([0-9]+))?")
#: Of one URL's globs; more belong into a file for --paths.
_GLOB_MAX = 1_000_000
#: Bytes of a line of --paths.
_LINE_MAX = 65_536


class Target(NamedTuple):
    """One URL to fetch.

    Attributes:
        number: Counts from 1.
        url: The URL.
        argument: Which URL of the command line it belongs to, from 0.
        parts: What stands for ``#1``, ``#2`` … in the name of its file.
        user: The name and password in the URL, or None.
    """

    number: int
    url: str
    argument: int
    parts: tuple[str, ...]
    user: tuple[str, str] | None


def complete(url: str) -> tuple[str, tuple[str, str] | None]:
    """Add the scheme that people leave out, and take name and password out of a URL."""
    if not _SCHEME.match(url):
        url = f"http://{url}"
    found = _CREDENTIALS.match(url)
    if found is None:
        return url, None
    name, _, password = found[2].partition(":")
    return found[1] + url[found.end() :], (unquote(name), unquote(password))


def straight(url: str) -> str:
    """Remove the dot segments from a URL's path (RFC 3986 §5.2.4)."""
    found = _PATH(url) if "/." in url else None
    if found is None:
        return url
    before, path, after = found.groups()
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return f"{before}/{'/'.join(kept)}{after}"


def expand(url: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the URLs that one stands for, with what is in the place of each glob (curl's manual, "Globbing").

    ``{one,two}`` are alternatives; ``[1-100]``, ``[001-100]``, ``[a-z]`` and ``[0-100:10]`` are ranges. An
    address such as ``[::1]`` is none.

    Raises:
        ConfigError: A range is not one, or there are too many.
    """
    literals: list[str] = [""]
    choices: list[list[str]] = []
    position = 0
    for found in _GLOB.finditer(url):
        literals[-1] += url[position : found.start()]
        position = found.end()
        if found[1] is not None:
            literals[-1] += found[1] if found[1] in "{}[]" else found[0]
        elif found[2] is not None:
            choices.append(found[2].split(","))
            literals.append("")
        elif ":" in found[3] and "-" not in found[3]:
            literals[-1] += found[0]  # an address of IPv6
        else:
            choices.append(_range(found[3], url))
            literals.append("")
    literals[-1] += url[position:]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > _GLOB_MAX:
        raise ConfigError(f"{url!r} stands for {count} URLs, more than {_GLOB_MAX}; give a file to --paths")
    for parts in product(*choices):
        made = [text for pair in zip(literals, parts, strict=False) for text in pair]
        yield "".join(made) + literals[-1], parts


def _range(text: str, url: str) -> list[str]:
    if found := _NUMBERS.fullmatch(text):
        first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
        if first <= last and step and (last - first) // step < _GLOB_MAX:
            width = len(found[1]) if found[1].startswith("0") else 0
            return [str(number).zfill(width) for number in range(first, last + 1, step)]
    elif found := _LETTERS.fullmatch(text):
        start, end, by = found.groups()[:3] if found[1] else found.groups()[3:]
        if start <= end and by != "0":
            return [chr(letter) for letter in range(ord(start), ord(end) + 1, int(by or 1))]
    raise ConfigError(f"[{text}] in {url!r} is no range such as [1-100] or [a-z]; -g takes it as it is")


async def targets(given: Given, query: str) -> AsyncGenerator[Target, None]:
    """Yield what to fetch, as it is wanted: a file with a million lines is read line by line.

    Args:
        given: The options.
        query: What every URL's query is continued with, ``""`` for nothing.

    Raises:
        ConfigError: A URL or the file is not what it must be.
    """
    number = 0
    if given.paths is None:
        for argument, url in enumerate(map(_text, given.urls)):
            for one, parts in [(url, ())] if given.globoff else expand(url):
                number += 1
                whole, user = complete(_with_query(one, query))
                yield Target(number, whole if given.path_as_is else straight(whole), argument, parts, user)
        return
    base, base_user = _base(given.urls[0]) if given.urls else (None, None)
    async for line in _lines(given.paths):
        number += 1
        if base is None or _SCHEME.match(line):
            url, user = complete(line)
        else:
            url, user = _joined(base, line), base_user
        url = _with_query(url if given.path_as_is else straight(url), query)
        yield Target(number, url, 0, (str(number),), user)


def _base(url: str) -> tuple[urls.Url, tuple[str, str] | None]:
    """Take apart the URL that lines continue.

    Raises:
        ConfigError: It is none.
    """
    whole, user = complete(_text(url))
    try:
        base = urls.parse(whole)
    except LocalProtocolError as error:
        raise ConfigError(str(error)) from error
    return base._replace(target=base.target.partition("?")[0].rstrip("/")), user


def _joined(base: urls.Url, line: str) -> str:
    try:
        return str(urls.join(base, line))
    except LocalProtocolError:
        return line  # whose request fails, and says so


def _text(text: str) -> str:
    """Percent-encode what is not UTF-8, which command lines and files may hold."""
    raw = text.encode("utf-8", "surrogateescape")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return quote(raw, safe="".join(map(chr, range(0x20, 0x7F))))
    return text


def _with_query(url: str, query: str) -> str:
    if not query:
        return url
    url, hash_sign, fragment = url.partition("#")
    mark = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{mark}{query}{hash_sign}{fragment}"


def _open(name: str) -> IO[bytes]:
    try:
        return standard_input() if name == "-" else open(name, "rb")
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror}") from error


async def _lines(name: str) -> AsyncIterator[str]:
    file = _open(name)
    read = getattr(file, "read1", file.read)
    rest = b""
    begins = True
    try:
        while piece := await asyncio.to_thread(read, _LINE_MAX):
            *lines, rest = (rest + piece).split(b"\n")
            if begins and lines:
                lines[0] = lines[0].removeprefix(BOM_UTF8)
                begins = False
            for line in lines:
                if text := _line(line):
                    yield text
            if len(rest) > _LINE_MAX:
                place = "standard input" if name == "-" else name
                raise ConfigError(f"a line of {place} is longer than {_LINE_MAX} bytes")
        if text := _line(rest.removeprefix(BOM_UTF8) if begins else rest):
            yield text
    finally:
        if name != "-":
            file.close()


def _line(line: bytes) -> str:
    text = line.decode("utf-8", "surrogateescape").strip()
    return "" if text.startswith("#") else _text(text)


def count(given: Given) -> int | None:
    """Return how many URLs there are to fetch, None where that cannot be known before."""
    if given.paths is None:
        return sum(1 if given.globoff else sum(1 for _ in expand(url)) for url in given.urls)
    if given.paths == "-" or not Path(given.paths).is_file():
        return None
    with _open(given.paths) as file:
        return sum(1 for line in file if _line(line))


def remote_name(url: str) -> str:
    """Return what a file is called by the end of a URL, ``""`` when that has no name."""
    path = re.sub(r"[?#].*", "", url, flags=re.DOTALL)
    after = _SCHEME.match(path)
    path = path[after.end() :] if after else path
    return path.rpartition("/")[2] if "/" in path else ""


def with_name(url: str, file: str) -> str:
    """Add a file's name to a URL that ends where one belongs, as uploads do."""
    path, mark, query = url.partition("?")
    after = _SCHEME.match(path)
    if "/" not in path[after.end() if after else 0 :]:
        path += "/"
    return f"{path}{quote(os.fsencode(Path(file).name))}{mark}{query}" if path.endswith("/") else url
