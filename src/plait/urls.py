"""URLs (RFC 3986) as a client needs them: an origin to connect to and a target to ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from plait.errors import LocalProtocolError

__all__ = ["Origin", "Params", "Url", "join", "of_handshake", "parse", "query"]

DEFAULT_PORTS = {"https": 443, "http": 80}
_WEBSOCKET = {"ws": "http", "wss": "https"}

ParamValue = str | bytes | int | float | None
Params = Mapping[str, "ParamValue | Iterable[ParamValue]"] | Iterable[tuple[str, ParamValue]]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)", re.DOTALL).match
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@]+)(?::([0-9]{0,9}))?").fullmatch
#: Labels and lengths are those of DNS (RFC 1035 §2.3.4), which are also those of what resolves names.
_NAME = re.compile(r"(?=.{1,253}\.?$)(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?").fullmatch
_PLAIN_TARGET = re.compile(r"[!$-;=?-Z\[\]_a-z~]*").fullmatch
# Seldom needed, so compiled when they are: every import counts at the start of a program.
_UNSAFE = r"[^!$-;=?-Z\[\]_a-z~]"
_CONTROL = r"[\x00-\x1f\x7f]"
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*").fullmatch

#: Characters of what was given that the sentence which refuses it shows.
_SHOWN = 200

#: Origins met before: a client asks the same few again and again.
_origins: dict[tuple[str, str], tuple[Origin, bytes]] = {}
_ORIGINS_MAX = 1024


class Origin(NamedTuple):
    """A scheme, a host and a port (RFC 9110 §4.3.1).

    Attributes:
        scheme: ``"https"`` or ``"http"``; ``"wss"`` or ``"ws"`` for the same server by connections of
            HTTP/1.1 that carry a WebSocket and nothing else.
        host: A name in lower-case, or an address without brackets.
        port: The port, the scheme's own when the URL named none.
    """

    scheme: str
    host: str
    port: int

    @property
    def web(self) -> Origin:
        """The same server as HTTP knows it."""
        scheme = _WEBSOCKET.get(self.scheme)
        return self if scheme is None else self._replace(scheme=scheme)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Url(NamedTuple):
    """A URL, taken apart.

    Attributes:
        origin: Where to connect to.
        authority: What the request calls the origin (RFC 9113 §8.3.1), without a default port.
        target: Path and query, never empty.
    """

    origin: Origin
    authority: bytes
    target: str

    def __str__(self) -> str:
        return f"{self.origin.scheme}://{self.authority.decode()}{self.target}"


def parse(url: str) -> Url:
    """Take an absolute URL apart.

    Characters that a URL cannot hold but people write, such as spaces and letters beyond ASCII, are
    percent-encoded as UTF-8; a fragment is dropped.

    Args:
        url: An http or https URL.

    Raises:
        LocalProtocolError: It is no such URL.
    """
    try:
        match = _URL(url)
    except TypeError:
        raise LocalProtocolError(f"a URL is text, and {url!r} is none") from None
    if match is None:
        raise LocalProtocolError(f"{_shown(url)} is not a URL such as https://example.com/path")
    scheme, netloc, target = match.groups()
    known = _origins.get((scheme, netloc))
    if known is None:
        known = _origin(scheme, netloc, url)
        if len(_origins) >= _ORIGINS_MAX:
            _origins.clear()
        _origins[scheme, netloc] = known
    if not target or target[0] == "?":
        target = "/" + target
    if not _PLAIN_TARGET(target):
        target = _escape(target, url)
    return Url(known[0], known[1], target)


def of_handshake(url: str) -> str:
    """Return the URL of the handshake for a WebSocket's: ``https`` for ``wss``, ``http`` for ``ws``.

    Any other is returned as it is.
    """
    scheme, separator, rest = url.partition("://")
    known = _WEBSOCKET.get(scheme.lower())
    return url if known is None else f"{known}{separator}{rest}"


def join(base: Url, url: str) -> Url:
    """Continue a base URL, unless the other is absolute.

    Args:
        base: The base; its query counts for nothing, and its path has no slash at its end.
        url: An absolute URL, or a path or a query that continues the base's path.

    Raises:
        LocalProtocolError: It is neither.
    """
    if url[:1] == "/" and url[:2] != "//":
        if _PLAIN_TARGET(url):
            # Every request makes one: past the constructor in Python that a named tuple has.
            return tuple.__new__(Url, (base.origin, base.authority, base.target + url))
    elif url.startswith("//"):
        raise LocalProtocolError(f"{_shown(url)} names a host without a scheme")
    elif _URL(url):
        return parse(url)
    elif url[:1] not in ("", "?"):
        url = f"/{url}"
    return parse(f"{base}{url}")


def _shown(text: str) -> str:
    """Quote what was given, for a sentence that can be read however long that is."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"


def _origin(scheme: str, netloc: str, url: str) -> tuple[Origin, bytes]:
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise LocalProtocolError(
            f"{_shown(url)} has the scheme {scheme[:_SHOWN]}, and only http and https are spoken here"
        )
    if "@" in netloc:
        # RFC 9110 §4.2.4: credentials in URLs are deprecated, and leak into logs.
        host = _shown(netloc.rpartition("@")[2])
        raise LocalProtocolError(f"the URL for {host} holds credentials; say auth=(name, password) instead")
    match = _AUTHORITY(netloc)
    if match is None:
        problem = f"{_shown(netloc)} is not a host and port" if netloc else f"{_shown(url)} names no host"
        raise LocalProtocolError(problem)
    host, port_text = match.groups()
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError as error:
            raise LocalProtocolError(f"{_shown(host)} is not a host name: {error}") from error
    if not (_is_address(host) if host[0] == "[" else _NAME(host)):
        raise LocalProtocolError(f"{_shown(host)} is not a host name")
    host = host.lower()
    port = int(port_text) if port_text else DEFAULT_PORTS[scheme]
    if not 1 <= port <= 65535:
        raise LocalProtocolError(f"port {port} is not from 1 to 65535")
    authority = host if port == DEFAULT_PORTS[scheme] else f"{host}:{port}"
    return Origin(scheme, host.strip("[]"), port), authority.encode()


def _is_address(host: str) -> bool:
    """Whether this is an IPv6 address in brackets."""
    from ipaddress import IPv6Address

    try:
        IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True


def _escape(target: str, url: str) -> str:
    if re.search(_CONTROL, target):
        raise LocalProtocolError(f"the URL {_shown(url)} holds a control character")
    from urllib.parse import quote

    try:
        return re.sub(
            _UNSAFE, lambda match: match[0] if match[0] == "%" else quote(match[0], safe=""), target
        )
    except UnicodeEncodeError:
        raise LocalProtocolError(f"the URL {_shown(url)} holds half a character") from None


def query(params: Params) -> str:
    """Encode parameters as a query (application/x-www-form-urlencoded, spaces as ``%20``).

    Args:
        params: Names and values, as a mapping or as pairs. A list as value repeats the name; None
            leaves the parameter out; numbers and booleans are written as Python writes them,
            booleans in lower-case.

    Raises:
        LocalProtocolError: They are no pairs, or a value is of another type.
    """
    parts: list[str] = []
    try:
        pairs = params.items() if isinstance(params, Mapping) else params
        for name, value in pairs:
            if type(value) is int:
                parts.append(f"{_quote(name)}={value}")
            elif isinstance(value, str | bytes | int | float) or value is None:
                if value is not None:
                    parts.append(f"{_quote(name)}={_quote(value)}")
            else:
                parts += _repeated(name, value)
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"the parameter {_shown(error.object)} holds half a character") from None
    except (TypeError, ValueError) as error:
        raise LocalProtocolError("parameters must be pairs of name and value, text or numbers") from error
    return "&".join(parts)


def _repeated(name: str, values: Iterable[ParamValue]) -> list[str]:
    """Encode one name with several values."""
    try:
        if isinstance(values, Mapping):
            raise TypeError
        return [f"{_quote(name)}={_quote(item)}" for item in values if item is not None]
    except TypeError:
        raise LocalProtocolError(f"the parameter {name!r} has the value {values!r}") from None


def _quote(value: str | bytes | int | float) -> str:
    if type(value) is str and _UNRESERVED(value):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str | bytes):
        raise TypeError
    from urllib.parse import quote

    return quote(value, safe="")
