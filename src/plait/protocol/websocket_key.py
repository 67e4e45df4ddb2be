"""The key by which a WebSocket over HTTP/1.1 proves that both ends mean one (RFC 6455 §1.3)."""

from __future__ import annotations

import secrets
from base64 import b64encode
from hashlib import sha1

__all__ = ["accept_of", "new_key"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def new_key() -> bytes:
    """Return a key for one handshake, which nobody can guess (RFC 6455 §4.1)."""
    return b64encode(secrets.token_bytes(16))


def accept_of(key: bytes) -> bytes:
    """Return the answer to a key (RFC 6455 §4.2.2)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
