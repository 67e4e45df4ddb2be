"""Proxies: which one leads to an origin, and how to get through it.

An HTTP proxy is asked for a tunnel with CONNECT (RFC 9110 §9.3.6); what is in the tunnel is none of its
business. Only HTTP/1.1 without TLS goes to it as a request of its own (RFC 9112 §3.2.2). SOCKS is spoken
by python-socks.
"""

from __future__ import annotations

import os
import re
import socket
from base64 import b64encode
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from plait.drivers.addresses import Address, resolve
from plait.errors import ConfigError, ConnectTimeout, ProxyFailed
from plait.urls import Origin

if TYPE_CHECKING:
    from python_socks import ProxyType

__all__ = [
    "Proxy",
    "ProxyMap",
    "Tunnel",
    "open_tunnel",
    "parse_proxy",
    "proxy_failure",
    "through_socks",
]

_URL = re.compile(
    r"(?P<scheme>http|socks5h?)://(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@/\[\]]+)(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
).fullmatch
_DEFAULT_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r?\n").match
#: Bytes that a proxy's answer to CONNECT may have.
_MAX_ANSWER = 65_536


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        scheme: ``"http"``, or ``"socks5"`` whoever wrote the name as whatever.
        host: Its name or address.
        port: Its port.
        user: Who asks, or None.
        password: The password, or None.
    """

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = None

    @property
    def authorization(self) -> bytes | None:
        """The value of ``proxy-authorization`` (RFC 7617), None for nobody."""
        if self.user is None:
            return None
        return b"Basic " + b64encode(f"{self.user}:{self.password or ''}".encode())

    def __str__(self) -> str:
        # Without the password: it would end up in a log.
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_proxy(url: str) -> Proxy:
    """Read the URL of a proxy.

    Args:
        url: ``http://`` or ``socks5://``, with a name and a password where one is needed. A ``socks5``
            proxy is given names as they are, as with ``socks5h``.

    Raises:
        ConfigError: It is none, or not one that is spoken here.
    """
    match = _URL(url) if isinstance(url, str) else None
    if match is None:
        shown = re.sub(r"//[^/]*@", "//…@", str(url))
        raise ConfigError(f"a proxy has the form http://HOST:PORT or socks5://HOST:PORT, not {shown!r}")
    scheme = match["scheme"].lower()
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    if not 1 <= port <= 65535:
        raise ConfigError(f"the proxy's port must be from 1 to 65535, not {port}")
    user, password = match["user"], match["password"]
    return Proxy(
        scheme.removesuffix("h"),
        match["host"].strip("[]").lower(),
        port,
        None if user is None else unquote(user),
        None if password is None else unquote(password),
    )


class ProxyMap:
    """Which proxy leads to an origin.

    Args:
        proxy: The one for every origin, or None.
        trust_env: Whether the environment may name others: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``
            and ``NO_PROXY``, as Python's standard library reads them.

    Raises:
        ConfigError: A URL is none of a proxy.
    """

    def __init__(self, proxy: str | None, *, trust_env: bool) -> None:
        self._all = None if proxy is None else parse_proxy(proxy)
        self._by_scheme: dict[str, Proxy] = {}
        self._named: dict[str, str] = {}
        if proxy is None and trust_env:
            from urllib.request import getproxies_environment

            self._named = getproxies_environment()
            for scheme in ("http", "https"):
                if url := self._named.get(scheme) or self._named.get("all"):
                    self._by_scheme[scheme] = parse_proxy(url if "://" in url else f"http://{url}")

    def for_origin(self, origin: Origin) -> Proxy | None:
        """Return the proxy to an origin, None to go there directly."""
        proxy = self._all or self._by_scheme.get(origin.scheme)
        if proxy is not None and self._named:
            from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # documented

            if proxy_bypass_environment(f"{origin.host}:{origin.port}", self._named):
                return None
        return proxy


class Tunnel:
    """The conversation that opens a tunnel through an HTTP proxy: bytes in, bytes out.

    It never asks for more bytes than belong to the proxy's answer: those behind it are the tunnel's.

    Args:
        proxy: The proxy.
        host: Where the tunnel leads to.
        port: The port there.

    Attributes:
        request: What to send.
        opened: Whether there is a tunnel.
    """

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {where} HTTP/1.1".encode(), f"host: {where}".encode()]
        if proxy.authorization is not None:
            lines.append(b"proxy-authorization: " + proxy.authorization)
        self.request = b"\r\n".join([*lines, b"", b""])
        self.opened = False
        self._proxy = proxy
        self._where = where
        self._answer = b""

    @property
    def wanted(self) -> int:
        """How many bytes the answer has at least yet."""
        if not self._answer:
            return 12
        return 1 if self._answer[-1] in b"\r\n" else 2

    def receive(self, data: bytes) -> None:
        """Take bytes of the answer, ``b""`` when there are none any more.

        Raises:
            ProxyFailed: There will be no tunnel.
        """
        if not data:
            raise ProxyFailed(f"the proxy {self._proxy} closed the connection instead of opening a tunnel")
        self._answer += data
        match = _STATUS_LINE(self._answer)
        if match is None and (b"\n" in self._answer or len(self._answer) > 1024):
            raise ProxyFailed(f"the proxy {self._proxy} does not speak HTTP/1.1")
        if match is not None and match[1][:1] != b"2" and match[1][:1] != b"1":
            status = b" ".join(part for part in match.groups() if part).decode("latin-1")
            raise ProxyFailed(f"the proxy {self._proxy} opens no tunnel to {self._where}: {status}")
        if len(self._answer) > _MAX_ANSWER:
            raise ProxyFailed(f"the proxy {self._proxy} answers with more than {_MAX_ANSWER} bytes")
        if self._answer.endswith((b"\r\n\r\n", b"\n\n")):
            # An interim response (RFC 9110 §15.2) says nothing yet.
            self.opened = match is not None and match[1][:1] == b"2"
            self._answer = b""


def open_tunnel(
    proxy: Proxy, host: str, port: int, seconds: float, local: str | None = None
) -> socket.socket:
    """Open a tunnel through a proxy; this blocks.

    Args:
        proxy: The proxy.
        host: Where the tunnel leads to.
        port: The port there.
        seconds: How long it may take.
        local: The address to come from, or None.

    Returns:
        A socket, the tunnel's.

    Raises:
        ProxyFailed: The proxy opens none, or nobody gets through to it.
        ConnectTimeout: It took too long.
        ConfigError: A SOCKS proxy needs python-socks, which is not installed.
    """
    deadline = monotonic() + min(seconds, 86_400.0)

    def left() -> float:
        return max(0.001, deadline - monotonic())

    try:
        if proxy.scheme == "socks5":
            return _through_socks(proxy, host, port, left(), local)
        sock = _connect(resolve(proxy.host, proxy.port, left(), local), left, local)
        try:
            tunnel = Tunnel(proxy, host, port)
            sock.sendall(tunnel.request)
            while not tunnel.opened:
                sock.settimeout(left())
                tunnel.receive(sock.recv(tunnel.wanted))
        except BaseException:
            sock.close()
            raise
    except TimeoutError as error:
        raise ConnectTimeout(f"the proxy {proxy} opened no tunnel to {host}:{port} in time") from error
    except OSError as error:
        raise proxy_failure(proxy, error) from error
    return sock


def _connect(addresses: Sequence[Address], left: Callable[[], float], local: str | None) -> socket.socket:
    """Connect to the first of some addresses that answers."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left())
            if local is not None:
                sock.bind((local, 0))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    assert failure is not None
    raise failure


def _through_socks(proxy: Proxy, host: str, port: int, seconds: float, local: str | None) -> socket.socket:
    errors, kind = _socks()
    from python_socks.sync import Proxy as Socks

    socks = Socks(kind, proxy.host, proxy.port, proxy.user, proxy.password, rdns=True)
    try:
        return socks.connect(host, port, timeout=seconds, local_addr=local and (local, 0))
    except errors as error:
        raise _socks_failure(proxy, host, port, error) from error


async def through_socks(proxy: Proxy, host: str, port: int, local: str | None) -> socket.socket:
    """Open a way through a SOCKS proxy, on asyncio's loop."""
    errors, kind = _socks()
    from python_socks.async_.asyncio import Proxy as Socks

    socks = Socks(kind, proxy.host, proxy.port, proxy.user, proxy.password, rdns=True)
    try:
        # The caller has a limit of its own.
        return await socks.connect(host, port, timeout=86_400.0, local_addr=local and (local, 0))
    except errors as error:
        raise _socks_failure(proxy, host, port, error) from error


def _socks() -> tuple[type[Exception], ProxyType]:
    try:
        from python_socks import ProxyError, ProxyType
    except ImportError:
        raise ConfigError('a SOCKS proxy needs python-socks: pip install "plait[socks]"') from None
    return ProxyError, ProxyType.SOCKS5


def _socks_failure(proxy: Proxy, host: str, port: int, error: Exception) -> ProxyFailed:
    return ProxyFailed(f"the proxy {proxy} opens no way to {host}:{port}: {error}")


def proxy_failure(proxy: Proxy, error: OSError) -> ProxyFailed:
    """Say in a sentence why nobody gets through to a proxy."""
    if isinstance(error, socket.gaierror):
        return ProxyFailed(f"the proxy {proxy} cannot be resolved: {error.strerror}")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ProxyFailed(f"cannot connect to the proxy {proxy}: {reason}")
