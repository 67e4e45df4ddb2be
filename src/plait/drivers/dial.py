"""From a host's name to a connected socket, on asyncio's loop.

``loop.create_connection`` does the same in one go, TLS handshake included, and does not tell when TCP
was established.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from plait.drivers.addresses import Address

__all__ = ["dial", "resolve"]


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
    """Connect to the first of some addresses that answers.

    Args:
        addresses: At least one.

    Raises:
        OSError: None does; the last one's reason.
    """
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # a family that this machine does not have
            failure = error
            continue
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    assert failure is not None
    raise failure
