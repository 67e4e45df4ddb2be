"""Which version of HTTP a connection speaks, from ALPN or from its first bytes."""

from __future__ import annotations

from plait.protocol.h2 import PREFACE

__all__ = ["ALPN_H2", "ALPN_HTTP_1_1", "sniff"]

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
