"""The sites, each served once for all the tests that ask it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.servers import Certificate, make_certificate
from tests.support.sites import APPLICATIONS, VERSIONS, Site, run_site


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session", params=APPLICATIONS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Site]:
    """Serve each of the sites; ``tests.support.sites.only`` says where some of them will do."""
    with run_site(request.param, tmp_path_factory.mktemp("site"), certificate) as running:
        yield running
        log = running.server.output()
        raised = set(re.findall(r"^(?:\w+\.)*(\w+(?:Error|Exception|Disconnect|Disconnected))\b", log, re.M))
        # What the sites raise when they are asked to, and Django's cancelled listener on the way.
        assert raised <= {"ZeroDivisionError", "CancelledError"}, log
        assert "never retrieved" not in log, log


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Return each version of HTTP."""
    return str(request.param)
