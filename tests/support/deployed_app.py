"""The application behind the proxies of deploy/: interop_app.py, with WebSockets and a slow stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tests.support import interop_app

__all__ = ["app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

go = asyncio.Event()


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer by path.

    * ``/wait``: one line at once, and another when ``/go`` was asked for.
    * ``/go``: that.
    * anything else: as ``interop_app`` does.
    * a WebSocket: how it came, as JSON, then its messages back.
    """
    if scope["type"] == "websocket":
        await _talk(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == "/wait":
        go.clear()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first\n", "more_body": True})
        await go.wait()
        await send({"type": "http.response.body", "body": b"second\n"})
    elif scope["type"] == "http" and scope["path"] == "/go":
        go.set()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
    else:
        await interop_app.app(scope, receive, send)


async def _talk(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    how = {name: scope[name] for name in ("http_version", "scheme", "client")}
    await send({"type": "websocket.send", "text": json.dumps(how)})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
