"""One server with TLS and one without, and fresh connections to each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

import pytest

from tests.support.raw_client import H1Client, H2Client, Origin
from tests.support.servers import (
    Certificate,
    RunningServer,
    free_port,
    make_certificate,
    run_server,
    serve_app,
)

HERE = Path(__file__).parent
APP = "conformance_app:app"
#: Is about content that an application leaves unread.
UNREAD = "test_content_beyond_the_windows_of_the_server_is_an_error"


@pytest.fixture(scope="session", params=["tls", "cleartext", "twisted"])
def origin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """Run the server under test: plait's own, with and without TLS, or a Twisted site with TLS."""
    certificate = None
    if request.param != "cleartext":
        certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    with _serve(request.param, certificate) as server:
        yield Origin(server.port, str(certificate.ca) if certificate else None)
        assert "Traceback" not in server.output(), server.output()


def _serve(kind: str, certificate: Certificate | None) -> AbstractContextManager[RunningServer]:
    if kind == "twisted":
        assert certificate is not None
        port = free_port()
        module = "tests.support.conformance_site"
        return run_server(
            [sys.executable, "-m", module, str(port), certificate.chain, certificate.key], port=port
        )
    return serve_app(APP, "--no-access-log", certificate=certificate)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [one for one in items if one.path.parent != HERE or _concerns_its_server(one)]


def _concerns_its_server(item: pytest.Item) -> bool:
    """Whether a test is about plait: a Twisted site's HTTP/1.1 is Twisted's, as its reading of uploads."""
    if "twisted" not in item.name:
        return True
    return "http1" not in getattr(item, "fixturenames", ()) and not item.name.startswith(UNREAD)


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
