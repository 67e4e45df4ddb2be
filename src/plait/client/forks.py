"""What happens to clients when their process forks: the child begins anew, and the parent notices nothing.

A connection has one owner. Were both to use it, they would write into each other's streams, and whoever
ended TLS would end it for the other.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["survive_forks"]


class _Forkable(Protocol):
    def forked(self) -> None:
        """Begin anew (called in the child)."""


_clients: WeakSet[_Forkable] = WeakSet()


def survive_forks(client: _Forkable) -> None:
    """Have a client begin anew in every child that its process forks."""
    if not _clients and not _registered and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)
        _registered.append(True)
    _clients.add(client)


_registered: list[bool] = []


def _in_child() -> None:
    for client in list(_clients):
        client.forked()
