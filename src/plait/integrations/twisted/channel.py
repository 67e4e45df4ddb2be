"""One exchange as the channel of a Twisted request.

What :class:`twisted.web.http.HTTPChannel` does for a request over HTTP/1.1 decides what is right here,
where "the connection" is the request's own stream: losing it ends this request and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IConsumer, IPushProducer, ISSLTransport, ITransport
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from plait.errors import ExchangeError, LocalProtocolError
from plait.fields import FieldSection, outbound_fields
from plait.integrations.twisted.conversation import Conversation, State
from plait.integrations.twisted.production import Production
from plait.protocol.exchange import Half
from plait.protocol.priorities import Priority

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SecureStream", "Stream", "field_section"]

_RECEIVING, _HANDLED, _LOSING, _, _DONE = State


@implementer(ITransport, IConsumer, IPushProducer)
class Stream(Conversation):
    """What a request writes to, and hears the client by.

    Args:
        exchange: The request and its response.
        connection: The connection it is on.
    """

    __slots__ = ()

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

    @property
    def _answering(self) -> bool:
        """Whether what the request writes is sent."""
        return self._state is _HANDLED or self._state is _RECEIVING

    # -- what a request calls --------------------------------------------------------------------

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Send the response's head.

        Args:
            version: Not used: it is the connection's.
            code: The status code.
            reason: Not used.
            headers: The field section; connection-specific fields are left out.
        """
        exchange = self.exchange
        if exchange.closed or not self._answering:
            return
        self._request.chunked = 0  # Twisted would over HTTP/1.1, and so does the connection by itself
        try:
            fields = field_section(headers)
            lengths = {value for name, value in fields if name == b"content-length"}
            length: int | None = None
            if lengths:
                value = lengths.pop()
                if lengths or not value.isdigit():
                    raise LocalProtocolError(f"content-length {value!r} is not the one length of the content")
                length = int(value)
            status = int(code)
            exchange.send_response(status, fields, content_length=length)
            self.status = status
        except ExchangeError:
            pass  # _progress tells the request
        except LocalProtocolError:
            self._fail("while sending the response to {request}")

    def write(self, data: bytes) -> None:
        """Send content of the response."""
        exchange = self.exchange
        if exchange.closed or not self._answering:
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
        exchange = self.exchange
        if self._state is _LOSING and not exchange.closed:
            self._request = None  # what it wrote is still on its way
            return
        if self._answering and not exchange.closed and exchange.sent is Half.CONTENT:
            try:
                trailers = getattr(request, "responseTrailers", None)
                if trailers is None or not self._takes_trailers():
                    exchange.send_data(b"", end_stream=True)
                else:
                    exchange.send_trailers(field_section(trailers))
            except ExchangeError:
                pass
            except LocalProtocolError:
                self._log.failure("while ending the response to {request}", request=request)
        self._end()

    def _takes_trailers(self) -> bool:
        """Whether the client reads trailers: over HTTP/1.1 it would have to say so (RFC 9110 §6.5.1)."""
        exchange = self.exchange
        return exchange.request.accepts_trailers or exchange.endpoint.connection.http_version == "2"

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Refuse a request that Twisted cannot parse (multipart content)."""
        self._answer(400)
        self._lose(Failure(ConnectionDone()))

    # -- what HTTP/2 adds to a request -----------------------------------------------------------

    def send_informational(self, status: int, fields: FieldSection) -> None:
        """Send an interim response; see :class:`plait.integrations.twisted.RequestMixin`."""
        try:
            self.exchange.send_informational_response(status, fields)
        except ExchangeError:
            pass  # _progress tells the request

    def push(self, method: bytes, path: bytes, fields: FieldSection) -> bool:
        """Promise a request of the same origin; return whether the client allows it."""
        if not self._connection.push:
            return False
        head = self.exchange.request
        promised = self.exchange.push(
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
        return self.exchange.priority

    @priority.setter
    def priority(self, priority: tuple[int, bool]) -> None:
        self.exchange.prioritize(*priority)

    # -- ITransport ------------------------------------------------------------------------------

    def loseConnection(self) -> None:
        """Reset the stream once what was written has left.

        A response that is not finished never looks complete (RFC 9113 §8.1.1).
        """
        if self._answering:
            self._state = _LOSING
            if self.exchange.queued:
                self.exchange.endpoint.waiting_to_write.add(self.exchange)
            else:
                self.abort()

    def abortConnection(self) -> None:
        """Reset the stream now."""
        self.abort()

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
        exchange = self.exchange
        if exchange.queued <= self._connection.limits.write_buffer:
            return False
        exchange.endpoint.waiting_to_write.add(exchange)
        return True

    def produces(self, production: Production) -> bool:
        """Whether a production is still wanted."""
        return production is self._production and self._answering

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
        if self._state is _RECEIVING and not self.exchange.closed:
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
        return self._connection.certificate


def field_section(headers: Headers) -> FieldSection:
    """Validate Twisted's headers as a field section.

    Raises:
        LocalProtocolError: A name or value is not one HTTP can carry.
    """
    return outbound_fields([(name, value) for name, values in headers.getAllRawHeaders() for value in values])
