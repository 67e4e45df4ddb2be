"""ASGI's lifespan where it goes wrong; what goes right is in ``test_serving.py``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from plait.errors import PlaitError
from tests.support.serving import h2_client, serving

Scope = dict[str, Any]
STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


async def ok(scope: Scope, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(sorted(scope["state"])).encode()})


async def test_an_application_that_hangs_while_stopping_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTED)
        await receive()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(app, grace=0.05):
        pass
    assert cancelled.is_set()
    assert "failed to stop: it took more than 0.05 seconds" in caplog.text


async def test_an_application_that_raises_after_its_start_is_logged_and_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await ok(scope, receive, send)
            return
        await receive()
        await send(STARTED)
        await go.wait()
        raise ValueError("lost the database")

    async with serving(app) as running, h2_client(running) as client:
        go.set()
        assert (await client.response(client.request())).status == 200
    assert "lost the database" in caplog.text


async def test_an_application_that_exits_while_it_starts_fails_to_start() -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        sys.exit(4)

    with pytest.raises(PlaitError, match="the application failed to start: SystemExit: 4"):
        async with serving(app):
            pass


@pytest.mark.parametrize("waits", [False, True])
async def test_an_application_that_exits_in_a_request_ends_that_request_only(waits: bool) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        if scope["path"] == "/exit":
            if waits:
                await asyncio.sleep(0)
            sys.exit(3)
        await ok(scope, receive, send)

    async with serving(app) as running, h2_client(running) as client:
        assert (await client.response(client.request(b"GET", b"/exit"))).status == 500
        assert (await client.response(client.request())).status == 200


async def test_an_application_without_lifespan_is_served_with_an_empty_state() -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await ok(scope, receive, send)

    async with serving(app) as running, h2_client(running) as client:
        assert (await client.response(client.request())).content == b"[]"


async def test_the_state_of_a_request_is_a_shallow_copy() -> None:
    shared: list[int] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["shared"] = shared
            await send(STARTED)
            await receive()
            assert sorted(scope["state"]) == ["shared"]
            await send(STOPPED)
            return
        assert scope["state"]["shared"] is shared
        scope["state"]["own"] = 1
        await ok(scope, receive, send)

    async with serving(app) as running, h2_client(running) as client:
        for _ in range(2):
            assert (await client.response(client.request())).content == b"['own', 'shared']"


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([STOPPED], "came when the application is starting"),
        ([{"type": "lifespan.shutdown.failed"}], "came when the application is starting"),
    ],
)
async def test_an_answer_in_the_wrong_phase_is_refused(messages: list[Any], says: str) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            await send(message)

    with pytest.raises(PlaitError, match=says):
        async with serving(app):
            pass


async def test_starting_twice_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTED)
        await send(STARTED)

    async with serving(app):
        pass
    assert "came when the application is started" in caplog.text
