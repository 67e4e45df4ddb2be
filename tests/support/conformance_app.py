"""The ASGI application behind the conformance tests; a client that leaves is no failure to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["LARGE", "SMALL", "app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SMALL = b"some bytes of content\n"
LARGE = bytes(range(256)) * 1024  # 256 KiB, more than four default windows


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer by path.

    * ``/``, and anything else: ``SMALL``, without a look at the request's content.
    * ``/echo``: the request's content, sent back once it is whole.
    * ``/large``: ``LARGE``, in pieces of 8 KiB.
    * ``/target``: the target and the ``host`` field, a line each.
    """
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    content = SMALL
    if scope["path"] == "/echo":
        content = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            content += message["body"]
            more = message["more_body"]
    elif scope["path"] == "/large":
        await _large(send)
        return
    elif scope["path"] == "/target":
        content = scope["raw_path"] + b"\n" + dict(scope["headers"]).get(b"host", b"")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": content})


async def _large(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        for start in range(0, len(LARGE), 8192):
            await send({"type": "http.response.body", "body": LARGE[start : start + 8192], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except OSError:
        pass  # the client is gone
