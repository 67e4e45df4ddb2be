"""What ``benchmarks.kill`` serves: responses in pieces, so that a cut can fall between any two."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.kill_clients import expected


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer ``/N`` with what belongs to N, of no length said beforehand."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    content = expected(int(scope["path"][1:]))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for start in range(0, len(content), 900):
        await send({"type": "http.response.body", "body": content[start : start + 900], "more_body": True})
        await asyncio.sleep(0.001)
    await send({"type": "http.response.body", "body": b""})
