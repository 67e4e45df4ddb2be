"""Which content codings can be undone here, and which of those a response has."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec

__all__ = ["accept_encoding", "codings_of"]

_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
_available: list[str] = []


def _codings() -> list[str]:
    if not _available:
        found = ["gzip", "deflate"]
        if _is_there("brotli"):
            found.append("br")
        if _is_there(_ZSTD):
            found.append("zstd")
        _available.extend(found)
    return _available


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def accept_encoding() -> bytes:
    """Return what can be undone, as a field says it."""
    return ", ".join(_codings()).encode()


def codings_of(values: Iterable[str], method: str, status: int) -> Sequence[str]:
    """Return the codings of a response's content, in the order in which they were applied.

    Args:
        values: Its ``content-encoding`` fields.
        method: The request's method.
        status: The response's status code.

    Returns:
        Nothing where there is nothing to undo, where one of them cannot be undone here, and where the
        content is a part of something coded (RFC 9110 §14.2).
    """
    if method == "HEAD" or status in (204, 206, 304):
        return ()
    names = [name.strip().lower() for value in values for name in value.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    known = {*_codings(), "x-gzip"}
    return codings if all(name in known for name in codings) else ()
