"""requests and httpx talk to plait."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator

import httpx
import pytest
import requests

from tests.support.servers import Certificate, RunningServer

CONTENT = b"0123456789abcdef" * 200_000  # 3.2 MB


@pytest.fixture
def session(certificate: Certificate) -> Iterator[requests.Session]:
    """Return a session of requests that trusts the local authority."""
    with requests.Session() as session:
        session.verify = str(certificate.ca)
        session.trust_env = False
        yield session


@pytest.fixture(params=[True, False], ids=["HTTP/2", "HTTP/1.1"])
def http2(request: pytest.FixtureRequest) -> bool:
    """Say whether httpx speaks HTTP/2."""
    return bool(request.param)


def test_requests_reuses_one_connection(session: requests.Session, server: RunningServer) -> None:
    for number in range(100):
        answer = session.get(server.url("/"), params={"n": number})
        assert answer.status_code == 200
        assert answer.json()["query"] == f"n={number}"
        assert answer.json()["http_version"] == "1.1"

    pools = session.adapters["https://"].poolmanager.pools
    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118  (not a mapping)


def test_requests_uploads_with_a_length_and_in_chunks(
    session: requests.Session, server: RunningServer
) -> None:
    digest = {"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}

    assert session.post(server.url("/digest"), data=CONTENT).json() == digest
    pieces = (CONTENT[start : start + 10_000] for start in range(0, len(CONTENT), 10_000))
    assert session.post(server.url("/digest"), data=pieces).json() == digest


def test_requests_head_leaves_the_connection_usable(session: requests.Session, server: RunningServer) -> None:
    head = session.head(server.url("/bytes?n=1000"))

    assert (head.headers["content-length"], head.content) == ("1000", b"")
    assert len(session.get(server.url("/bytes?n=1000")).content) == 1000


def test_httpx_gets_many_answers_in_one_session(
    server: RunningServer, certificate: Certificate, http2: bool
) -> None:
    count = 1000 if http2 else 200  # httpx itself takes ever longer for each where they wait for a connection

    async def fetch_all() -> list[httpx.Response]:
        context = certificate.context()
        async with httpx.AsyncClient(http2=http2, verify=context, trust_env=False, timeout=60) as client:
            return await asyncio.gather(*(client.get(server.url(f"/?n={number}")) for number in range(count)))

    answers = asyncio.run(fetch_all())

    assert {answer.http_version for answer in answers} == {"HTTP/2" if http2 else "HTTP/1.1"}
    assert [answer.json()["query"] for answer in answers] == [f"n={number}" for number in range(count)]


def test_httpx_uploads_and_gets_the_same_content_back(
    server: RunningServer, certificate: Certificate, http2: bool
) -> None:
    with httpx.Client(http2=http2, verify=certificate.context(), trust_env=False) as client:
        answer = client.post(server.url("/echo"), content=CONTENT)

    assert answer.content == CONTENT


def test_httpx_streams_and_stops_early(server: RunningServer, certificate: Certificate, http2: bool) -> None:
    with httpx.Client(http2=http2, verify=certificate.context(), trust_env=False, timeout=10) as client:
        # Few over HTTP/2: httpx itself never gives back the window of what it does not read (16 MiB).
        for _ in range(10):
            with client.stream("GET", server.url("/bytes?n=1000000")) as answer:
                assert len(next(answer.iter_raw(1000))) == 1000
        assert client.get(server.url("/bytes?n=3")).content == b"\x00\x01\x02"
