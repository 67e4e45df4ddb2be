"""The clients that are measured: each fetches every book, in a process of its own.

``python -m benchmarks.crawlers NAME URL CA BOOKS`` fetches the list of all books, and so many of them; it
prints how many came, a digest of them all, so that nobody is fast by losing some, and the most memory that
it took. A crawler imports its library itself: start-up is part of the cost.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["CRAWLERS"]

IN_FLIGHT = 100


def plait_client(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with the blocking client of plait."""
    import plait

    with plait.Client(url, verify=ca) as client:
        ids = client.get("/").json()[:books]
        pending = [client.submit("GET", f"/book?id={id}") for id in ids]
        return [one.result().content for one in pending]


def plait_async_client(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with the asyncio client of plait."""
    import asyncio

    import plait

    async def crawl() -> list[bytes]:
        async with plait.AsyncClient(url, verify=ca) as client:
            ids = (await client.get("/")).json()[:books]
            answers = await asyncio.gather(*(client.get(f"/book?id={id}") for id in ids))
            return [answer.content for answer in answers]

    return asyncio.run(crawl())


def requests_serial(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch one after the other over HTTP/1.1, as the original experiment did."""
    import requests

    with requests.Session() as session:
        # Not session.verify: a CA bundle named by the environment would win over it.
        ids = session.get(f"{url}/", verify=ca).json()[:books]
        return [session.get(f"{url}/book?id={id}", verify=ca).content for id in ids]


def requests_threads(url: str, ca: str, books: int, adapter: Any = None) -> list[bytes]:
    """Fetch over HTTP/1.1 with 32 threads, each with a session, and so a connection, of its own."""
    import threading
    from concurrent.futures import ThreadPoolExecutor

    import requests

    here = threading.local()

    def fetch(path: str) -> requests.Response:
        if not hasattr(here, "session"):
            here.session = requests.Session()
            if adapter is not None:
                here.session.mount("https://", adapter)
        response: requests.Response = here.session.get(url + path, verify=ca)
        return response

    with ThreadPoolExecutor(32) as threads:
        ids = fetch("/").json()[:books]
        return list(threads.map(lambda id: fetch(f"/book?id={id}").content, ids))


def requests_over_plait(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with 32 threads and requests' sessions, over plait and one connection."""
    from plait.integrations.requests import Adapter

    return requests_threads(url, ca, books, Adapter())


def niquests_multiplexed(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with niquests over one HTTP/2 connection; every response is read after all were asked for."""
    import niquests

    with niquests.Session(multiplexed=True) as session:
        ids = session.get(f"{url}/", verify=ca).json()[:books]
        responses = [session.get(f"{url}/book?id={id}", verify=ca) for id in ids]
        session.gather()
        return [response.content for response in responses]


def aiohttp_http1(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with aiohttp, which is for HTTP/1.1, over a hundred connections."""
    import asyncio
    import ssl

    import aiohttp

    async def crawl() -> list[bytes]:
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT, ssl=ssl.create_default_context(cafile=ca))
        async with aiohttp.ClientSession(url, connector=connector) as session:

            async def fetch(path: str) -> bytes:
                async with session.get(path) as response:
                    return await response.read()

            ids = json.loads(await fetch("/"))[:books]
            return await asyncio.gather(*(fetch(f"/book?id={id}") for id in ids))

    return asyncio.run(crawl())


def _httpx_http2(httpx: Any, url: str, ca: str, books: int, transport: Any = None) -> list[bytes]:
    """Fetch with httpx or its successor, over HTTP/2, by its own transport or by another."""
    import asyncio
    import ssl

    async def crawl() -> list[bytes]:
        options: dict[str, Any] = {"transport": transport}
        if transport is None:
            options = {"http2": True, "verify": ssl.create_default_context(cafile=ca)}
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with httpx.AsyncClient(**options, base_url=url, timeout=60) as client:

            async def fetch(path: str) -> bytes:
                async with slots:
                    content: bytes = (await client.get(path)).content
                    return content

            ids = json.loads(await fetch("/"))[:books]
            return await asyncio.gather(*(fetch(f"/book?id={id}") for id in ids))

    return asyncio.run(crawl())


def httpx_http2(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with httpx over HTTP/2."""
    import httpx

    return _httpx_http2(httpx, url, ca, books)


def httpx2_http2(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with httpx2 over HTTP/2."""
    import httpx2

    return _httpx_http2(httpx2, url, ca, books)


def httpx_over_plait(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with httpx over plait."""
    import httpx

    from plait.integrations.httpx import AsyncTransport

    return _httpx_http2(httpx, url, ca, books, AsyncTransport(verify=ca))


def httpx2_over_plait(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with httpx2 over plait."""
    import httpx2

    from plait.integrations.httpx2 import AsyncTransport

    return _httpx_http2(httpx2, url, ca, books, AsyncTransport(verify=ca))


def primp_http2(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with primp, whose core is written in Rust, over HTTP/2."""
    import asyncio

    import primp

    async def crawl() -> list[bytes]:
        slots = asyncio.Semaphore(IN_FLIGHT)
        client = primp.AsyncClient(ca_cert_file=ca, http2_only=True, timeout=60)

        async def fetch(path: str) -> bytes:
            async with slots:
                return (await client.get(url + path)).content

        ids = json.loads(await fetch("/"))[:books]
        return await asyncio.gather(*(fetch(f"/book?id={id}") for id in ids))

    return asyncio.run(crawl())


def pycurl_multi(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with libcurl's multi interface over one HTTP/2 connection."""
    from io import BytesIO

    import pycurl

    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
    multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
    easy_handles = []
    for _ in range(IN_FLIGHT):
        easy = pycurl.Curl()
        easy.setopt(pycurl.CAINFO, ca)
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        easy.setopt(pycurl.PIPEWAIT, 1)
        easy_handles.append(easy)

    def fetch(paths: list[str]) -> list[bytes]:
        buffers = [BytesIO() for _ in paths]
        waiting = list(zip(paths, buffers, strict=True))[::-1]
        idle = list(easy_handles)
        unfinished = len(paths)
        while unfinished:
            while idle and waiting:
                path, buffer = waiting.pop()
                easy = idle.pop()
                easy.setopt(pycurl.URL, url + path)
                easy.setopt(pycurl.WRITEDATA, buffer)
                multi.add_handle(easy)
            multi.perform()
            queued, done, failed = multi.info_read()
            assert not failed, failed
            for easy in done:
                multi.remove_handle(easy)
                idle.append(easy)
            unfinished -= len(done)
            if unfinished and not queued and not (idle and waiting):
                milliseconds = multi.timeout()  # 0 where libcurl holds decrypted bytes, -1 for no limit
                multi.select(1.0 if milliseconds < 0 else milliseconds / 1e3)
        return [buffer.getvalue() for buffer in buffers]

    ids = json.loads(fetch(["/"])[0])[:books]
    return fetch([f"/book?id={id}" for id in ids])


def _under_twisted(url: str, ca: str, number: int, *, kind: str, in_flight: int) -> list[bytes]:
    """Fetch with one of two agents, so many requests at once."""
    import warnings

    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, gatherResults
    from twisted.internet.ssl import Certificate, trustRootFromCertificates
    from twisted.internet.task import Cooperator, react
    from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, readBody

    if kind == "plait":
        from plait.integrations.twisted import Agent  # type: ignore[assignment]

    # Twisted's readBody warns of Twisted's own transport.
    warnings.filterwarnings("ignore", "Using readBody with a transport", DeprecationWarning)
    authority = Certificate.loadPEM(Path(ca).read_bytes())
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = in_flight
    policy = BrowserLikePolicyForHTTPS(trustRootFromCertificates([authority]))
    agent: Any = Agent(reactor, policy, pool=pool)
    books: dict[int, bytes] = {}

    async def fetch(path: str) -> bytes:
        content: bytes = await readBody(await agent.request(b"GET", f"{url}{path}".encode()))
        return content

    async def take(id: int) -> None:
        books[id] = await fetch(f"/book?id={id}")

    async def crawl(_: Any) -> None:
        ids = json.loads(await fetch("/"))[:number]
        jobs = (Deferred.fromCoroutine(take(id)) for id in ids)
        cooperator = Cooperator()
        await gatherResults([cooperator.coiterate(jobs) for _ in range(in_flight)])
        books.update({id: books.pop(id) for id in ids})
        await pool.closeCachedConnections()

    try:
        react(lambda reactor: Deferred.fromCoroutine(crawl(reactor)))
    except SystemExit as end:
        if end.code:
            raise
    return list(books.values())


def plait_agent(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with plait's agent over HTTP/2."""
    return _under_twisted(url, ca, books, kind="plait", in_flight=IN_FLIGHT)


def twisted_agent(url: str, ca: str, books: int) -> list[bytes]:
    """Fetch with Twisted's agent over six connections of HTTP/1.1, as a browser has them."""
    return _under_twisted(url, ca, books, kind="twisted", in_flight=6)


CRAWLERS: dict[str, Callable[[str, str, int], list[bytes]]] = {
    "plait.Client": plait_client,
    "plait.AsyncClient": plait_async_client,
    "pycurl": pycurl_multi,
    "primp": primp_http2,
    "httpx": httpx_http2,
    "httpx2": httpx2_http2,
    "niquests": niquests_multiplexed,
    "aiohttp": aiohttp_http1,
    "requests, serial": requests_serial,
    "requests, 32 threads": requests_threads,
    "httpx over plait": httpx_over_plait,
    "httpx2 over plait": httpx2_over_plait,
    "requests over plait": requests_over_plait,
    "plait's Agent": plait_agent,
    "Twisted's Agent, 6 connections": twisted_agent,
}


def peak_memory() -> float:
    """Return the MiB that this process had in memory, at most."""
    status = Path("/proc/self/status")
    if status.exists():  # the usage that the system tells of a child is at least that of its parent
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / (1 << 10)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << 20 if sys.platform == "darwin" else 1 << 10
    )


def main() -> None:
    """Crawl as one of the crawlers and print what came, and the most memory that it took."""
    name, url, ca, books = sys.argv[1:]
    contents = CRAWLERS[name](url, ca, int(books))
    print(len(contents), hashlib.sha256(b"".join(contents)).hexdigest(), peak_memory())


if __name__ == "__main__":
    main()
