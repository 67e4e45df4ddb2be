"""How the agent connects: with the endpoints Twisted would use, offering HTTP/2 over TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import succeed
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocolNegotiationFactory,
    IStreamClientEndpoint,
)
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.protocol import Factory
    from twisted.web.client import URI

    from plait.integrations.twisted.agent import Agent

__all__ = ["Http1Endpoints", "OfferingPolicy"]


@implementer(IPolicyForHTTPS)
class OfferingPolicy:
    """Another policy, whose connections offer what their protocol's factory wants offered (ALPN).

    Twisted does that by itself where the policy uses its own ``optionsForClientTLS``; a policy that makes
    its OpenSSL connections by hand is to have HTTP/2 too.

    Args:
        policy: The other policy.
    """

    def __init__(self, policy: Any) -> None:
        self._policy = policy

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """Return what makes the OpenSSL connections to a host."""
        creator = self._policy.creatorForNetloc(hostname, port)
        # What only has a context is used as it is: Twisted knows that older kind.
        return _OfferingCreator(creator) if IOpenSSLClientConnectionCreator.providedBy(creator) else creator


@implementer(IOpenSSLClientConnectionCreator)
class _OfferingCreator:
    def __init__(self, creator: Any) -> None:
        self._creator = creator

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        connection = self._creator.clientConnectionForTLS(tlsProtocol)
        factory: Any = IProtocolNegotiationFactory(tlsProtocol.factory.wrappedFactory, None)
        if factory is not None:
            # On the connection: its context may belong to others, who did not ask for HTTP/2.
            connection.set_alpn_protos(factory.acceptableProtocols())
        return connection


@implementer(IAgentEndpointFactory)
class Http1Endpoints:
    """The endpoints of Twisted's own agent, which has the requests that HTTP/1.1 carries.

    The connection that showed that a server speaks HTTP/1.1 only is the first that it gets.

    Args:
        agent: The agent whose requests these are.
        endpoints: Makes the endpoints of further connections.
    """

    def __init__(self, agent: Agent, endpoints: Any) -> None:
        self._agent = agent
        self._endpoints = endpoints

    def endpointForURI(self, uri: URI) -> Any:
        """Return what connects to a URI's host."""
        if uri.scheme != b"https":
            return self._endpoints.endpointForURI(uri)
        return _Http1Endpoint(self._agent, self._endpoints, uri)


@implementer(IStreamClientEndpoint)
class _Http1Endpoint:
    def __init__(self, agent: Agent, endpoints: Any, uri: URI) -> None:
        self._agent = agent
        self._endpoints = endpoints
        self._uri = uri

    def connect(self, protocolFactory: Factory) -> Deferred[Any]:
        spare = self._agent.take_spare(self._uri)
        if spare is not None:
            return succeed(spare.become(protocolFactory))
        # Only now: making what TLS needs takes milliseconds, and a pooled connection does without.
        connected: Deferred[Any] = self._endpoints.endpointForURI(self._uri).connect(protocolFactory)
        return connected
