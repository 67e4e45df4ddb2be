"""Both clients, and servers that live as long as the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import plait
from tests.support.faces import AsyncFace, Face
from tests.support.servers import (
    Certificate,
    RunningServer,
    make_certificate,
    serve_app,
    serve_hypercorn,
    serve_nghttpd,
)
from tests.support.tools import require_tool


@pytest.fixture(params=["Client", "AsyncClient"])
def make_client(request: pytest.FixtureRequest) -> Callable[..., Face]:
    """Return what makes a client, of each kind in turn."""
    kinds: dict[str, Callable[..., Face]] = {"Client": plait.Client, "AsyncClient": AsyncFace}
    return kinds[request.param]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost, signed by an authority nobody trusts yet."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small file and one of a mebibyte."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "small").write_bytes(b"small\n")
    (folder / "large").write_bytes(bytes(range(256)) * 4096)
    return folder


@pytest.fixture(scope="session")
def nghttpd(certificate: Certificate, documents: Path) -> Iterator[RunningServer]:
    """Run nghttpd over the documents."""
    with serve_nghttpd(require_tool("nghttpd"), documents, certificate=certificate) as running:
        yield running


@pytest.fixture(scope="session")
def hypercorn(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the application of tests/support/interop_app.py on Hypercorn."""
    with serve_hypercorn("interop_app:app", certificate=certificate) as running:
        yield running


@pytest.fixture(scope="session")
def plait_server(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the same on plait."""
    with serve_app("interop_app:app", certificate=certificate) as running:
        yield running
