"""What the soak asks for, by path: as many bytes as wanted, a sum of what was sent, and nothing at all.

``plait serve benchmarks.soak_app:app``
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["CONTENT", "app"]

#: What every response begins with.
CONTENT = bytes(range(256)) * 1200
PIECE = 65_536

Message = MutableMapping[str, Any]


class Broken(Exception):
    """A response breaks off, as is asked for."""


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer.

    * ``/bytes/N``: so many bytes.
    * ``/sum``: length and CRC of the request's content.
    * ``/never``: nothing, for as long as the client waits.
    * ``/broken``: half a response.
    """
    if scope["type"] != "http":
        return
    _, kind, *rest = scope["path"].split("/")
    start: Message = {"type": "http.response.start", "status": 200, "headers": []}
    if kind == "bytes":
        size = int(rest[0])
        await send({**start, "headers": [(b"content-length", b"%d" % size)]})
        for at in range(0, size, PIECE):
            more = at + PIECE < size
            piece = CONTENT[at : min(size, at + PIECE)]
            await send({"type": "http.response.body", "body": piece, "more_body": more})
        if not size:
            await send({"type": "http.response.body"})
    elif kind == "sum":
        size = crc = 0
        more = True
        while more:
            message = await receive()
            body = message.get("body", b"")
            size, crc, more = size + len(body), zlib.crc32(body, crc), message.get("more_body", False)
        await send(start)
        await send({"type": "http.response.body", "body": b"%d %d" % (size, crc)})
    elif kind == "never":
        while (await receive())["type"] != "http.disconnect":
            pass
    elif kind == "broken":
        await send({**start, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await asyncio.sleep(0.005)  # until that is under way; the server could still answer otherwise
        raise Broken
    else:
        await send({**start, "status": 404})
        await send({"type": "http.response.body"})
