"""treq works on plait's agent, against ``plait serve`` in both versions of HTTP, with the same results."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
import treq
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, gatherResults
from twisted.web.client import HTTPConnectionPool, ResponseNeverReceived

from plait.integrations.twisted import Agent
from tests.support.reactor import in_reactor, policy_for, reactor
from tests.support.servers import Certificate, serve_app

pytestmark = pytest.mark.usefixtures("reactor_thread")


@pytest.fixture(scope="module", params=["2", "1"])
def server(request: pytest.FixtureRequest, certificate: Certificate) -> Iterator[tuple[str, str]]:
    """Serve in one version of HTTP; return it and where."""
    with serve_app("treq_app:app", "--http", request.param, certificate=certificate) as running:
        yield {"2": "2", "1": "1.1"}[request.param], running.url("").rstrip("/")


@pytest.fixture
def fetch(certificate: Certificate) -> Callable[..., Any]:
    """Return what runs a coroutine function with a treq client."""

    def run(work: Callable[[HTTPClient], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            pool = HTTPConnectionPool(reactor)
            client = HTTPClient(Agent(reactor, policy_for(certificate.ca), pool=pool))
            try:
                return await work(client)
            finally:
                await pool.closeCachedConnections()

        return in_reactor(whole)

    return run


def test_get_with_params_and_headers(server: tuple[str, str], fetch: Any) -> None:
    version, url = server

    async def work(client: HTTPClient) -> Any:
        response = await client.get(f"{url}/", params={"a": ["1", "é"]}, headers={"x-custom": "yes"})
        assert response.headers.getRawHeaders("content-type") == ["application/json"]
        return response.code, await response.json()

    code, told = fetch(work)
    assert code == 200
    assert told["http_version"] == version
    assert told["query"] == "a=1&a=%C3%A9"
    assert ["x-custom", "yes"] in told["headers"]


@pytest.mark.parametrize(
    ("options", "content", "content_type"),
    [
        ({"data": b"bytes"}, b"bytes", None),
        ({"json": {"a": 1}}, b'{"a":1}', "application/json"),
        ({"data": {"a": "1", "b": "2"}}, b"a=1&b=2", "application/x-www-form-urlencoded"),
    ],
    ids=["bytes", "json", "form"],
)
def test_post(
    server: tuple[str, str], fetch: Any, options: Any, content: bytes, content_type: str | None
) -> None:
    async def work(client: HTTPClient) -> Any:
        return await (await client.post(f"{server[1]}/content", **options)).json()

    told = fetch(work)
    assert told["sha256"] == sha256(content).hexdigest()
    if content_type is not None:
        assert told["content_type"].startswith(content_type)


def test_post_of_a_file(server: tuple[str, str], fetch: Any) -> None:
    async def work(client: HTTPClient) -> Any:
        return await (await client.post(f"{server[1]}/content", data=BytesIO(b"x" * 300_000))).json()

    assert fetch(work)["sha256"] == sha256(b"x" * 300_000).hexdigest()


def test_post_of_files(server: tuple[str, str], fetch: Any) -> None:
    async def work(client: HTTPClient) -> Any:
        files = {"one": ("one.txt", BytesIO(b"1" * 100_000)), "two": ("two.txt", BytesIO(b"2"))}
        return await (await client.post(f"{server[1]}/content", files=files, data={"a": "b"})).json()

    told = fetch(work)
    assert told["content_type"].startswith("multipart/form-data; boundary=")
    assert told["size"] > 100_000


def test_content_text_and_collect(server: tuple[str, str], fetch: Any) -> None:
    async def work(client: HTTPClient) -> Any:
        pieces: list[bytes] = []
        content = await (await client.get(f"{server[1]}/bytes?n=1000000")).content()
        text = await (await client.get(f"{server[1]}/text")).text()
        await treq.collect(await client.get(f"{server[1]}/bytes?n=1000000"), pieces.append)
        unbuffered = await client.get(f"{server[1]}/bytes?n=1000", unbuffered=True)
        return content, text, b"".join(pieces), await treq.content(unbuffered)

    content, text, collected, unbuffered = fetch(work)
    assert len(content) == 1_000_000
    assert collected == content
    assert unbuffered == content[:1000]
    assert text == "é"


def test_redirects_cookies_and_authentication(server: tuple[str, str], fetch: Any) -> None:
    async def work(client: HTTPClient) -> Any:
        response = await client.get(f"{server[1]}/redirect", cookies={"mine": "1"}, auth=("user", "secret"))
        return [one.code for one in response.history()], response.code, await response.json()

    history, code, told = fetch(work)
    headers = dict(told["headers"])
    assert (history, code) == ([302], 200)
    assert told["path"] == "/elsewhere"
    assert "mine=1" in headers["cookie"]
    assert "given=by-redirect" in headers["cookie"]
    assert headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="


def test_a_compressed_response_is_decoded(server: tuple[str, str], fetch: Any) -> None:
    async def work(client: HTTPClient) -> Any:
        return await (await client.get(f"{server[1]}/compressed")).content()

    assert fetch(work) == b"plain " * 1000


def test_a_timeout_ends_one_request(server: tuple[str, str], fetch: Any) -> None:
    async def work(client: HTTPClient) -> Any:
        patient = client.get(f"{server[1]}/")
        with pytest.raises((ResponseNeverReceived, CancelledError)):
            await client.get(f"{server[1]}/never", timeout=0.2)
        return (await patient).code, (await client.get(f"{server[1]}/")).code

    assert fetch(work) == (200, 200)


def test_a_timeout_ends_the_request_that_found_out_the_version(server: tuple[str, str], fetch: Any) -> None:
    async def work(client: HTTPClient) -> Any:
        with pytest.raises(ResponseNeverReceived):
            await client.get(f"{server[1]}/never", timeout=0.3)
        return (await client.get(f"{server[1]}/")).code

    assert fetch(work) == 200


def test_hundreds_at_once(server: tuple[str, str], fetch: Any) -> None:
    async def work(client: HTTPClient) -> Any:
        responses = await gatherResults([client.get(f"{server[1]}/{n}") for n in range(200)])
        contents = await gatherResults([treq.content(response) for response in responses])
        return [json.loads(content)["path"] for content in contents]

    assert fetch(work) == [f"/{n}" for n in range(200)]
