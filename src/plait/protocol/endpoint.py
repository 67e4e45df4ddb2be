"""One connection's owner: routes events to exchanges, judges floods, keeps deadlines.

An endpoint (RFC 9113 §2.2) holds a :class:`~plait.protocol.connection.Connection` and the exchanges on
it. It does no I/O and knows no clock: bytes and the time are arguments. A driver calls, in turn,
``receive_data``, ``take_accepted`` (server), ``data_to_send`` until it is empty, and closes the
transport when ``closed`` is True and everything is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from plait.errors import ConnectionLost, ExchangeReset
from plait.fields import Field, RequestHead
from plait.protocol import events as ev
from plait.protocol.connection import Connection
from plait.protocol.events import ErrorCode, Fields, error_name
from plait.protocol.exchange import Exchange, Half, ServerExchange
from plait.protocol.h2 import PIECE

if TYPE_CHECKING:
    from plait.config import Limits

__all__ = ["PIECE", "ClientEndpoint", "Endpoint", "ServerEndpoint"]


_ENDED, _CONTENT = Half.ENDED, Half.CONTENT


def _ignore() -> None:
    """Stand in until a driver says what to do about output."""


class Endpoint:
    """What both roles share.

    Attributes:
        connection: The connection.
        exchanges: Open exchanges by stream id.
        closed: Whether the connection has ended; write what is left, then close the transport.
        error: Why it ended, or None for a proper end.
        on_output: Called when there may be bytes to write that no ``receive_data`` led to.
        waiting_to_write: Exchanges whose owner waits until their queued content has shrunk.
    """

    __slots__ = ("closed", "connection", "error", "exchanges", "on_output", "waiting_to_write")

    _handlers: ClassVar[dict[type[ev.Event], Callable[..., None]]] = {}

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.exchanges: dict[int, Exchange] = {}
        self.closed = False
        self.error: ConnectionLost | None = None
        self.on_output: Callable[[], None] = _ignore
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
            self._end(ConnectionLost(reason))

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
            exchange.trailers = list(event.headers)
            exchange.received = _ENDED
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
        reason = event.debug_data.decode("utf-8", "replace") or "the connection closed"
        if event.error_code != ErrorCode.NO_ERROR:
            reason = f"{reason} ({error_name(event.error_code)})"
        self._end(ConnectionLost(reason))

    def _end(self, error: ConnectionLost) -> None:
        self.closed = True
        self.error = error
        exchanges, self.exchanges = self.exchanges, {}
        self.waiting_to_write.clear()
        for exchange in exchanges.values():
            exchange.close(None if exchange.received is exchange.sent is _ENDED else error)


_COMMON: dict[type[ev.Event], Callable[..., None]] = {
    ev.DataReceived: Endpoint._on_data,
    ev.TrailersReceived: Endpoint._on_trailers,
    ev.ConnectionClosed: Endpoint._on_connection_closed,
}


class ServerEndpoint(Endpoint):
    """A server's end of a connection: accepts exchanges, holds the client to its limits.

    Args:
        connection: The connection.
        limits: What the client may do.
        now: The time, in seconds of any steady clock.

    Attributes:
        accepted: Requests that arrived and were not taken yet.
        running: Exchanges whose application has not finished, the closed ones among them.
        served: Requests accepted so far.
        now: The time of the last call that brought one.
    """

    __slots__ = (
        "_calm",
        "_calm_since",
        "_head_since",
        "_idle_since",
        "_resets_left",
        "_unwanted",
        "accepted",
        "limits",
        "now",
        "running",
        "served",
    )

    def __init__(self, connection: Connection, limits: Limits, now: float) -> None:
        super().__init__(connection)
        self.limits = limits
        self.running = 0
        self.served = 0
        self.accepted: list[ServerExchange] = []
        self._unwanted: set[Exchange] = set()
        self.now = self._idle_since = self._calm_since = now
        self._head_since: float | None = None
        self._calm = limits.max_control_frames
        self._resets_left = 2 * limits.max_concurrent_streams

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes from the transport.

        Args:
            data: The bytes.
            now: The time, on the clock of the constructor.
        """
        self.now = now
        self.connection.receive_data(data)
        self._route()

    def data_to_send(self) -> bytes:
        data = Endpoint.data_to_send(self)
        if self._unwanted:
            data += self._reset_unwanted()
        # Whoever is sent a lot has a lot to acknowledge.
        self._calm += len(data) >> 10
        return data

    def take_accepted(self) -> list[ServerExchange]:
        """Return the requests that arrived, without those reset in the meantime."""
        accepted, self.accepted = self.accepted, []
        live = [exchange for exchange in accepted if not exchange.closed]
        self.running += len(live)
        return live

    def finished(self, exchange: Exchange) -> None:
        """Take note that the application is done with an exchange, well or not."""
        self.running -= 1
        if exchange.content:
            exchange.release()
        if not exchange.closed:
            if exchange.sent is not _ENDED:
                exchange.abandon(ErrorCode.INTERNAL_ERROR)
                self._resets_left += 1  # the application's fault, not the client's
            elif exchange.received is not _ENDED:
                exchange.on_progress = exchange.release
                self._unwanted.add(exchange)
                self.on_output()

    def _reset_unwanted(self) -> bytes:
        """Refuse the rest of requests whose response is complete (RFC 9113 §8.1); return the bytes.

        The engine sends resets ahead of content, so the response must have left before. And it must
        not have left long before: a client that reads the end of the response and not the reset
        with it may wait for ever to send the rest (curl 7.88 does).
        """
        for exchange in [e for e in self._unwanted if e.closed or not e.queued]:
            self._unwanted.discard(exchange)
            exchange.abandon(ErrorCode.NO_ERROR)
        data = self.connection.data_to_send()
        self._route()
        return data

    # -- deadlines -------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Act on every deadline that has passed.

        Call it about once a second; deadlines are that exact.

        Args:
            now: The time, on the clock of the constructor.
        """
        self.now = now
        if self.closed:
            return
        limits = self.limits
        renewed = now - self._calm_since >= 10
        if renewed:
            self._calm_since = now
        if renewed or self._calm > limits.max_control_frames:
            self._calm = limits.max_control_frames
        if renewed or self._resets_left > 2 * limits.max_concurrent_streams:
            self._resets_left = 2 * limits.max_concurrent_streams
        if self.connection.receiving_head:
            if self._head_since is None:
                self._head_since = now
            elif now - self._head_since >= limits.header_timeout:
                self.terminate(ErrorCode.ENHANCE_YOUR_CALM)
                return
        else:
            self._head_since = None
        if self.connection.closing:
            self.shut_down()
        if self.exchanges:
            for exchange in list(self.exchanges.values()):
                self._expire_exchange(exchange, now)
        else:
            idle = now - self._idle_since
            if idle >= limits.keep_alive + limits.handshake_timeout:
                self.terminate()
            elif idle >= (limits.keep_alive if self.served else limits.handshake_timeout):
                self.shut_down()

    def _expire_exchange(self, exchange: Exchange, now: float) -> None:
        waiting = exchange.waiting_since
        if waiting is not None and now - waiting >= self.limits.read_timeout:
            exchange.error = ExchangeReset(
                "the request's content stopped arriving", error_code=ErrorCode.CANCEL
            )
            self._reset(exchange)
            return
        queued = exchange.queued
        if not queued:
            exchange.stalled = None
            return
        taken = exchange.sent_bytes - queued
        if exchange.stalled is None or exchange.stalled[0] != taken:
            exchange.stalled = (taken, now)
        elif now - exchange.stalled[1] >= self.limits.write_timeout:
            self._reset(exchange)

    def _reset(self, exchange: Exchange) -> None:
        exchange.abandon(ErrorCode.CANCEL)
        if exchange.on_progress is not None:
            exchange.on_progress()

    # -- events ----------------------------------------------------------------------------------

    def _on_request(self, event: ev.RequestReceived) -> None:
        limits = self.limits
        most = limits.max_concurrent_streams
        stream_id = event.stream_id
        # Work that goes on after its stream was reset counts against the limit too.
        if self.running >= most or len(self.exchanges) >= most:
            self.connection.reset_stream(stream_id, ErrorCode.REFUSED_STREAM)
            return
        exchange = ServerExchange(self, stream_id)
        exchange.request = RequestHead(event.headers, limits)
        exchange.received = _ENDED if event.end_stream else _CONTENT
        self.exchanges[stream_id] = exchange
        self.accepted.append(exchange)
        self.served += 1

    def _on_stream_closed(self, event: ev.StreamClosed) -> None:
        exchange = self.exchanges.pop(event.stream_id, None)
        if exchange is not None:
            self._close_exchange(exchange, event.error_code)
        if exchange is None or exchange.error is not None:
            # A reset by the client, or one it made us send, costs from a budget that served requests
            # earn back: honest aborts never run out of it, a flood of them does (CVE-2023-44487).
            if event.error_code != ErrorCode.NO_ERROR:
                self._resets_left -= 1
                if self._resets_left < 0:
                    self.terminate(ErrorCode.ENHANCE_YOUR_CALM)
        else:
            # Kept within their limits by expire().
            self._resets_left += 1
            self._calm += 4
        if not self.exchanges:
            self._idle_since = self.now

    def _on_control(self, event: ev.Event) -> None:
        """Count frames that make work and carry nothing (CVE-2019-9512, -9515, -9518)."""
        self._calm -= 1
        if self._calm < 0:
            self.terminate(ErrorCode.ENHANCE_YOUR_CALM)

    def _on_data(self, event: ev.DataReceived) -> None:
        if not event.data and not event.end_stream:
            self._on_control(event)
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None and exchange.waiting_since is not None:
            exchange.waiting_since = self.now
        super()._on_data(event)

    _handlers: ClassVar[dict[type[ev.Event], Callable[..., None]]] = {
        **_COMMON,
        ev.DataReceived: _on_data,
        ev.RequestReceived: _on_request,
        ev.StreamClosed: _on_stream_closed,
        ev.PingReceived: _on_control,
        ev.SettingsReceived: _on_control,
        ev.WindowUpdated: _on_control,
    }


class ClientEndpoint(Endpoint):
    """A client's end of a connection: opens exchanges."""

    __slots__ = ()

    #: Interim responses one exchange may get before it is reset (a storm of 1xx).
    max_interim_responses = 100

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

    def _on_response(self, event: ev.ResponseReceived) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is None or exchange.closed:
            return
        headers: tuple[Field, ...] = event.headers
        exchange.status = int(headers[0][1])
        exchange.fields = headers[1:]
        exchange.received = _ENDED if event.end_stream else _CONTENT
        if exchange.on_progress is not None:
            exchange.on_progress()

    def _on_informational_response(self, event: ev.InformationalResponseReceived) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.interim_responses += 1
            if exchange.interim_responses > self.max_interim_responses:
                exchange.abandon(ErrorCode.ENHANCE_YOUR_CALM)
                if exchange.on_progress is not None:
                    exchange.on_progress()

    _handlers: ClassVar[dict[type[ev.Event], Callable[..., None]]] = {
        **_COMMON,
        ev.ResponseReceived: _on_response,
        ev.InformationalResponseReceived: _on_informational_response,
        ev.StreamClosed: Endpoint._on_stream_closed,
    }
