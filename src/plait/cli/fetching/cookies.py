"""Files of cookies, in the form that Netscape gave them and curl reads and writes."""

from __future__ import annotations

import re
from http.cookiejar import Cookie
from pathlib import Path
from typing import TYPE_CHECKING

from plait.cli.fetching.content import read_file
from plait.errors import ConfigError, PlaitError

if TYPE_CHECKING:
    from plait.client.cookies import Cookies

__all__ = ["cookie_pairs", "cookie_text", "load_cookies", "save_cookies"]

_TITLE = "# Netscape HTTP Cookie File\n"
_HTTP_ONLY = "#HttpOnly_"
#: What the standard library's jar adds to a host without a dot.
_LOCAL = ".local"
#: One byte is one letter, as in fields: what a cookie holds need not be UTF-8.
_CODING = "latin-1"
_is_number = re.compile(r"-?[0-9]+").fullmatch
_has_control = re.compile(r"[\x00-\x1f\x7f]").search


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
    """Read the files that -b names; one that is not there is empty, as with curl.

    Raises:
        ConfigError: One cannot be read, or holds something else.
    """
    for name in given:
        if "=" in name or not name:
            continue
        try:
            text = read_file(name).decode(_CODING)
        except ConfigError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                continue
            raise
        for line in text.replace("\r\n", "\n").split("\n"):
            if line.strip() and (not line.startswith("#") or line.startswith(_HTTP_ONLY)):
                cookie = _read(line)
                if cookie is None:
                    raise ConfigError(f"{name} holds no cookies in Netscape's form: {line[:60]!r}")
                if not cookie.is_expired():
                    cookies.jar.set_cookie(cookie)


def _read(line: str) -> Cookie | None:
    parts = line.removeprefix(_HTTP_ONLY).split("\t")
    if len(parts) != 7 or not _is_number(parts[4]):
        return None
    domain, below, path, secure, expires, name, value = parts
    bare = domain.lstrip(".")
    for_others = below == "TRUE"
    if "." not in bare and ":" not in bare:
        bare += _LOCAL
    return Cookie(
        version=0,
        name=name,
        value=value,
        port=None,
        port_specified=False,
        domain=f".{bare}" if for_others else bare,
        domain_specified=for_others,
        domain_initial_dot=domain.startswith("."),
        path=path,
        path_specified=True,
        secure=secure == "TRUE",
        expires=int(expires) or None,
        discard=expires == "0",
        comment=None,
        comment_url=None,
        rest={"HttpOnly": ""} if line.startswith(_HTTP_ONLY) else {},
    )


def _parts(cookie: Cookie) -> list[str]:
    domain = cookie.domain
    bare = domain.lstrip(".")
    if bare.count(".") == 1 and bare.endswith(_LOCAL):
        domain = domain.removesuffix(_LOCAL)
    flags = ["TRUE" if one else "FALSE" for one in (cookie.domain_specified, cookie.secure)]
    http_only = _HTTP_ONLY if cookie.has_nonstandard_attr("HttpOnly") else ""
    return [
        http_only + domain,
        flags[0],
        cookie.path,
        flags[1],
        str(cookie.expires or 0),
        cookie.name,
        cookie.value or "",
    ]


def cookie_text(cookies: Cookies) -> bytes:
    """Return all cookies, as such a file holds them: one with a tab in it has no place there."""
    kept = (one for one in cookies.jar if not one.is_expired())
    lines = ("\t".join(_parts(one)) for one in kept if not any(map(_has_control, _parts(one))))
    return (_TITLE + "\n" + "".join(f"{line}\n" for line in lines)).encode(_CODING, "replace")


def save_cookies(cookies: Cookies, name: str) -> None:
    """Write all cookies into a file.

    Raises:
        PlaitError: It cannot be written.
    """
    try:
        Path(name).write_bytes(cookie_text(cookies))
    except OSError as error:
        raise PlaitError(f"cannot write {name}: {error.strerror}") from error
