"""Files of cookies, in the form that Netscape gave them and curl reads and writes."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from http.cookiejar import CookieJar, LoadError, MozillaCookieJar
from pathlib import Path
from typing import TYPE_CHECKING

from plait.errors import ConfigError, PlaitError

if TYPE_CHECKING:
    from plait.cli.fetching.output import Stream
    from plait.client.cookies import Cookies

__all__ = ["cookie_pairs", "load_cookies", "save_cookies"]

_MAGIC = "# Netscape HTTP Cookie File\n"
#: What the standard library's jar adds to a host without a dot.
_LOCAL = ".local"


def cookie_pairs(given: tuple[str, ...]) -> dict[str, str]:
    """Return the cookies that -b says itself.

    Raises:
        ConfigError: It says something else.
    """
    pairs = {}
    for one in given:
        for part in one.split(";") if "=" in one else ():
            name, equals, value = part.strip().partition("=")
            if equals:
                pairs[name] = value
            elif name:
                raise ConfigError(f"{part.strip()!r} is no cookie such as name=value")
    return pairs


def load_cookies(cookies: Cookies, given: tuple[str, ...]) -> None:
    """Read the files that -b names; what is not there is empty, as with curl.

    Raises:
        ConfigError: One cannot be read.
    """
    for name in given:
        if "=" in name or not name:
            continue
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"cannot read {name}: {error.strerror}") from error
        _copy(_parse(text, name), cookies.jar, add=True)


def _parse(text: str, name: str) -> CookieJar:
    jar = MozillaCookieJar()
    # The standard library reads from a file only.
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text if text.startswith(_MAGIC[:10]) else _MAGIC + text)
        file.flush()
        try:
            jar.load(file.name, ignore_discard=True)
        except (LoadError, ValueError) as error:
            raise ConfigError(f"{name} holds no cookies in Netscape's form") from error
    return jar


def _copy(source: CookieJar, target: CookieJar, *, add: bool) -> None:
    """Copy cookies, with the jar's own name for hosts without a dot added or taken away."""
    for cookie in source:
        bare = cookie.domain.lstrip(".")
        if add and "." not in bare and ":" not in bare:
            cookie.domain += _LOCAL
        elif not add and bare.count(".") == 1 and bare.endswith(_LOCAL):
            cookie.domain = cookie.domain.removesuffix(_LOCAL)
        target.set_cookie(cookie)


async def save_cookies(cookies: Cookies, name: str, stdout: Stream) -> None:
    """Write all cookies into a file, or to standard output for ``-``.

    Raises:
        PlaitError: It cannot be written.
    """
    jar = MozillaCookieJar()
    _copy(cookies.jar, jar, add=False)
    try:
        if name != "-":
            jar.save(name, ignore_discard=True)
            return
        with tempfile.NamedTemporaryFile() as file:
            jar.save(file.name, ignore_discard=True)
            content = await asyncio.to_thread(Path(file.name).read_bytes)
    except OSError as error:
        raise PlaitError(f"cannot write {name}: {error.strerror}") from error
    await stdout.write(content)
