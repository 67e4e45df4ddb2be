"""The ASGI application that treq talks to."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from typing import Any

from tests.support import interop_app

__all__ = ["app"]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer by path.

    * ``/content``: the size, the SHA-256 and the type of the request's content.
    * ``/redirect``: to ``/elsewhere``, with a cookie.
    * ``/compressed``, ``/text``, ``/never``: what they say.
    * anything else: as ``interop_app`` does.
    """
    path = scope.get("path")
    if path == "/content":
        content = b""
        more = True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        kind = dict(scope["headers"]).get(b"content-type", b"").decode()
        told = {"size": len(content), "sha256": sha256(content).hexdigest(), "content_type": kind}
        await _answer(send, 200, [(b"content-type", b"application/json")], json.dumps(told).encode())
    elif path == "/redirect":
        fields = [(b"location", b"/elsewhere"), (b"set-cookie", b"given=by-redirect")]
        await _answer(send, 302, fields, b"elsewhere")
    elif path == "/compressed":
        await _answer(send, 200, [(b"content-encoding", b"gzip")], gzip.compress(b"plain " * 1000))
    elif path == "/text":
        await _answer(send, 200, [(b"content-type", b"text/plain; charset=latin-1")], b"\xe9")
    elif path == "/never":
        while (await receive())["type"] != "http.disconnect":
            pass
    else:
        await interop_app.app(scope, receive, send)


async def _answer(send: Any, status: int, fields: list[tuple[bytes, bytes]], content: bytes) -> None:
    fields = [*fields, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content})
