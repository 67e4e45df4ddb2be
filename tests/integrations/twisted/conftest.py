"""A reactor, a certificate, and servers that live as long as the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.reactor import running_reactor
from tests.support.servers import Certificate, make_certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost, signed by an authority nobody trusts yet."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def reactor_thread() -> Iterator[None]:
    """Run Twisted's reactor beside the tests that ask for it."""
    with running_reactor():
        yield
