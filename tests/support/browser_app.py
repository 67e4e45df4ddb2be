"""The ASGI application that a browser opens for what it does with hints, pushes and priorities."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

__all__ = ["IMAGES", "SIZE", "app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

IMAGES = 12
CHUNK = 50_000
SIZE = 40 * CHUNK  # two megabytes, much more than what the system has room for

IMAGE = (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">', b"</svg>")
HEAD = "<!doctype html><title>page</title><link rel=icon href=data:,>"
HINTED = HEAD + "<link rel=stylesheet href=/style.css?page={name}><p>{state}"
PUSHING = HEAD + "<p>{state}"
#: The images are known, and asked for, before what is more urgent.
ORDERED = (
    HEAD
    + "".join(f"<img src=/large/image-{number} width=9 height=9>" for number in range(IMAGES))
    + "<link rel=stylesheet href=/large/style fetchpriority=high>"
    + "<script src=/large/script fetchpriority=high></script><p>all"
)


class Gate:
    """Holds responses back until all the requests for them are here."""

    def __init__(self, count: int) -> None:
        self.missing = count
        self.open = asyncio.Event()

    async def enter(self) -> None:
        """Wait for the others."""
        self.missing -= 1
        if self.missing == 0:
            self.open.set()
        await self.open.wait()


class Site:
    """What is known between requests.

    Attributes:
        styles: Whose style sheet was asked for, by the name of its page.
        gate: Where the large responses meet.
        log: The large responses, in the order in which they were handed over, with their priority and how
            much of images had been until then, in bytes.
        handed_over: How much of images has been.
    """

    def __init__(self) -> None:
        self.styles: dict[str, asyncio.Event] = {}
        self.gate = Gate(IMAGES + 2)
        self.log: list[tuple[str, str, int]] = []
        self.handed_over = 0


site = Site()


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer by path.

    * ``/hinted?page=NAME&patience=SECONDS``: early hints of a style sheet, then a page that says whether it
      was asked for while the page was not there yet.
    * ``/style.css?page=NAME``: that style sheet.
    * ``/pushing``: a page that says whether the client takes pushes, which are made if it does.
    * ``/ordered``: a page of images, a style sheet and a script below ``/large``.
    * ``/large/NAME``: two megabytes, once all of that page's are asked for.
    * ``/log``: what ``Site.log`` is then.
    """
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    path, query = scope["path"], parse_qs(scope["query_string"].decode())
    if path == "/hinted":
        await hinted(query["page"][0], float(query["patience"][0]), send)
    elif path == "/style.css":
        style = site.styles.get(query["page"][0])
        if style is not None:
            style.set()
        await answer(send, b"body { color: rgb(1, 2, 3) }", b"text/css", (b"cache-control", b"max-age=60"))
    elif path == "/pushing":
        await pushing(scope, send)
    elif path == "/ordered":
        await answer(send, ORDERED.encode(), b"text/html")
    elif path.startswith("/large/"):
        await large(scope, path.removeprefix("/large/"), send)
    elif path == "/log":
        await answer(send, json.dumps(site.log).encode(), b"application/json")
    else:
        await answer(send, b"nothing", b"text/plain")


async def answer(send: Send, content: bytes, kind: bytes, *more: tuple[bytes, bytes]) -> None:
    fields = [(b"content-type", kind), *more]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def hinted(name: str, patience: float, send: Send) -> None:
    style = site.styles[name] = asyncio.Event()
    link = f"</style.css?page={name}>; rel=preload; as=style".encode()
    await send({"type": "http.response.early_hint", "links": [link]})
    try:
        async with asyncio.timeout(patience):
            await style.wait()
        state = "hinted"
    except TimeoutError:
        state = "not hinted"
    await answer(send, HINTED.format(name=name, state=state).encode(), b"text/html")


async def pushing(scope: MutableMapping[str, Any], send: Send) -> None:
    offered = "http.response.push" in scope["extensions"]
    if offered:
        await send({"type": "http.response.push", "path": "/style.css?page=pushed", "headers": []})
    await answer(send, PUSHING.format(state="pushed" if offered else "not pushed").encode(), b"text/html")


async def large(scope: MutableMapping[str, Any], name: str, send: Send) -> None:
    await site.gate.enter()
    kind = {"style": b"text/css", "script": b"text/javascript"}.get(name, b"image/svg+xml")
    fields = [(b"content-type", kind), (b"content-length", b"%d" % SIZE)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    # Spaces are a style sheet, a script, and most of an image.
    start, end = (b"", b"") if kind.startswith(b"text/") else IMAGE
    content = start + b" " * (SIZE - len(start + end)) + end
    for place in range(0, SIZE, CHUNK):
        piece = content[place : place + CHUNK]
        await send({"type": "http.response.body", "body": piece, "more_body": place + CHUNK < SIZE})
        if start:
            site.handed_over += CHUNK
    priority = dict(scope["headers"]).get(b"priority", b"").decode()
    site.log.append((name, priority, site.handed_over))
