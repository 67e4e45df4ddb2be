"""Servers that live as long as the tests of this folder, and one certificate for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import (
    Certificate,
    RunningServer,
    make_certificate,
    serve_app,
    serve_bookstore,
    serve_hypercorn,
    serve_nghttpd,
)
from tests.support.tools import require_tool


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost, signed by an authority nobody trusts yet."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def server(certificate: Certificate) -> Iterator[RunningServer]:
    """Run plait over TLS with the application of tests/support/interop_app.py."""
    with serve_app("interop_app:app", certificate=certificate) as running:
        yield running
        assert "Traceback" not in running.output(), running.output()


@pytest.fixture(scope="session")
def insecure_server() -> Iterator[RunningServer]:
    """Run the same without TLS."""
    with serve_app("interop_app:app", certificate=None) as running:
        yield running
        assert "Traceback" not in running.output(), running.output()


@pytest.fixture(scope="session")
def bookstore(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the bookstore over TLS."""
    with serve_bookstore(certificate=certificate) as running:
        yield running
        assert "Traceback" not in running.output(), running.output()


@pytest.fixture(scope="session")
def hypercorn(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the application of tests/support/interop_app.py on Hypercorn."""
    with serve_hypercorn("interop_app:app", certificate=certificate) as running:
        yield running


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small file, an empty one and one of a mebibyte."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "small.txt").write_bytes(b"small\n")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "large.bin").write_bytes(bytes(range(256)) * 4096)
    return folder


@pytest.fixture(scope="session")
def nghttpd(certificate: Certificate, documents: Path) -> Iterator[RunningServer]:
    """Run nghttpd over the documents."""
    with serve_nghttpd(require_tool("nghttpd"), documents, certificate=certificate) as running:
        yield running
