"""From a host's name to a connected socket, on asyncio's loop.

``loop.create_connection`` does the same in one go, TLS handshake included, and does not tell when TCP
was established.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from plait.drivers.addresses import Address, family
from plait.drivers.eyeballs import Race

if TYPE_CHECKING:
    from plait.drivers.proxies import Proxy

__all__ = ["dial", "dial_through", "resolve"]


async def resolve(host: str, port: int, local: str | None = None) -> Sequence[Address]:
    """Look a host up.

    Args:
        host: A name or an address.
        port: The port, for the result.
        local: The address that connections come from, or None.

    Raises:
        OSError: It has no address.
        UnicodeError: It is no name that could have one.
    """
    try:
        # An address needs no looking up, and no thread to do that.
        return socket.getaddrinfo(host, port, family(local), socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, family=family(local), type=socket.SOCK_STREAM)


async def dial(addresses: Sequence[Address], local: str | None = None) -> socket.socket:
    """Connect to one of some addresses, the first that answers of those whose time has come.

    Args:
        addresses: At least one, the best first.
        local: The address to come from, or None.

    Raises:
        OSError: None does; the last one's reason.
    """
    if len(addresses) == 1:
        return await _connect(addresses[0], local)
    race = Race(addresses, monotonic())
    attempts: set[asyncio.Task[socket.socket]] = set()
    try:
        while True:
            while (address := race.take(monotonic())) is not None:
                attempts.add(asyncio.ensure_future(_connect(address, local)))
            patience = None if race.due == inf else max(0.0, race.due - monotonic())
            done, _ = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                failure = attempt.exception()
                if failure is None:
                    attempts.discard(attempt)
                    return attempt.result()
                attempts.discard(attempt)
                race.failed(monotonic())
                if not attempts and race.due == inf:
                    raise failure
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close_late)


async def dial_through(proxy: Proxy, host: str, port: int, local: str | None = None) -> socket.socket:
    """Open a tunnel through a proxy.

    Args:
        proxy: The proxy.
        host: Where the tunnel leads to.
        port: The port there.
        local: The address to come from, or None.

    Raises:
        ProxyFailed: The proxy opens none, or nobody gets through to it.
        ConfigError: A SOCKS proxy needs python-socks, which is not installed.
    """
    from plait.drivers.proxies import Tunnel, proxy_failure, through_socks

    loop = asyncio.get_running_loop()
    try:
        if proxy.scheme == "socks5":
            return await through_socks(proxy, host, port, local)
        sock = await dial(await resolve(proxy.host, proxy.port, local), local)
    except TimeoutError:
        raise
    except OSError as error:
        raise proxy_failure(proxy, error) from error
    try:
        tunnel = Tunnel(proxy, host, port)
        await loop.sock_sendall(sock, tunnel.request)
        while not tunnel.opened:
            tunnel.receive(await loop.sock_recv(sock, tunnel.wanted))
    except OSError as error:
        sock.close()
        raise proxy_failure(proxy, error) from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect(address: Address, local: str | None) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if local is not None:
            sock.bind((local, 0))
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_late(attempt: asyncio.Task[socket.socket]) -> None:
    """Close what was connected when another was already."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
