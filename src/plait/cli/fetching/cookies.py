"""Files of cookies, in the form that Netscape gave them and curl reads and writes."""

from __future__ import annotations

import sys
from http.cookiejar import Cookie
from pathlib import Path
from typing import TYPE_CHECKING

from plait.errors import ConfigError, PlaitError

if TYPE_CHECKING:
    from plait.client.cookies import Cookies

__all__ = ["cookie_pairs", "cookie_text", "load_cookies", "save_cookies"]

_TITLE = "# Netscape HTTP Cookie File\n"
_HTTP_ONLY = "#HttpOnly_"
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
    """Read the files that -b names; one that is not there is empty, as with curl.

    Raises:
        ConfigError: One cannot be read, or holds something else.
    """
    for name in given:
        if "=" in name or not name:
            continue
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"cannot read {name}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name} holds no cookies: it is not text") from error
        for line in text.splitlines():
            if line.strip() and (not line.startswith("#") or line.startswith(_HTTP_ONLY)):
                cookie = _read(line)
                if cookie is None:
                    raise ConfigError(f"{name} holds no cookies in Netscape's form: {line[:60]!r}")
                if not cookie.is_expired():
                    cookies.jar.set_cookie(cookie)


def _read(line: str) -> Cookie | None:
    parts = line.removeprefix(_HTTP_ONLY).split("\t")
    if len(parts) != 7 or not parts[4].isdigit():
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


def _line(cookie: Cookie) -> str:
    domain = cookie.domain
    bare = domain.lstrip(".")
    if bare.count(".") == 1 and bare.endswith(_LOCAL):
        domain = domain.removesuffix(_LOCAL)
    flags = ["TRUE" if one else "FALSE" for one in (cookie.domain_specified, cookie.secure)]
    http_only = _HTTP_ONLY if cookie.has_nonstandard_attr("HttpOnly") else ""
    parts = [
        domain,
        flags[0],
        cookie.path,
        flags[1],
        str(cookie.expires or 0),
        cookie.name,
        cookie.value or "",
    ]
    return http_only + "\t".join(parts) + "\n"


def cookie_text(cookies: Cookies) -> str:
    """Return all cookies, as such a file holds them."""
    return _TITLE + "\n" + "".join(_line(one) for one in cookies.jar if not one.is_expired())


def save_cookies(cookies: Cookies, name: str) -> None:
    """Write all cookies into a file.

    Raises:
        PlaitError: It cannot be written.
    """
    try:
        Path(name).write_text(cookie_text(cookies), "utf-8")
    except OSError as error:
        raise PlaitError(f"cannot write {name}: {error.strerror}") from error
