"""The agent against real servers, each a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.task import Cooperator
from twisted.web.client import HTTPConnectionPool, readBody
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer
from zope.interface.verify import verifyObject

from plait.integrations.twisted import Agent
from tests.support.reactor import Reader, in_reactor, policy_for, reactor
from tests.support.servers import (
    Certificate,
    RunningServer,
    serve_app,
    serve_bookstore,
    serve_hypercorn,
    serve_nghttpd,
)
from tests.support.tools import require_tool

pytestmark = [
    pytest.mark.usefixtures("reactor_thread"),
    # Twisted's own, of its own transport for HTTP/1.1.
    pytest.mark.filterwarnings("ignore:Using readBody with a transport:DeprecationWarning"),
]

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[RunningServer]:
    with serve_app("interop_app:app", certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def http1_server(certificate: Certificate) -> Iterator[RunningServer]:
    with serve_app("interop_app:app", "--http", "1", certificate=certificate) as running:
        yield running


def make_agent(certificate: Certificate, **options: Any) -> tuple[Agent, HTTPConnectionPool]:
    pool = HTTPConnectionPool(reactor)
    return Agent(reactor, policy_for(certificate.ca), pool=pool, **options), pool


async def fetch(agent: Any, url: str) -> tuple[Any, bytes]:
    response = await agent.request(b"GET", url.encode())
    return response, await readBody(response)


async def fetch_all(agent: Any, urls: list[str]) -> list[tuple[Any, bytes]]:
    return list(await gatherResults([Deferred.fromCoroutine(fetch(agent, url)) for url in urls]))


def test_hypercorn_answers_over_http2(certificate: Certificate) -> None:
    with serve_hypercorn("interop_app:app", certificate=certificate) as running:

        async def calls() -> Any:
            agent, pool = make_agent(certificate)
            answers = await fetch_all(agent, [running.url("/bytes?n=100000")] * 20)
            await pool.closeCachedConnections()
            return answers

        for response, content in in_reactor(calls):
            assert (response.version, len(content)) == ((b"HTTP", 2, 0), 100_000)


def test_nghttpd_answers_over_http2(certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * MEBIBYTE)
    with serve_nghttpd(require_tool("nghttpd"), tmp_path, certificate=certificate) as running:

        async def calls() -> Any:
            agent, pool = make_agent(certificate)
            answers = await fetch_all(agent, [running.url("/large")] * 20)
            missing, _ = await fetch(agent, running.url("/missing"))
            await pool.closeCachedConnections()
            return answers, missing

        answers, missing = in_reactor(calls)
        for response, content in answers:
            assert (response.version, response.length) == ((b"HTTP", 2, 0), MEBIBYTE)
            assert len(content) == MEBIBYTE
        assert missing.code == 404


def test_a_crawl_of_3000_books_takes_one_connection(certificate: Certificate) -> None:
    with serve_bookstore(certificate=certificate) as running:

        async def crawl() -> Any:
            agent, pool = make_agent(certificate)
            _, index = await fetch(agent, running.url("/"))
            books: dict[int, Any] = {}

            async def take(number: int) -> None:
                response, content = await fetch(agent, running.url(f"/book?id={number}"))
                assert response.version == (b"HTTP", 2, 0)
                books[number] = json.loads(content)

            jobs = (Deferred.fromCoroutine(take(n)) for n in json.loads(index))
            cooperator = Cooperator()
            await gatherResults([cooperator.coiterate(jobs) for _ in range(100)])
            links = agent.core.pool.links
            told = len(links), links[0].exchanges
            await pool.closeCachedConnections()
            return books, told

        books, told = in_reactor(crawl)
        assert len(books) == 3000
        assert told == (1, 3001)


def test_forty_bodies_of_a_mebibyte_closed_early_cost_the_connection_nothing(
    server: RunningServer, certificate: Certificate
) -> None:
    async def calls() -> Any:
        agent, pool = make_agent(certificate)
        for _ in range(40):
            response = await agent.request(b"GET", server.url(f"/bytes?n={MEBIBYTE}").encode())
            reader = Reader()
            response.deliverBody(reader)
            transport: Any = reader.transport
            assert verifyObject(ITransport, transport)
            assert verifyObject(IPushProducer, transport)
            assert transport.getPeer().port == server.port
            transport.loseConnection()
            await reader.ended
        response, content = await fetch(agent, server.url(f"/bytes?n={4 * MEBIBYTE}"))
        exchanges = [link.exchanges for link in agent.core.pool.links]
        await pool.closeCachedConnections()
        return response.code, len(content), exchanges

    assert in_reactor(calls) == (200, 4 * MEBIBYTE, [41])


def test_a_server_of_http1_only_is_spoken_to_by_twisteds_own_agent(
    http1_server: RunningServer, certificate: Certificate
) -> None:
    async def calls() -> Any:
        agent, pool = make_agent(certificate)
        pool.maxPersistentPerHost = 6
        answers = await fetch_all(agent, [http1_server.url(f"/{n}") for n in range(6)])
        cached = {key: len(idle) for key, idle in pool._connections.items()}
        again, _ = await fetch(agent, http1_server.url("/again"))
        after = {key: len(idle) for key, idle in pool._connections.items()}
        await pool.closeCachedConnections()
        return [*answers, (again, b'{"path": "/again"}')], cached, after

    answers, cached, after = in_reactor(calls)
    assert [response.version for response, _ in answers] == [(b"HTTP", 1, 1)] * 7
    assert [json.loads(content)["path"] for _, content in answers[:6]] == [f"/{n}" for n in range(6)]
    # As many as requests at once, the first of them the one that asked for HTTP/2; and used again.
    assert cached == after == {(b"https", b"localhost", http1_server.port): 6}


def test_an_http_uri_is_fetched_over_http1(certificate: Certificate) -> None:
    with serve_app("interop_app:app", certificate=None) as running:

        async def calls() -> Any:
            agent, pool = make_agent(certificate)
            answer = await fetch(agent, running.url("/"))
            await pool.closeCachedConnections()
            return answer

        response, _ = in_reactor(calls)
        assert (response.code, response.version) == (200, (b"HTTP", 1, 1))


@pytest.mark.parametrize("kind", ["server", "http1_server"])
def test_endpoints_of_ones_own_carry_both_versions(
    kind: str, certificate: Certificate, request: pytest.FixtureRequest
) -> None:
    running = request.getfixturevalue(kind)
    asked: list[bytes] = []

    @implementer(IAgentEndpointFactory)
    class Endpoints:
        def endpointForURI(self, uri: Any) -> Any:
            asked.append(uri.host)
            creator = policy_for(certificate.ca).creatorForNetloc(b"localhost", 443)
            return wrapClientTLS(creator, HostnameEndpoint(reactor, "127.0.0.1", uri.port))

    async def calls() -> Any:
        pool = HTTPConnectionPool(reactor)
        agent = Agent.usingEndpointFactory(reactor, Endpoints(), pool)
        answer = await fetch(agent, f"https://a.example:{running.port}/")
        await pool.closeCachedConnections()
        return answer

    response, content = in_reactor(calls)
    assert response.version == ((b"HTTP", 2, 0) if kind == "server" else (b"HTTP", 1, 1))
    assert ["host", f"a.example:{running.port}"] in json.loads(content)["headers"]
    assert asked == [b"a.example"]
