"""A Twisted site for real clients: ``python -m tests.support.twisted_program PORT [CERT KEY]``."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from plait.integrations.twisted import Site


class Bytes(Resource):
    """As many bytes as ``n`` says."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"x" * int(request.args[b"n"][0])


class Digest(Resource):
    """What SHA-256 makes of the content of a request."""

    isLeaf = True

    def render_POST(self, request: Any) -> bytes:
        return hashlib.sha256(request.content.read()).hexdigest().encode()


class Everything(Resource):
    """A page with all that HTTP/2 adds."""

    isLeaf = True

    def render_GET(self, request: Any) -> object:
        request.earlyHints([b"</bytes?n=3>; rel=preload; as=fetch"])
        request.push(b"/bytes?n=3")
        request.setTrailer(b"x-sum", b"7")
        request.write(b"content")
        request.finish()
        return NOT_DONE_YET


class Slow(Resource):
    """An answer that takes a while."""

    isLeaf = True

    def render_GET(self, request: Any) -> object:
        def answer() -> None:
            request.write(b"in the end")
            request.finish()

        print("slow has begun", flush=True)
        reactor.callLater(0.3, answer)  # type: ignore[attr-defined]
        return NOT_DONE_YET


def main() -> None:
    """Serve until interrupted."""
    port, *tls = sys.argv[1:]
    root = Resource()
    root.putChild(b"bytes", Bytes())
    root.putChild(b"digest", Digest())
    root.putChild(b"everything", Everything())
    root.putChild(b"slow", Slow())
    kind = "ssl:privateKey={1}:certKey={0}".format(*tls) if tls else "tcp"
    kind, _, options = kind.partition(":")
    where = f"{kind}:port={port}:interface=127.0.0.1:{options}".rstrip(":")
    endpoints.serverFromString(reactor, where).listen(Site(root))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
