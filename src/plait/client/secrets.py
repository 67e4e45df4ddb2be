"""Which fields are not for everybody's eyes."""

from __future__ import annotations

__all__ = ["hide", "hidden"]

_FIELDS = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"})


def hide(name: bytes, value: str) -> str:
    """Return a field's value, or what is shown in its place.

    Args:
        name: The field's name.
        value: Its value.
    """
    return hidden(value) if name.lower() in _FIELDS else value


def hidden(value: str) -> str:
    """Return what is shown in the place of a secret."""
    return f"({len(value)} bytes hidden)"
