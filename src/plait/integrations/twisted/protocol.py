"""One connection of a site: chooses the version of HTTP; HTTP/2 is plait's, HTTP/1.1 Twisted's."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache
from math import inf
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IHandshakeListener, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.iweb import INonQueuedRequestFactory
from zope.interface import implementer

from plait.drivers.aio_server import ServerDriver
from plait.integrations.twisted.channel import SecureStream, Stream
from plait.integrations.twisted.transport import ReactorLoop, ReactorTransport
from plait.protocol.negotiation import ALPN_H2, ALPN_HTTP_1_1, server_connection, sniff
from plait.protocol.server_endpoint import ServerEndpoint
from plait.server_config import Limits

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from twisted.web.http import HTTPChannel

    from plait.integrations.twisted.connections import Connections
    from plait.integrations.twisted.conversation import Conversation
    from plait.protocol.server_exchange import ServerExchange

__all__ = ["SiteProtocol"]


@lru_cache(maxsize=16)
def _limits(limits: Limits, idle: float | None) -> Limits:
    """Return limits with Twisted's idle timeout, where None is for ever."""
    return replace(limits, keep_alive=inf if idle is None else idle)


@implementer(IHandshakeListener)
class SiteProtocol(Protocol):
    """One connection, until its version of HTTP is known; then that version's protocol takes over.

    It is also what :class:`plait.drivers.aio_server.Site` is to the connection's driver.

    Args:
        connections: The site's.
        limits: What is taken from the client.

    Attributes:
        site: The site.
        requestFactory: Makes its requests.
        timeOut: Seconds the connection may stay idle, or None.
        callLater: The reactor's.
        limits: What is taken from the client.
        secure: Whether TLS is spoken.
        reason: Why the connection was lost.
        push: Requests may push.
    """

    push = True
    site: Any = None
    requestFactory: Any = None
    timeOut: float | None = None
    callLater: Any = None

    def __init__(self, connections: Connections, limits: Limits) -> None:
        self._connections = connections
        self._first_bytes = b""
        self._http1: HTTPChannel | None = None
        self.limits = limits
        self.reason: Failure = connectionDone

    # Both are asked for with the first request: a wrapper of the PROXY protocol does not know them before.

    @cached_property
    def peer(self) -> Any:
        """The client's address."""
        transport: Any = self.transport
        return transport.getPeer()

    @cached_property
    def host(self) -> Any:
        """This end's address."""
        transport: Any = self.transport
        return transport.getHost()

    # -- what Twisted calls ----------------------------------------------------------------------

    def connectionMade(self) -> None:
        transport: Any = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        self.secure: bool = ISSLTransport.providedBy(transport)
        self.limits = _limits(self.limits, self.timeOut)
        self.reactor = self.site.reactor
        loop = ReactorLoop(self.reactor)
        self._driver = ServerDriver(cast("AbstractEventLoop", loop), self)
        self._transport = ReactorTransport(transport, self._driver, loop)
        self._driver.connection_made(self._transport)
        self._driver.scheme = "https" if self.secure else "http"
        self._connections.opened(self)

    def handshakeCompleted(self) -> None:
        """Begin, now that TLS has said with which version."""
        protocol = self.transport.negotiatedProtocol  # type: ignore[union-attr]
        if protocol is not None:
            self._speak(protocol.decode("ascii"))

    def dataReceived(self, data: bytes) -> None:
        if self._http1 is not None:
            self._http1.dataReceived(data)
            return
        data = self._first_bytes = self._first_bytes + data
        protocol = getattr(self.transport, "negotiatedProtocol", None)
        name = sniff(data) if protocol is None else protocol.decode("ascii")
        if name is not None:
            self._first_bytes = b""
            if name == ALPN_H2 or not self._upgrade(data):
                self._speak(name)
                self.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self._connections.closed(self)
        if self._http1 is not None:
            self._http1.connectionLost(reason)
        else:
            self.__dict__.pop("dataReceived", None)
            self._transport.lost()
            self._driver.connection_lost(ConnectionError(reason.getErrorMessage()))
            del self._driver  # each holds the other

    # -- the version -----------------------------------------------------------------------------

    def _speak(self, name: str) -> None:
        """Let a version's own protocol take over."""
        if name == ALPN_H2:
            self._drive(self.make_endpoint(name, self._driver.scheme))
            return
        self._transport.hand_over()
        channel = self._http1 = self.site.protocol()
        for attribute in ("factory", "site", "requestFactory", "timeOut", "callLater"):
            setattr(channel, attribute, getattr(self, attribute))
        channel.makeConnection(self.transport)

    def _drive(self, endpoint: ServerEndpoint) -> None:
        """Speak HTTP/2."""
        self._driver.adopt(endpoint)
        self.dataReceived = self._driver.data_received  # type: ignore[method-assign]
        self._driver.flush()

    def _upgrade(self, data: bytes) -> bool:
        """Go on with HTTP/2 where a first request, if it is whole, asks for it (RFC 7540 §3.2).

        Twisted's channel has whatever the upgrade does not come of.
        """
        if self.secure or b"h2c" not in data:
            return False
        now = self.reactor.seconds()
        connection = server_connection(ALPN_HTTP_1_1, self.limits, "http", upgrades=True)
        endpoint = ServerEndpoint(connection, self.limits, now)
        endpoint.receive_data(data, now)
        if endpoint.connection.http_version != "2":
            return False
        self._drive(endpoint)
        return True

    # -- what the site's connections call --------------------------------------------------------

    def expire(self, now: float) -> None:
        """Act on deadlines that have passed; HTTP/1.1 keeps its own."""
        if self._http1 is None:
            self._driver.expire(now)
        elif self._http1.transport is None:
            self._connections.closed(self)  # a resource has taken the transport away: not a site's any more

    def shut_down(self) -> None:
        """Let what is in flight finish, then close."""
        channel = self._http1
        if channel is None:
            self._driver.shut_down()
        elif channel.requests:
            channel.persistent = False  # it closes after the response
        else:
            channel.loseConnection()

    def terminate(self) -> None:
        """Close now, with what is in flight."""
        if self._http1 is not None:
            self._http1.loseConnection()
        elif self._driver.endpoint is not None:
            self._driver.endpoint.terminate()

    def abort(self) -> None:
        """Drop the connection without a byte."""
        self._transport.abort()

    # -- what the driver calls (plait.drivers.aio_server.Site) -----------------------------------

    def opened(self, driver: ServerDriver) -> None:
        """Nothing to do: the site knows the connection already."""

    def closed(self, driver: ServerDriver) -> None:
        """Nothing to do: the site is told of the connection's end."""

    def make_endpoint(self, protocol: str, scheme: str) -> ServerEndpoint:
        connection = server_connection(ALPN_H2, self.limits, scheme)
        return ServerEndpoint(connection, self.limits, self.reactor.seconds())

    def start(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        (SecureStream if self.secure else Stream)(exchange, self).begin()

    # -- what streams ask (plait.integrations.twisted.conversation.Carrier) ----------------------

    @property
    def certificate(self) -> Any:
        """The client's certificate, or None."""
        return self.transport.getPeerCertificate()  # type: ignore[union-attr]

    def ended(self, stream: Conversation) -> None:
        """Nothing to do."""

    def make_request(self, stream: Conversation) -> Any:
        """Make the request object of a stream."""
        factory = self.requestFactory
        if INonQueuedRequestFactory.providedBy(factory):
            return factory(stream)
        return factory(stream, False)
