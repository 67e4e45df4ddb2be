"""One end of HTTP/2 is plait's, in memory; the other is ``h2``, an engine nobody here wrote.

Bytes are carried by :meth:`move`, time is the attribute ``now``: nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from hyperframe.frame import Frame

from plait.protocol.endpoint import ClientEndpoint, Endpoint
from plait.protocol.events import Role
from plait.protocol.exchange import Exchange
from plait.protocol.field_bytes import FieldCount
from plait.protocol.h2 import PREFACE, H2Connection
from plait.protocol.negotiation import ALPN_H2, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.protocol.server_exchange import ServerExchange
from plait.server_config import Limits

__all__ = [
    "ClientPair",
    "Engine",
    "Message",
    "Received",
    "ServerPair",
    "frames",
    "request_fields",
    "serialized",
]

Fields = list[tuple[bytes, bytes]]

AUTHORITY = b"a.example"


def request_fields(method: bytes = b"GET", path: bytes = b"/", *more: tuple[bytes, bytes]) -> Fields:
    """Return a request's field section."""
    return [
        (b":method", method),
        (b":scheme", b"https"),
        (b":authority", AUTHORITY),
        (b":path", path),
        *more,
    ]


def frames(data: bytes) -> list[Frame]:
    """Take bytes apart into frames; a preface in front of them is passed over."""
    data = data.removeprefix(PREFACE)
    found = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        found.append(frame)
        data = data[9 + length :]
    return found


def serialized(*some: Frame) -> bytes:
    """Return the bytes of frames, sent whatever any state machine thinks of them."""
    return b"".join(frame.serialize() for frame in some)


class Engine(h2.connection.H2Connection):
    """``h2`` as a peer that goes on after a GOAWAY, as RFC 9113 §6.8 asks and ``h2`` does not.

    Args:
        client: Which end it is.
    """

    def __init__(self, *, client: bool) -> None:
        super().__init__(
            h2.config.H2Configuration(
                client_side=client,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )

    def _receive_goaway_frame(self, frame: Frame) -> tuple[list[Frame], list[h2.events.Event]]:
        state = self.state_machine.state
        answer: tuple[list[Frame], list[h2.events.Event]] = super()._receive_goaway_frame(frame)
        self.state_machine.state = state
        return answer


@dataclass
class Message:
    """What the engine at the other end received on one stream."""

    head: Fields = field(default_factory=list)
    interim: list[Fields] = field(default_factory=list)
    content: bytes = b""
    trailers: Fields | None = None
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """The status code of a response."""
        return int(dict(self.head)[b":status"])

    @property
    def fields(self) -> Fields:
        """The field section without pseudo-fields."""
        return [(name, value) for name, value in self.head if not name.startswith(b":")]


class Received:
    """What an engine received from plait.

    Args:
        engine: The engine.

    Attributes:
        messages: What came, by stream.
        promises: Each promise: its stream, the promised stream, the request.
        goaways: Last stream and error code of each GOAWAY.
        credits: Whether credit is given for content as it arrives.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.messages: dict[int, Message] = {}
        self.promises: list[tuple[int, int, Fields]] = []
        self.goaways: list[tuple[int, int]] = []
        self.credits = True

    def receive(self, data: bytes) -> None:
        """Give the engine what came, and take note of what it means."""
        for event in self._engine.receive_data(data):
            self._note(event)

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ConnectionTerminated():
                self.goaways.append((event.last_stream_id, int(event.error_code)))
            case h2.events.RequestReceived() | h2.events.ResponseReceived():
                self._message(event).head = list(event.headers)
            case h2.events.InformationalResponseReceived():
                self._message(event).interim.append(list(event.headers))
            case h2.events.DataReceived():
                self._message(event).content += event.data
                if self.credits and event.flow_controlled_length:
                    self._engine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self._message(event).trailers = list(event.headers)
            case h2.events.StreamEnded():
                self._message(event).ended = True
            case h2.events.PushedStreamReceived():
                self.promises.append((event.parent_stream_id, event.pushed_stream_id, list(event.headers)))
                self.messages[event.pushed_stream_id] = Message()
            case h2.events.StreamReset():
                self._message(event).reset = int(event.error_code)

    def _message(self, event: h2.events.Event) -> Message:
        return self.messages.setdefault(event.stream_id, Message())


class _Pair(Received):
    """What both pairs share.

    Attributes:
        endpoint: plait's end.
        peer: The other engine.
        written: Everything plait has sent.
        delivered: Everything plait was given.
        now: The time plait is told.
    """

    endpoint: Endpoint

    def __init__(self, peer_is_client: bool) -> None:
        self.peer = Engine(client=peer_is_client)
        super().__init__(self.peer)
        self.written = bytearray()
        self.delivered = bytearray()
        self.now = 0.0
        self._to_plait = b""

    def _deliver(self, data: bytes) -> None:
        raise NotImplementedError

    def _after_delivery(self) -> None:
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Give plait bytes that no engine made."""
        self.delivered += data
        self._deliver(data)
        self._after_delivery()

    def move(self, piece: int | None = None) -> None:
        """Carry bytes to and fro until nothing moves.

        Args:
            piece: Bytes given to plait at a time; None gives all there are.
        """
        while True:
            to_plait = self.peer.data_to_send()
            step = piece or max(len(to_plait), 1)
            for start in range(0, len(to_plait), step):
                self.send(to_plait[start : start + step])
            to_peer = self.output()
            if to_peer:
                self.receive(to_peer)
            elif not to_plait:
                return

    def output(self) -> bytes:
        """Take all that plait has to send."""
        taken = bytearray()
        while data := self.endpoint.data_to_send():
            taken += data
        self.written += taken
        return bytes(taken)

    def sent(self, kind: type[Frame]) -> list[Frame]:
        """Return the frames of one type that plait has sent so far."""
        return [frame for frame in frames(bytes(self.written)) if isinstance(frame, kind)]


class ServerPair(_Pair):
    """plait serves, ``h2`` is the client.

    Attributes:
        accepted: The exchanges the server accepted, in order.
        serve: Called with each exchange when it is accepted, if set.

    Args:
        serve: See above.
        websockets: Whether it takes extended CONNECT.
        alt_svc: What every response says of other services.
        limits: Fields of ``Limits`` that differ from the default.
    """

    def __init__(
        self,
        serve: Callable[[ServerExchange], None] | None = None,
        *,
        websockets: bool = False,
        alt_svc: bytes = b"",
        **limits: float,
    ) -> None:
        super().__init__(peer_is_client=True)
        self.limits = Limits(**limits)  # type: ignore[arg-type]
        connection = server_connection(ALPN_H2, self.limits, "https", websockets=websockets, alt_svc=alt_svc)
        self.endpoint: ServerEndpoint = ServerEndpoint(connection, self.limits, self.now)
        self.accepted: list[ServerExchange] = []
        self.serve = serve
        self.peer.initiate_connection()
        self.move()

    def _deliver(self, data: bytes) -> None:
        self.endpoint.receive_data(data, self.now)

    def _after_delivery(self) -> None:
        for exchange in self.endpoint.take_accepted():
            self.accepted.append(exchange)
            if self.serve is not None:
                self.serve(exchange)

    def request(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        *fields: tuple[bytes, bytes],
        content: bytes | None = None,
        end_stream: bool = True,
    ) -> int:
        """Send a request, its content as far as credit reaches, and return the stream's id."""
        stream_id: int = self.peer.get_next_available_stream_id()
        head = request_fields(method, path, *fields)
        self.peer.send_headers(stream_id, head, end_stream=content is None and end_stream)
        if content is not None:
            size = self.peer.max_outbound_frame_size
            for start in range(0, len(content), size):
                self.peer.send_data(stream_id, content[start : start + size])
            if end_stream:
                self.peer.end_stream(stream_id)
        self.move()
        return stream_id

    def exchange_of(self, stream_id: int) -> ServerExchange:
        """Return the exchange that was accepted for a stream."""
        (found,) = [exchange for exchange in self.accepted if exchange.stream_id == stream_id]
        return found

    def answer(self, exchange: ServerExchange, content: bytes = b"", status: int = 200) -> None:
        """Complete an exchange as an application would."""
        exchange.send_whole_response(status, [], content)
        self.endpoint.finished(exchange)

    def after(self, seconds: float) -> None:
        """Let time pass, a second at a time as the driver does, and carry what that leads to."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 1, end)
            self.endpoint.expire(self.now)
            self.move()


class ClientPair(_Pair):
    """plait is the client, ``h2`` serves.

    Args:
        stream_window: Flow-control window of each stream, in bytes.
        connection_window: Flow-control window of the connection, in bytes.
        max_concurrent_streams: The client's own limit.
        header_table_size: Bytes of HPACK's dynamic tables.
        field_count: What counts field sections, or None.
    """

    def __init__(
        self,
        *,
        stream_window: int = 65_535,
        connection_window: int = 1 << 20,
        max_concurrent_streams: int = 100,
        header_table_size: int = 4096,
        field_count: FieldCount | None = None,
    ) -> None:
        super().__init__(peer_is_client=False)
        self.endpoint: ClientEndpoint = ClientEndpoint(
            H2Connection(
                Role.CLIENT,
                max_concurrent_streams=max_concurrent_streams,
                max_header_fields=1000,
                max_header_size=262_144,
                stream_window=stream_window,
                connection_window=connection_window,
                header_table_size=header_table_size,
                field_count=field_count,
            )
        )
        self.peer.initiate_connection()
        self.move()

    def _deliver(self, data: bytes) -> None:
        self.endpoint.receive_data(data)

    def _after_delivery(self) -> None:
        pass

    def open(self, method: bytes = b"GET", path: bytes = b"/", *, end_stream: bool = True) -> Exchange:
        """Open an exchange and carry its request to the peer."""
        exchange = self.endpoint.open_exchange(request_fields(method, path), end_stream=end_stream)
        self.move()
        return exchange

    def respond(self, exchange: Exchange, content: bytes = b"", status: bytes = b"200") -> None:
        """Answer an exchange from the peer, in frames of the size plait takes."""
        self.peer.send_headers(exchange.stream_id, [(b":status", status)], end_stream=not content)
        size = self.peer.max_outbound_frame_size
        for start in range(0, len(content), size):
            piece = content[start : start + size]
            self.peer.send_data(exchange.stream_id, piece, end_stream=start + size >= len(content))
        self.move()
