"""A drop-in for Twisted's ``Site`` that serves HTTP/2 with plait."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorCore
from twisted.web import server

from plait.config import Limits
from plait.integrations.twisted.connections import Connections
from plait.integrations.twisted.protocol import SiteProtocol
from plait.integrations.twisted.request import Request

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

    def protocol(self) -> SiteProtocol:  # type: ignore[override]
        """Make the protocol of one connection."""
        return SiteProtocol(self._connections, self.limits)

    def acceptableProtocols(self) -> list[bytes]:
        """Return the versions of HTTP to offer, the preferred first."""
        return [b"h2", b"http/1.1"]

    def startFactory(self) -> None:
        super().startFactory()
        if IReactorCore.providedBy(self.reactor):
            self._trigger = self.reactor.addSystemEventTrigger("before", "shutdown", self._connections.drain)

    def stopFactory(self) -> None:
        if self._trigger is not None:
            self.reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        self._connections.drain().addCallback(self._drained)

    def _drained(self, _: None) -> None:
        """Close the access log, which requests in flight still wrote to."""
        super().stopFactory()
