"""What a browser does with 103, push and priorities, which it speaks over HTTP/2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser_app import IMAGES, SIZE
from tests.support.chromium import Chromium, trust
from tests.support.servers import Certificate, RunningServer, serve_app

URGENCY = re.compile(r"u=(\d)")

PAGE = """
    const [page] = performance.getEntriesByType("navigation");
    const style = performance.getEntriesByType("resource").find(entry => entry.name.includes("/style.css"));
    return {
        text: document.body.innerText,
        protocol: page.nextHopProtocol,
        interim: page.firstInterimResponseStart,
        final: page.finalResponseHeadersStart,
        colour: getComputedStyle(document.body).color,
        initiator: style && style.initiatorType,
    };
"""

ENDS = """
    const large = performance.getEntriesByType("resource").filter(entry => entry.name.includes("/large/"));
    large.sort((one, other) => one.responseEnd - other.responseEnd);
    const log = await fetch("/log");
    return {ends: large.map(entry => entry.name.split("/").pop()), log: await log.json()};
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Chromium]:
    home = tmp_path_factory.mktemp("home")
    trust(home, certificate.ca)
    with Chromium.start(home) as running:
        yield running


@pytest.fixture(scope="module")
def pages(certificate: Certificate) -> Iterator[RunningServer]:
    """Run plait with the application of tests/support/browser_app.py."""
    with serve_app("browser_app:app", certificate=certificate) as running:
        yield running
        assert "Traceback" not in running.output(), running.output()


def test_a_browser_asks_for_what_it_was_hinted_before_the_page_is_there(
    browser: Chromium, pages: RunningServer
) -> None:
    # Chromium sees every hint, and at times makes nothing of one.
    for attempt in range(5):
        browser.open(pages.url(f"/hinted?page=page-{attempt}&patience=1"))
        told: dict[str, Any] = browser.evaluate(PAGE)
        assert told["protocol"] == "h2"
        assert 0 < told["interim"] < told["final"]
        assert told["colour"] == "rgb(1, 2, 3)"
        if told["text"] == "hinted":
            break
    assert (told["text"], told["initiator"]) == ("hinted", "early-hints")


def test_a_browser_takes_no_pushes_and_the_application_is_told_so(
    browser: Chromium, pages: RunningServer
) -> None:
    browser.open(pages.url("/pushing"))
    told: dict[str, Any] = browser.evaluate(PAGE)
    assert (told["protocol"], told["text"]) == ("h2", "not pushed")


def test_what_a_browser_waits_for_overtakes_the_images_it_asked_for_before(
    browser: Chromium, pages: RunningServer
) -> None:
    browser.open(pages.url("/ordered"))
    told: dict[str, Any] = browser.evaluate(ENDS)

    assert len(told["ends"]) == len(told["log"]) == IMAGES + 2
    assert set(told["ends"][:2]) == {"style", "script"}
    # So it was handed over, too: the applications of the images had to wait, but for what buffers hold.
    for _, priority, images in told["log"][:2]:
        assert URGENCY.findall(priority) in (["0"], ["1"], ["2"])
        assert images < IMAGES * SIZE / 4
    for name, priority, _ in told["log"][2:]:
        assert name.startswith("image")
        assert URGENCY.findall(priority) in ([], ["3"], ["4"], ["5"])  # 3 where nothing is said
