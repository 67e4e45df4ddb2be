"""What one process may hold of content in memory, both ways."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.serving import Running, h1_client, h2_client, serving

SECONDS = 20.0
#: Bytes: the limit, and content that is more than fits into all buffers of one connection.
LIMIT, MUCH = 1 << 20, 8 << 20
GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
BUSY, FINE = b"HTTP/1.1 503 ", b"HTTP/1.1 200 "


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server look more often than once a second."""
    monkeypatch.setattr("plait.server.server._TICK", 0.02)


class Site:
    """An application that reads no content until it is let."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        size = 0
        if scope["method"] == "POST":
            await self.go.wait()
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                size += len(message["body"])
                more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        content = bytes(MUCH) if scope["path"] == "/much" else b"%d" % size
        for start in range(0, len(content), 16384):
            await send(
                {"type": "http.response.body", "body": content[start : start + 16384], "more_body": True}
            )
        await send({"type": "http.response.body"})


async def answers(running: Running, status: bytes) -> None:
    """Ask until the status is this one."""
    async with asyncio.timeout(SECONDS):
        while True:
            async with h1_client(running) as client:
                client.writer.write(GET)
                if (await client.head()).startswith(status):
                    return
            await asyncio.sleep(0.02)


def held(running: Running) -> int:
    return sum(driver.buffered() for driver in running.server._drivers)


async def test_beyond_the_limit_new_requests_get_503_and_uploads_wait_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    windows = {"stream_window": LIMIT, "max_stream_window": LIMIT}
    async with serving(site, max_buffered=LIMIT, **windows) as running, h2_client(running) as uploader:
        await answers(running, FINE)
        await uploader.until(lambda: uploader.engine.outbound_flow_control_window > 6 * LIMIT)
        streams = [uploader.request(b"POST", content=bytes(200_000), end_stream=False) for _ in range(6)]
        await answers(running, BUSY)
        before = held(running)
        assert before > LIMIT
        for stream in streams:  # this connection holds most, and so it is not read from
            uploader.send(stream, bytes(800_000), end_stream=True)
        await asyncio.sleep(0.3)
        assert held(running) == before
        site.go.set()
        for stream in streams:
            assert (await uploader.response(stream)).content == b"1000000"
        await answers(running, FINE)
    assert "new requests get 503 until it is less" in caplog.text


async def test_responses_that_nobody_takes_count_as_well() -> None:
    async with serving(Site(), max_buffered=LIMIT) as running:
        async with AsyncExitStack() as stack:
            for _ in range(6):
                slow = await stack.enter_async_context(h1_client(running))
                slow.writer.write(GET.replace(b"/ ", b"/much ", 1))
                await slow.head()
                slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await answers(running, BUSY)
        await answers(running, FINE)
