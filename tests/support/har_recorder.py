"""A HAR in the shape in which Chrome saves it, from the browser's own network events.

``python -m tests.support.har_recorder`` records the mixed page anew, into tests/lab/data.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.chromium import Chromium
from tests.support.servers import ROOT, RunningServer, serve_app

__all__ = ["record"]

DATA = ROOT / "tests" / "lab" / "data"


def record(url: str, home: Path) -> dict[str, Any]:
    """Open a page in Chromium, and return what it fetched as a HAR.

    Args:
        url: The page.
        home: Home directory of the browser.
    """
    with Chromium.start(home, performance="ALL") as browser:
        browser.open(url)
        messages = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
        version = browser.evaluate("return navigator.userAgent")
    entries: dict[str, dict[str, Any]] = {}
    sent: dict[str, float] = {}
    for message in messages:
        told = message["params"]
        match message["method"]:
            case "Network.requestWillBeSent":
                request = told["request"]
                sent[told["requestId"]] = told["timestamp"]
                entries[told["requestId"]] = {
                    "_initiator": told["initiator"],
                    "_priority": request["initialPriority"],
                    "_resourceType": told["type"].lower(),
                    "cache": {},
                    "pageref": "page_1",
                    "request": {
                        "method": request["method"],
                        "url": request["url"],
                        "httpVersion": "http/1.1",
                        "headers": [],
                        "queryString": [],
                        "cookies": [],
                        "headersSize": -1,
                        "bodySize": 0,
                    },
                    "startedDateTime": _date(told["wallTime"]),
                    "time": 0.0,
                    "timings": {"blocked": -1, "dns": -1, "connect": -1, "send": 0, "wait": 0, "receive": 0},
                }
            case "Network.responseReceived" if told["requestId"] in entries:
                response = told["response"]
                entries[told["requestId"]]["response"] = {
                    "status": response["status"],
                    "statusText": response["statusText"],
                    "httpVersion": response["protocol"],
                    "headers": [],
                    "cookies": [],
                    "content": {"size": 0, "mimeType": response["mimeType"]},
                    "redirectURL": "",
                    "headersSize": -1,
                    "bodySize": -1,
                }
            case "Network.loadingFinished" if told["requestId"] in entries:
                entry = entries[told["requestId"]]
                entry["time"] = round((told["timestamp"] - sent[told["requestId"]]) * 1000, 3)
                entry["response"]["_transferSize"] = int(told["encodedDataLength"])
    # The window's first page is the browser's own.
    answered = [
        entry
        for entry in entries.values()
        if "response" in entry and entry["request"]["url"].startswith("http")
    ]
    page = {
        "startedDateTime": answered[0]["startedDateTime"],
        "id": "page_1",
        "title": url,
        "pageTimings": {},
    }
    creator = {"name": "WebInspector", "version": "537.36", "comment": version}
    return {"log": {"version": "1.2", "creator": creator, "pages": [page], "entries": answered}}


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _record_mixed_page(server: RunningServer) -> None:
    with tempfile.TemporaryDirectory() as home:
        made = record(server.url("/mixed-page/"), Path(home))
    entries = made["log"].pop("entries")
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    text = json.dumps(made)[:-2] + f', "entries": [\n{lines}\n]}}}}\n'
    # The port is that of one run.
    (DATA / "mixed-page.har").write_text(text.replace(f":{server.port}/", ":8000/"))


if __name__ == "__main__":
    with serve_app("plait.lab.site:app", certificate=None) as running:
        _record_mixed_page(running)
