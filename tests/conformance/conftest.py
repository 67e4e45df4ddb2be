"""One server with TLS and one without, and fresh connections to each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.support.raw_client import H1Client, H2Client, Origin
from tests.support.servers import make_certificate, serve_app

APP = "conformance_app:app"


@pytest.fixture(scope="session", params=["tls", "cleartext"])
def origin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """Run the server under test."""
    certificate = None
    if request.param == "tls":
        certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    with serve_app(APP, "--no-access-log", certificate=certificate) as server:
        yield Origin(server.port, str(certificate.ca) if certificate else None)
        assert "Traceback" not in server.output(), server.output()


@pytest.fixture
def connect(origin: Origin) -> Iterator[Callable[[], H2Client]]:
    """Return what opens a connection for HTTP/2 on which nothing has been said."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(H2Client(origin.connect("h2"))))


@pytest.fixture
def client(connect: Callable[[], H2Client]) -> H2Client:
    """Return an HTTP/2 connection after the handshake."""
    client = connect()
    client.handshake()
    return client


@pytest.fixture
def http1(origin: Origin) -> Iterator[H1Client]:
    """Return a connection for HTTP/1.1."""
    with closing(H1Client(origin.connect("http/1.1"))) as client:
        yield client
