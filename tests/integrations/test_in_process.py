"""Applications that a client of each kind reaches without sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

import plait
from plait.errors import ConfigError, ConnectTimeout, ExchangeError, PlaitError
from tests.support.faces import AsyncFace, Face
from tests.support.session_app import app as session_app

MIB = 1 << 20


@pytest.fixture(params=["Client", "AsyncClient"])
def make_client(request: pytest.FixtureRequest) -> Callable[..., Face]:
    """Return what makes a client, of each kind in turn."""
    kinds: dict[str, Callable[..., Face]] = {"Client": plait.Client, "AsyncClient": AsyncFace}
    return kinds[request.param]


@pytest.fixture(params=["auto", "1"])
def client(make_client: Callable[..., Face], request: pytest.FixtureRequest) -> Iterator[Face]:
    """Return a client for an application, of each kind and over each version of HTTP."""
    transport = plait.AppTransport(session_app, http=request.param)
    with make_client("https://app.example", transport=transport, follow_redirects=True) as client:
        yield client


def test_an_application_is_called_as_over_a_network(client: Face) -> None:
    response = client.post("/a%20b", params={"c": "d"}, content=b"content")
    seen = response.json()
    assert (seen["method"], seen["scheme"], seen["path"], seen["query"]) == ("POST", "https", "/a b", "c=d")
    assert (seen["headers"]["host"], seen["content"]) == ("app.example", "content")
    assert response.headers["date"]


def test_sessions_work(client: Face) -> None:
    client.get("/set", params={"cookie": "a=1; Secure"})
    seen = client.get("/to", params={"status": 302, "location": "/there"}).json()
    assert (seen["path"], seen["headers"]["cookie"]) == ("/there", "a=1")
    assert "Bücher" in client.get("/coded?as=gzip").text


def test_many_requests_and_large_content_go_through(client: Face) -> None:
    pending = [client.submit("GET", f"/{n}") for n in range(300)]
    assert [one.result().json()["path"] for one in pending] == [f"/{n}" for n in range(300)]
    content = bytes(range(128)) * (8 * MIB // 128)
    assert client.post("/", content=content).json()["content"] == content.decode()
    assert client.post("/", content=iter([content, content])).json()["content"] == content.decode() * 2
    assert client.statistics.exchanges == 302


def test_many_threads_share_an_application() -> None:
    transport = plait.AppTransport(session_app)
    with (
        plait.Client("https://app.example", transport=transport) as client,
        ThreadPoolExecutor(16) as threads,
    ):
        paths = threads.map(lambda n: client.get(f"/{n}").json()["path"], range(400))
        assert list(paths) == [f"/{n}" for n in range(400)]
        assert client.statistics.connections_opened == 1


def starlette() -> tuple[Starlette, list[str]]:
    life: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        life.append("up")
        yield
        life.append("down")

    async def fail(request: Request) -> PlainTextResponse:
        raise ZeroDivisionError(request.url.path)

    async def endless(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"piece\n"
                    await asyncio.sleep(0)
            finally:
                life.append("left")

        return StreamingResponse(pieces())

    routes = [Route("/fail", fail), Route("/endless", endless)]
    return Starlette(routes=routes, lifespan=lifespan), life


def test_an_application_starts_and_stops_with_the_client(make_client: Callable[..., Face]) -> None:
    app, life = starlette()
    with make_client("http://app.example", transport=plait.AppTransport(app)) as client:
        assert life == []
        assert client.get("/").status == 404
        assert client.get("/").status == 404
        assert life == ["up"]
    assert life == ["up", "down"]


def test_what_an_application_raises_the_client_raises(make_client: Callable[..., Face]) -> None:
    app, _ = starlette()
    for http in ("2", "1"):
        with make_client("http://app.example", transport=plait.AppTransport(app, http=http)) as client:
            for _ in range(2):
                with pytest.raises(ZeroDivisionError, match="/fail"):
                    client.get("/fail")
            with pytest.raises(ZeroDivisionError), client.stream("GET", "/fail"):
                pass
            assert client.get("/").status == 404


def test_or_it_is_answered_with_500(
    make_client: Callable[..., Face], caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = starlette()
    transport = plait.AppTransport(app, raise_app_errors=False)
    with make_client("http://app.example", transport=transport) as client:
        assert client.get("/fail").status == 500
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_response_without_end_is_read_and_left(make_client: Callable[..., Face]) -> None:
    app, life = starlette()
    with make_client("http://app.example", transport=plait.AppTransport(app)) as client:
        with client.stream("GET", "/endless") as response:
            lines = response.iter_lines()
            assert [next(lines) for _ in range(1000)] == ["piece"] * 1000
        assert client.get("/").status == 404
    assert sorted(life) == ["down", "left", "up"]


def test_a_wsgi_application_is_called_too(make_client: Callable[..., Face]) -> None:
    app = flask.Flask("shop")

    @app.post("/echo")
    def echo() -> bytes:
        return flask.request.get_data()

    @app.get("/fail")
    def fail() -> str:
        raise ZeroDivisionError

    app.testing = True  # it answers exceptions itself otherwise
    with make_client("https://shop.example", transport=plait.AppTransport(app)) as client:
        content = bytes(3 * MIB)
        assert client.post("/echo", content=content).content == content
        with pytest.raises(ZeroDivisionError):
            client.get("/fail")


def test_an_application_is_mounted_where_it_is_told(
    make_client: Callable[..., Face],
) -> None:
    one, other = plait.AppTransport(session_app), plait.AppTransport(starlette()[0])
    mounts = {"https://one.example": one, "https://other.example:8443/": other}
    with make_client(mounts=mounts, follow_redirects=True) as client:
        assert client.get("https://one.example/").status == 200
        assert client.get("https://other.example:8443/").status == 404
        to = {"status": 302, "location": "https://other.example:8443/"}
        assert client.get("https://one.example/to", params=to).status == 404
        with pytest.raises(PlaitError, match="cannot connect"):
            client.get("http://127.0.0.1:1/")


async def no_start(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def slow_start(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    await asyncio.sleep(60)


def test_an_application_that_does_not_start_is_told(make_client: Callable[..., Face]) -> None:
    with make_client("https://a.example", transport=plait.AppTransport(no_start)) as client:
        for _ in range(2):
            with pytest.raises(PlaitError, match="no database"):
                client.get("/")
    transport = plait.AppTransport(slow_start, grace=0.1)
    with (
        make_client("https://a.example", transport=transport, connect_timeout=0.1) as client,
        pytest.raises(ConnectTimeout),
    ):
        client.get("/")


def test_an_application_that_breaks_off_breaks_off(make_client: Callable[..., Face]) -> None:
    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"some", "more_body": True})

    with (
        make_client("https://a.example", transport=plait.AppTransport(app)) as client,
        pytest.raises(ExchangeError),
    ):
        client.get("/")


def test_what_is_no_application_is_refused(make_client: Callable[..., Face]) -> None:
    with pytest.raises(ConfigError, match="there is no option"):
        plait.AppTransport(session_app, nonsense=1)
    with pytest.raises(ConfigError, match=r"a transport is a plait\.AppTransport, not function"):
        make_client("https://a.example", transport=session_app)
    with (
        make_client("https://a.example", transport=plait.AppTransport(7)) as client,
        pytest.raises(ConfigError),
    ):
        client.get("/")
