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

from plait.drivers.addresses import Address
from plait.drivers.eyeballs import Race

if TYPE_CHECKING:
    from plait.drivers.proxies import Proxy

__all__ = ["dial", "dial_through", "resolve"]


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Look a host up.

    Raises:
        OSError: It has no address.
        UnicodeError: It is no name that could have one.
    """
    try:
        # An address needs no looking up, and no thread to do that.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def dial(addresses: Sequence[Address]) -> socket.socket:
    """Connect to one of some addresses, the first that answers of those whose time has come.

    Args:
        addresses: At least one, the best first.

    Raises:
        OSError: None does; the last one's reason.
    """
    if len(addresses) == 1:
        return await _connect(addresses[0])
    race = Race(addresses, monotonic())
    attempts: set[asyncio.Task[socket.socket]] = set()
    try:
        while True:
            while (address := race.take(monotonic())) is not None:
                attempts.add(asyncio.ensure_future(_connect(address)))
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


async def dial_through(proxy: Proxy, host: str, port: int) -> socket.socket:
    """Open a tunnel through a proxy.

    Args:
        proxy: The proxy.
        host: Where the tunnel leads to.
        port: The port there.

    Raises:
        ProxyFailed: The proxy opens none, or nobody gets through to it.
        ConfigError: A SOCKS proxy needs python-socks, which is not installed.
    """
    from plait.drivers.proxies import Tunnel, proxy_failure, through_socks

    loop = asyncio.get_running_loop()
    try:
        if proxy.scheme == "socks5":
            return await through_socks(proxy, host, port)
        sock = await dial(await resolve(proxy.host, proxy.port))
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


async def _connect(address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_late(attempt: asyncio.Task[socket.socket]) -> None:
    """Close what was connected when another was already."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
