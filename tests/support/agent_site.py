"""Resources that agents are compared on, served by Twisted's own site: HTTP/2 and HTTP/1.1 over TLS."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import ssl
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from tests.support.reactor import in_reactor, reactor
from tests.support.servers import Certificate

__all__ = ["site_url"]


class _Echo(Resource):
    """Tells the request; ``?status=`` and ``?size=`` change the answer."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.setResponseCode(int(request.args.get(b"status", [b"200"])[0]))
        if b"size" in request.args:
            return b"x" * int(request.args[b"size"][0])
        request.setHeader(b"content-type", b"application/json")
        request.responseHeaders.addRawHeader(b"x-two", b"1")
        request.responseHeaders.addRawHeader(b"x-two", b"2")
        if b"cookie" in request.args:
            request.addCookie(*request.args[b"cookie"])
        told = {
            "method": request.method.decode(),
            "path": request.uri.decode(),
            "content": len(request.content.read()),
            "length": request.getHeader("content-length"),
            "host": request.getHeader("host"),
            "custom": request.getHeader("x-custom"),
            "cookie": request.getHeader("cookie"),
        }
        return json.dumps(told).encode()


class _Streamed(Resource):
    """Has no content-length."""

    isLeaf = True

    def render_GET(self, request: Any) -> int:
        for piece in (b"one ", b"two ", b"three"):
            request.write(piece)
        request.finish()
        return NOT_DONE_YET


class _Broken(Resource):
    """Ends the connection before the answer."""

    isLeaf = True

    def render(self, request: Any) -> int:
        request.loseConnection()
        return NOT_DONE_YET


class _Redirect(Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.redirect(b"/echo?from=redirect")
        return b"moved " * 1000


class _Compressed(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        request.setHeader(b"content-encoding", b"gzip")
        return gzip.compress(b"plain " * 1000)


def _root() -> Resource:
    root = Resource()
    for name, resource in {
        b"echo": _Echo(),
        b"streamed": _Streamed(),
        b"broken": _Broken(),
        b"redirect": _Redirect(),
        b"compressed": _Compressed(),
    }.items():
        root.putChild(name, resource)
    return root


@contextmanager
def site_url(certificate: Certificate, site: Any = Site) -> Iterator[str]:
    """Serve the resources while the block runs.

    Args:
        certificate: What to serve TLS with.
        site: Twisted's site, or one like it.
    """

    async def listen() -> Any:
        tls = ssl.PrivateCertificate.loadPEM(certificate.key.read_text() + certificate.chain.read_text())
        return reactor.listenSSL(0, site(_root()), tls.options(), interface="127.0.0.1")

    async def stop(port: Any) -> None:
        await port.stopListening()

    port = in_reactor(listen)
    try:
        yield f"https://localhost:{port.getHost().port}"
    finally:
        in_reactor(lambda: stop(port))
