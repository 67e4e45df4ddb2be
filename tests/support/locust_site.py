"""An ASGI application that remembers who asked for what: /seen tells it, by path and worker."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["app"]

_seen: dict[str, dict[str, Any]] = {}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer everything with what was asked for before, for /seen, or a few words."""
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/seen":
        content = json.dumps(_seen).encode()
    else:
        fields = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen = _seen.setdefault(f"{scope['path']} {fields['x-worker']}", {"requests": 0})
        seen["requests"] += 1
        facts = {
            "connections": scope["client"][1],
            "versions": scope["http_version"],
            "users": fields["x-user"],
        }
        for name, fact in facts.items():
            known = seen.setdefault(name, [])
            if fact not in known:
                known.append(fact)
        content = b"a few words"
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
