"""A Twisted site behind endpoint strings: ``python -m tests.support.endpoint_site ENDPOINT…``"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource

from plait.integrations.twisted import Site


class Told(Resource):
    """Tells the version of HTTP, whether TLS is spoken, and the client's address."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        client = request.getClientAddress()
        said = (
            request.clientproto.decode(),
            request.isSecure(),
            getattr(client, "host", type(client).__name__),
        )
        return " ".join(map(str, said)).encode()


def main() -> None:
    """Serve until interrupted."""
    site = Site(Told())
    for endpoint in sys.argv[1:]:
        endpoints.serverFromString(reactor, endpoint).listen(site)
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
