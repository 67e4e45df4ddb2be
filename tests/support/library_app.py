"""The ASGI application that other libraries fetch from, on plait and on their own."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import brotli

from tests.support import session_app

__all__ = ["TEXT", "app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TEXT = "".join(f"line {number}: Bücher\n" for number in range(2000)).encode()
CODED = {"gzip": gzip.compress(TEXT), "deflate": zlib.compress(TEXT), "br": brotli.compress(TEXT)}


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer by path.

    * ``/repeated``: fields of the same names, several times.
    * ``/coded?as=C``: ``TEXT`` in the coding gzip, deflate or br; ``as=wrong`` is called gzip and is not.
    * ``/lines``: ``TEXT`` piece by piece, its length not announced.
    * ``/bytes?n=N``: so many bytes, announced.
    * ``/broken?announced=N``: ten bytes, and then the end of the connection or of the stream; N of them were
      announced, or none where N is 0.
    * ``/silent``: nothing, ever.
    * ``/stuck``: a head and ten bytes, and nothing more.
    * ``/upload``: the request, with its content's length and without fields about the connection.
    * anything else: what ``session_app`` says.
    """
    if scope["type"] == "lifespan":
        await session_app.app(scope, receive, send)
        return
    query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    path = scope["path"]
    if path == "/repeated":
        pairs = [
            (b"x-a", b"1"),
            (b"x-b", b"2"),
            (b"x-a", b"3"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
        ]
        await _answer(send, b"repeated", *pairs)
    elif path == "/coded":
        coding, content = query["as"], b"this is no gzip"
        if coding != "wrong":
            content = CODED[coding]
        name = b"gzip" if coding == "wrong" else coding.encode()
        await _answer(
            send, content, (b"content-encoding", name), (b"content-type", b"text/plain; charset=utf-8")
        )
    elif path == "/lines":
        await _start(send, (b"content-type", b"text/plain; charset=utf-8"))
        for at in range(0, len(TEXT), 5000):
            await _more(send, TEXT[at : at + 5000])
        await send({"type": "http.response.body", "body": b""})
    elif path == "/bytes":
        await _answer(send, bytes(int(query["n"])))
    elif path == "/broken":
        announced = query["announced"].encode()
        await _start(send, *([(b"content-length", announced)] if announced != b"0" else []))
        await _more(send, bytes(10))
        for _ in range(10):
            await asyncio.sleep(0)  # what was sent is to leave, and no reset to overtake it
        raise ConnectionError("broken off, as it was told")
    elif path == "/silent":
        await _wait(receive)
    elif path == "/stuck":
        await _start(send, (b"content-length", b"100"))
        await _more(send, bytes(10))
        await _wait(receive)
    elif path == "/upload":
        await _upload(scope, receive, send)
    else:
        await session_app.app(scope, receive, send)


async def _upload(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    size = 0
    more = True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    # Some is about the connection, which is everybody's own affair.
    headers = [
        (name.decode(), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name not in (b"connection", b"transfer-encoding")
    ]
    told = {"method": scope["method"], "path": scope["raw_path"].decode(), "headers": headers, "size": size}
    await _answer(send, json.dumps(told).encode(), (b"content-type", b"application/json"))


async def _start(send: Send, *fields: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(fields)})


async def _more(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _answer(send: Send, content: bytes, *fields: tuple[bytes, bytes]) -> None:
    await _start(send, *fields, (b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.body", "body": content})


async def _wait(receive: Receive) -> None:
    """Wait until the client has gone."""
    async with asyncio.timeout(20):
        while (await receive())["type"] != "http.disconnect":
            pass
