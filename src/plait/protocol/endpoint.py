"""One connection's owner: routes events to exchanges. The server's is in ``server_endpoint.py``.

An endpoint (RFC 9113 §2.2) holds a :class:`~plait.protocol.connection.Connection` and the exchanges on
it. It does no I/O and knows no clock: bytes and the time are arguments. A driver calls, in turn,
``receive_data``, ``take_accepted`` (server), ``data_to_send`` until it is empty, and closes the
transport when ``closed`` is True and everything is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from plait.errors import ConnectionLost, ExchangeReset
from plait.fields import Field, section_size
from plait.protocol import events as ev
from plait.protocol.connection import Connection
from plait.protocol.events import ErrorCode, Fields, error_name, sentence
from plait.protocol.exchange import Exchange, Half
from plait.protocol.h2 import PIECE

if TYPE_CHECKING:
    from plait.protocol.pushed import Pushes

__all__ = ["COMMON_HANDLERS", "PIECE", "ClientEndpoint", "Endpoint", "ignore_output"]

_ENDED, _CONTENT = Half.ENDED, Half.CONTENT


def ignore_output() -> None:
    """Stand in until a driver says what to do about output."""


class Endpoint:
    """What both roles share.

    Attributes:
        connection: The connection.
        exchanges: Open exchanges by stream id.
        closed: Whether the connection has ended; write what is left, then close the transport.
        error: Why it ended, or None for a proper end.
        on_output: Called when there may be bytes to write that no ``receive_data`` led to.
        pieces: Pieces of content handed over for sending; a server counts by them what clients may say.
        waiting_to_write: Exchanges whose owner waits until their queued content has shrunk.
    """

    __slots__ = ("closed", "connection", "error", "exchanges", "on_output", "pieces", "waiting_to_write")

    _handlers: ClassVar[dict[type[ev.Event], Callable[..., None]]] = {}

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.exchanges: dict[int, Exchange] = {}
        self.closed = False
        self.error: ConnectionLost | None = None
        self.on_output: Callable[[], None] = ignore_output
        self.pieces = 0
        self.waiting_to_write: set[Exchange] = set()

    def receive_eof(self) -> None:
        """Take note that the peer closed its side."""
        self.connection.receive_eof()
        self._route()

    def data_to_send(self) -> bytes:
        """Return bytes to write now.

        A piece of ``PIECE`` bytes or more may not be all; a smaller one is, but for what its own
        events lead to, for which ``on_output`` is called.
        """
        data = self.connection.data_to_send()
        self._route()
        if self.waiting_to_write:
            self._wake_writers()
        return data

    def shut_down(self) -> None:
        """Begin a graceful end, or take its next step."""
        self.connection.shut_down()
        self._route()
        self.on_output()

    def terminate(self, error_code: int = ErrorCode.NO_ERROR) -> None:
        """End the connection now, with all its exchanges."""
        self.connection.terminate(error_code)
        self._route()
        self.on_output()

    def connection_lost(self, reason: str) -> None:
        """Take note that the transport is gone."""
        if not self.closed:
            self._end(ConnectionLost(reason, error_code=self.connection.goaway_code or None))

    def _route(self) -> None:
        # One pass: events that handlers lead to come with the output they ask for.
        handlers = self._handlers
        for event in self.connection.events():
            handler = handlers.get(type(event))
            if handler is not None:
                handler(self, event)

    def _wake_writers(self) -> None:
        for exchange in [e for e in self.waiting_to_write if not e.queued]:
            self.waiting_to_write.discard(exchange)
            if exchange.on_progress is not None:
                exchange.on_progress()

    def _on_data(self, event: ev.DataReceived) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is None or exchange.closed:
            # Content of a stream that is over here still used up the connection's window.
            if event.data:
                self.connection.acknowledge_received_data(len(event.data), event.stream_id)
            return
        exchange.receive_content(event.data, event.end_stream)
        if exchange.on_progress is not None:
            exchange.on_progress()

    def _on_trailers(self, event: ev.TrailersReceived) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None and not exchange.closed:
            exchange.beside().trailers = list(event.headers)
            exchange.end_received()
            if exchange.on_progress is not None:
                exchange.on_progress()

    def _on_stream_closed(self, event: ev.StreamClosed) -> None:
        exchange = self.exchanges.pop(event.stream_id, None)
        if exchange is not None:
            self._close_exchange(exchange, event.error_code)

    def _close_exchange(self, exchange: Exchange, error_code: int) -> None:
        if self.waiting_to_write:
            self.waiting_to_write.discard(exchange)
        if error_code or exchange.received is not _ENDED:
            exchange.close(exchange.end_of(error_code))
        else:
            exchange.closed = True
            if exchange.on_progress is not None:
                exchange.on_progress()

    def _on_connection_closed(self, event: ev.ConnectionClosed) -> None:
        reason = sentence(event.debug_data) or "the connection closed"
        # HTTP/1.1 has no such codes.
        if event.error_code != ErrorCode.NO_ERROR and not self.connection.failure:
            reason = f"{reason} ({error_name(event.error_code)})"
        self._end(ConnectionLost(reason, error_code=event.error_code))

    def _end(self, error: ConnectionLost) -> None:
        self.closed = True
        self.error = error
        exchanges, self.exchanges = self.exchanges, {}
        self.waiting_to_write.clear()
        for exchange in exchanges.values():
            exchange.close(None if exchange.received is exchange.sent is _ENDED else error)


#: Handlers of the events that mean the same in both roles.
COMMON_HANDLERS: dict[type[ev.Event], Callable[..., None]] = {
    ev.DataReceived: Endpoint._on_data,
    ev.TrailersReceived: Endpoint._on_trailers,
    ev.ConnectionClosed: Endpoint._on_connection_closed,
}


class ClientEndpoint(Endpoint):
    """A client's end of a connection: opens exchanges.

    Attributes:
        origins: The origins that the server says it speaks for (RFC 8336), None when it has not said.
        pings_answered: How many of :meth:`Connection.measure` were answered.
        undecided: Called once the server has said what it does and what not, or will say no more.
        pushes: What takes pushed responses, None where nobody wants them.
    """

    __slots__ = ("_head_limits", "origins", "pings_answered", "pushes", "undecided")

    #: Interim responses one exchange may get before it is reset (a storm of 1xx).
    max_interim_responses = 100
    #: Bytes that the field sections of these may have together.
    max_interim_size = 262_144

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._head_limits = connection.head_limits
        self.origins: frozenset[bytes] | None = None
        self.pings_answered = 0
        self.undecided: list[Callable[[], None]] = []
        self.pushes: Pushes | None = None

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the transport."""
        self.connection.receive_data(data)
        self._route()

    @property
    def capacity(self) -> int:
        """How many further exchanges can be opened now."""
        return 0 if self.closed else self.connection.capacity

    def open_exchange(self, fields: Fields, *, end_stream: bool = False) -> Exchange:
        """Send a request's head.

        Args:
            fields: Pseudo-fields first, then a validated field section.
            end_stream: Whether the request has no content.

        Raises:
            LocalProtocolError: The connection takes no further request.
        """
        exchange = Exchange(self, self.connection.send_request(fields, end_stream=end_stream))
        exchange.sent = _ENDED if end_stream else _CONTENT
        self.exchanges[exchange.stream_id] = exchange
        self.on_output()
        return exchange

    def fail(self, stream_id: int, error: Exception) -> None:
        """End an exchange from this side, for a reason of the caller's own."""
        exchange = self.exchanges.get(stream_id)
        if exchange is not None and not exchange.closed:
            self._give_up(exchange, error)

    def _give_up(self, exchange: Exchange, error: Exception, code: int = ErrorCode.CANCEL) -> None:
        """End an exchange from this side, and tell whoever waits for it why."""
        exchange.abandon(code)
        exchange.error = error  # type: ignore[assignment]
        if exchange.on_progress is not None:
            exchange.on_progress()

    def _on_response(self, event: ev.ResponseReceived) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is None or exchange.closed:
            return
        headers: tuple[Field, ...] = event.headers
        limits = self._head_limits
        if limits is not None:
            size = 32 * (count := len(headers))
            for name, value in headers:  # half the work of sum() over chain()
                size += len(name) + len(value)
            if count > limits[0] or size > limits[1]:
                self._refuse(exchange, count, limits)
                return
        exchange.status = int(headers[0][1])
        exchange.fields = headers[1:]
        exchange.received = _ENDED if event.end_stream else _CONTENT
        if exchange.on_progress is not None:
            exchange.on_progress()

    def _refuse(self, exchange: Exchange, count: int, limits: tuple[int, int]) -> None:
        """End an exchange whose field section is larger than the client takes (RFC 9113 §10.5.1)."""
        if count > limits[0]:
            problem = f"has more than {limits[0] - 1} fields"
        else:
            problem = f"is longer than {limits[1]} bytes"
        code = ErrorCode.ENHANCE_YOUR_CALM
        self._give_up(exchange, ExchangeReset(f"the field section {problem}", error_code=code), code)

    def _on_trailers(self, event: ev.TrailersReceived) -> None:
        exchange, limits = self.exchanges.get(event.stream_id), self._head_limits
        if exchange is None or exchange.closed:
            return
        if limits is not None:
            count = len(event.headers) + 1  # as if there were a status
            if count > limits[0] or section_size(event.headers) > limits[1]:
                self._refuse(exchange, count, limits)
                return
        super()._on_trailers(event)

    def _on_informational_response(self, event: ev.InformationalResponseReceived) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None and not exchange.closed:
            aside = exchange.beside()
            aside.add_interim(event.headers)
            if len(aside.interim) > self.max_interim_responses or aside.interim_size > self.max_interim_size:
                code = ErrorCode.ENHANCE_YOUR_CALM
                error = ExchangeReset("the server sent too many interim responses", error_code=code)
                self._give_up(exchange, error, code)
            elif exchange.on_progress is not None:
                exchange.on_progress()

    def _on_ping_acknowledged(self, event: ev.PingAcknowledged) -> None:
        self.pings_answered += 1

    def _on_pushed_stream(self, event: ev.PushedStreamReceived) -> None:
        parent = self.exchanges.get(event.stream_id)
        if self.pushes is None or parent is None or parent.closed:
            # Promised before the server knew that nobody wants the rest.
            self.connection.reset_stream(event.promised_stream_id, ErrorCode.CANCEL)
        else:
            self.pushes.receive(self, parent, event.promised_stream_id, event.headers)
            if parent.on_progress is not None:
                parent.on_progress()
        self.on_output()

    def _on_origins(self, event: ev.OriginReceived) -> None:
        # RFC 8336 §2.3: every frame adds to the set.
        self.origins = frozenset(self.origins or ()) | frozenset(event.origins)

    def _on_settings(self, event: ev.SettingsReceived) -> None:
        self._decide()

    def _end(self, error: ConnectionLost) -> None:
        super()._end(error)
        self._decide()

    def _decide(self) -> None:
        undecided, self.undecided = self.undecided, []
        for decide in undecided:
            decide()

    _handlers: ClassVar[dict[type[ev.Event], Callable[..., None]]] = {
        **COMMON_HANDLERS,
        ev.SettingsReceived: _on_settings,
        ev.PingAcknowledged: _on_ping_acknowledged,
        ev.OriginReceived: _on_origins,
        ev.PushedStreamReceived: _on_pushed_stream,
        ev.ResponseReceived: _on_response,
        ev.TrailersReceived: _on_trailers,
        ev.InformationalResponseReceived: _on_informational_response,
        ev.StreamClosed: Endpoint._on_stream_closed,
    }
