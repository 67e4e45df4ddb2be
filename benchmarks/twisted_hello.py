"""The same answer from a Twisted site: Twisted's own, or plait's.

``python -m benchmarks.twisted_hello PORT CERT KEY [plait]``, or ``plait serve --twisted
benchmarks.twisted_hello:root``.
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


#: What ``plait serve --twisted`` serves.
root = Hello()


class Quiet:
    """A site without an access log, like the other servers."""

    def log(self, request: Request) -> None:
        """Write nothing."""


class QuietSite(Quiet, Site):
    """Twisted's."""


def quiet_plait_site() -> Site:
    """Make plait's, which Twisted's server does without."""
    from plait.integrations.twisted import Site as PlaitSite

    return type("QuietSite", (Quiet, PlaitSite), {})(root)


def main() -> None:
    """Serve until interrupted."""
    port, certificate, key, *plait = sys.argv[1:]
    endpoint = f"ssl:port={port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    serverFromString(reactor, endpoint).listen(quiet_plait_site() if plait else QuietSite(root))
    reactor.run()


if __name__ == "__main__":
    main()
