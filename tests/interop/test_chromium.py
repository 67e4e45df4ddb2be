"""A browser opens the bookstore: the local authority trusted, nothing else relaxed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import Chromium, trust
from tests.support.servers import Certificate, RunningServer, serve_bookstore

UNTIL_DONE = """
    while (document.body.dataset.done !== "true") await new Promise(next => requestAnimationFrame(next));
    return document.getElementById("result").textContent;
"""

PROTOCOLS = """
    const protocols = type =>
        performance.getEntriesByType(type).map(entry => [entry.name, entry.nextHopProtocol]);
    return {pages: protocols("navigation"), resources: protocols("resource")};
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Chromium]:
    """Start a browser that trusts the local authority as a user would make it: through its NSS database."""
    home = tmp_path_factory.mktemp("home")
    trust(home, certificate.ca)
    with Chromium.start(home) as running:
        yield running


@pytest.fixture(scope="module")
def bookstore_over_http_1(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the bookstore as ``--http 1`` makes it."""
    with serve_bookstore("--http", "1", certificate=certificate) as running:
        yield running


def visit(browser: Chromium, url: str) -> tuple[dict[str, Any], dict[str, list[list[str]]]]:
    """Open the bookstore's page and return what it found, and what the browser itself recorded."""
    browser.open(url)
    result = json.loads(browser.evaluate(UNTIL_DONE))
    return result, browser.evaluate(PROTOCOLS)


def assert_everything_came_over(protocol: str, recorded: dict[str, list[list[str]]]) -> None:
    """Check the protocol of the page and of a hundred books."""
    assert [spoken for _, spoken in recorded["pages"]] == [protocol]
    books = [spoken for name, spoken in recorded["resources"] if "/book?id=" in name]
    assert len(books) == 100
    assert set(books) == {protocol}


def test_the_page_and_its_fetches_come_over_http_2(browser: Chromium, bookstore: RunningServer) -> None:
    result, recorded = visit(browser, bookstore.url())

    assert_everything_came_over("h2", recorded)
    assert result["page"] == "h2"
    assert result["loaded"] == 100


def test_the_same_page_comes_over_http_1_where_only_that_is_served(
    browser: Chromium, bookstore_over_http_1: RunningServer
) -> None:
    result, recorded = visit(browser, bookstore_over_http_1.url())

    assert_everything_came_over("http/1.1", recorded)
    assert result["page"] == "http/1.1"
    assert result["loaded"] == 100


def test_a_browser_that_does_not_trust_the_authority_refuses_the_page(
    tmp_path: Path, bookstore: RunningServer
) -> None:
    with Chromium.start(tmp_path) as stranger:
        stranger.open(bookstore.url())

        assert "ERR_CERT_AUTHORITY_INVALID" in stranger.evaluate("return document.body.innerText")
