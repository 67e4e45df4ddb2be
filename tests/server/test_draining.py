"""A server that stops loses no request that is on its way to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plait.server.server import Phase
from tests.support.servers import Certificate
from tests.support.serving import Running, h1_client, h2_client, serving

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


async def ok(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def stopping(running: Running) -> None:
    """Tell a server to stop, and wait until it has begun to."""
    running.server.stop()
    while running.server.phase is not Phase.DRAINING:  # noqa: ASYNC110  # it happens in this loop
        await asyncio.sleep(0)


@pytest.mark.parametrize("secure", [True, False])
async def test_the_first_request_of_a_connection_made_before_is_answered(
    certificate: Certificate, secure: bool
) -> None:
    async with serving(ok, certificate=certificate if secure else None) as running, h1_client(running) as h1:
        await stopping(running)
        h1.writer.write(GET)
        answer = await h1.rest()
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"connection: close" in answer
        assert answer.endswith(b"ok")


@pytest.mark.parametrize("secure", [True, False])
async def test_a_request_that_races_the_stop_on_a_connection_kept_alive_is_answered(
    certificate: Certificate, secure: bool
) -> None:
    async with serving(ok, certificate=certificate if secure else None) as running, h1_client(running) as h1:
        h1.writer.write(GET)
        assert b"connection: close" not in await h1.head()
        await h1.reader.readexactly(2)
        await stopping(running)
        h1.writer.write(GET)
        answer = await h1.rest()
        assert b"connection: close" in answer
        assert answer.endswith(b"ok")


async def test_requests_pipelined_before_the_stop_are_all_answered() -> None:
    async with serving(ok) as running, h1_client(running) as h1:
        await stopping(running)
        h1.writer.write(GET * 5)
        assert (await h1.rest()).count(b"HTTP/1.1 200 OK") == 5


@pytest.mark.parametrize("secure", [True, False])
async def test_requests_that_race_the_notice_over_http_2_are_answered(
    certificate: Certificate, secure: bool
) -> None:
    secured = certificate if secure else None
    async with serving(ok, certificate=secured) as running, h2_client(running) as client:
        await client.response(client.request())
        await stopping(running)
        streams = [client.request() for _ in range(20)]
        for stream in streams:
            assert (await client.response(stream)).content == b"ok"
        await client.until(lambda: client.goaways)


async def test_a_connection_without_a_request_ends_in_a_moment() -> None:
    async with serving(ok, grace=600) as running, h1_client(running) as idle:
        await stopping(running)
        assert await idle.rest() == b""


async def test_nobody_new_is_let_in() -> None:
    async with serving(ok) as running, h1_client(running):
        await stopping(running)
        with pytest.raises(ConnectionRefusedError):
            await running.connect()
