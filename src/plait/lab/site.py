"""A site with every bundled workload, an ASGI 3 application: ``plait serve plait.lab.site:app``.

Everything is made before the first request, so that a measurement sees the server and not the
application.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any, TypeAlias

from plait.lab.bundled import BUNDLED, Content, bundle

__all__ = ["app"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]

# What a site that is run with care sends beside the content; but no strict-transport-security, which a
# browser would remember for every other server on this machine.
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
)
_PAGES = (
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", b"default-src 'self'; object-src 'none'; frame-ancestors 'none'"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_PARTS = ((b"cache-control", b"public, max-age=31536000, immutable"), (b"accept-ranges", b"none"))
_DATA = ((b"cache-control", b"private, no-cache"), (b"vary", b"authorization"))


def _fields(content: Content) -> _Fields:
    kind = content.media_type.partition(";")[0]
    more = {"text/html": _PAGES, "application/json": _DATA}.get(kind, _PARTS)
    return (
        (b"content-type", content.media_type.encode("ascii")),
        (b"content-length", b"%d" % len(content.body)),
        (b"etag", b'"%s"' % sha256(content.body).hexdigest()[:16].encode("ascii")),
        *more,
        *_ALWAYS,
    )


def _responses() -> dict[str, tuple[int, _Fields, bytes]]:
    return {
        path: (200, _fields(content), content.body)
        for name in BUNDLED
        for path, content in bundle(name).contents.items()
    }


_RESPONSES = _responses()

_NOTHING = Content("text/plain", b"there is nothing here")
_NOT_FOUND = (404, _fields(_NOTHING), _NOTHING.body)
_NOT_ALLOWED = (405, ((b"allow", b"GET, HEAD"), (b"content-length", b"0")), b"")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the site.

    Raises:
        NotImplementedError: The scope is neither ``http`` nor ``lifespan``, as ASGI asks.
    """
    if scope["type"] == "http":
        status, fields, body = _RESPONSES.get(scope["path"], _NOT_FOUND)
        if scope["method"] not in ("GET", "HEAD"):
            status, fields, body = _NOT_ALLOWED
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
    elif scope["type"] == "lifespan":
        await _live(receive, send)
    else:
        raise NotImplementedError(f"the site does not serve {scope['type']}")


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
