"""An agent like Twisted's that fetches over HTTP/2, many requests at once on one connection."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Self, cast

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.python.failure import Failure
from twisted.web._newclient import Request, _ensureValidURI
from twisted.web.client import URI, BrowserLikePolicyForHTTPS, HTTPConnectionPool, RequestGenerationFailed
from twisted.web.client import Agent as TwistedAgent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IPolicyForHTTPS
from zope.interface import implementer

from plait.client.core import ClientCore
from plait.config import ClientConfig
from plait.integrations.twisted.agent_body import request_fields
from plait.integrations.twisted.agent_connection import AgentFactory, AgentProtocol
from plait.integrations.twisted.agent_endpoints import Http1Endpoints, OfferingPolicy
from plait.integrations.twisted.agent_fetch import Fetch, NoConnection, SpeaksHttp1
from plait.urls import Origin

if TYPE_CHECKING:
    from twisted.web.iweb import IBodyProducer, IResponse

    from plait.client.calls import Call
    from plait.client.sites import Link
    from plait.client.uploads import Upload

__all__ = ["Agent"]

#: Seconds a TLS handshake may take where no connectTimeout is given; Twisted's own number for TCP.
_HANDSHAKE_TIMEOUT = 30.0
#: Seconds after which a server that spoke HTTP/1.1 only is offered HTTP/2 again.
_ASK_AGAIN = 240.0
#: Servers remembered to speak HTTP/1.1 only.
_REMEMBERED = 4096


@implementer(IAgent)
class Agent:
    """An HTTP client with the interface of ``twisted.web.client.Agent``.

    ``https`` requests to one server share one HTTP/2 connection; where the server speaks HTTP/1.1 only,
    and for ``http`` URIs, Twisted's own agent sends them. Idle connections are those of the pool: without
    a persistent ``HTTPConnectionPool`` a connection ends with the last of the requests on it.

    Args:
        reactor: The reactor.
        contextFactory: Decides on the certificates of servers (``IPolicyForHTTPS``); None for Twisted's
            ``BrowserLikePolicyForHTTPS()``.
        connectTimeout: Seconds to connect, and as many for the TLS handshake; None for Twisted's default.
        bindAddress: The local address to connect from.
        pool: Keeps idle connections, of both versions; None keeps none.
    """

    def __init__(
        self,
        reactor: Any,
        contextFactory: Any = None,
        connectTimeout: float | None = None,
        bindAddress: Any = None,
        pool: HTTPConnectionPool | None = None,
    ) -> None:
        policy = BrowserLikePolicyForHTTPS() if contextFactory is None else contextFactory
        if IPolicyForHTTPS.providedBy(policy):
            policy = OfferingPolicy(policy)
        endpoints = TwistedAgent(reactor, policy, connectTimeout, bindAddress)._endpointFactory
        self._set_up(reactor, endpoints, pool)
        if connectTimeout is not None:
            self.handshake_timeout = connectTimeout

    @classmethod
    def usingEndpointFactory(
        cls, reactor: Any, endpointFactory: Any, pool: HTTPConnectionPool | None = None
    ) -> Self:
        """Make an agent that connects in its own way.

        Args:
            reactor: The reactor.
            endpointFactory: Makes the endpoints (``IAgentEndpointFactory``). HTTP/2 is spoken where they
                lead through Twisted's TLS, as those of ``wrapClientTLS`` do.
            pool: As for the class.
        """
        agent = cls.__new__(cls)
        agent._set_up(reactor, endpointFactory, pool)
        return agent

    def _set_up(self, reactor: Any, endpoints: Any, pool: HTTPConnectionPool | None) -> None:
        self.reactor = reactor
        self.pool: Any = HTTPConnectionPool(reactor, False) if pool is None else pool
        self.handshake_timeout = _HANDSHAKE_TIMEOUT
        # Twisted's pool, and not plait's, ends idle connections.
        self.core = ClientCore(
            None, True, ClientConfig(keep_alive=inf, max_h2_connections=1), {}, reactor.seconds
        )
        self.core.needs_connection = self._needs_connection
        self.core.needs_content = _needs_content
        self._endpoints = endpoints
        http1_endpoints = Http1Endpoints(self, endpoints)
        self._http1: Any = TwistedAgent.usingEndpointFactory(reactor, http1_endpoints, self.pool)
        self._http1_until: dict[Origin, float] = {}
        self._connecting: dict[Origin, tuple[Deferred[Any], AgentFactory]] = {}
        self._spare: tuple[Origin, AgentProtocol] | None = None

    @property
    def retries(self) -> bool:
        """Whether idempotent requests are sent again when the connection was lost before an answer."""
        return bool(self.pool.retryAutomatically)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request, over HTTP/2 where the server speaks it.

        Args:
            method: The method.
            uri: An absolute URI.
            headers: Its headers.
            bodyProducer: Produces its content.

        Returns:
            What fires with Twisted's own response when its head has come, or fails: with what the
            endpoint failed with, with ``RequestGenerationFailed`` or ``RequestTransmissionFailed``, or
            with ``ResponseNeverReceived``; HTTP/2's error code is in the text of its reasons. To cancel it
            resets the stream, and no other.

        Raises:
            TypeError: The method is not bytes.
            ValueError: The method or the URI is not one HTTP can carry.
        """
        if not isinstance(method, bytes):
            raise TypeError(f"method={method!r} is {type(method)}, but must be bytes")
        uri = _ensureValidURI(uri.strip())
        parsed = URI.fromBytes(uri)
        if parsed.scheme != b"https":
            return self._over_http1(method, uri, headers, bodyProducer)
        origin = Origin("https", parsed.host.decode("ascii").lower(), parsed.port)
        until = self._http1_until.get(origin)
        if until is not None:
            if self.reactor.seconds() < until:
                return self._over_http1(method, uri, headers, bodyProducer)
            del self._http1_until[origin]
        headers = Headers() if headers is None else headers.copy()
        if not headers.hasHeader(b"host"):
            headers.addRawHeader(b"host", _host_value(parsed))
        request = Request._construct(
            method, parsed.originForm, headers, bodyProducer, self.pool.persistent, parsed
        )
        try:
            fields = request_fields(request, headers)
        except Exception:
            return fail(Failure(RequestGenerationFailed([Failure()])))
        fetch = Fetch(self, request, origin, fields)
        self.core.begin(fetch)
        return fetch.deferred

    def _over_http1(self, method: bytes, uri: bytes, headers: Any, producer: Any) -> Deferred[IResponse]:
        return cast("Deferred[IResponse]", self._http1.request(method, uri, headers, producer))

    # -- connections -----------------------------------------------------------------------------

    def _needs_connection(self, origin: Origin) -> None:
        for _ in range(self.core.pool.wanted(origin)):
            self.core.pool.opening(origin)
            factory = AgentFactory(self, origin)
            connecting = maybeDeferred(self._connect, origin, factory)
            self._connecting[origin] = connecting, factory
            connecting.addErrback(lambda failure: self.not_connected(origin, NoConnection(failure)))

    def _connect(self, origin: Origin, factory: AgentFactory) -> Any:
        return self._endpoints.endpointForURI(URI.fromBytes(str(origin).encode())).connect(factory)

    def not_connected(self, origin: Origin, error: NoConnection | SpeaksHttp1) -> None:
        """Take note that there is no further HTTP/2 connection to an origin."""
        self._connecting.pop(origin, None)
        self.core.failed(origin, error)

    def opened(self, link: Link) -> None:
        """Take note of a new HTTP/2 connection, and use it."""
        self._connecting.pop(link.origin, None)
        self.core.pool.opened(link)
        self.core.share_out(link.origin)
        self._needs_connection(link.origin)

    def forsaken(self, origin: Origin) -> None:
        """Stop connecting to an origin, unless another request waits for it."""
        if origin in self._connecting and not self.core.pool.waiting(origin):
            connecting, factory = self._connecting[origin]
            if factory.protocol_made is not None and factory.protocol_made.transport is not None:
                factory.protocol_made.abandon()
            else:
                connecting.cancel()

    # -- HTTP/1.1 --------------------------------------------------------------------------------

    def speaks_http1(self, origin: Origin, connection: AgentProtocol) -> None:
        """Let Twisted's agent have the requests to an origin, and the connection that told."""
        if len(self._http1_until) >= _REMEMBERED:
            self._http1_until.clear()
        self._http1_until[origin] = self.reactor.seconds() + _ASK_AGAIN
        self._spare = origin, connection
        self.not_connected(origin, SpeaksHttp1(f"{origin} does not speak HTTP/2"))
        if self._spare is not None:
            self._spare = None
            connection.drop()

    def send_over_http1(self, request: Request) -> Deferred[IResponse]:
        """Let Twisted's agent have a request."""
        return self._over_http1(request.method, request.absoluteURI, request.headers, request.bodyProducer)

    def take_spare(self, uri: URI) -> AgentProtocol | None:
        """Return the connection that just showed that this URI's server speaks HTTP/1.1 only, once."""
        if self._spare is None or (uri.host.decode("ascii").lower(), uri.port) != self._spare[0][1:]:
            return None
        spare, self._spare = self._spare[1], None
        return spare


def _needs_content(call: Call, upload: Upload) -> None:
    body: Any = upload.source
    body.start(call)


def _host_value(uri: URI) -> bytes:
    host: bytes = b"[%b]" % uri.host if b":" in uri.host else uri.host
    return host if uri.port == 443 else b"%b:%d" % (host, uri.port)
