"""What a page of Chromium exchanges with its server, from the events of its DevTools."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

from plait.errors import PlaitError

__all__ = ["Exchange", "Traffic"]


class Exchange:
    """One request of the page and what came of it, in Chromium's words.

    Args:
        url: What is asked for.
        known: When the page asked for it.

    Attributes:
        path: Path and query.
        known: When the page asked for it.
        response: What came, a ``Network.Response``; None until its fields are there.
        done: When it was complete.
    """

    def __init__(self, url: SplitResult, known: float) -> None:
        self.path = f"{url.path}?{url.query}" if url.query else url.path
        self.known = known
        self.response: dict[str, Any] | None = None
        self.done = 0.0


class Traffic:
    """The exchanges of a page with one origin, put together from the events of the Network domain.

    Chromium's times are those of ``time.monotonic`` (CLOCK_MONOTONIC on Linux).

    Args:
        base_url: The origin.

    Attributes:
        finished: Those that are complete, in that order.
        loaded: Whether the page's load event has fired.
        latest: When the last event came.
        clock: What to add to the time of day to have a time of ours, in seconds.
    """

    def __init__(self, base_url: str) -> None:
        self._origin = _origin(urlsplit(base_url))
        self._open: dict[str, Exchange] = {}
        self.finished: list[Exchange] = []
        self.loaded = False
        self.latest = time.monotonic()
        self.clock = 0.0

    @property
    def open(self) -> set[str]:
        """The paths of the exchanges that are not complete."""
        return {exchange.path for exchange in self._open.values()}

    def take(self, event: dict[str, Any]) -> None:
        """Take note of an event.

        Raises:
            PlaitError: An exchange failed.
        """
        self.latest = time.monotonic()
        params = event["params"]
        match event["method"]:
            case "Network.requestWillBeSent":
                self._begin(params)
            case "Network.requestServedFromCache":
                self._open.pop(params["requestId"], None)
            case "Network.responseReceived":
                if exchange := self._open.get(params["requestId"]):
                    exchange.response = params["response"]
            case "Network.loadingFinished":
                self._finish(params["requestId"], params["timestamp"])
            case "Network.loadingFailed":
                self._fail(params)
            case "Page.loadEventFired":
                self.loaded = True

    def _begin(self, params: dict[str, Any]) -> None:
        number = params["requestId"]
        self.clock = params["timestamp"] - params["wallTime"]
        if number in self._open and "redirectResponse" in params:
            self._open[number].response = params["redirectResponse"]
            self._finish(number, params["timestamp"])
        url = urlsplit(params["request"]["url"])
        if _origin(url) == self._origin:
            self._open[number] = Exchange(url, params["timestamp"])

    def _finish(self, number: str, done: float) -> None:
        if exchange := self._open.pop(number, None):
            exchange.done = done
            self.finished.append(exchange)

    def _fail(self, params: dict[str, Any]) -> None:
        exchange = self._open.pop(params["requestId"], None)
        if exchange is not None and not params.get("canceled"):
            raise PlaitError(f"Chromium did not receive {exchange.path}: {params['errorText']}")


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"https": 443, "http": 80}.get(url.scheme)
