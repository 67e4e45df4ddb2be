"""A drop-in for Twisted's ``Site`` that serves HTTP/2 with plait."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.web import server
from twisted.web.http import HTTPChannel

from plait.integrations.twisted.connections import Connections
from plait.integrations.twisted.protocol import SiteProtocol
from plait.integrations.twisted.request import Request
from plait.server_config import Limits

__all__ = ["Site"]


class Site(server.Site):
    """Twisted's ``Site``, with HTTP/2 on plait's engine; HTTP/1.1 stays Twisted's.

    The version is chosen by ALPN where the endpoint speaks TLS, and by the client's first bytes where
    it does not (RFC 9113 §3.3).

    Args:
        resource: The root of the resource tree.
        requestFactory: Makes requests; by default :class:`plait.integrations.twisted.Request`.
        args: As Twisted's ``Site`` takes them.
        limits: What is taken from HTTP/2 clients. In place of its ``keep_alive`` counts ``timeout``,
            Twisted's own option.
        grace: Seconds that requests in flight have to finish once the site stops listening.
        kwargs: As Twisted's ``Site`` takes them.
    """

    requestFactory = Request
    #: Makes the channel of a connection that speaks HTTP/1.1, which may be one of your own.
    protocol: Any = HTTPChannel

    def __init__(
        self,
        resource: Any,
        requestFactory: Any = None,
        *args: Any,
        limits: Limits | None = None,
        grace: float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(resource, requestFactory, *args, **kwargs)
        self.limits = Limits() if limits is None else limits
        self._connections = Connections(self.reactor, grace)
        self._trigger: Any = None

    def buildProtocol(self, addr: Any) -> SiteProtocol:  # type: ignore[override]
        """Make the protocol of one connection."""
        protocol = SiteProtocol(self._connections, self.limits)
        protocol.factory = protocol.site = self
        protocol.requestFactory = self.requestFactory
        protocol.timeOut = self.timeOut
        protocol.callLater = self.reactor.callLater
        return protocol

    def acceptableProtocols(self) -> list[bytes]:
        """Return the versions of HTTP to offer, the preferred first."""
        return [b"h2", b"http/1.1"]

    def startFactory(self) -> None:
        """Begin to listen: requests in flight will hold up the reactor's shutdown, as long as ``grace``."""
        super().startFactory()
        if IReactorCore.providedBy(self.reactor):
            self._trigger = self.reactor.addSystemEventTrigger("before", "shutdown", self._shut_down)

    def _shut_down(self) -> Deferred[None]:
        self._trigger = None
        return self._connections.end()

    def stopFactory(self) -> None:
        """Stop listening: connections end in good order, and then the access log is closed."""
        if self._trigger is not None:
            self.reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        self._connections.drain().addCallback(self._close_log)

    def _close_log(self, _: None) -> None:
        if not self.numPorts:
            super().stopFactory()
