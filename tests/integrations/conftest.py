"""What the tests of libraries over plait fetch from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.servers import Certificate, RunningServer, make_certificate, serve_app


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def site(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the application that all fetch from."""
    with serve_app("library_app:app", "--grace", "0.1", certificate=certificate) as running:
        yield running
