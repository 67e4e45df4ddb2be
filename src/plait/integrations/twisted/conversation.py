"""One request of a Twisted site, from its head to its end, or to that of its client."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.http_headers import Headers

from plait.errors import ContentTooLarge, ExchangeError, LocalProtocolError
from plait.fields import FieldSection
from plait.integrations.twisted.production import Production
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Half
from plait.protocol.server_exchange import ServerExchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from plait.server_config import Limits

__all__ = ["Carrier", "Conversation", "State"]

_HEAD, _CONTENT, _ENDED = Half
#: The versions as Twisted writes them, by the core's names.
_VERSIONS = {"2": b"HTTP/2", "1.1": b"HTTP/1.1", "1.0": b"HTTP/1.0"}


class Carrier(Protocol):
    """What a conversation is carried by: a connection of a Site, or of plait's own server."""

    @property
    def site(self) -> Any:
        """The site."""

    @property
    def factory(self) -> Any:
        """Whose access log requests are written to, or None."""

    @property
    def limits(self) -> Limits:
        """What is taken from the client."""

    @property
    def push(self) -> bool:
        """Whether requests may push."""

    @property
    def callLater(self) -> Any:
        """The reactor's."""

    @property
    def peer(self) -> Any:
        """The client's address."""

    @property
    def host(self) -> Any:
        """This end's address."""

    @property
    def secure(self) -> bool:
        """Whether the client speaks TLS."""

    @property
    def certificate(self) -> Any:
        """The client's certificate, or None."""

    @property
    def reason(self) -> Failure:
        """Why the connection was lost."""

    def make_request(self, conversation: Any) -> Any:
        """Make the request object."""

    def ended(self, conversation: Any) -> None:
        """Take note that a conversation is over."""


class State(Enum):
    """How far a stream's request has come."""

    RECEIVING = "receiving"  # its content is on its way
    HANDLED = "handled"  # the resource has it
    LOSING = "losing"  # what was written is on its way, then the stream is reset
    FAILED = "failed"  # the stream has its answer; what the request still writes goes nowhere
    DONE = "done"  # finished or lost; nobody is told anything more


_RECEIVING, _HANDLED, _LOSING, _FAILED, _DONE = State


class Conversation:
    """An exchange and the request object that stands for it.

    Args:
        exchange: The request and its response.
        connection: The connection it is on.

    Attributes:
        exchange: The request and its response.
        status: The status code sent, 0 before.
    """

    __slots__ = (
        "__weakref__",
        "_connection",
        "_production",
        "_reading",
        "_request",
        "_state",
        "exchange",
        "status",
    )

    _log: ClassVar[Logger] = Logger()

    def __init__(self, exchange: ServerExchange, connection: Carrier) -> None:
        self.exchange = exchange
        self.status = 0
        self._connection = connection
        self._request: Any = None
        self._production: Production | None = None
        self._reading = True
        self._state = _RECEIVING

    # -- receiving -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the request, and give it what has arrived."""
        exchange = self.exchange
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
            if length is None and exchange.received is _ENDED and not exchange.content:
                length = 0
            request.gotLength(length)
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
        exchange = self.exchange
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
                    version = _VERSIONS[exchange.endpoint.connection.http_version]
                    self._request.requestReceived(head.method, head.target, version)
        except ContentTooLarge as error:
            self._answer(413, f"{error}\n".encode())
            self._lose(Failure(error))
        except ExchangeError:
            pass  # _progress tells the request
        except Exception:
            self._fail("while receiving {request}")

    def _progress(self) -> None:
        """Something changed: content came, there is room again, or the stream is closed."""
        exchange = self.exchange
        if exchange.closed:
            if exchange.error is not None or exchange.sent is not _ENDED:
                self._lost(self._reason())
            return
        if self._state is _RECEIVING:
            self._receive()
        if not exchange.queued:
            if self._state is _LOSING:
                self.abort()
            elif self._production is not None:
                self._production.drained()

    def _reason(self) -> Failure:
        """Say why the client is gone, in Twisted's words."""
        if self.exchange.endpoint.closed:
            return self._connection.reason
        return Failure(ConnectionLost(str(self.exchange.error or "the stream was reset")))

    def _lost(self, reason: Failure) -> None:
        """Tell the request that its client is gone."""
        if self._state is _DONE:
            return
        production, request = self._production, self._request
        self._end()
        if request is None:
            return  # it has finished already
        with self._log.failuresHandled("while telling {request} of a lost stream", request=request):
            if production is not None:
                production.producer.stopProducing()
        with self._log.failuresHandled("while telling {request} of a lost stream", request=request):
            request.connectionLost(reason)

    def _end(self) -> None:
        """Let go of the exchange and the request."""
        exchange = self.exchange
        self._state = _DONE
        self._production = self._request = None
        exchange.on_progress = None
        exchange.waiting_since = None
        exchange.endpoint.finished(exchange)
        self._connection.ended(self)

    def _fail(self, doing: str) -> None:
        """Log the exception being handled, and end the request after it."""
        self._log.failure(doing, request=self._request)
        if self._state is _DONE:
            return  # it was after the response, which is whole
        self.give_up(500, b"Internal Server Error\n")

    def give_up(self, status: int, content: bytes) -> None:
        """End an exchange whose request goes on no more.

        Args:
            status: What it is answered with, if its response has not begun; otherwise it is reset.
            content: The content of the answer.
        """
        if self.exchange.sent is _HEAD:
            self._answer(status, content)
        else:
            self.exchange.abandon(ErrorCode.INTERNAL_ERROR)
        self._lose(Failure(ConnectionAborted()))

    def _lose(self, reason: Failure) -> None:
        """Take nothing more from the request, and tell it so in the next turn."""
        if self._request is None:
            self._end()
        else:
            self._state = _FAILED
            self.later(self._lost, reason)

    def _answer(self, status: int, content: bytes = b"") -> None:
        """Answer without a request object."""
        fields: FieldSection = [(b"date", datetimeToString())]
        if content:
            fields.append((b"content-type", b"text/plain; charset=utf-8"))
            fields.append((b"content-length", b"%d" % len(content)))
        self.status = status
        try:
            self.exchange.send_whole_response(status, fields, content)
        except (ExchangeError, LocalProtocolError):
            pass  # the client is gone

    def abort(self) -> None:
        """Reset the stream now."""
        if self._state is not _DONE and self._state is not _FAILED:
            self.exchange.abandon(ErrorCode.CANCEL)
            self._lose(Failure(ConnectionDone()))

    def later(self, callback: Callable[..., object], *args: object) -> None:
        """Call something in the reactor's next turn."""
        self._connection.callLater(0, callback, *args)
