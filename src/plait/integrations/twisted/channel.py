"""One exchange as the channel of a Twisted request.

What :class:`twisted.web.http.HTTPChannel` does for a request over HTTP/1.1 decides what is right here,
where "the connection" is the request's own stream: losing it ends this request and no other.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, ISSLTransport, ITransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from plait.errors import ContentTooLarge, ExchangeError, LocalProtocolError
from plait.fields import FieldSection, outbound_fields
from plait.integrations.twisted.production import Production
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Half
from plait.protocol.priorities import Priority
from plait.protocol.server_exchange import ServerExchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from plait.integrations.twisted.protocol import SiteProtocol

__all__ = ["SecureStream", "Stream", "field_section"]

_HEAD, _CONTENT, _ENDED = Half


class _State(Enum):
    """How far a stream's request has come."""

    RECEIVING = "receiving"  # its content is on its way
    HANDLED = "handled"  # the resource has it
    LOSING = "losing"  # what was written is on its way, then the stream is reset
    FAILED = "failed"  # the stream has its answer; what the request still writes goes nowhere
    DONE = "done"  # finished or lost; nobody is told anything more


_RECEIVING, _HANDLED, _LOSING, _FAILED, _DONE = _State


@implementer(ITransport, IConsumer, IPushProducer)
class Stream:
    """What a request writes to, and hears the client by.

    Args:
        exchange: The request and its response.
        connection: The connection it is on.
    """

    __slots__ = (
        "__weakref__",
        "_connection",
        "_exchange",
        "_production",
        "_reading",
        "_request",
        "_state",
    )

    _log: ClassVar[Logger] = Logger()

    def __init__(self, exchange: ServerExchange, connection: SiteProtocol) -> None:
        self._exchange = exchange
        self._connection = connection
        self._request: Any = None
        self._production: Production | None = None
        self._reading = True
        self._state = _RECEIVING

    @property
    def site(self) -> Any:
        """The site."""
        return self._connection.site

    @property
    def factory(self) -> Any:
        """The factory, which is the site."""
        return self._connection.factory

    @property
    def transport(self) -> Stream:
        """The stream itself: what a request does to its transport is done to the stream."""
        return self

    # -- receiving -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the request, and give it what has arrived."""
        exchange = self._exchange
        head = exchange.request
        if head.refusal is not None:
            status, sentence = head.refusal
            self._answer(status, sentence.encode() + b"\n")
            self._end()
            return
        try:
            request = self._request = self._connection.make_request(self)
            headers = request.requestHeaders
            for name, value in head.fields:
                headers.addRawHeader(name, value)
            length = head.content_length
            request.gotLength(0 if length is None and exchange.received is _ENDED else length)
            request.parseCookies()
        except Exception:
            self._fail("while beginning a request")
            return
        if head.expects_continue:
            exchange.send_informational_response(100, [])
        exchange.on_progress = self._progress
        self._receive()

    def _receive(self) -> None:
        """Give the request its content; what it takes is credited to the client."""
        exchange = self._exchange
        try:
            while self._reading and self._state is _RECEIVING:
                data = exchange.read()
                if data is None:
                    exchange.waiting_since = exchange.endpoint.now
                    return
                exchange.waiting_since = None
                if data:
                    self._request.handleContentChunk(data)
                else:
                    self._state = _HANDLED
                    head = exchange.request
                    if exchange.trailers:
                        self._request.trailers = received = Headers()
                        for name, value in exchange.trailers:
                            received.addRawHeader(name, value)
                    self._request.requestReceived(head.method, head.target, b"HTTP/2")
        except ContentTooLarge as error:
            self._answer(413, f"{error}\n".encode())
            self._lose(Failure(error))
        except ExchangeError:
            pass  # _progress tells the request
        except Exception:
            self._fail("while receiving {request}")

    def _progress(self) -> None:
        """Something changed: content came, there is room again, or the stream is closed."""
        exchange = self._exchange
        if exchange.closed:
            if exchange.error is not None or exchange.sent is not _ENDED:
                self._lost(self._reason())
            return
        if self._state is _RECEIVING:
            self._receive()
        if not exchange.queued:
            if self._state is _LOSING:
                self.abortConnection()
            elif self._production is not None:
                self._production.drained()

    def _reason(self) -> Failure:
        """Say why the client is gone, in Twisted's words."""
        if self._exchange.endpoint.closed:
            return self._connection.reason
        return Failure(ConnectionLost(str(self._exchange.error or "the stream was reset")))

    def _lost(self, reason: Failure) -> None:
        """Tell the request that its client is gone."""
        if self._state is _DONE:
            return
        production, request = self._production, self._request
        self._end()
        with self._log.failuresHandled("while telling {request} of a lost stream", request=request):
            if production is not None:
                production.producer.stopProducing()
        with self._log.failuresHandled("while telling {request} of a lost stream", request=request):
            request.connectionLost(reason)

    def _end(self) -> None:
        """Let go of the exchange and the request."""
        exchange = self._exchange
        self._state = _DONE
        self._production = self._request = None
        exchange.on_progress = None
        exchange.waiting_since = None
        exchange.endpoint.finished(exchange)

    def _fail(self, doing: str) -> None:
        """Log the exception being handled, and end the request after it."""
        self._log.failure(doing, request=self._request)
        if self._exchange.sent is _HEAD:
            self._answer(500, b"Internal Server Error\n")
        else:
            self._exchange.abandon(ErrorCode.INTERNAL_ERROR)
        self._lose(Failure(ConnectionAborted()))

    def _lose(self, reason: Failure) -> None:
        """Take nothing more from the request, and tell it so in the next turn."""
        if self._request is None:
            self._end()
        else:
            self._state = _FAILED
            self.later(self._lost, reason)

    def _answer(self, status: int, content: bytes) -> None:
        """Answer without a request object."""
        fields: FieldSection = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(content)),
        ]
        try:
            self._exchange.send_whole_response(status, fields, content)
        except (ExchangeError, LocalProtocolError):
            pass  # the client is gone

    # -- what a request calls --------------------------------------------------------------------

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Send the response's head.

        Args:
            version: Not sent over HTTP/2.
            code: The status code.
            reason: Not sent over HTTP/2.
            headers: The field section; connection-specific fields are left out.
        """
        exchange = self._exchange
        if exchange.closed:
            return
        try:
            fields = field_section(headers)
            lengths = {value for name, value in fields if name == b"content-length"}
            length: int | None = None
            if lengths:
                value = lengths.pop()
                if lengths or not value.isdigit():
                    raise LocalProtocolError(f"content-length {value!r} is not the one length of the content")
                length = int(value)
            exchange.send_response(int(code), fields, content_length=length)
        except ExchangeError:
            pass  # _progress tells the request
        except LocalProtocolError:
            self._fail("while sending the response to {request}")

    def write(self, data: bytes) -> None:
        """Send content of the response."""
        exchange = self._exchange
        if self._state is _LOSING or self._state is _FAILED or exchange.closed:
            return
        if not isinstance(data, bytes):
            if isinstance(data, str):
                raise TypeError("Data must not be str")
            data = bytes(data)
        try:
            exchange.send_data(data)
        except ExchangeError:
            return  # _progress tells the request
        except LocalProtocolError:
            self._fail("while sending the response to {request}")
            return
        if self._production is not None:
            self._production.wrote()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send pieces of content."""
        self.write(b"".join(data))

    def requestDone(self, request: Any) -> None:
        """End the response: the request is finished."""
        if self._state is _DONE:
            return
        exchange = self._exchange
        if self._state is _HANDLED and not exchange.closed and exchange.sent is _CONTENT:
            try:
                trailers = getattr(request, "responseTrailers", None)
                if trailers is None:
                    exchange.send_data(b"", end_stream=True)
                else:
                    exchange.send_trailers(field_section(trailers))
            except ExchangeError:
                pass
            except LocalProtocolError:
                self._log.failure("while ending the response to {request}", request=request)
        self._end()

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Refuse a request that Twisted cannot parse (multipart content)."""
        self._answer(400, b"Bad Request\n")
        self._lose(Failure(ConnectionDone()))

    # -- what HTTP/2 adds to a request -----------------------------------------------------------

    def send_informational(self, status: int, fields: FieldSection) -> None:
        """Send an interim response; see :class:`plait.integrations.twisted.RequestMixin`."""
        try:
            self._exchange.send_informational_response(status, fields)
        except ExchangeError:
            pass  # _progress tells the request

    def push(self, method: bytes, path: bytes, fields: FieldSection) -> bool:
        """Promise a request of the same origin; return whether the client allows it."""
        head = self._exchange.request
        promised = self._exchange.push(
            [
                (b":method", method),
                (b":scheme", b"https" if self.isSecure() else b"http"),
                (b":authority", head.authority),
                (b":path", path),
                *fields,
            ]
        )
        return promised is not None

    @property
    def priority(self) -> Priority:
        """Urgency and whether the response is incremental."""
        return self._exchange.priority

    @priority.setter
    def priority(self, priority: tuple[int, bool]) -> None:
        self._exchange.prioritize(*priority)

    # -- ITransport ------------------------------------------------------------------------------

    def loseConnection(self) -> None:
        """Reset the stream once what was written has left.

        A response that is not finished never looks complete (RFC 9113 §8.1.1).
        """
        if self._state in (_RECEIVING, _HANDLED):
            self._state = _LOSING
            if self._exchange.queued:
                self._exchange.endpoint.waiting_to_write.add(self._exchange)
            else:
                self.abortConnection()

    def abortConnection(self) -> None:
        """Reset the stream now."""
        if self._state is not _DONE and self._state is not _FAILED:
            self._exchange.abandon(ErrorCode.CANCEL)
            self._lose(Failure(ConnectionDone()))

    def getPeer(self) -> Any:
        """Return the client's address."""
        return self._connection.peer

    def getHost(self) -> Any:
        """Return this end's address."""
        return self._connection.host

    def isSecure(self) -> bool:
        """Whether TLS is spoken."""
        return self._connection.secure

    # -- IConsumer -------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take a producer of content.

        Args:
            producer: A push producer is paused while more than ``Limits.write_buffer`` bytes wait; a
                pull producer is asked while fewer do.
            streaming: Whether it pushes.

        Raises:
            RuntimeError: There is one already.
        """
        if self._production is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self._production.producer} was "
                "never unregistered."
            )
        if self._state is _DONE:
            producer.stopProducing()
        else:
            self._production = Production(self, producer, streaming)

    def unregisterProducer(self) -> None:
        """Take note that the producer has produced all."""
        self._production = None

    # -- what the production of content calls ----------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether no more content should be written for now; if so, ``drained`` will tell."""
        exchange = self._exchange
        if exchange.queued <= self._connection.limits.write_buffer:
            return False
        exchange.endpoint.waiting_to_write.add(exchange)
        return True

    def produces(self, production: Production) -> bool:
        """Whether a production is still the one registered."""
        return production is self._production

    def later(self, callback: Callable[..., object], *args: object) -> None:
        """Call something in the reactor's next turn."""
        self._connection.callLater(0, callback, *args)

    def production_failed(self) -> None:
        """Take note that the producer raised the exception being handled."""
        self._production = None
        self._fail("while producing the response to {request}")

    # -- IPushProducer: the content of the request -----------------------------------------------

    def pauseProducing(self) -> None:
        """Leave further content with the client: it gets no credit."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Take content again."""
        self._reading = True
        if self._state is _RECEIVING and not self._exchange.closed:
            self._receive()

    def stopProducing(self) -> None:
        """Want nothing more of this request."""
        self.abortConnection()


@implementer(ISSLTransport)
class SecureStream(Stream):
    """A stream of a connection with TLS."""

    __slots__ = ()

    def getPeerCertificate(self) -> Any:
        """Return the client's certificate, or None."""
        return self._connection.transport.getPeerCertificate()  # type: ignore[union-attr]


def field_section(headers: Headers) -> FieldSection:
    """Validate Twisted's headers as a field section.

    Raises:
        LocalProtocolError: A name or value is not one HTTP can carry.
    """
    return outbound_fields([(name, value) for name, values in headers.getAllRawHeaders() for value in values])
