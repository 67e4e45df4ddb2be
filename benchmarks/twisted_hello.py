"""The same answer from Twisted's own web server.

``python -m benchmarks.twisted_hello PORT CERT KEY``
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from benchmarks.hello import CONTENT


class Hello(Resource):
    """Answer every request alike."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        """Return the content; Twisted adds its length."""
        request.setHeader(b"content-type", b"text/plain")
        return CONTENT


class QuietSite(Site):
    """A site without an access log, like the other servers."""

    def log(self, request: Request) -> None:
        """Write nothing."""


def main() -> None:
    """Serve until interrupted."""
    port, certificate, key = sys.argv[1:]
    endpoint = f"ssl:port={port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    serverFromString(reactor, endpoint).listen(QuietSite(Hello()))
    reactor.run()


if __name__ == "__main__":
    main()
