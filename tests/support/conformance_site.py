"""The Twisted site behind the conformance tests, the counterpart of ``conformance_app.py``.

``python -m tests.support.conformance_site PORT CERT KEY``
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from plait.integrations.twisted import Site
from tests.support.conformance_app import LARGE, SMALL

__all__ = ["main"]


class Everything(Resource):
    """Answer by path, as the application does."""

    isLeaf = True

    def render(self, request: Any) -> object:
        """Answer any method."""
        if request.path == b"/echo":
            content: bytes = request.content.read()
            return content
        if request.path == b"/large":
            _Large(request)
            return NOT_DONE_YET
        if request.path == b"/target":
            host: bytes = request.getHeader(b"host") or b""
            target: bytes = request.uri
            return target + b"\n" + host
        return SMALL


class _Large:
    """Writes ``LARGE``, in pieces of 8 KiB."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._start = 0
        request.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self._request.write(LARGE[self._start : self._start + 8192])
        self._start += 8192
        if self._start >= len(LARGE):
            self._request.unregisterProducer()
            self._request.finish()

    def stopProducing(self) -> None:
        """Nothing to let go of."""


class _Site(Site):
    """Writes no access log."""

    def log(self, request: Any) -> None:
        """Write nothing."""


def main() -> None:
    """Serve until interrupted."""
    port, cert, key = sys.argv[1:]
    where = f"ssl:port={port}:interface=127.0.0.1:privateKey={key}:certKey={cert}"
    endpoints.serverFromString(reactor, where).listen(_Site(Everything()))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
