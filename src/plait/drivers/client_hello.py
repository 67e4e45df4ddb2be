"""What a client offers at the beginning of TLS, where :mod:`ssl` does not tell."""

from __future__ import annotations

__all__ = ["offered_protocols"]

_ALPN = 16


def offered_protocols(message: bytes) -> list[bytes] | None:
    """Read the protocols offered in a ClientHello.

    Args:
        message: The handshake message with its header (RFC 8446 §4, RFC 5246 §7.4).

    Returns:
        The protocol names (RFC 7301 §3.1), or None when there are none, or the message is malformed,
        for which TLS has an answer of its own.
    """
    try:
        at = 4 + 2 + 32  # header, version and random
        at += 1 + message[at]  # session id
        at += 2 + _length(message, at)  # cipher suites
        at += 1 + message[at]  # compression methods
        end = at + 2 + _length(message, at)
        at += 2
        while at < end:
            size = _length(message, at + 2)
            if _length(message, at) == _ALPN:
                return _names(message[at + 6 : at + 4 + size])
            at += 4 + size
    except IndexError:
        pass
    return None


def _length(message: bytes, at: int) -> int:
    return message[at] << 8 | message[at + 1]


def _names(names: bytes) -> list[bytes]:
    found = []
    at = 0
    while at < len(names):
        size = names[at]
        found.append(names[at + 1 : at + 1 + size])
        at += 1 + size
    return found
