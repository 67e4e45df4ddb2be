"""Whether links can be emulated where the tests run."""

from __future__ import annotations

from functools import cache

import pytest

from plait.lab.network.emulator import EmulationUnavailable, Emulator

__all__ = ["require_emulation"]


def require_emulation() -> None:
    """Skip the test where the system lets nobody make network namespaces; that cannot be installed."""
    if missing := _missing():
        pytest.skip(missing)


@cache
def _missing() -> str | None:
    try:
        with Emulator():
            return None
    except EmulationUnavailable as error:
        return str(error)
