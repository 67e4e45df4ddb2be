"""The site that every server of the interop matrix has, for those that run Python: as ASGI, and Twisted's.

* ``/small.txt``, ``/large.bin``, ``/compressed.txt``: files; the last one coded with gzip when asked for.
* ``/204``, ``/304``: responses without content.
* ``/echo``: the content of the request.
* ``/repeated``: a response with ``x-repeated`` twice, and with two cookies.
* ``/told``: the ``cookie`` and ``x-large`` of the request, a line each.
* Anything else is not found.

``python -m tests.support.peer_app PORT CERT KEY`` serves it by Twisted's own HTTP/2.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["COMPRESSED", "FILES", "LARGE", "REPEATED", "SMALL", "app"]

SMALL = b"small\n"
LARGE = bytes(range(256)) * 4096
COMPRESSED = b"All work and no play.\n" * 500
FILES = {"small.txt": SMALL, "large.bin": LARGE, "compressed.txt": COMPRESSED}
REPEATED = [
    (b"x-repeated", b"one"), (b"x-repeated", b"two"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"),
]  # fmt: skip

Message = MutableMapping[str, Any]
Fields = list[tuple[bytes, bytes]]


def answer(path: str, fields: dict[bytes, bytes]) -> tuple[int, Fields, bytes] | None:
    """Return status, fields and content; None for what needs the request's content."""
    name = path.lstrip("/")
    text = (b"content-type", b"text/plain")
    if name in ("204", "304"):
        return int(name), [], b""
    if name == "echo":
        return None
    if name == "repeated":
        return 200, [text, *REPEATED], SMALL
    if name == "told":
        return 200, [text], b"\n".join(fields.get(one, b"") for one in (b"cookie", b"x-large"))
    if name not in FILES:
        return 404, [text], b"not found\n"
    content = FILES[name]
    if name == "compressed.txt" and b"gzip" in fields.get(b"accept-encoding", b""):
        return 200, [text, (b"content-encoding", b"gzip")], gzip.compress(content)
    return 200, [text], content


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Serve it as an ASGI application."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    fields: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        fields[name] = fields[name] + b"; " + value if name in fields else value
    answered = answer(scope["path"], fields)
    if answered is None:
        pieces = []
        more = True
        while more:
            message = await receive()
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        answered = 200, [], b"".join(pieces)
    status, headers, content = answered
    if status not in (204, 304):
        headers = [*headers, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})


def main() -> None:
    """Serve it by Twisted until interrupted."""
    from twisted.internet import reactor
    from twisted.internet.endpoints import serverFromString
    from twisted.web.resource import Resource
    from twisted.web.server import Site

    class Everything(Resource):
        isLeaf = True

        def render(self, request: Any) -> bytes:
            fields = {
                name.lower(): b"; ".join(values) for name, values in request.requestHeaders.getAllRawHeaders()
            }
            answered = answer(request.path.decode(), fields)
            content: bytes
            if answered is None:
                status, headers, content = 200, [], request.content.read()
            else:
                status, headers, content = answered
            request.setResponseCode(status)
            for name, value in headers:
                request.responseHeaders.addRawHeader(name, value)
            return content

    port, chain, key = sys.argv[1:]
    where = f"ssl:port={port}:interface=127.0.0.1:privateKey={key}:certKey={chain}"
    serverFromString(reactor, where).listen(Site(Everything()))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
