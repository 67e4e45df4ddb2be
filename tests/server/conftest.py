"""The server on both event loops, and one certificate for all tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.support.servers import Certificate, make_certificate

try:
    import uvloop
except ImportError:  # Windows, PyPy: asyncio's own loop is all there is
    uvloop = None


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each coroutine test on uvloop, as the server does, and on asyncio's own loop."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost, signed by an authority nobody trusts yet."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(params=["2", "1.1"])
def version(request: pytest.FixtureRequest) -> str:
    """Run a test over either version of HTTP."""
    return str(request.param)
