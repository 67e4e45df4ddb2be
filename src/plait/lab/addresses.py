"""URLs as pages and browsers write them: whose they are, and what goes over the wire for them."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from plait.lab.paths import is_path

__all__ = ["Address", "locate", "resolve"]

_PORTS = {"http": 80, "https": 443}

# What a browser leaves as it is in a path and in a query (the URL standard, § Percent-encoded bytes).
_IN_PATH = "!$%&'()*+,/:;=@[\\]^|~"
_IN_QUERY = "!$%&()*+,/:;=?@[\\]^`{|}~"


class Address(NamedTuple):
    """A URL in two parts.

    Attributes:
        origin: Scheme, host and port, spelled as ``Target.base_url`` spells them.
        path: Path and query, as they go over the wire.
    """

    origin: str
    path: str


def locate(url: str) -> Address | None:
    """Take an absolute URL apart; None when it is not one that is fetched by HTTP."""
    try:
        parts = urlsplit(url.strip("\x00\t\n\f\r "))
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
        if host and not host.isascii():
            host = host.encode("idna").decode("ascii")
        path = quote(parts.path or "/", safe=_IN_PATH)
        if parts.query:
            path += "?" + quote(parts.query, safe=_IN_QUERY)
    except ValueError:  # a port, a bracket or a name that is wrong, or half a character
        return None
    if port is None or parts.scheme not in _PORTS or not host or not is_path(path):
        return None
    return Address(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}", path)


def resolve(base: str, reference: str) -> str | None:
    """Make a reference absolute, as RFC 3986 §5 does; None when it cannot be."""
    try:
        return urljoin(base, reference.strip("\x00\t\n\f\r "))
    except ValueError:
        return None
