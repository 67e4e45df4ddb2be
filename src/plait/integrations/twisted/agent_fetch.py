"""One request of the agent, from the call to the last byte of its response's content."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from twisted.internet.defer import AlreadyCalledError, CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    Response,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers

from plait.client.calls import Call
from plait.client.goals import HEAD
from plait.client.messages import Request as ClientRequest
from plait.errors import ConnectFailed, ConnectionLost
from plait.integrations.twisted.agent_body import Body
from plait.integrations.twisted.agent_transport import StreamTransport
from plait.protocol.exchange import WITHOUT_CONTENT, Half

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.web._newclient import Request
    from twisted.web.iweb import IResponse

    from plait.client.sites import Link
    from plait.fields import FieldSection
    from plait.integrations.twisted.agent import Agent
    from plait.protocol.exchange import Exchange
    from plait.urls import Origin

__all__ = ["Fetch", "NoConnection", "SpeaksHttp1"]

_VERSION = (b"HTTP", 2, 0)
#: Twisted's own list (``HTTPConnectionPool.retryAutomatically``).
_RETRIED = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE"})
#: What Twisted's responses keep from their headers; the others of its list HTTP/2 has not.
_KEPT_BACK = frozenset({b"content-length", b"te", b"trailers"})

_log = Logger()


class NoConnection(ConnectFailed):
    """No connection came to be.

    Attributes:
        failure: Why, in Twisted's words.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure.value))
        self.failure = failure


class SpeaksHttp1(ConnectFailed):
    """There is a connection, and it is HTTP/1.1."""


class _Reading(Enum):
    """Who reads a response's content."""

    NOBODY = "nobody"  # no protocol was given yet: flow control holds the server back
    PROTOCOL = "protocol"
    PAUSED = "paused"
    OVER = "over"


class Fetch(Call):
    """One request of an agent.

    Args:
        agent: The agent.
        request: The request, as Twisted has it.
        origin: Where it goes.
        fields: Its field section.

    Attributes:
        deferred: Fires with the response, when its head has come.
        twisted_request: The request, as Twisted has it.
    """

    __slots__ = (
        "_agent",
        "_body",
        "_http1",
        "_link",
        "_reading",
        "_response",
        "_rest",
        "deferred",
        "twisted_request",
    )

    def __init__(self, agent: Agent, request: Request, origin: Origin, fields: FieldSection) -> None:
        producer = request.bodyProducer
        self._body = None if producer is None else Body(producer)
        content = b"" if self._body is None else cast("Iterable[bytes]", self._body)
        idempotent = request.method in _RETRIED and agent.retries
        super().__init__(agent.core, ClientRequest(origin, fields, content, None, idempotent, None), HEAD)
        self._agent = agent
        self._link: Link | None = None
        self._http1: Deferred[IResponse] | None = None
        self._reading = _Reading.NOBODY
        self._rest = b""
        #: The response: weakly, as long as only the caller knows whether it is still wanted.
        self._response: Any = None
        self.twisted_request = request
        self.deferred: Deferred[IResponse] = Deferred(self._cancel)
        self.watch(self._look)

    # -- the way to the response -----------------------------------------------------------------

    def _send(self, link: Link) -> None:
        self._link = link
        link.transport.in_use()
        super()._send(link)

    @property
    def wants_piece(self) -> bool:
        """Whether the connection takes more of the request's content."""
        return self.upload is None or self.upload.wants_piece

    def _look(self) -> None:
        """Do what follows, after something happened to the call."""
        body = self._body
        if body is not None and self.upload is not None and self.upload.wants_piece:
            body.resume()
        if self.done and self._response is None and not self.deferred.called:
            if self.error is not None:
                self._fail(self.error)
            else:
                self._respond(self.value)

    def _progress(self) -> None:
        super()._progress()
        exchange = self.exchange
        if self._response is not None:
            self._move()
        if exchange is not None and exchange.closed:
            if self._body is not None:
                self._body.stop()  # the server wants no more of it
            exchange.on_progress = None

    def _respond(self, exchange: Exchange) -> None:
        """Make the response, now that its head has come."""
        code = exchange.status
        headers = Headers()
        response: Any = Response._construct(
            _VERSION, code, RESPONSES.get(code, b""), headers, StreamTransport(self), self.twisted_request
        )
        is_head = self.twisted_request.method == b"HEAD"
        for name, value in exchange.fields:
            if name == b"content-length":
                response.length = int(value)
                if not is_head:
                    continue
            elif name in _KEPT_BACK:
                continue
            headers.addRawHeader(name, value)
        if is_head or code in WITHOUT_CONTENT:
            response.length = 0
        reactor = self._agent.reactor
        # The garbage collector may say so at any moment, and in any thread.
        self._response = ref(response, lambda _: reactor.callFromThread(self._forgotten))
        self._move()
        self.deferred.callback(response)

    def _fail(self, error: Exception) -> None:
        """Tell the caller why there is no response, in Twisted's words."""
        if isinstance(error, SpeaksHttp1):
            self._http1 = self._agent.send_over_http1(self.twisted_request)
            self._http1.chainDeferred(self.deferred)
            return
        if isinstance(error, NoConnection):
            self.deferred.errback(error.failure)
            return
        body = self._body
        if body is not None and body.producing:
            body.stop()
            self.deferred.errback(Failure(RequestTransmissionFailed([self._reason(error)])))
        else:
            self.deferred.errback(Failure(ResponseNeverReceived([self._reason(error)])))

    def _reason(self, error: Exception) -> Failure:
        """Return why an exchange failed: what the transport said, where that is why."""
        reason: Failure | None = None if self._link is None else self._link.transport.reason
        return reason if isinstance(error, ConnectionLost) and reason is not None else Failure(error)

    def generation_failed(self, failure: Failure) -> None:
        """Take note that the request's content cannot be produced."""
        answered = self.deferred.called
        self._end(Failure(RequestGenerationFailed([failure])))
        if answered:
            _log.failure("while sending the rest of a request that has its response", failure)

    def _cancel(self, _: object) -> None:
        """End the request: its caller does not want it any more."""
        if self._http1 is not None:
            self._http1.cancel()
            return
        if self.queued:
            self._end(Failure(CancelledError()))
            self._agent.forsaken(self.request.origin)
            return
        body = self._body
        reason = Failure(CancelledError())
        if body is not None and body.producing:
            body.cancel()
            self._end(Failure(RequestGenerationFailed([reason])))
        else:
            self._end(Failure(ResponseNeverReceived([reason])))

    def _end(self, failure: Failure) -> None:
        """End the exchange from this side, and the wait for its response with it."""
        deferred, answered = self.deferred, self.deferred.called
        if not answered:
            self._reading = _Reading.OVER
            self.unwatch(self._look)
        self.give_up(ConnectFailed("given up"))
        if answered:
            self._finish_body(failure)
        else:
            deferred.errback(failure)

    # -- the response's content ------------------------------------------------------------------

    def _move(self) -> None:
        """Hand content on, if somebody reads it; what is whole leaves the connection in any case.

        Content that nobody took yet holds back its own stream, and nothing else. When no more of it can
        come there is nothing to hold back, and the connection's window gets its share again.
        """
        exchange, response = self.exchange, self._response()
        reading = self._reading
        if exchange is None or response is None or reading is _Reading.OVER:
            return
        over = exchange.received is Half.ENDED or exchange.closed
        if over and exchange.content:
            self._rest = exchange.read() or b""
        if reading is _Reading.PAUSED or (reading is _Reading.NOBODY and not over):
            return
        data, self._rest = self._rest, b""
        if not data and exchange.content:
            data = exchange.read() or b""
        if data:
            try:
                response._bodyDataReceived(data)
            except Exception:
                # As over HTTP/1.1: its protocol is told, and its stream ends; its siblings go on.
                self._abort(Failure())
                return
        if over and self._reading is reading:
            error = exchange.error
            if self._link is not None:
                self._link.transport.answered(exchange)
            self._finish_body(
                None
                if exchange.received is Half.ENDED or error is None
                else Failure(ResponseFailed([self._reason(error)], response))
            )

    def _finish_body(self, reason: Failure | None) -> None:
        """Tell the response that its content has ended."""
        response = self._response and self._response()
        if response is None or self._reading is _Reading.OVER:
            return
        self._reading = _Reading.OVER
        self._response = ref(response)
        try:
            response._bodyDataFinished(reason)
        except AlreadyCalledError:
            pass  # readBody was cancelled: it has told its caller, and cannot take this
        except Exception:
            _log.failure("while telling a protocol that its response has ended")

    def _abort(self, reason: Failure) -> None:
        """End the stream, and tell the protocol that reads it."""
        if self._reading is _Reading.OVER:
            return
        response = self._response and self._response()
        if self.exchange is not None:
            self.exchange.on_progress = None
            self.exchange.abandon()
        if self._body is not None:
            self._body.stop()
        self._finish_body(Failure(ResponseFailed([reason], response)))

    def _forgotten(self) -> None:
        """End the stream of a response that nobody holds any more."""
        if self._reading is _Reading.NOBODY and self.exchange is not None:
            self._reading = _Reading.OVER
            self.exchange.on_progress = None
            self.exchange.abandon()
            if self._body is not None:
                self._body.stop()

    @property
    def carrier(self) -> Any:
        """The transport of the request's connection."""
        return None if self._link is None else self._link.transport.protocol.transport

    # -- what the response's protocol asks for ---------------------------------------------------

    def resume(self) -> None:
        """Hand content to the response's protocol."""
        if self._reading in (_Reading.NOBODY, _Reading.PAUSED):
            response = self._response()
            self._response = lambda: response  # from now on there is a protocol that waits for it
            self._reading = _Reading.PROTOCOL
            self._move()

    def pause(self) -> None:
        """Keep content back, and with it the server from sending more of it than the stream's window."""
        if self._reading is _Reading.PROTOCOL:
            self._reading = _Reading.PAUSED

    def abort(self, reason: Exception) -> None:
        """Reset the stream; the protocol is told later, as when a transport is aborted."""
        if self._reading is not _Reading.OVER and self.exchange is not None:
            self.exchange.on_progress = None
            self.exchange.abandon()
            self._agent.reactor.callLater(0, self._abort, Failure(reason))
