"""An application that tells what was asked of it, and does what ``plait fetch`` is tried with."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

FILE = bytes(range(1, 251)) * 4000
_PIECE = bytes(65_536)
_tries: Counter[str] = Counter()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
    _, name, *rest = scope["path"].split("/")
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}

    async def answer(status: int, content: bytes, *more: tuple[str, str]) -> None:
        fields = [("content-length", str(len(content))), ("content-type", "text/plain"), *more]
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode(), value.encode()) for name, value in fields],
            }
        )
        await send({"type": "http.response.body", "body": content})

    if name == "redirect":
        left = int(rest[0])
        where = f"/redirect/{left - 1}" if left > 1 else "/echo"
        await answer(int(query.get("status", 302)), b"over there", ("location", where))
    elif name == "status":
        await answer(int(rest[0]), b"status %d\n" % int(rest[0]))
    elif name == "file":
        part = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", ""))
        if part is None:
            await answer(200, FILE, ("accept-ranges", "bytes"))
        elif part[1] and int(part[1]) >= len(FILE):
            await answer(416, b"", ("content-range", f"bytes */{len(FILE)}"))
        else:
            start = int(part[1]) if part[1] else len(FILE) - int(part[2])
            end = min(int(part[2]) + 1, len(FILE)) if part[1] and part[2] else len(FILE)
            await answer(206, FILE[start:end], ("content-range", f"bytes {start}-{end - 1}/{len(FILE)}"))
    elif name == "whole":
        await answer(200, FILE)
    elif name == "empty":
        await answer(200, b"")
    elif name == "gzip":
        if "gzip" in headers.get("accept-encoding", ""):
            await answer(200, gzip.compress(b"squeezed\n", mtime=0), ("content-encoding", "gzip"))
        else:
            await answer(200, b"as it is\n")
    elif name == "coded":
        await answer(200, gzip.compress(b"squeezed\n", mtime=0), ("content-encoding", "gzip"))
    elif name == "attachment":
        await answer(200, b"attached\n", ("content-disposition", query["is"]))
    elif name == "cookies":
        await answer(
            200, b"", ("set-cookie", "kept=1; path=/; max-age=86400"), ("set-cookie", "short=2; path=/")
        )
    elif name == "basic" or name == "digest":
        scheme = name.capitalize()
        if headers.get("authorization", "").startswith(f"{scheme} "):
            await answer(200, b"come in\n")
        else:
            await answer(401, b"who?\n", ("www-authenticate", f'{scheme} realm="r", nonce="n", qop="auth"'))
    elif name == "flaky":
        _tries[rest[0]] += 1
        if _tries[rest[0]] > int(query.get("times", 1)):
            await answer(200, b"at last\n")
        else:
            await answer(int(query.get("status", 503)), b"not yet\n")
    elif name == "broken":
        _tries[rest[0]] += 1
        start = {"type": "http.response.start", "status": 206, "headers": [(b"content-length", b"8")]}
        await send(start)
        if _tries[rest[0]] == 1:
            await send({"type": "http.response.body", "body": b"the", "more_body": True})
            await asyncio.sleep(0.1)
            raise ConnectionError("it breaks off here")
        await send({"type": "http.response.body", "body": b"the rest"})
    elif name == "slow":
        await asyncio.sleep(float(query["seconds"]))
        await answer(200, f"slow {query.get('name', '')}\n".encode())
    elif name == "big":
        size = int(query["size"])
        length = [(b"content-length", str(size).encode())] if "length" in query else []
        await send({"type": "http.response.start", "status": 200, "headers": length})
        for _ in range(size // len(_PIECE)):
            await send({"type": "http.response.body", "body": _PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": _PIECE[: size % len(_PIECE)]})
    elif name == "early":
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
        await answer(200, b"then\n")
    elif name == "trailers":
        start = {"type": "http.response.start", "status": 200, "headers": [], "trailers": True}
        await send(start)
        await send({"type": "http.response.body", "body": b"before\n"})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})
    else:
        await answer(200, await _what_came(scope, receive, headers))


async def _what_came(scope: Any, receive: Any, headers: dict[str, str]) -> bytes:
    """Return all there is to a request, but for what differs from one sender to the next."""
    content = b""
    while True:
        message = await receive()
        content += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers.pop("expect", None)
    if headers.get("user-agent", "").startswith(("curl/", "plait/")):
        del headers["user-agent"]
    if found := re.search(r"boundary=(\S+)", headers.get("content-type", "")):
        content = content.replace(found[1].encode(), b"BOUNDARY")
        headers["content-type"] = headers["content-type"].replace(found[1], "BOUNDARY")
        headers.pop("content-length", None)
    came = {
        "method": scope["method"],
        "target": f"{scope['raw_path'].decode()}?{scope['query_string'].decode()}",
        "fields": dict(sorted(headers.items())),
        "content": content.decode("latin-1"),
    }
    return json.dumps(came, indent=1).encode() + b"\n"
