"""Chromium without a window, loading the page as it does for people."""

from __future__ import annotations

import json
import sys
import time
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

from plait.errors import PlaitError
from plait.lab.contenders.base import Contender, Load, peak_memory
from plait.lab.contenders.browser import (
    Browser,
    chromium_version,
    find_certutil,
    find_chromium,
    running_browser,
)
from plait.lab.contenders.traffic import Traffic

__all__ = ["CONTENDERS", "Chromium"]

SETTLE = 1.0
"""Seconds without any news after which a page that lacks resources is taken to want no more."""

#: A page that does not exist must not have Chromium connect in advance.
_NO_PREDICTIONS = {"net": {"network_prediction_options": 2}}

#: Keeps the timing of every resource: by default a page keeps 250.
_KEEP_TIMING = "performance.setResourceTimingBufferSize(1000000)"

_SIZES = """JSON.stringify(["navigation", "resource"].flatMap(
    type => performance.getEntriesByType(type).map(entry => [entry.name, entry.encodedBodySize])))"""

#: Fetches a graph: [path, parent, seconds of delay] each, so many at once.
_FETCH = """((resources, inFlight) => new Promise(resolve => {
    const children = new Map(), known = [], failures = [];
    let unfinished = resources.length, underWay = 0;
    resources.forEach(([, parent], index) => {
        if (!children.has(parent)) children.set(parent, []);
        children.get(parent).push(index);
    });
    const reveal = parent => {
        for (const index of children.get(parent) ?? []) {
            const delay = resources[index][2];
            if (delay) setTimeout(() => { known.push(index); proceed(); }, delay * 1000);
            else known.push(index);
        }
        proceed();
    };
    const fetchOne = async index => {
        try {
            const response = await fetch(resources[index][0], {cache: "no-store", redirect: "manual"});
            await response.arrayBuffer();
        } catch (error) {
            failures.push(`${resources[index][0]}: ${error.message}`);
        }
        underWay -= 1;
        unfinished -= 1;
        if (unfinished) reveal(index);
        else resolve(JSON.stringify(failures));
    };
    const proceed = () => {
        while (underWay < inFlight && known.length) {
            underWay += 1;
            fetchOne(known.shift());
        }
    };
    reveal(null);
}))"""


class Chromium(Contender):
    """A page load: navigation to the end of the last response; the start of Chromium is no part of it.

    Where the workload has no page, a script in an empty page of the same origin fetches the graph.

    Args:
        name: The contender's name.
        label: For people.
        http: The version of HTTP.
    """

    def __init__(self, name: str, label: str, http: str) -> None:
        self.name = name
        self.label = label
        self.http = http
        if http == "1":
            self.connections = 6  # of those that carry requests; idle ones opened in advance may come to it
        else:
            self.schemes = ("https",)  # no browser speaks HTTP/2 without TLS

    def missing(self) -> str | None:
        if find_chromium() is None:
            return f"{self.name} needs Chromium, which is not installed here"
        if sys.platform == "linux" and find_certutil() is None:
            return f"{self.name} needs certutil, which is not installed here (Debian: libnss3-tools)"
        return None

    def versions(self) -> dict[str, str]:
        return {"chromium": chromium_version()}

    def run(self, load: Load) -> None:
        preferences = _NO_PREDICTIONS if load.page is None else {}
        with running_browser(self._flags(load), cafile=load.cafile, preferences=preferences) as browser:
            traffic = Traffic(load.base_url)
            page = _attach(browser)
            browser.call("Network.setExtraHTTPHeaders", page, headers=_headers(load))
            browser.call("Page.addScriptToEvaluateOnNewDocument", page, source=_KEEP_TIMING)
            if load.page is None:
                _fetch_all(browser, page, load, traffic)
            else:
                _open_page(browser, page, load, traffic)
            sizes = json.loads(_evaluate(browser, page, _SIZES))
            self._record(load, traffic, {name: size for name, size in sizes})
            load.peak_memory = _peak_memory(browser)

    def _flags(self, load: Load) -> list[str]:
        flags = ["--disable-http2"] if self.http == "1" else []
        if load.insecure:
            flags.append("--ignore-certificate-errors")
        host = urlsplit(load.base_url).hostname
        address = f"[{load.address}]" if load.address and ":" in load.address else load.address
        # Other names lead nowhere: third parties are left alone, and nobody is called.
        rules = f"MAP {host} {address}, MAP * ~NOTFOUND" if address else f"MAP * ~NOTFOUND, EXCLUDE {host}"
        return [*flags, f"--host-resolver-rules={rules}"]

    def _record(self, load: Load, traffic: Traffic, sizes: dict[str, int]) -> None:
        wanted: dict[str, list[int]] = {}
        for index, path in enumerate(load.paths):
            wanted.setdefault(path, []).append(index)
        connections: dict[int, int] = {}
        for exchange in sorted(traffic.finished, key=lambda exchange: exchange.done):
            response = exchange.response
            if response is None or "timing" not in response or not (indices := wanted.get(exchange.path)):
                continue
            self._check_protocol(exchange.path, response["protocol"])
            index = indices.pop(0)
            timing = response["timing"]
            start = timing["requestTime"]
            sent = start + timing["sendStart"] / 1000
            answered = start + timing["receiveHeadersEnd"] / 1000
            done = max(answered, exchange.done)
            encoded = any(name.lower() == "content-encoding" for name in response["headers"])
            # A browser asks for content codings, which others may not: then sizes say nothing.
            size = None if encoded else sizes.get(response["url"])
            load.record(index, response["status"], size, None, sent=sent, done=done)
            connection = response["connectionId"]
            if connection not in connections:
                connections[connection] = len(connections)
                _connected(load, timing, sent)
            known = exchange.known if load.page is not None else load.graph.known[index]
            load.note(index, connections[connection], known, sent, answered, done)
            if load.page is None:
                load.graph.complete(index, done)

    def _check_protocol(self, path: str, protocol: str) -> None:
        expected = "h2" if self.http == "2" else "http/1.1"
        if protocol != expected:
            raise PlaitError(f"Chromium fetched {path} over {protocol}, and {self.name} is {expected}")


def _headers(load: Load) -> dict[str, str]:
    """Return the fields that a page's requests can be given: some are Chromium's own affair."""
    headers: dict[str, str] = {}
    for name, value in load.headers:
        lower = name.lower()
        if lower in ("accept-encoding", "host", "te") or lower.startswith(("sec-", "proxy-")):
            continue
        # RFC 9110 §5.2; RFC 6265 §4.2.1.
        separator = "; " if lower == "cookie" else ", "
        headers[lower] = f"{headers[lower]}{separator}{value}" if lower in headers else value
    return headers


def _attach(browser: Browser) -> str:
    """Make a page and have it tell of its traffic; return the name of the session with it."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session: str = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Network"):
        browser.call(f"{domain}.enable", session)
    return session


def _evaluate(browser: Browser, page: str, expression: str, patience: float | None = 30.0) -> str:
    """Evaluate an expression that gives a string, or a promise of one."""
    answer = browser.call(
        "Runtime.evaluate",
        page,
        patience=patience,
        expression=expression,
        awaitPromise=True,
        returnByValue=True,
    )
    if "exceptionDetails" in answer:
        raise PlaitError(f"Chromium's script failed: {answer['exceptionDetails']['text']}")
    value: str = answer["result"]["value"]
    return value


def _open_page(browser: Browser, page: str, load: Load, traffic: Traffic) -> None:
    """Navigate, and wait until the page and all that is expected of it are there, or nothing more comes."""
    browser.on_event = traffic.take
    load.begin()
    answer = browser.call("Page.navigate", page, patience=None, url=f"{load.base_url}{load.page}")
    if error := answer.get("errorText"):
        raise PlaitError(f"Chromium could not open {load.page}: {error}")
    expected = set(load.paths)
    while True:
        if traffic.loaded:
            if expected <= {exchange.path for exchange in traffic.finished}:
                break
            if not traffic.open & expected and time.monotonic() - traffic.latest > SETTLE:
                break
        browser.turn(SETTLE / 4)
    # Chromium begins to connect before it tells of the request, but not before the navigation.
    origin = float(_evaluate(browser, page, "String(performance.timeOrigin)")) / 1000
    load.began = origin + traffic.clock


def _fetch_all(browser: Browser, page: str, load: Load, traffic: Traffic) -> None:
    """Fetch the graph by a script."""
    _open_empty_page(browser, page, load.base_url)
    browser.on_event = traffic.take
    resources = list(zip(load.paths, load.parents, load.delays, strict=True))
    script = f"{_FETCH}({json.dumps(resources)}, {load.in_flight})"
    load.begin()
    failures = json.loads(_evaluate(browser, page, script, patience=None))
    if failures:
        raise PlaitError(f"Chromium did not receive {failures[0]}")
    while traffic.open:
        browser.turn(SETTLE)


def _open_empty_page(browser: Browser, page: str, base_url: str) -> None:
    """Open an empty page in the name of an origin, without asking it for anything."""
    fields = [{"name": "Content-Type", "value": "text/html"}]
    body = b64encode(b"<!doctype html><link rel=icon href=data:,>").decode()

    def answer(event: dict[str, Any]) -> None:
        if event["method"] == "Fetch.requestPaused":
            number = event["params"]["requestId"]
            browser.send(
                "Fetch.fulfillRequest",
                page,
                requestId=number,
                responseCode=200,
                responseHeaders=fields,
                body=body,
            )

    browser.on_event = answer
    browser.call("Fetch.enable", page)
    browser.call("Page.navigate", page, url=f"{base_url}/")
    browser.call("Fetch.disable", page)


def _connected(load: Load, timing: dict[str, Any], sent: float) -> None:
    """Record the connection whose first request has this timing."""
    if timing["connectStart"] < 0:  # it was open already: Chromium does not say since when
        load.connected(0, sent, sent, sent)
        return
    start = timing["requestTime"]
    secured = timing["connectEnd"]
    connected = timing["sslStart"] if timing["sslStart"] >= 0 else secured
    load.connected(
        0, *(start + milliseconds / 1000 for milliseconds in (timing["connectStart"], connected, secured))
    )


def _peak_memory(browser: Browser) -> int | None:
    """Add up the largest resident sets of Chromium's processes, what they share counted in each."""
    processes = browser.call("SystemInfo.getProcessInfo")["processInfo"]
    peaks = [peak for process in processes if (peak := peak_memory(process["id"]))]
    return sum(peaks) or None


CONTENDERS: tuple[Contender, ...] = (
    Chromium("chromium", "Chromium, HTTP/2", "2"),
    Chromium("chromium-h1", "Chromium, HTTP/1.1", "1"),
)
