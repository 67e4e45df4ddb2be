"""Clients that leave, in every manner that TCP has: nothing is left behind, and nothing is logged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.serving import h1_client, serving

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Waiting:
    """Answers nobody before it is told to, and notes who left."""

    def __init__(self) -> None:
        self.left = 0
        self.running = 0
        self.answer = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        self.running += 1
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left += 1
        await self.answer.wait()
        self.running -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the answer"})


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


async def test_an_application_that_waits_for_it_learns_that_its_client_has_closed() -> None:
    """It may be half of the connection only: an answer still gets through."""
    app = Waiting()
    async with serving(app) as running, h1_client(running) as h1:
        h1.writer.write(GET)
        h1.writer.write_eof()
        await until(lambda: app.left)
        app.answer.set()
        assert (await h1.rest()).endswith(b"the answer")


async def test_an_application_may_return_once_it_knows_that_its_client_has_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(app) as running, h1_client(running) as h1:
        h1.writer.write(GET)
        h1.writer.write_eof()
        assert (await h1.rest()).startswith(b"HTTP/1.1 500 ")
    assert caplog.records == []


async def test_a_task_that_outlives_a_failure_learns_of_the_end() -> None:
    told: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def wait() -> None:
            told.extend([(await receive())["type"], (await receive())["type"]])

        if scope["type"] == "http":
            tasks.append(asyncio.create_task(wait()))
            await asyncio.sleep(0)
        raise RuntimeError("no good")

    async with serving(app) as running, h1_client(running) as h1:
        h1.writer.write(GET)
        assert (await h1.head()).startswith(b"HTTP/1.1 500 ")
        async with asyncio.timeout(20):
            await tasks[0]
    assert told == ["http.request", "http.disconnect"]


async def test_a_client_that_has_gone_altogether_leaves_nothing_behind() -> None:
    app = Waiting()
    app.answer.set()
    async with serving(app) as running:
        for _ in range(20):
            async with h1_client(running) as h1:
                h1.writer.write(GET)
        await until(lambda: app.left == 20 and not running.server._drivers)
        assert app.running == 0


@pytest.mark.parametrize("pieces", [1, 2, 100])
async def test_who_is_gone_before_the_end_of_a_response_is_no_news(
    pieces: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The system tells of it only when bytes were sent, and in another manner at every step."""
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    ended = 0

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal ended
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(pieces):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
                await asyncio.sleep(0.01)
            raise ConnectionAbortedError("so the response is broken off")
        finally:
            ended += 1

    async with serving(app) as running:
        for _ in range(5):
            async with h1_client(running) as h1:
                h1.writer.write(GET)
        await until(lambda: ended == 5 and not running.server._drivers)
    assert problems == []
    assert [record for record in caplog.records if record.name == "asyncio"] == []
