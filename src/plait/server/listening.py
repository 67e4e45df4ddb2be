"""Opens what a server listens on, apart from serving it.

Everything here happens once, before a process forks: workers inherit the sockets, and the TLS contexts
with the keys of their session tickets, so that a session begun with one goes on with another.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plait.certificates import curl_line
from plait.errors import ConfigError, PlaitError
from plait.server.endpoints import EVERY_ADDRESS, Listener, Tcp, Unix, listeners
from plait.server.inherited import adopt
from plait.server.tls_store import TlsStore
from plait.server.unix_sockets import bind_unix
from plait.server_config import ServerConfig

__all__ = ["Bound", "bind"]

#: Not on Windows.
_UNIX = getattr(socket, "AF_UNIX", None)
#: What IPv6 addresses meet on a machine without IPv6.
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


class Bound:
    """One listener with its sockets, bound; connections come once :meth:`start` was called.

    Args:
        listener: Where to listen.
        sockets: The sockets there: several where a name has several addresses.
        tls: What connections there are secured with, or None.
        clean_up: Removes what was made in the file system; run by the process that made it only.

    Attributes:
        listener: Where it listens.
        sockets: The sockets.
        tls: What connections are secured with, or None.
        port: The TCP port, 0 for what has none.
    """

    def __init__(
        self,
        listener: Listener,
        sockets: list[socket.socket],
        tls: TlsStore | None,
        clean_up: Callable[[], None] | None = None,
    ) -> None:
        self.listener = listener
        self.sockets = sockets
        self.tls = tls
        self.port = 0 if sockets[0].family == _UNIX else int(sockets[0].getsockname()[1])
        self._clean_up = clean_up
        self._made_by = os.getpid()

    @property
    def where(self) -> str:
        """Where clients find it: a URL, or what there is in place of one."""
        scheme = "https" if self.tls else "http"
        if self.sockets[0].family == _UNIX:
            name = os.fsdecode(self.sockets[0].getsockname())
            return f"unix:{name} ({scheme})"
        host = self._host()
        every = ", on every address" if host in EVERY_ADDRESS else ""
        name = "localhost" if every else f"[{host}]" if ":" in host else host
        return f"{scheme}://{name}:{self.port}{every}"

    @property
    def curl(self) -> str | None:
        """The command to try a development certificate with."""
        made = self.listener.development
        return None if made is None else curl_line(made, self._host(), self.port)

    def _host(self) -> str:
        address = self.listener.address
        return address.host if isinstance(address, Tcp) else str(self.sockets[0].getsockname()[0])

    def start(self) -> None:
        """Have the kernel take connections; again for a socket that does is no harm.

        Raises:
            PlaitError: Another program took the address in the meantime.
        """
        for one in self.sockets:
            with _explained(self.listener):
                one.listen(self.listener.backlog)

    def close(self) -> None:
        """Close the sockets, and remove the file of one if this process made it."""
        for one in self.sockets:
            one.close()
        if self._clean_up is not None and self._made_by == os.getpid():
            self._clean_up()
            self._clean_up = None


def bind(config: ServerConfig) -> list[Bound]:
    """Bind everything a server listens on, and make the TLS contexts.

    Args:
        config: What says where, and with which certificates.

    Raises:
        ConfigError: An endpoint, a certificate or a key is wrong.
        PlaitError: An address is taken, or not to be had.
    """
    found = listeners(config)
    stores: dict[tuple[object, ...], TlsStore] = {}
    for one in found:
        if one.tls and one.certificates not in stores:
            stores[one.certificates] = TlsStore(
                one.certificates,
                config.http,
                client_ca=config.client_ca,
                client_cert=config.client_cert,
                development=one.development is not None,
            )
    opened: list[Bound] = []
    try:
        for one in found:
            bound = _bind(one, stores.get(one.certificates))
            opened.append(bound)
    except BaseException:
        for bound in opened:
            bound.close()
        raise
    return opened


def _bind(listener: Listener, tls: TlsStore | None) -> Bound:
    address = listener.address
    with _explained(listener):
        if isinstance(address, Tcp):
            return Bound(listener, _bind_tcp(address), tls)
        if isinstance(address, Unix):
            bound, clean_up = bind_unix(address)
            return Bound(listener, [bound], tls, clean_up)
        return Bound(listener, [adopt(address)], tls)


def _bind_tcp(address: Tcp) -> list[socket.socket]:
    """Bind every address of a name, all to one port."""
    host, flags = address.host or None, socket.AI_PASSIVE
    found = dict.fromkeys(socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=flags))
    bound: list[socket.socket] = []
    port = address.port
    missing: OSError | None = None
    try:
        for family, kind, protocol, _, where in found:
            try:
                one = socket.socket(family, kind, protocol)
            except OSError as error:
                missing = error
                continue
            bound.append(one)
            if os.name == "posix":  # on Windows it would let others take the port
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # Without it the addresses of IPv4 would be taken twice, and clients from there be
                # known by an address of IPv6.
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                one.bind((where[0], port, *where[2:]))
            except OSError as error:
                if len(found) == 1 or family != socket.AF_INET6 or error.errno not in _NO_SUCH_FAMILY:
                    raise
                missing = error
                bound.pop().close()
                continue
            port = one.getsockname()[1]
        if not bound:
            raise missing or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except BaseException:
        for one in bound:
            one.close()
        raise
    return bound


@contextmanager
def _explained(listener: Listener) -> Iterator[None]:
    """Say in a sentence why the system does not let a server listen."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        address = listener.address
        if isinstance(address, Tcp):
            where = f"{address.host or 'every address,'} port {address.port}"
        elif isinstance(address, Unix):
            where = str(address.path)
        else:
            where = listener.description
        number = getattr(error, "errno", None) or 0
        # Resolvers number their errors from below zero, and those of names that are none have no number.
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)
        raise PlaitError(f"cannot listen on {where}: {reason.lower()}") from error
    except ConfigError as error:
        if not listener.description:
            raise
        raise ConfigError(f"endpoint {listener.description!r}: {error}") from error
