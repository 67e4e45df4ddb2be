"""Priorities (RFC 9218) over a real socket, whose buffers fill, and applications that wait for room."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.serving import Running, h2_client, serving

LARGE = 12_000_000
CHUNK = b"x" * 50_000


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Send as much as the path says, in pieces."""
    if scope["type"] == "lifespan":
        return
    left = int(scope["path"][1:])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while left > 0:
        left -= len(CHUNK)
        await send({"type": "http.response.body", "body": CHUNK, "more_body": left > 0})


async def until_full(running: Running) -> None:
    """Wait until the server can write no more, every buffer on the way being full."""
    async with asyncio.timeout(20):
        while not any(driver.transport.get_write_buffer_size() for driver in running.server._drivers):  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_what_is_urgent_overtakes_what_is_queued_and_waits_for_nobody() -> None:
    async with serving(app) as running, h2_client(running, initial_window_size=1 << 30) as client:
        client.engine.increment_flow_control_window(1 << 30)
        low = [client.request(b"GET", b"/%d" % LARGE, (b"priority", b"u=6")) for _ in range(3)]
        await client.until(lambda: client.messages[low[0]].content)
        await until_full(running)
        urgent = client.request(b"GET", b"/6000000", (b"priority", b"u=0"))

        def arrived() -> int:
            return sum(len(client.messages[stream].content) for stream in low)

        await client.until(lambda: client.messages[urgent].content)
        before = arrived()
        await client.response(urgent)

        # What was in the buffers of both sockets came first; beside it, a frame now and then.
        assert before < 3 * LARGE
        assert len(client.messages[urgent].content) == 6_000_000
        assert arrived() - before < 1_500_000
