"""The ASGI application that WebSocket clients written elsewhere talk to."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PAGE = b"<!doctype html><title>WebSocket</title><link rel=icon href=data:,><p>ready"


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer a page, say on a WebSocket how it came, and echo until it is told to close."""
    if scope["type"] == "lifespan":
        raise NotImplementedError("no lifespan")
    if scope["type"] == "http":
        fields = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": PAGE})
        return
    await receive()
    if scope["path"] == "/denied":
        await send({"type": "websocket.close"})
        return
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[-1] if offered else None})
    how = {"version": scope["http_version"], "scheme": scope["scheme"], "client": scope["client"][1]}
    await send({"type": "websocket.send", "text": json.dumps(how)})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4000, "reason": "as you wish"})
        else:
            await send({**message, "type": "websocket.send"})
