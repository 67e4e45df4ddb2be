"""The PROXY protocol, versions 1 and 2: a proxy says first whose connection it forwards.

The specification is haproxy's ``proxy-protocol.txt``. The header comes before everything else, TLS
included, so it is read from the socket itself, and never a byte beyond it: what follows is found
there by whatever reads next.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from typing import NamedTuple

from plait.errors import RemoteProtocolError

__all__ = ["Proxied", "missing", "parse", "read_header"]

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
#: The shortest header of either version; ``PROXY UNKNOWN`` and its line end.
_SHORTEST = 15
#: Bytes of version 1 at most, and of version 2 before the addresses.
_LINE, _FIXED = 107, 16
_LOCAL, _PROXY = 0x20, 0x21
#: The bytes of each family's pair of addresses over a stream.
_TCP4, _TCP6, _UNIX = 0x11, 0x21, 0x31
_SIZES = {_TCP4: 12, _TCP6: 36, _UNIX: 216}
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")

Place = tuple[str, int]


class Proxied(NamedTuple):
    """Between whom the forwarded connection is.

    Attributes:
        client: The client's address and port; None for a Unix socket.
        server: Where the client connected to; None for a Unix socket.
    """

    client: Place | None
    server: Place | None


def missing(header: bytes) -> int:
    """Say how many bytes surely belong to a header yet.

    Args:
        header: Its bytes so far.

    Returns:
        At least how many are missing; 0 when it is complete.

    Raises:
        RemoteProtocolError: It is no header.
    """
    if len(header) < _SHORTEST:
        if not (_SIGNATURE.startswith(header[:12]) or b"PROXY ".startswith(header[:6])):
            raise RemoteProtocolError("no PROXY protocol header came")
        return _SHORTEST - len(header)
    if header.startswith(_SIGNATURE):
        if len(header) < _FIXED:
            return _FIXED - len(header)
        return _FIXED + int.from_bytes(header[14:16], "big") - len(header)
    if not header.startswith(b"PROXY "):
        raise RemoteProtocolError("no PROXY protocol header came")
    if header.endswith(b"\r\n"):
        return 0
    if len(header) >= _LINE:
        raise RemoteProtocolError(f"a PROXY protocol line of more than {_LINE} bytes")
    return 1 if header.endswith(b"\r") else 2


def parse(header: bytes) -> Proxied | None:
    """Read a header that is complete.

    Args:
        header: Its bytes. What version 2 has after the addresses is for others.

    Returns:
        Between whom the connection is; None when it is the proxy's own, or the proxy does not know.

    Raises:
        RemoteProtocolError: It is malformed.
    """
    return _parse_2(header) if header.startswith(_SIGNATURE) else _parse_1(header)


def _parse_1(header: bytes) -> Proxied | None:
    words = header.removesuffix(b"\r\n").split(b" ")
    if words[:2] == [b"PROXY", b"UNKNOWN"]:
        return None  # whatever else the line says is to be ignored
    try:
        _, family, source, destination, source_port, destination_port = words
        kind = {b"TCP4": ipaddress.IPv4Address, b"TCP6": ipaddress.IPv6Address}[family]
        return Proxied(
            (str(kind(source.decode("ascii"))), _port(source_port)),
            (str(kind(destination.decode("ascii"))), _port(destination_port)),
        )
    except (ValueError, KeyError) as error:
        raise RemoteProtocolError(f"malformed PROXY protocol line {header!r}") from error


def _port(text: bytes) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ValueError(text)
    return int(text)


def _parse_2(header: bytes) -> Proxied | None:
    command, family = header[12], header[13]
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise RemoteProtocolError(f"PROXY protocol command {command:#04x} is unknown")
    size = _SIZES.get(family)
    if size is None:
        # The address family is unspecified, or it is not a stream: only the connection itself is known.
        return None
    block = header[_FIXED : _FIXED + size]
    if len(block) < size:
        raise RemoteProtocolError("a PROXY protocol header ends within its addresses")
    if family == _UNIX:
        return Proxied(None, None)
    width, kind = (4, socket.AF_INET) if family == _TCP4 else (16, socket.AF_INET6)
    source, destination = block[:width], block[width : 2 * width]
    ports = block[2 * width :]
    return Proxied(
        (socket.inet_ntop(kind, source), int.from_bytes(ports[:2], "big")),
        (socket.inet_ntop(kind, destination), int.from_bytes(ports[2:], "big")),
    )


async def read_header(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> Proxied | None:
    """Read the header from a socket, and nothing behind it.

    Args:
        loop: The running loop.
        connection: The socket, which must not block.

    Returns:
        What :func:`parse` does.

    Raises:
        RemoteProtocolError: What comes is no header, or only the beginning of one.
    """
    header = bytearray()
    while wanted := missing(bytes(header)):
        data = await loop.sock_recv(connection, wanted)
        if not data:
            raise RemoteProtocolError("the connection ended within its PROXY protocol header")
        header += data
    return parse(bytes(header))
