"""Both clients against servers that were written elsewhere, over TLS."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import plait
from plait.errors import LocalProtocolError
from tests.support.faces import Face
from tests.support.servers import Certificate, RunningServer

Make = Callable[..., Face]

LARGE = bytes(range(256)) * 4096


@pytest.fixture(params=["auto", "1"])
def http(request: pytest.FixtureRequest) -> str:
    """Return the versions of HTTP to offer."""
    version: str = request.param
    return version


@pytest.fixture
def client(
    make_client: Make, hypercorn: RunningServer, certificate: Certificate, http: str
) -> Iterator[Face]:
    """Return a client for Hypercorn, of each kind and over each version of HTTP."""
    with make_client(hypercorn.url(), verify=certificate.ca, http=http) as client:
        yield client


def test_a_request_arrives_as_it_was_made(client: Face, http: str) -> None:
    response = client.get("/path", params={"id": 7, "q": "a b&c", "tag": ["x", "y"]}, headers={"X-One": "1"})
    assert response.status == 200
    assert response.http_version == {"auto": "HTTP/2", "1": "HTTP/1.1"}[http]
    assert response.headers["Content-Type"] == response.headers["content-type"] == "application/json"
    seen = response.json()
    assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/path", "id=7&q=a%20b%26c&tag=x&tag=y")
    assert ["x-one", "1"] in seen["headers"]
    assert 0 < response.elapsed < 20


def test_requests_that_are_done_leave_no_work_for_the_garbage_collector(
    nghttpd: RunningServer, certificate: Certificate
) -> None:
    with plait.Client(nghttpd.url(""), verify=certificate.ca) as client:
        client.get("/small")
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                client.get("/small")
            assert gc.collect() < 100
        finally:
            gc.enable()


def test_content_of_every_kind_arrives(client: Face, tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(LARGE), 10_000):
            yield LARGE[start : start + 10_000]

    (tmp_path / "file").write_bytes(LARGE)
    assert client.post("/echo", content=LARGE).content == LARGE
    assert client.post("/echo", content=pieces()).content == LARGE
    with (tmp_path / "file").open("rb") as file:
        assert client.post("/echo", content=file).content == LARGE
    assert client.post("/echo", content="Käse").text == "Käse"
    assert client.post("/echo", json={"käse": [1, None]}).json() == {"käse": [1, None]}
    assert client.post("/echo", content=b"").content == b""


async def test_content_of_an_asynchronous_iterable_arrives(
    hypercorn: RunningServer, certificate: Certificate, http: str
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 10_000):
            yield LARGE[start : start + 10_000]

    async with plait.AsyncClient(hypercorn.url(), verify=certificate.ca, http=http) as client:
        assert (await client.post("/echo", content=pieces())).content == LARGE


def test_submitted_requests_are_answered_each_with_its_own(client: Face, http: str) -> None:
    pending = [client.submit("GET", f"/{n}") for n in range(200)]
    assert [one.result().json()["path"] for one in pending] == [f"/{n}" for n in range(200)]
    assert client.statistics.connections_opened == (1 if http == "auto" else 6)
    assert client.statistics.exchanges == 200


def test_a_response_is_read_piece_by_piece(client: Face) -> None:
    with client.stream("GET", "/bytes", params={"n": 1_000_000}) as response:
        assert response.status == 200
        pieces = list(response.iter_bytes())
    assert sum(map(len, pieces)) == 1_000_000
    assert len(pieces) > 1


def test_head_has_no_content_and_the_connection_goes_on(client: Face) -> None:
    assert client.request("HEAD", "/").content == b""
    assert client.get("/").status == 200
    assert client.statistics.connections_opened == 1


def test_more_than_10_000_exchanges_with_content_on_one_connection(
    make_client: Make, nghttpd: RunningServer, certificate: Certificate
) -> None:
    with make_client(nghttpd.url(), verify=certificate.ca) as client:
        for _ in range(12):
            pending = [client.submit("GET", "/small") for _ in range(1000)]
            assert {one.result().content for one in pending} == {b"small\n"}
        assert client.statistics.connections_opened == 1


def test_200_responses_of_a_mebibyte_closed_early_leave_a_connection_that_works(
    make_client: Make, nghttpd: RunningServer, certificate: Certificate
) -> None:
    with make_client(nghttpd.url(), verify=certificate.ca) as client:
        for _ in range(200):
            with client.stream("GET", "/large") as response:
                assert response.status == 200
                assert next(iter(response.iter_bytes()))
        assert client.get("/large").content == LARGE
        assert client.statistics.connections_opened == 1


def test_a_tls_context_of_the_callers_is_used(
    make_client: Make, hypercorn: RunningServer, certificate: Certificate
) -> None:
    with make_client(hypercorn.url(), verify=certificate.context()) as client:
        assert client.get("/").http_version == "HTTP/2"


def test_bytes_on_the_wire_are_counted(client: Face, http: str) -> None:
    client.post("/echo", content=LARGE)
    statistics = client.statistics
    assert statistics.bytes_sent is not None
    assert statistics.bytes_received is not None
    assert len(LARGE) < statistics.bytes_sent < 1.1 * len(LARGE)
    assert len(LARGE) < statistics.bytes_received < 1.1 * len(LARGE)


def test_requests_by_number_as_the_hyper_library_has_them(
    nghttpd: RunningServer, certificate: Certificate
) -> None:
    with plait.Client(nghttpd.url(), verify=certificate.ca) as client, client.connection() as connection:
        numbers = [connection.request("GET", "/small") for _ in range(100)]
        assert numbers == list(range(1, 200, 2))
        assert [connection.get_response(number).content for number in numbers] == [b"small\n"] * 100
        with pytest.raises(LocalProtocolError, match="stream 1"):
            connection.get_response(1)


async def test_requests_by_number_with_asyncio(nghttpd: RunningServer, certificate: Certificate) -> None:
    async with (
        plait.AsyncClient(nghttpd.url(), verify=certificate.ca) as client,
        client.connection() as connection,
    ):
        numbers = [connection.request("GET", "/small") for _ in range(100)]
        assert [(await connection.get_response(number)).content for number in numbers] == [b"small\n"] * 100


async def test_cancelling_a_task_gives_its_request_up_and_no_other(
    plait_server: RunningServer, certificate: Certificate
) -> None:
    async with plait.AsyncClient(plait_server.url(), verify=certificate.ca) as client:
        endless = asyncio.create_task(client.post("/digest", content=_never()))
        assert (await client.get("/")).status == 200
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        assert (await client.get("/")).status == 200
        assert client.statistics.connections_opened == 1


async def test_content_that_takes_longer_to_make_than_a_server_may_be_silent(
    hypercorn: RunningServer, certificate: Certificate
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"slow"
        await asyncio.sleep(0.3)  # time is what is tested
        yield b"ly"

    async with plait.AsyncClient(hypercorn.url(), verify=certificate.ca, read_timeout=0.2) as client:
        assert (await client.post("/echo", content=pieces())).content == b"slowly"


def test_the_blocking_client_takes_no_asynchronous_content() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b""

    with plait.Client() as client, pytest.raises(LocalProtocolError, match="AsyncClient"):
        client.post("https://localhost/", content=pieces())


def test_8_threads_share_one_connection_while_a_timeout_of_a_ninth_spares_them(
    plait_server: RunningServer, certificate: Certificate
) -> None:
    with plait.Client(plait_server.url(), verify=certificate.ca) as client:
        assert _crawl_in_threads(client, client.post, "/digest", content=_never(), timeout=0.2)
        assert client.statistics.connections_opened == 1


def _crawl_in_threads(
    client: plait.Client, ninth: Callable[..., object], *arguments: str, **options: Any
) -> bool:
    """Send 300 requests from each of 8 threads, and one that must end in a timeout from a ninth."""

    def crawl(thread: int) -> list[str]:
        return [client.get(f"/{thread}/{n}").json()["path"] for n in range(300)]

    client.get("/")
    with ThreadPoolExecutor(9) as threads:
        late = threads.submit(ninth, *arguments, **options)
        crawls = [threads.submit(crawl, thread) for thread in range(8)]
        with pytest.raises(TimeoutError):
            late.result()
        return [one.result() for one in crawls] == [[f"/{t}/{n}" for n in range(300)] for t in range(8)]


def _never() -> Iterator[bytes]:
    """Yield content without end."""
    while True:
        yield bytes(1000)


def test_100_threads_on_one_client(nghttpd: RunningServer, certificate: Certificate) -> None:
    with plait.Client(nghttpd.url(), verify=certificate.ca) as client:
        with ThreadPoolExecutor(100) as threads:
            results = [threads.submit(client.get, "/small") for _ in range(1000)]
            assert {one.result().content for one in results} == {b"small\n"}
        assert client.statistics.connections_opened == 1


def test_six_connections_of_http1_serve_many_threads(
    hypercorn: RunningServer, certificate: Certificate
) -> None:
    with plait.Client(hypercorn.url(), verify=certificate.ca, http="1") as client:
        with ThreadPoolExecutor(30) as threads:
            results = [threads.submit(client.get, f"/{n}") for n in range(300)]
            assert [one.result().json()["path"] for one in results] == [f"/{n}" for n in range(300)]
        assert client.statistics.connections_opened <= 6
