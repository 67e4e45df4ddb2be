"""Who the client is, when proxies in front say so: Forwarded (RFC 7239) and X-Forwarded-*.

A field is believed as far as trusted proxies wrote it: each appends the address it was connected from,
so the list is walked from its end, and the first address that is no trusted proxy is the client's.
What stands before it came with the request, and may be anything.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from plait.protocol.server_exchange import ServerExchange
from plait.server.trust import Trust

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["Caller", "Hop", "caller", "elements"]

_SCHEMES = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
#: One parameter of an element (RFC 7239 §4), and what may stand between two.
_PAIR = re.compile(rb'[ \t]*(%s)=(?:(%s)|"((?:[^"\\]|\\.)*)")[ \t]*' % (_TOKEN, _TOKEN), re.DOTALL)
#: Bytes of a Forwarded field that no honest chain of proxies reaches; it has to be read from its start.
_LONGEST = 8192
_BLANK = re.compile(rb"[ \t]*")
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}|[._-][A-Za-z0-9._-]*))?")


class Hop(NamedTuple):
    """One proxy's word.

    Attributes:
        client: Whom it was connected from; None when it does not say, or hides it.
        scheme: What that connection was, ``"http"`` or ``"https"``; None when it does not say.
    """

    client: tuple[str, int] | None
    scheme: str | None


class Caller:
    """A request's sender, in place of the driver whose connection carried it.

    Attributes:
        client: The client's host and port, None when a proxy does not tell.
        scheme: What the client speaks, ``"https"`` or ``"http"``.
    """

    __slots__ = ("_driver", "client", "scheme")

    def __init__(self, driver: ServerDriver, client: tuple[str, int] | None, scheme: str) -> None:
        self._driver = driver
        self.client = client
        self.scheme = scheme

    def __getattr__(self, name: str) -> Any:
        # Everything else is as the connection has it.
        return getattr(self._driver, name)


def caller(exchange: ServerExchange, driver: ServerDriver, trust: Trust) -> Caller | None:
    """Say who sent a request, as far as trusted proxies know.

    ``X-Forwarded-For`` and ``X-Forwarded-Proto`` go before ``Forwarded``, which most proxies hand on as
    it came. ``X-Forwarded-Host`` and ``-Port`` are not used, for the same reason: the ``host`` field is
    the proxy's own.

    Args:
        exchange: The request.
        driver: Whose peer is trusted.
        trust: The proxies.

    Returns:
        The caller, or None when no proxy says anything.
    """
    addresses: list[bytes] = []
    schemes: list[bytes] = []
    forwarded: list[bytes] = []
    for name, value in exchange.request.fields:
        if name == b"x-forwarded-for":
            addresses += filter(None, map(bytes.strip, value.split(b",")))
        elif name == b"x-forwarded-proto":
            schemes += filter(None, map(bytes.strip, value.split(b",")))
        elif name == b"forwarded":
            forwarded.append(value)
    if addresses or schemes:
        client, depth = _walk((_node(one.decode("latin-1")) for one in reversed(addresses)), trust)
        # Each proxy adds one as well, or the outermost alone does.
        scheme = _SCHEMES.get(schemes[-min(depth, len(schemes))].lower()) if schemes else None
        if not addresses:
            client = driver.client
    elif forwarded:
        hops = elements(b",".join(forwarded))
        if hops is None:  # one quotation mark of a client's could hide what a proxy adds behind it
            return Caller(driver, None, driver.scheme)
        client, depth = _walk((hop.client for hop in reversed(hops)), trust)
        scheme = hops[-depth].scheme
        if not any(b"for=" in one.lower() for one in forwarded):
            client = driver.client
    else:
        return None
    return Caller(driver, client, scheme or driver.scheme)


def _walk(path: Iterable[tuple[str, int] | None], trust: Trust) -> tuple[tuple[str, int] | None, int]:
    """Return the client among the addresses, the nearest first, and its place among them, from 1."""
    address: tuple[str, int] | None = None
    depth = 0
    for address in path:
        depth += 1
        if address is None or address not in trust:
            break
    return address, max(depth, 1)


def elements(value: bytes) -> list[Hop] | None:
    """Read a ``Forwarded`` field (RFC 7239 §4) of no more than 8192 bytes.

    Args:
        value: Its value, with those of further such fields after commas.

    Returns:
        One hop for each element, the nearest last; None when the value is malformed or longer.
    """
    if len(value) > _LONGEST:
        return None
    hops: list[Hop] = []
    pairs: dict[bytes, bytes] = {}
    at = 0
    while True:
        found = _PAIR.match(value, at)
        if found is not None:
            name, token, quoted = found.groups()
            if name.lower() in pairs:  # §4: each parameter once at most
                return None
            pairs[name.lower()] = token if token is not None else re.sub(rb"\\(.)", rb"\1", quoted)
            at = found.end()
        elif (blank := _BLANK.match(value, at)) is not None:
            at = blank.end()
        if at == len(value) or value[at] in b",":
            if pairs:
                scheme = _SCHEMES.get(pairs.get(b"proto", b"").lower())
                hops.append(Hop(_node(pairs.get(b"for", b"").decode("latin-1")), scheme))
                pairs = {}
            if at == len(value):
                return hops or None
        elif value[at] not in b";":
            return None
        at += 1


def _node(text: str) -> tuple[str, int] | None:
    """Read a node (RFC 7239 §6): an address, and a port where there is one.

    X-Forwarded-For has IPv6 without brackets, too. What is hidden or unknown is None.
    """
    host, port = text, ""
    found = _NODE.fullmatch(text)
    if found is not None:
        host, port = found[1] or found[2], found[3] or ""
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    number = int(port) if port.isdecimal() else 0
    return str(address), number if number <= 65535 else 0
