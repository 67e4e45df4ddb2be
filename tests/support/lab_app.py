"""An application for tests of contenders: what each path answers is known before it is asked for.

It writes a line for each request to standard output: the version of HTTP, the path and the fields
``priority``, ``x-lab`` and ``accept-encoding``.
"""

from __future__ import annotations

import gzip
from typing import Any

__all__ = ["PAGE", "answer", "app"]

PAGE = b"""<!doctype html><title>A page</title><link rel=icon href=data:,>
<link rel=stylesheet href=/page.css><script src=/page.js></script>
<img src=/page.png alt="" width=1 height=1><p>It has a style sheet, a script and an image.</p>
"""
_SCRIPT = b"fetch('/page.json')"
_CONTENTS = {
    "/page": (b"text/html", PAGE),
    "/page.css": (b"text/css", b"p { background: url(/background.png) }"),
    "/page.js": (b"text/javascript", _SCRIPT),
    "/page.json": (b"application/json", b'{"found": true}'),
}


def answer(path: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, fields and content of a path."""
    if path in _CONTENTS:
        kind, content = _CONTENTS[path]
        return 200, [(b"content-type", kind)], content
    if path == "/gone":
        return 404, [(b"content-type", b"text/plain")], b"nothing here"
    if path == "/elsewhere":
        return 302, [(b"location", b"/never-asked-for")], b"over there"
    if path == "/gzip":
        packed = gzip.compress(b"packed " * 1000, mtime=0)
        return 200, [(b"content-encoding", b"gzip"), (b"content-type", b"text/plain")], packed
    if path == "/empty":
        return 200, [], b""
    return 200, [(b"content-type", b"application/octet-stream")], path.encode() * 50


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    fields = dict(scope["headers"])
    told = [fields.get(name, b"-").decode() for name in (b"priority", b"x-lab", b"accept-encoding")]
    print(scope["http_version"], scope["path"], *(repr(one) for one in told), flush=True)
    status, head, content = answer(scope["path"])
    head = [*head, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": content})
