"""The ASGI application that clients written elsewhere talk to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

__all__ = ["app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CHUNK = bytes(range(256)) * 64  # 16 KiB


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer by path.

    * ``/`` and anything else: the request as JSON: method, HTTP version, between whom, path, query, fields.
    * ``/digest``: the size and SHA-256 of the request's content, read piece by piece.
    * ``/echo``: the request's content, sent back piece by piece while it arrives.
    * ``/ignored``: an answer that reads nothing of the request.
    * ``/bytes?n=N``: N bytes in pieces of at most 16 KiB.
    * ``/pushing``: a push of ``/bytes?n=5`` to clients that allow it, and an answer.
    * ``/hinting``: an early hint, and an answer.
    """
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    path = scope["path"]
    if path == "/digest":
        await _digest(receive, send)
    elif path == "/echo":
        await _echo(receive, send)
    elif path == "/ignored":
        await _answer(send, b"ignored\n", content_type=b"text/plain")
    elif path == "/bytes":
        await _bytes(int(parse_qs(scope["query_string"].decode())["n"][0]), send)
    elif path == "/pushing":
        if "http.response.push" in scope["extensions"]:
            await send({"type": "http.response.push", "path": "/bytes?n=5", "headers": []})
        await _answer(send, b"pushed\n", content_type=b"text/plain")
    elif path == "/hinting":
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
        await _answer(send, b"hinted\n", content_type=b"text/plain")
    else:
        await _describe(scope, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        message = await receive()
        assert message["type"] == f"lifespan.{phase}"
        await send({"type": f"lifespan.{phase}.complete"})


async def _answer(send: Send, content: bytes, *, content_type: bytes = b"application/json") -> None:
    fields = [(b"content-type", content_type), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def _describe(scope: MutableMapping[str, Any], send: Send) -> None:
    request = {
        "method": scope["method"],
        "http_version": scope["http_version"],
        "scheme": scope["scheme"],
        "client": scope["client"],
        "server": scope["server"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
    }
    await _answer(send, json.dumps(request).encode())


async def _digest(receive: Receive, send: Send) -> None:
    digest = hashlib.sha256()
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        digest.update(message.get("body", b""))
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await _answer(send, json.dumps({"size": size, "sha256": digest.hexdigest()}).encode())


async def _echo(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


async def _bytes(size: int, send: Send) -> None:
    fields = [(b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    while size > len(CHUNK):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        size -= len(CHUNK)
    await send({"type": "http.response.body", "body": CHUNK[:size]})
