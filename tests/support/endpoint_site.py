"""A Twisted site behind endpoint strings: ``python -m tests.support.endpoint_site ENDPOINT…``"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.websocket import WebSocketResource

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


class Echo:
    """A WebSocket that says what it is told; as its own factory, it serves one connection at a time."""

    def buildProtocol(self, request: Any) -> Echo:
        """Return what serves a connection."""
        return self

    def negotiationStarted(self, transport: Any) -> None:
        """Take the transport."""
        self._transport = transport

    def negotiationFinished(self) -> None:
        """Nothing to do: the client speaks first."""

    def textMessageReceived(self, message: str) -> None:
        """Say it."""
        self._transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        """Nobody sends them here."""

    def pongReceived(self, payload: bytes) -> None:
        """Nobody was asked."""

    def connectionLost(self, reason: Any) -> None:
        """Nothing to let go of."""


def main() -> None:
    """Serve until interrupted."""
    root = Resource()
    root.putChild(b"", Told())
    root.putChild(b"echo", WebSocketResource(Echo()))
    site = Site(root)
    for endpoint in sys.argv[1:]:
        endpoints.serverFromString(reactor, endpoint).listen(site)
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
