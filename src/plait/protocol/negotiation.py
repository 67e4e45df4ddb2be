"""Which version of HTTP a connection speaks, from ALPN or from its first bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from plait.protocol.connection import Connection
from plait.protocol.events import Role
from plait.protocol.h1_server import H1Server
from plait.protocol.h2 import PREFACE, H2Connection
from plait.server_config import Limits

__all__ = ["ALPN_H2", "ALPN_HTTP_1_1", "server_connection", "sniff"]

ALPN_H2 = "h2"
ALPN_HTTP_1_1 = "http/1.1"


def sniff(first_bytes: bytes) -> str | None:
    """Tell HTTP/2 with prior knowledge from HTTP/1.1 (RFC 9113 §3.3 and §3.4).

    Args:
        first_bytes: All that the client has sent so far.

    Returns:
        The ALPN name of the version, or None while the bytes could still become either.
    """
    if first_bytes.startswith(PREFACE):
        return ALPN_H2
    if PREFACE.startswith(first_bytes):
        return None
    return ALPN_HTTP_1_1


def server_connection(
    protocol: str,
    limits: Limits,
    scheme: str,
    *,
    websockets: bool = False,
    upgrades: bool = False,
    alt_svc: bytes = b"",
    origins: Sequence[bytes] = (),
) -> Connection:
    """Make a server's connection.

    Args:
        protocol: The ALPN name of the version.
        limits: What is taken from the client.
        scheme: ``"https"`` or ``"http"``, as the transport is.
        websockets: Whether clients may ask for a tunnel to speak WebSocket on.
        upgrades: Whether HTTP/1.1 gives way to HTTP/2 for a client that asks for it (RFC 7540 §3.2).
        alt_svc: The value of Alt-Svc in every response (RFC 7838), or ``b""``.
        origins: What HTTP/2 says that the server speaks for as well (RFC 8336).
    """
    make_h2 = partial(_h2_server, limits, websockets, alt_svc)
    if protocol != ALPN_H2:
        return H1Server(
            limits,
            scheme.encode(),
            websockets=websockets,
            alt_svc=alt_svc,
            make_upgraded=make_h2 if upgrades else None,
        )
    return make_h2(origins=origins)


def _h2_server(
    limits: Limits,
    websockets: bool,
    alt_svc: bytes,
    settings: bytes | None = None,
    head_request: bool = False,
    *,
    origins: Sequence[bytes] = (),
) -> Connection:
    return H2Connection(
        Role.SERVER,
        upgrade=None if settings is None else (settings, head_request),
        alt_svc=alt_svc,
        origins=origins,
        connect_protocol=websockets,
        max_concurrent_streams=limits.max_concurrent_streams,
        max_header_fields=limits.max_header_fields,
        max_header_size=limits.max_header_size,
        stream_window=limits.stream_window,
        # Enough for every stream, twice, since the engine gives credit back by half windows: then a
        # stream that nobody reads never holds up its siblings. But no more than may be in memory.
        connection_window=min(
            2 * limits.max_concurrent_streams * max(limits.stream_window, limits.max_stream_window),
            max(limits.max_buffered_per_connection, 2 * limits.stream_window),
            2**31 - 1,
        ),
    )
