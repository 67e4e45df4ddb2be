"""The server's end of a connection: accepts exchanges, judges floods, keeps deadlines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from plait.errors import LocalProtocolError
from plait.fields import FieldSection, RequestHead, section_size
from plait.protocol import events as ev
from plait.protocol.connection import Connection
from plait.protocol.endpoint import COMMON_HANDLERS, PIECE, Endpoint
from plait.protocol.events import EngineError, ErrorCode
from plait.protocol.exchange import Exchange, Half
from plait.protocol.h2c import Upgraded
from plait.protocol.priorities import DEFAULT_PRIORITY, Priority, parse_priority
from plait.protocol.receive_windows import ReceiveWindows
from plait.protocol.server_exchange import ServerExchange

if TYPE_CHECKING:
    from plait.server_config import Limits

__all__ = ["ServerEndpoint"]

#: Seconds for which the rest of a request is thrown away once it was answered.
_LINGER = 2.0
#: Bytes of one frame of content, its header included (RFC 9113 §4.2).
_FRAME = 16_384 + 9
_ENDED, _CONTENT = Half.ENDED, Half.CONTENT
#: Stands for an exchange that is reset in the place of the content it has sent.
_RESET = -1


class ServerEndpoint(Endpoint):
    """A server's end of a connection: accepts exchanges, holds the client to its limits.

    Args:
        connection: The connection.
        limits: What the client may do.
        now: The time, in seconds of any steady clock.

    Attributes:
        accepted: Requests that arrived and were not taken yet.
        half_closed: Whether the client has closed its side of the transport.
        draining: Whether the server stops, so that tunnels have to come to an end.
        prioritized: Whether priorities were spoken of here, by the client or by an application.
        running: Exchanges whose application has not finished, the closed ones among them.
        served: Requests accepted so far.
        now: The time of the last call that brought one.
        on_reset: Called with each stream of HTTP/2 that ends by a reset: whether the client sent it, and
            the error code.
    """

    __slots__ = (
        "_calm",
        "_calm_since",
        "_closing_since",
        "_completed",
        "_early_priorities",
        "_head_since",
        "_idle_since",
        "_last_request",
        "_lingering",
        "_max_requests",
        "_moved",
        "_pushes",
        "_reset_by_client",
        "_resets_left",
        "_unwanted",
        "_upgraded",
        "_windows",
        "_written",
        "accepted",
        "draining",
        "half_closed",
        "limits",
        "now",
        "on_reset",
        "prioritized",
        "running",
        "served",
    )

    def __init__(self, connection: Connection, limits: Limits, now: float) -> None:
        super().__init__(connection)
        self.limits = limits
        self.running = 0
        self.prioritized = False
        self.served = 0
        self.half_closed = False
        self.draining = False
        self.accepted: list[ServerExchange] = []
        self._lingering: dict[Exchange, float] = {}
        self._unwanted: set[Exchange] = set()
        self.now = self._idle_since = self._calm_since = now
        #: When a field section was first seen half-way, and the last request before it.
        self._head_since: tuple[float, int] | None = None
        self._closing_since: float | None = None
        self._calm = limits.max_control_frames
        #: Bytes written, and exchanges that came to their end, since the budget of calm was added to.
        self._written = 0
        self._completed = 0
        #: When content of any response was last seen to have moved.
        self._moved = now
        self.on_reset: Callable[[bool, int], None] | None = None
        self._reset_by_client = 0
        self._resets_left = limits.max_resets
        self._max_requests = limits.max_requests_per_connection
        #: Pushed streams that are open.
        self._pushes = 0
        self._last_request = 0
        self._windows: ReceiveWindows | None = None
        #: A request whose client has yet to begin with HTTP/2.
        self._upgraded: Upgraded | None = None
        #: What PRIORITY_UPDATE said of streams that had not begun, no more than may begin.
        self._early_priorities: dict[int, Priority] = {}

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes from the transport.

        Args:
            data: The bytes.
            now: The time, on the clock of the constructor.
        """
        self.now = now
        self.connection.receive_data(data)
        self._route()

    def receive_eof(self) -> None:
        """Take note that the client closed its side, which most do only when they leave.

        A response is still sent to one that waits for it, but who asks whether it does is told that it left.
        """
        self.half_closed = True
        Endpoint.receive_eof(self)
        for exchange in list(self.exchanges.values()):
            if exchange.on_progress is not None:
                exchange.on_progress()

    def data_to_send(self) -> bytes:
        if self.prioritized and self.waiting_to_write and len(self.exchanges) > 1:
            data = self._data_in_order()
        else:
            data = Endpoint.data_to_send(self)
        if self._unwanted and len(data) < PIECE:
            data += self._reset_unwanted()
        self._written += len(data)
        return data

    def _data_in_order(self) -> bytes:
        """Return bytes to write now, no more than can be told to be in the order of priorities.

        Where one response has no content left and its application is about to send more, the engine
        goes on with the next, which is less urgent. So it is asked for a frame at a time, and the
        rest waits for that application, but no longer than until the next turn of the loop.
        """
        pieces: list[bytes] = []
        for _ in range(PIECE // _FRAME):
            data = self.connection.data_to_send(_FRAME)
            pieces.append(data)
            more = len(data) >= _FRAME
            if not (more and all(exchange.queued for exchange in self.waiting_to_write)):
                break
        self._route()
        self._wake_writers()
        if more:
            self.on_output()  # after the applications that were woken
        return b"".join(pieces)

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
            elif exchange.received is not _ENDED:
                # What is left of the request is thrown away for a while, then refused.
                exchange.on_progress = exchange.release
                self._lingering.setdefault(exchange, self.now)

    def shut_down(self) -> None:
        """Begin a graceful end because the server stops: tunnels, which no response ends, are told."""
        self.draining = True
        for exchange in list(self.exchanges.values()):
            if exchange.request is not None and exchange.request.protocol and exchange.on_progress:
                exchange.on_progress()
        Endpoint.shut_down(self)

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
        if self._completed:
            self._moved = now
        self._add_calm()
        renewed = now - self._calm_since >= 10
        if renewed:
            self._calm_since = now
        if renewed or self._calm > limits.max_control_frames:
            self._calm = limits.max_control_frames
        if renewed or self._resets_left > limits.max_resets:
            self._resets_left = limits.max_resets
        if self.connection.receiving_head:
            if self._head_since is None or self._head_since[1] != self._last_request:
                self._head_since = (now, self._last_request)
            elif now - self._head_since[0] >= limits.header_timeout:
                self.terminate(ErrorCode.ENHANCE_YOUR_CALM)
                return
        else:
            self._head_since = None
        for exchange, since in list(self._lingering.items()):
            if exchange.closed or exchange.received is _ENDED:
                del self._lingering[exchange]
            elif now - since >= _LINGER:
                del self._lingering[exchange]
                exchange.send_held()
                self._unwanted.add(exchange)
                self.on_output()
        if self.connection.closing:
            # Two looks apart, so that a round trip fits in between however soon the first came.
            if self._closing_since is None:
                self._closing_since = now
            elif now > self._closing_since:
                Endpoint.shut_down(self)
        if self.exchanges:
            for exchange in list(self.exchanges.values()):
                self._expire_exchange(exchange, now)
        else:
            idle = now - self._idle_since
            if idle >= limits.keep_alive + limits.handshake_timeout:
                self.terminate()
            elif idle >= (limits.keep_alive if self.served else limits.handshake_timeout):
                Endpoint.shut_down(self)

    def _expire_exchange(self, exchange: Exchange, now: float) -> None:
        if exchange.closed:
            # Its reset waits for the rest of a frame that the client began, and all of the client's other
            # frames are behind that.
            if exchange.stalled is None or exchange.stalled[0] != _RESET:
                exchange.stalled = (_RESET, now)
            elif now - exchange.stalled[1] >= self.limits.read_timeout:
                self.terminate(ErrorCode.CANCEL)
            return
        waiting = exchange.waiting_since
        if waiting is not None and now - waiting >= self.limits.read_timeout:
            self._reset(exchange)
            return
        queued = exchange.queued
        if not queued:
            exchange.stalled = None
            if exchange.sent is _ENDED and exchange.received is not _ENDED:
                # The application goes on, but the response should not wait for that to end.
                self._lingering.setdefault(exchange, now)
            return
        taken = exchange.sent_bytes - queued
        if exchange.stalled is None or exchange.stalled[0] != taken:
            exchange.stalled = (taken, now)
            self._moved = now
        elif now - exchange.stalled[1] >= self.limits.write_timeout and not self._waits_for_others(exchange):
            self._reset(exchange)

    def _waits_for_others(self, exchange: Exchange) -> bool:
        """Whether it is others' turn: the client takes their content, and would take this one's."""
        return self.now - self._moved < self.limits.write_timeout and self.connection.may_send(
            exchange.stream_id
        )

    def _reset(self, exchange: Exchange) -> None:
        exchange.abandon()
        if exchange.on_progress is not None:
            exchange.on_progress()

    # -- events ----------------------------------------------------------------------------------

    def _on_request(self, event: ev.RequestReceived) -> None:
        if self.closed:
            return  # what came with it, and before it, ended the connection
        limits = self.limits
        most = limits.max_concurrent_streams + self._pushes
        stream_id = self._last_request = event.stream_id
        # Work that goes on after its stream was reset counts against the limit too.
        if self.running >= most or len(self.exchanges) >= most:
            self.connection.reset_stream(stream_id, ErrorCode.REFUSED_STREAM)
            return
        exchange = ServerExchange(self, stream_id, RequestHead(event.headers, limits))
        exchange.received = _ENDED if event.end_stream else _CONTENT
        self.exchanges[stream_id] = exchange
        self.accepted.append(exchange)
        self.served += 1
        if self.served == self._max_requests:
            Endpoint.shut_down(self)
        if exchange.request.priority:
            self.prioritized = True
        if self._early_priorities:
            self._apply_early_priority(exchange)

    def _on_upgraded(self, event: Upgraded) -> None:
        """Go on with HTTP/2, where the request that asked for it is stream 1 (RFC 7540 §3.2).

        It is answered when the client has acknowledged this side's settings: one in wide use (curl 7.88)
        keeps what comes together with the 101 in a buffer that a response need not fit into.
        """
        self.connection = event.connection
        self._upgraded = event
        self.connection.receive_data(event.rest)
        self._route()

    def _on_settings_acknowledged(self, event: ev.SettingsAcknowledged) -> None:
        if (upgraded := self._upgraded) is not None:
            self._upgraded = None
            self._on_request(ev.RequestReceived(1, upgraded.headers, True))
            for exchange in self.accepted:
                exchange.adopt(upgraded.content, upgraded.trailers)

    def push(self, parent: ServerExchange, fields: FieldSection) -> ServerExchange | None:
        """Promise a response beside another; see :meth:`ServerExchange.push`.

        Args:
            parent: The exchange the promise is sent on.
            fields: The validated request.

        Raises:
            LocalProtocolError: The request is over this server's own limits.
        """
        head = RequestHead(fields, self.limits)
        if head.refusal is not None:
            raise LocalProtocolError(f"it cannot be promised: {head.refusal[1]}")
        connection = self.connection
        if (
            parent.closed
            or parent.sent is _ENDED
            or not parent.stream_id & 1  # RFC 9113 §8.4: promised on streams of the client only
            or self._pushes >= min(connection.push_limit, self.limits.max_concurrent_streams)
        ):
            return None
        try:
            stream_id = connection.send_push_promise(parent.stream_id, fields)
        except EngineError:
            return None  # the stream or the connection ended under us
        exchange = ServerExchange(self, stream_id, head)
        exchange.received = _ENDED
        self.exchanges[stream_id] = exchange
        self.accepted.append(exchange)
        self._pushes += 1
        self.on_output()
        return exchange

    def _on_priority_update(self, event: ev.PriorityUpdateReceived) -> None:
        """Reschedule a response (RFC 9218 §7.1); the engine does it for streams of the client.

        What is left for here is a pushed stream, and a stream that has not begun: the frame overrides
        the ``priority`` field of the request to come.
        """
        self._on_control(event)
        stream_id = event.prioritized_stream_id
        if not stream_id:
            self.terminate(ErrorCode.PROTOCOL_ERROR)
        self.prioritized = True
        priority = parse_priority(event.field_value)
        if stream_id in self.exchanges:
            if priority is not None and not stream_id & 1:
                self.connection.prioritize(stream_id, priority)
        elif stream_id & 1 and stream_id > self._last_request:
            early = self._early_priorities
            early[stream_id] = priority or early.get(stream_id, DEFAULT_PRIORITY)
            if len(early) + len(self.exchanges) - self._pushes > self.limits.max_concurrent_streams:
                self.terminate(ErrorCode.PROTOCOL_ERROR)

    def _apply_early_priority(self, exchange: ServerExchange) -> None:
        early = self._early_priorities
        stream_id = exchange.stream_id
        if stream_id in early:
            exchange.prioritize(*early[stream_id])
        # Streams before it, if they had not begun, never will (RFC 9113 §5.1.1).
        self._early_priorities = {later: early[later] for later in early if later > stream_id}

    def _on_stream_reset(self, event: ev.StreamReset) -> None:
        self._reset_by_client = event.stream_id
        if self.on_reset is not None:
            self.on_reset(True, event.error_code)

    def _on_stream_closed(self, event: ev.StreamClosed) -> None:
        stream_id, error_code = event.stream_id, event.error_code
        if stream_id == self._reset_by_client:
            error_code = error_code or ErrorCode.CANCEL  # a reset without an error is no less a reset
        elif error_code and self.on_reset is not None:
            self.on_reset(False, error_code)
        pushed = False
        if self._pushes and not stream_id & 1:
            pushed = True
            self._pushes -= 1
        exchange = self.exchanges.pop(stream_id, None)
        abandoned = False
        if exchange is not None:
            abandoned = exchange.closed
            self._close_exchange(exchange, error_code)
        if not error_code:
            # Kept within their limits by expire().
            self._resets_left += 1
            self._completed += 1
        elif not abandoned and not pushed:
            # A reset by the client, or one it made the connection send, costs from a budget that
            # served requests earn back: honest aborts never run out of it, a flood of them does
            # (CVE-2023-44487). What the application or a deadline ended is not the client's doing, and
            # to refuse what was pushed is its right.
            self._resets_left -= 1
            if self._resets_left < 0:
                self.terminate(ErrorCode.ENHANCE_YOUR_CALM)
        if not self.exchanges:
            self._idle_since = self.now

    def note_reading(self, exchange: ServerExchange) -> None:
        """Take note that an application reads a long request, whose window may be too small."""
        if self._windows is None:
            if self.connection.http_version != "2":
                return
            self._windows = ReceiveWindows(self.connection, self.limits)
        self._windows.note(exchange)

    def _on_ping_acknowledged(self, event: ev.PingAcknowledged) -> None:
        if self._windows is not None:
            self._windows.measured(len(self.exchanges))
            self.on_output()

    def _on_control(self, event: ev.Event) -> None:
        """Count frames that make work and carry nothing (CVE-2019-9512, -9515, -9518)."""
        self._calm -= 1
        if self._calm < 0:
            self._add_calm()
            if self._calm < 0:
                self.terminate(ErrorCode.ENHANCE_YOUR_CALM)

    def _add_calm(self) -> None:
        """Add to that budget: whoever is sent a lot, or often, has a lot to acknowledge."""
        self._calm += (self._written >> 10) + 4 * (self._completed + self.pieces)
        self._written = self._completed = self.pieces = 0

    def _on_data(self, event: ev.DataReceived) -> None:
        if not event.data and not event.end_stream:
            self._on_control(event)
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None and exchange.waiting_since is not None:
            exchange.waiting_since = self.now
        Endpoint._on_data(self, event)

    def _on_trailers(self, event: ev.TrailersReceived) -> None:
        limits = self.limits
        fields = event.headers
        size = section_size(fields)
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None and (len(fields) > limits.max_header_fields or size > limits.max_header_size):
            # A reset that the client made necessary, and so it costs.
            self.connection.reset_stream(event.stream_id, ErrorCode.ENHANCE_YOUR_CALM)
        else:
            Endpoint._on_trailers(self, event)

    _handlers: ClassVar[dict[type[ev.Event], Callable[..., None]]] = {
        **COMMON_HANDLERS,
        ev.DataReceived: _on_data,
        ev.RequestReceived: _on_request,
        ev.StreamReset: _on_stream_reset,
        ev.StreamClosed: _on_stream_closed,
        ev.TrailersReceived: _on_trailers,
        Upgraded: _on_upgraded,
        ev.PingReceived: _on_control,
        ev.PingAcknowledged: _on_ping_acknowledged,
        ev.PriorityUpdateReceived: _on_priority_update,
        ev.SettingsAcknowledged: _on_settings_acknowledged,
        ev.SettingsReceived: _on_control,
        ev.WindowUpdated: _on_control,
    }
