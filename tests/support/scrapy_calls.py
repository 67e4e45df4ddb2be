"""Downloads what it is told to with Scrapy, as a process of its own.

``python -m tests.support.scrapy_calls`` reads a JSON array of crawls: the ``settings`` of each, and its
``calls`` by name, each the arguments of a ``scrapy.Request``. ``meta["stop"]`` says of which signal the
download is to be stopped, and whether it has failed then, or whether the handlers are to be closed. It prints
what came of each, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy import signals
from scrapy.crawler import AsyncCrawlerProcess, Crawler
from scrapy.downloadermiddlewares import cookies
from scrapy.exceptions import StopDownload
from tldextract import TLDExtract

# Of public suffixes, what the library brings along: a test asks no server on the Internet for its list.
cookies._split_domain = TLDExtract(suffix_list_urls=(), include_psl_private_domains=True)

#: Fields that tell of the server's day, or of HTTP/1.1.
_LEFT_OUT = {b"Date", b"Server", b"Connection", b"Transfer-Encoding", b"Keep-Alive"}


class Spider(scrapy.Spider):
    """Makes every call of the plan once."""

    name = "calls"
    plan: dict[str, Any]
    results: dict[str, Any]

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> Spider:
        spider: Spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.on_headers, signals.headers_received)
        crawler.signals.connect(spider.on_bytes, signals.bytes_received)
        return spider

    async def start(self) -> AsyncIterator[scrapy.Request]:
        for name, call in self.plan["calls"].items():
            options = dict(call)
            meta = {
                "call": name,
                "cookiejar": name,
                "handle_httpstatus_list": [400, 404, 500, 503],
                **options.pop("meta", {}),
            }
            if "content" in options:
                options["body"] = options.pop("content").encode("latin-1")
            yield scrapy.Request(
                callback=self.parse, errback=self.failed, dont_filter=True, meta=meta, **options
            )

    def parse(self, response: Any) -> None:
        fields = {
            name.decode(): [value.decode("latin-1") for value in values]
            for name, values in response.headers.items()
            if name not in _LEFT_OUT
        }
        if response.status == 204:
            fields.pop("Content-Length", None)  # which the handler of HTTP/1.1 invents
        self.results[response.meta["call"]] = {
            "kind": type(response).__name__,
            "url": response.url,
            "status": response.status,
            "headers": dict(sorted(fields.items())),
            "content": response.body.decode("latin-1"),
            "flags": response.flags,
            "protocol": response.protocol,
            "ip_address": str(response.ip_address),
            "certificate": response.certificate is not None,
            "latency": 0 < response.meta["download_latency"] < 30,
            "redirects": response.meta.get("redirect_urls", []),
            "retries": response.meta.get("retry_times", 0),
        }

    def failed(self, failure: Any) -> None:
        response = getattr(failure.value, "response", None)
        self.results[failure.request.meta["call"]] = {
            "error": type(failure.value).__name__,
            "content": None if response is None else response.body.decode("latin-1"),
            "flags": None if response is None else response.flags,
            "retries": failure.request.meta.get("retry_times", 0),
        }

    def on_headers(self, headers: Any, body_length: Any, request: Any, spider: Any) -> None:
        self._stop("headers", request)

    def on_bytes(self, data: bytes, request: Any, spider: Any) -> None:
        self._stop("bytes", request)

    def _stop(self, where: str, request: Any) -> None:
        when, fails = request.meta.get("stop", (None, False))
        if when == where and fails == "close":
            self.closing = asyncio.ensure_future(self.crawler.engine.downloader.handlers._close())
        elif when == where:
            raise StopDownload(fail=fails)


class Warnings(logging.Handler):
    """Keeps what the handlers warn of, by the names of their loggers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: dict[str, set[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(("scrapy.core.", "scrapy.utils.")):
            self.said.setdefault(record.name, set()).add(record.getMessage())


def main() -> None:
    """Read the plan, do it, and print what came of it."""
    plans = json.load(sys.stdin)
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    common = {"LOG_LEVEL": "INFO"}
    if "TWISTED_REACTOR_ENABLED" in plans[0]["settings"]:
        common["TWISTED_REACTOR_ENABLED"] = plans[0]["settings"]["TWISTED_REACTOR_ENABLED"]
    process = AsyncCrawlerProcess(common)
    results: list[dict[str, Any]] = [{} for _ in plans]
    for plan, result in zip(plans, results, strict=True):
        process.crawl(Crawler(Spider, plan["settings"]), plan=plan, results=result)
    process.start()
    said = {name: sorted(messages) for name, messages in warnings.said.items()}
    print(json.dumps({"results": results, "warnings": said}))


if __name__ == "__main__":
    main()
