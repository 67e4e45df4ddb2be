"""The programs in examples/scrapy and examples/locust, against a served bookstore."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.bookstore.generate import bundled
from tests.support.servers import (
    ROOT,
    Certificate,
    RunningServer,
    make_certificate,
    serve_bookstore,
)

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write some of the books that come with plait."""
    path = tmp_path_factory.mktemp("catalogue") / "books.json"
    path.write_text(json.dumps({str(book.id): book.fields for book in list(bundled())[:200]}))
    return path


@pytest.fixture(scope="module")
def bookstore(catalogue: Path, certificate: Certificate) -> Iterator[RunningServer]:
    with serve_bookstore("--catalogue", catalogue, certificate=certificate) as server:
        yield server


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment's, which must end well."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_the_spider_writes_the_catalogue_that_was_served(
    bookstore: RunningServer, catalogue: Path, tmp_path: Path
) -> None:
    spider = EXAMPLES / "scrapy" / "bookstore.py"

    done = run(
        "scrapy",
        "runspider",
        spider,
        "-a",
        f"url={bookstore.url('')}",
        "-a",
        "output=copy.json",
        cwd=tmp_path,
    )

    assert json.loads((tmp_path / "copy.json").read_text()) == json.loads(catalogue.read_text())
    assert "'downloader/response_status_count/200': 201" in done.stderr


def test_the_readers_find_the_books_that_they_look_for(
    bookstore: RunningServer, certificate: Certificate, tmp_path: Path
) -> None:
    done = run(
        "locust", "-f", EXAMPLES / "locust" / "locustfile.py", "--headless", "--json",
        "--host", bookstore.url(""), "--users", "8", "--spawn-rate", "100", "--run-time", "3s",
        "--stop-timeout", "10",
        cwd=tmp_path, CA=str(certificate.ca),
    )  # fmt: skip

    counted = {one["name"]: one for one in json.loads(done.stdout)}
    assert {"index", "book"} <= counted.keys() <= {"index", "book", "no book"}
    assert counted["index"]["num_requests"] == 8
    assert all(one["num_failures"] == 0 for one in counted.values())
