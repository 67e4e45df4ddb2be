"""The same calls with Scrapy's own download handlers and with plait's: the same comes of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.proxy import RunningProxy, running_proxy
from tests.support.scrapy_site import LARGE, breaking_off
from tests.support.servers import ROOT, Certificate, RunningServer, free_port, make_certificate, serve_app

HTTP11 = "scrapy.core.downloader.handlers.http11.HTTP11DownloadHandler"
H2 = "scrapy.core.downloader.handlers.http2.H2DownloadHandler"
PLAIT = "plait.integrations.scrapy.DownloadHandler"

LARGE_TEXT = LARGE.decode("latin-1")
Calls = dict[str, dict[str, Any]]
Crawled = dict[str, dict[str, Any]]

HEADERS = {"Host": "elsewhere.example", "X-Two": ["one", "other"], "X-Latin": "café", "Connection": "close"}

#: What is downloaded over TLS, by HTTP/2 where the handler speaks it.
SECURE: Calls = {
    "a page": {"path": "/echo"},
    "a query": {"path": "/echo?q=%E9&r=a+b|c"},
    "no such page": {"path": "/nothing-here"},
    "an error": {"path": "/status?code=500", "meta": {"dont_retry": True}},
    "an error, tried again": {"path": "/status?code=503"},
    "a head": {"path": "/large", "method": "HEAD"},
    "a redirect": {"path": "/redirect"},
    "cookies": {"path": "/set-cookie"},
    "content that is coded": {"path": "/gzip"},
    "no content": {"path": "/empty"},
    "content of unknown length": {"path": "/chunked"},
    "much content": {"path": "/large"},
    "fields that come twice": {"path": "/twice"},
    "a payload": {"path": "/echo", "method": "POST", "content": LARGE_TEXT * 8},
    "an empty payload": {"path": "/echo", "method": "POST"},
    "a method of no standard": {"path": "/echo", "method": "PURGE"},
    "fields that are sent": {"path": "/echo", "headers": HEADERS},
    "an end too soon": {"path": "/reset"},
    "an end too soon, taken": {"path": "/reset", "meta": {"download_fail_on_dataloss": False}},
    "silence": {"path": "/silence", "meta": {"download_timeout": 0.4, "dont_retry": True}},
    "silence after a beginning": {"path": "/stall", "meta": {"download_timeout": 0.4, "dont_retry": True}},
    "more than there may be": {"path": "/large", "meta": {"download_maxsize": 1000}},
    "more than there may be, unannounced": {"path": "/chunked-large", "meta": {"download_maxsize": 1000}},
    "as much as there may be": {"path": "/large", "meta": {"download_maxsize": len(LARGE)}},
    "stopped at its head": {"path": "/large", "meta": {"stop": ["headers", False]}},
    "failed at its head": {"path": "/large", "meta": {"stop": ["headers", True]}},
    "failed at its first bytes": {"path": "/stall", "meta": {"stop": ["bytes", True]}},
}
#: And without TLS, from a server that breaks off.
BROKEN: Calls = {
    "less than was announced": {"path": "/short"},
    "the same, taken": {"path": "/short", "meta": {"download_fail_on_dataloss": False}},
    "a chunk without an end": {"path": "/broken-chunks"},
    "the same chunk, taken": {"path": "/broken-chunks", "meta": {"download_fail_on_dataloss": False}},
    "content that ends with the connection": {"path": "/until-close"},
    "something that is not HTTP": {"path": "/no-http"},
    "nothing at all": {"path": "/nothing"},
}
#: What Scrapy's handler of HTTP/1.1 says in its own way, or does not do: it takes a 103 for a refusal.
NOT_BY_HTTP11 = {"a tunnel", "a tunnel for nobody"}
#: What Scrapy's handler of HTTP/2 does not do: it fails for ``connection`` in a request and for a field
#: beyond ASCII in a response, waits for ever where there is no connection, and takes no part of a content.
NOT_BY_H2 = {
    "fields that are sent",
    "fields that come twice",
    "a refused port",
    "a name without an address",
    "an end too soon",
    "an end too soon, taken",
}


class Site(NamedTuple):
    """Where the calls go to."""

    secure: RunningServer
    plain: RunningServer
    broken: int
    proxy: RunningProxy
    refused: int

    def calls(self, *, https_only: bool = False) -> Calls:
        """Return the calls, as ``tests.support.scrapy_calls`` takes them."""
        calls = {name: {"url": self.secure.url(call["path"]), **call} for name, call in SECURE.items()}
        calls["a refused port"] = {"url": f"https://localhost:{self.refused}/"}
        calls["a name without an address"] = {"url": "https://nowhere.invalid/"}
        if not https_only:
            # By number, for a proxy that knows no name of this machine in IPv6.
            proxied = {"meta": {"proxy": f"http://reader:s%40cret@127.0.0.1:{self.proxy.port}"}}
            stranger = {"meta": {"proxy": f"http://127.0.0.1:{self.proxy.port}"}}
            calls |= {
                name: {"url": f"http://localhost:{self.broken}{call['path']}", **call}
                for name, call in BROKEN.items()
            } | {
                "without TLS": {"url": self.plain.url("/echo")},
                "a port without TLS": {"url": self.plain.url("/echo").replace("http:", "https:")},
                "a proxy": {"url": f"http://127.0.0.1:{self.plain.port}/echo", **proxied},
                "a tunnel": {"url": f"https://127.0.0.1:{self.secure.port}/large", **proxied},
                "a tunnel for nobody": {"url": f"https://127.0.0.1:{self.secure.port}/echo", **stranger},
                "from another address": {
                    "url": self.plain.url("/echo"),
                    "meta": {"bindaddress": "127.0.0.5"},
                },
            }
        return {
            name: {key: value for key, value in call.items() if key != "path"} for name, call in calls.items()
        }


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def site(certificate: Certificate) -> Iterator[Site]:
    app = "scrapy_site:app"
    with (
        serve_app(app, "--grace", "0", certificate=certificate) as secure,
        serve_app(app, "--grace", "0", certificate=None) as plain,
        breaking_off() as broken,
        running_proxy("reader:s@cret") as proxy,
    ):
        yield Site(secure, plain, broken, proxy, free_port())


def crawl(handler: str, calls: Calls, **settings: Any) -> dict[str, Any]:
    """Return the plan of a crawl that makes calls with one of the handlers."""
    return {
        "calls": calls,
        "settings": {
            "DOWNLOAD_HANDLERS": {"http": handler, "https": handler},
            "CONCURRENT_REQUESTS": 64,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 64,
            "RETRY_TIMES": 1,
            "DOWNLOAD_WARNSIZE": 60_000,
            **settings,
        },
    }


def run(crawls: dict[str, dict[str, Any]]) -> tuple[dict[str, Crawled], dict[str, list[str]]]:
    """Do crawls in a process, all at once.

    Returns:
        What came of the calls of each, and what handlers warned of, by the names of their loggers.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.scrapy_calls"],
        input=json.dumps(list(crawls.values())),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    # How much had come by then, and which of several was the first, is chance.
    last = re.sub(r"(Received|data loss in) [^ ]+", r"\1 …", done.stdout.splitlines()[-1])
    told = json.loads(last)
    results = dict(zip(crawls, told["results"], strict=True))
    for name, one in crawls.items():
        assert results[name].keys() == one["calls"].keys(), done.stderr
    return results, told["warnings"]


def but(result: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return a result without what two handlers tell differently."""
    return {name: value for name, value in result.items() if name not in names}


@pytest.fixture(scope="module")
def done(site: Site) -> tuple[dict[str, Crawled], dict[str, list[str]]]:
    """Crawl with every handler, and with other settings; return what came of it."""
    page = {"a page": {"url": site.secure.url("/echo")}}
    ended = {
        "one": {"url": site.secure.url("/stall"), "meta": {"stop": ["bytes", "close"]}},
        "another": {"url": site.secure.url("/silence")},
    }
    addresses: Calls = {
        f"127.0.1.{n}": {"url": site.plain.url("/address"), "meta": {"bindaddress": f"127.0.1.{n}"}}
        for n in range(1, 41)
    }
    by_h2 = {name: call for name, call in site.calls(https_only=True).items() if name not in NOT_BY_H2}
    at_address = {"a page": {"url": site.secure.url("/address")}}
    return run(
        {
            "plait": crawl(PLAIT, site.calls()),
            "http 1.1": crawl(HTTP11, site.calls()),
            "h2": crawl(H2, by_h2),
            "many": crawl(PLAIT, {f"{n}": {"url": site.secure.url(f"/port?{n}")} for n in range(40)}),
            "ended": crawl(PLAIT, ended),
            "wrong": crawl(PLAIT, page, PLAIT_OPTIONS={"max_conections": 3}),
            "options": crawl(PLAIT, page, PLAIT_OPTIONS={"http": "1"}),
            "ftp": crawl(PLAIT, {"a file": {"url": "ftp://localhost/a"}}, DOWNLOAD_HANDLERS={"ftp": PLAIT}),
            "told": crawl(PLAIT, page, DOWNLOADER_CLIENT_TLS_VERBOSE_LOGGING=True),
            "verified": crawl(PLAIT, page, DOWNLOAD_VERIFY_CERTIFICATES=True),
            "bound": crawl(PLAIT, at_address, DOWNLOAD_BIND_ADDRESS="127.0.0.7"),
            "addresses": crawl(PLAIT, addresses),
        }
    )


@pytest.fixture
def crawled(done: tuple[dict[str, Crawled], Any]) -> dict[str, Crawled]:
    """Return what came of the calls of each crawl."""
    return done[0]


def test_the_calls_of_scrapys_own_handler_have_the_same_results(
    site: Site, crawled: dict[str, Crawled]
) -> None:
    ours, theirs, calls = crawled["plait"], crawled["http 1.1"], site.calls()
    for name in calls.keys() - NOT_BY_HTTP11:
        one, other = ours[name], theirs[name]
        if "error" in one:
            assert one == other, name
            continue
        # A response that was stopped at its head has no address and no certificate in HTTP/1.1.
        stopped = ("ip_address", "certificate") if "download_stopped" in one["flags"] else ()
        assert but(one, "protocol", "flags", *stopped) == but(other, "protocol", "flags", *stopped), name
        assert one["protocol"] == ("h2" if calls[name]["url"].startswith("https:") else "HTTP/1.1"), name
        assert other["protocol"] == "HTTP/1.1"
        # Scrapy's handlers on asyncio do not say either that it was the connection that ended it.
        assert one["flags"] == [flag for flag in other["flags"] if flag != "partial"], name
    assert ours["much content"]["content"] == LARGE_TEXT
    assert ours["an error, tried again"]["retries"] == 1
    assert ["host", "elsewhere.example"] in json.loads(ours["fields that are sent"]["content"])["headers"]


def test_tunnels_are_opened_where_scrapys_own_handler_opens_none(
    site: Site, crawled: dict[str, Crawled]
) -> None:
    ours, theirs = crawled["plait"], crawled["http 1.1"]

    assert {theirs[name]["error"] for name in NOT_BY_HTTP11} == {"TunnelError"}
    assert ours["a tunnel"]["protocol"] == "h2"
    assert ours["a tunnel for nobody"]["error"] == "DownloadConnectionRefusedError"
    assert f"CONNECT 127.0.0.1:{site.secure.port} HTTP/1.1" in site.proxy.seen


def test_the_warnings_are_scrapys_own(done: tuple[Any, dict[str, list[str]]]) -> None:
    warnings = done[1]

    assert warnings["scrapy.core.downloader.handlers._base_streaming"] == warnings[HTTP11.rpartition(".")[0]]


def test_the_calls_of_its_handler_of_http_2_have_the_same_results(crawled: dict[str, Crawled]) -> None:
    for name, result in crawled["h2"].items():
        assert crawled["plait"][name] == result, name
    for name in NOT_BY_H2:
        assert "error" in crawled["plait"][name] or crawled["plait"][name]["status"] == 200, name


def test_without_a_reactor_the_results_are_the_same(site: Site, crawled: dict[str, Crawled]) -> None:
    calls = site.calls(https_only=True)
    results, _ = run({"plait": crawl(PLAIT, calls, TWISTED_REACTOR_ENABLED=False)})

    for name, result in results["plait"].items():
        assert crawled["plait"][name] == result, name


def test_all_downloads_from_a_server_share_a_connection(crawled: dict[str, Crawled]) -> None:
    assert len({result["content"] for result in crawled["many"].values()}) == 1


def test_a_crawl_that_is_ended_gives_up_its_downloads(crawled: dict[str, Crawled]) -> None:
    assert {result["error"] for result in crawled["ended"].values()} == {"DownloadCancelledError"}


def test_without_a_good_option_there_is_no_handler(crawled: dict[str, Crawled]) -> None:
    assert crawled["wrong"]["a page"]["error"] == "NotSupported"


def test_another_scheme_is_none_of_its_affair(crawled: dict[str, Crawled]) -> None:
    assert crawled["ftp"]["a file"]["error"] == "UnsupportedURLSchemeError"


def test_a_crawl_that_tells_of_tls_is_a_crawl_like_any_other(crawled: dict[str, Crawled]) -> None:
    assert crawled["told"]["a page"] == crawled["plait"]["a page"]


def test_options_go_before_what_scrapy_says(crawled: dict[str, Crawled]) -> None:
    assert crawled["options"]["a page"]["protocol"] == "HTTP/1.1"


def test_a_certificate_is_refused_when_scrapy_is_told_to_verify(crawled: dict[str, Crawled]) -> None:
    assert crawled["verified"]["a page"]["error"] == "DownloadFailedError"


def test_a_crawl_comes_from_the_address_that_it_is_told(crawled: dict[str, Crawled]) -> None:
    assert crawled["bound"]["a page"]["content"] == "127.0.0.7"


def test_more_ways_than_there_are_clients_kept_are_gone(crawled: dict[str, Crawled]) -> None:
    assert {name: result["content"] for name, result in crawled["addresses"].items()} == {
        name: name for name in crawled["addresses"]
    }
