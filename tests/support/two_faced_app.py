"""An application that answers by the version of HTTP it is asked in."""

from __future__ import annotations

import gzip
import itertools
from typing import Any

__all__ = ["app"]

_COUNTER = itertools.count(1)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer some paths alike and some not."""
    if scope["type"] != "http":
        raise NotImplementedError
    is_2 = scope["http_version"] == "2"
    headers = [(b"content-type", b"text/plain")]
    status, content = 200, b"same"
    match scope["path"]:
        case "/status":
            status = 503 if is_2 else 200
        case "/length":
            content = b"second" if is_2 else b"HTTP/1.1"
        case "/content":
            content = b"2" if is_2 else b"1"
        case "/counter":
            content = b"." * next(_COUNTER)
        case "/echo":
            given = dict(scope["headers"])
            content = given[b"cookie"] + b" " + given[b"accept-encoding"]
        case "/elsewhere":
            status = 302
            headers.append((b"location", b"/same"))
        case "/coded.css":
            content = gzip.compress(b"a" * 10_000, mtime=0)
            headers = [(b"content-type", b"text/css"), (b"content-encoding", b"gzip")]
    headers.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
