"""One connection of the agent: finds out what it speaks, and drives it when that is HTTP/2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import TimeoutError as TwistedTimeoutError
from twisted.internet.interfaces import IHandshakeListener, IProtocolNegotiationFactory, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived
from zope.interface import implementer

from plait.client.sites import Link
from plait.drivers.aio import ClientDriver
from plait.integrations.twisted.agent_fetch import NoConnection
from plait.integrations.twisted.transport import ReactorLoop, ReactorTransport
from plait.protocol.exchange import Half

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from plait.integrations.twisted.agent import Agent
    from plait.protocol.exchange import Exchange
    from plait.urls import Origin

__all__ = ["AgentFactory", "AgentProtocol"]

_OFFERED = (b"h2", b"http/1.1")


@implementer(IProtocolNegotiationFactory)
class AgentFactory(Factory):
    """Makes one connection of an agent.

    Args:
        agent: The agent.
        origin: Where it leads.

    Attributes:
        asked: Whether TLS has asked what to offer.
        protocol_made: The connection's protocol, once there is one.
    """

    noisy = False

    def __init__(self, agent: Agent, origin: Origin) -> None:
        self._agent = agent
        self._origin = origin
        self.asked = False
        self.protocol_made: AgentProtocol | None = None

    def acceptableProtocols(self) -> list[bytes]:
        """Return what to offer (ALPN, RFC 7301), the best first."""
        self.asked = True
        return list(_OFFERED)

    def buildProtocol(self, addr: object) -> AgentProtocol:
        self.protocol_made = AgentProtocol(self._agent, self._origin, self)
        return self.protocol_made


@implementer(IHandshakeListener)
class AgentProtocol(Protocol):
    """A connection until its version of HTTP is known; then that version's protocol takes over.

    Args:
        agent: The agent.
        origin: Where the connection leads.
        factory: What made it.

    Attributes:
        settled: Whether it is known what the connection speaks, or that it will not be.
    """

    def __init__(self, agent: Agent, origin: Origin, factory: AgentFactory) -> None:
        self._agent = agent
        self._origin = origin
        self._factory = factory
        self._late: Any = None
        self.settled = False

    transport: Any

    def connectionMade(self) -> None:
        transport = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        if self._factory.asked:
            seconds = self._agent.handshake_timeout
            self._late = self._agent.reactor.callLater(seconds, self._give_up, seconds)
        else:
            # Nobody was offered HTTP/2: no TLS of Twisted's is right below.
            self._speak(None)

    def handshakeCompleted(self) -> None:
        """Begin, now that TLS has said with which version."""
        if not self.settled:
            self._speak(self.transport.negotiatedProtocol)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.settled:
            self._settle()
            self._agent.not_connected(self._origin, NoConnection(Failure(ResponseNeverReceived([reason]))))

    def abandon(self) -> None:
        """Drop the connection: nobody waits for it any more."""
        self.transport.abortConnection()

    def drop(self) -> None:
        """Close the connection: nobody has a use for it."""
        self.transport.loseConnection()

    def become(self, factory: Factory) -> Any:
        """Let a protocol of HTTP/1.1 take over, and return it."""
        protocol: Any = factory.buildProtocol(self.transport.getPeer())
        self.dataReceived = protocol.dataReceived  # type: ignore[method-assign]
        self.connectionLost = protocol.connectionLost  # type: ignore[method-assign]
        protocol.makeConnection(self.transport)
        return protocol

    def _settle(self) -> None:
        self.settled = True
        if self._late is not None and self._late.active():
            self._late.cancel()

    def _give_up(self, seconds: float) -> None:
        self._settle()
        error = TwistedTimeoutError(f"no TLS handshake within {seconds:g} seconds")
        self._agent.not_connected(self._origin, NoConnection(Failure(error)))
        self.abandon()

    def _speak(self, name: bytes | None) -> None:
        self._settle()
        if name != b"h2":
            self._agent.speaks_http1(self._origin, self)
            return
        driver = AgentDriver(self._agent, self._origin, self)
        self.dataReceived = driver.data_received  # type: ignore[method-assign]
        self.connectionLost = driver.lost  # type: ignore[method-assign]
        driver.begin()


class AgentDriver(ClientDriver):
    """Drives one HTTP/2 connection, and tells the agent's core what happens.

    Args:
        agent: The agent.
        origin: Where the connection leads.
        protocol: Its protocol.

    Attributes:
        protocol: The connection's protocol.
        reason: Why the connection was lost, or None.
    """

    __slots__ = ("_agent", "_carrier", "_idle", "_link", "_waiting", "protocol", "reason")

    def __init__(self, agent: Agent, origin: Origin, protocol: AgentProtocol) -> None:
        loop = ReactorLoop(agent.reactor)
        super().__init__(cast("AbstractEventLoop", loop))
        self._agent = agent
        self._carrier = ReactorTransport(protocol.transport, self, loop)
        self._idle: IdleConnection | None = None
        self._waiting: list[Deferred[None]] = []
        self.protocol = protocol
        self.reason: Failure | None = None
        self.connection_made(self._carrier)
        endpoint = agent.core.routes.make_endpoint(origin, "h2")
        self.adopt(endpoint)
        self._link = Link(origin, endpoint, self, agent.core.clock())

    def begin(self) -> None:
        """Take the requests that wait."""
        self._agent.opened(self._link)
        self.request_flush()

    def flush(self) -> None:
        core = self._agent.core
        core.settle(self._link)
        super().flush()
        # What was written may have made room, and what ends a connection may have been written.
        core.settle(self._link)
        if self._link.idle_since is not None and not self._link.endpoint.closed:
            if self._agent.pool.persistent:
                self._rest()
            else:
                self._link.endpoint.terminate()

    def answered(self, exchange: Exchange) -> None:
        """Take note that the response to a request is whole.

        After the last one the connection is in the pool before anybody is told of the response's end, as
        Twisted's are: ``closeCachedConnections`` may come next.
        """
        exchanges = self._link.endpoint.exchanges
        last = not exchanges or (len(exchanges) == 1 and exchange.stream_id in exchanges)
        if last and exchange.sent is Half.ENDED and self._agent.pool.persistent:
            self._rest()

    def _rest(self) -> None:
        """Let Twisted's pool keep the connection, while it has no requests."""
        if self._idle is None and not self._link.endpoint.connection.closing:
            self._idle = IdleConnection(self)
            self._agent.pool._putConnection(self._key, self._idle)

    @property
    def _key(self) -> tuple[bytes, str, int]:
        """What the pool calls idle connections to this origin; Twisted's own keys begin with a scheme."""
        return (b"h2", self._link.origin.host, self._link.origin.port)

    def in_use(self) -> None:
        """Take the connection out of the pool: it gets a request."""
        idle, self._idle = self._idle, None
        if idle is None:
            return
        pool = self._agent.pool
        kept = pool._connections.get(self._key, [])
        if idle in kept:
            kept.remove(idle)
            pool._timeouts.pop(idle).cancel()

    def end(self) -> None:
        """Close: the pool keeps it no longer."""
        self._idle = None
        self._link.endpoint.terminate()

    def ended(self) -> Deferred[None]:
        """Return what fires when the connection is gone."""
        if self.reason is not None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def lost(self, reason: Failure = connectionDone) -> None:
        """Take note that the transport is gone."""
        self.reason = reason
        self._carrier.lost()
        self.connection_lost(cast(Exception, reason.value))
        self.in_use()
        self._agent.core.settle(self._link)
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)


class IdleConnection:
    """A connection without requests, as Twisted's ``HTTPConnectionPool`` wants to have it.

    So the pool's ``cachedConnectionTimeout`` ends it, and ``closeCachedConnections`` closes it.

    Args:
        driver: The connection's driver.
    """

    state = "QUIESCENT"

    def __init__(self, driver: AgentDriver) -> None:
        self._driver = driver

    @property
    def transport(self) -> IdleConnection:
        """What the pool closes."""
        return self

    def loseConnection(self) -> None:
        """Close the connection."""
        self._driver.end()

    def abort(self) -> Deferred[None]:
        """Close the connection, and return what fires when it is gone."""
        self._driver.end()
        return self._driver.ended()
