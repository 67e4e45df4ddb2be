"""The ASGI application that sessions talk to: redirects, cookies, credentials and codings."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

__all__ = ["CONTENT", "app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CONTENT = "Bücher, viele Bücher.\n".encode() * 5000
CODED = {
    "gzip": gzip.compress(CONTENT),
    "deflate": zlib.compress(CONTENT),
    "gzip,deflate": zlib.compress(gzip.compress(CONTENT)),
}


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer by path; what the query says is said back.

    * ``/to?status=S&location=L``: that status and location.
    * ``/loop``: a redirect to itself.
    * ``/set?cookie=C``: a ``set-cookie`` for each.
    * ``/coded?as=gzip``: ``CONTENT``, coded.
    * ``/status?status=S``: that status.
    * ``/digest?algorithm=A``: 401 to those who are not "Mufasa" with "Circle of Life".
    * ``/basic``: the same, asking for Basic.
    * anything else: the request as JSON.
    """
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    query = {name: values for name, values in parse_qs(scope["query_string"].decode()).items()}
    one = {name: values[0] for name, values in query.items()}
    path = scope["path"]
    fields: list[tuple[bytes, bytes]] = []
    status, content = 200, b""
    if path == "/to":
        status = int(one["status"])
        fields = [(b"location", value.encode()) for value in query["location"]]
        content = b"this way"
    elif path == "/loop":
        status, fields = 302, [(b"location", b"/loop")]
    elif path == "/set":
        fields = [(b"set-cookie", value.encode()) for value in query["cookie"]]
    elif path == "/coded":
        fields = [(b"content-encoding", one["as"].encode()), (b"content-type", b"text/plain; charset=utf-8")]
        content = CODED[one["as"]]
    elif path == "/status":
        status = int(one["status"])
    elif path == "/digest" and not _is_mufasa(scope, one["algorithm"]):
        challenge = (
            f'Digest realm="a", nonce="n", algorithm={one["algorithm"]}, qop="auth, auth-int", opaque="o"'
        )
        status, fields = 401, [(b"www-authenticate", challenge.encode())]
    else:
        content = await _describe(scope, receive)
    fields.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def _describe(scope: MutableMapping[str, Any], receive: Receive) -> bytes:
    content = b""
    more = True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    request = {
        "method": scope["method"],
        "scheme": scope["scheme"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "headers": {name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
        "content": content.decode("latin-1"),
    }
    return json.dumps(request).encode()


def _is_mufasa(scope: MutableMapping[str, Any], algorithm: str) -> bool:
    """Check the credentials as RFC 7616 §3.4 has it."""
    given = dict(scope["headers"]).get(b"authorization", b"").decode()
    said = {
        name: quoted or token for name, quoted, token in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', given)
    }
    if not given.startswith("Digest ") or said.get("opaque") != "o":
        return False
    base = algorithm.removesuffix("-sess").lower().replace("-", "")

    def digest(*parts: str) -> str:
        return hashlib.new(base, ":".join(parts).encode()).hexdigest()

    uri = scope["raw_path"].decode() + "?" + scope["query_string"].decode()
    secret = digest("Mufasa", "a", "Circle of Life")
    if algorithm.endswith("-sess"):
        secret = digest(secret, said["nonce"], said["cnonce"])
    expected = digest(secret, said["nonce"], said["nc"], said["cnonce"], "auth", digest(scope["method"], uri))
    return said["response"] == expected and said["uri"] == uri
