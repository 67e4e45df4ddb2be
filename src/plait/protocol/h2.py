"""HTTP/2 (RFC 9113) on the ngh2 engine, which no other module but ``events.py`` touches.

The engine does framing, HPACK, flow-control arithmetic and stream states. What it leaves to its user
is here: the start of a connection, credit, the refusal of one stream too many, the two-step GOAWAY,
last words after a fatal error, and resets that must not fall into the middle of a frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING

from ngh2 import Configuration, ConnectionStateError, NGH2Error, Setting, pack_settings_payload
from ngh2 import Connection as Engine
from ngh2 import Priority as EnginePriority

from plait.errors import LocalProtocolError
from plait.protocol.events import (
    ConnectionClosed,
    ErrorCode,
    Event,
    Fields,
    GoAwayReceived,
    InformationalResponseReceived,
    PingAcknowledged,
    ResponseReceived,
    Role,
    SettingsReceived,
    StreamClosed,
    StreamReset,
    TrailersReceived,
)
from plait.protocol.h2_frames import FRAME_HEADER, FrameWatch

if TYPE_CHECKING:
    from plait.protocol.field_bytes import FieldBytes, FieldCount
    from plait.protocol.priorities import Priority

__all__ = ["H2Connection", "PIECE", "PREFACE"]

#: What a client sends first (RFC 9113 §3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

#: What goes out before the first frame where HTTP/1.1 gave way (RFC 7540 §3.2).
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n"
#: What a PING that measures a round trip carries, and one that makes sure of a GOAWAY does not.
_MEASURE = b"a return"
_GOAWAY_FRAME = Struct(">BHBBIII")

#: Streams beyond the advertised limit that the engine tolerates, so that plait refuses them one by
#: one (RFC 9113 §5.1.2) where the engine would end the connection.
_SLACK = 1000
#: Queued content beyond which output is taken in pieces of this size, so that no write is huge, and
#: so that memory for it is used again: from 128 KiB on, glibc maps it anew for every piece.
PIECE = 98_304
#: Events that change what this module keeps account of; a server counts no streams here.
_NOTED_BY_SERVER = frozenset({SettingsReceived, GoAwayReceived, PingAcknowledged, ConnectionClosed})
_NOTED_BY_CLIENT = _NOTED_BY_SERVER | {StreamClosed, StreamReset}
_COUNTED = frozenset({ResponseReceived, InformationalResponseReceived, TrailersReceived})
#: Streams that are remembered as reset until what closed them is told.
_MEMORY = 1000
#: RFC 9113 §6.5.2: what both ends have until SETTINGS say otherwise.
_HEADER_TABLE_SIZE = 4096
#: More streams than there can be on one connection (RFC 9113 §5.1.1).
_UNLIMITED = 2**31


def _adding(alt_svc: bytes, engine: Engine) -> Callable[..., None]:
    field = (b"alt-svc", alt_svc)

    def send_response(stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        engine.send_response(stream_id, [*fields, field], end_stream=end_stream)

    return send_response


class H2Connection:
    """One HTTP/2 connection, either role; see :class:`plait.protocol.connection.Connection`.

    Args:
        role: Which end this is.
        max_concurrent_streams: For a server, streams a client may have open; for a client, a limit
            of its own below whatever the server allows.
        max_header_fields: Fields a field section may have before the layer above refuses it; the
            engine's own cap, which ends the connection, is far above.
        max_header_size: Bytes of a field section (RFC 9113 §10.5.1), in the same way.
        stream_window: Flow-control window of each stream, in bytes.
        connection_window: Flow-control window of the connection, in bytes.
        header_table_size: Bytes of HPACK's dynamic table, of each direction's, at most.
        connect_protocol: Whether a server says that it takes extended CONNECT (RFC 8441 §3).
        field_count: What counts field sections, or None.
        upgrade: For a server that came by Upgrade, the client's settings and whether the method of
            the request that is stream 1 is HEAD.
        alt_svc: The value of Alt-Svc in every response (RFC 7838), or ``b""``.
        origins: What a server says that it speaks for as well (RFC 8336).
        max_pushes: Streams that a server may push at once, as the client says; 0 for none.

    Attributes:
        resets_sent: Streams reset from this end.
        resets_received: Streams that the peer reset (client only).
        goaway_code: The error code of the latest GOAWAY received.
        limited_by_peer: Whether the server's limit of streams is below this client's own.
    """

    __slots__ = (
        "_closed",
        "_engine",
        "_events",
        "_field_count",
        "_frames",
        "_goaway_received",
        "_goaway_steps",
        "_held_reset",
        "_last_taken",
        "_max_concurrent_streams",
        "_noted",
        "_open",
        "_output",
        "_peer_resets",
        "_push_enabled",
        "_sent_frames",
        "_server",
        "goaway_code",
        "head_limits",
        "http_version",
        "limited_by_peer",
        "opens_tunnels",
        "queued_body_size",
        "resets_received",
        "resets_sent",
        "send_data",
        "send_informational_response",
        "send_response",
        "send_trailers",
        "stream_limit",
    )

    #: Always: flow control slows the peer down stream by stream (RFC 9113 §5.2).
    wants_read = True
    ends_early = False
    #: What breaks a connection of HTTP/2 ends its exchanges with it, and none of them by itself.
    failure = b""

    def __init__(
        self,
        role: Role,
        *,
        max_concurrent_streams: int,
        max_header_fields: int,
        max_header_size: int,
        stream_window: int,
        connection_window: int,
        header_table_size: int = _HEADER_TABLE_SIZE,
        connect_protocol: bool = False,
        field_count: FieldCount | None = None,
        upgrade: tuple[bytes, bool] | None = None,
        alt_svc: bytes = b"",
        origins: Sequence[bytes] = (),
        max_pushes: int = 0,
    ) -> None:
        engine = Engine(
            role,
            Configuration(
                auto_window_update=False,
                max_inbound_header_count=max(1024, 4 * max_header_fields),
                max_inbound_header_list_size=max(262_144, 4 * max_header_size),
                max_send_header_block_length=1 << 20,
                max_deflate_dynamic_table_size=header_table_size,
                # Ours come first: Endpoint judges resets by what was completed in between.
                stream_reset_rate_limit=(100_000, 10_000),
            ),
        )
        settings: dict[int, int] = {
            Setting.INITIAL_WINDOW_SIZE: stream_window,
            Setting.MAX_HEADER_LIST_SIZE: max_header_size,
        }
        if header_table_size != _HEADER_TABLE_SIZE:
            settings[Setting.HEADER_TABLE_SIZE] = header_table_size
        self._server = role is Role.SERVER
        self._noted = _NOTED_BY_SERVER if self._server else _NOTED_BY_CLIENT
        if self._server:
            # RFC 9218 §2.1: say at once that RFC 7540's priority tree is not used here.
            settings[Setting.NO_RFC7540_PRIORITIES] = 1
            if connect_protocol:
                settings[Setting.ENABLE_CONNECT_PROTOCOL] = 1
            advertised = {**settings, Setting.MAX_CONCURRENT_STREAMS: max_concurrent_streams}
            tolerated = {**settings, Setting.MAX_CONCURRENT_STREAMS: max_concurrent_streams + _SLACK}
            if upgrade is None:
                engine.initiate_connection(tolerated)
            else:
                engine.initiate_upgrade(upgrade[0], local_settings=tolerated, head_request=upgrade[1])
            # The frame just queued names the tolerated limit; send the same frame with the real one.
            first = engine.data_to_send()[:FRAME_HEADER] + pack_settings_payload(advertised)
            if upgrade is not None:
                first = _SWITCHING + first
            if origins:
                engine.send_origins(origins)
        else:
            settings[Setting.ENABLE_PUSH] = int(max_pushes > 0)
            if max_pushes:
                settings[Setting.MAX_CONCURRENT_STREAMS] = max_pushes + _SLACK
            engine.initiate_connection(settings)
            first = engine.data_to_send()
            if max_pushes:
                # As above; who takes the pushes drops those that are too many.
                settings[Setting.MAX_CONCURRENT_STREAMS] = max_pushes
                first = first[: len(PREFACE) + FRAME_HEADER] + pack_settings_payload(settings)
        engine.set_local_window_size(connection_window)

        self.http_version = "2"
        self.head_limits: tuple[int, int] | None = (max_header_fields + 1, max_header_size)
        self._engine = engine
        self._output = [first]
        self._events: list[Event] = []
        self._max_concurrent_streams = max_concurrent_streams
        self.limited_by_peer = False
        self.opens_tunnels: bool | None = None
        self.stream_limit = 100  # until SETTINGS say more; RFC 9113 §6.5.2 recommends no less
        self._push_enabled = True  # until SETTINGS say otherwise
        self._open = 0
        self._goaway_received = False
        #: The last stream that the peer took, as far as it has said.
        self._last_taken = 0
        self.goaway_code: int = ErrorCode.NO_ERROR
        self._goaway_steps = 0
        self._closed = False

        self._held_reset: tuple[int, int] | None = None
        self._frames = FrameWatch(
            preface=len(PREFACE) if self._server else 0,
            server=self._server,
            max_concurrent_streams=max_concurrent_streams,
            is_open=self._is_open,
        )

        if upgrade is not None:
            self._frames.last_peer_stream = 1

        self.resets_sent = 0
        self.resets_received = 0
        #: The last streams that the peer has reset (client only).
        self._peer_resets: deque[int] = deque(maxlen=_MEMORY)
        self._field_count = field_count
        #: Only to count: the engine knows what it sends.
        self._sent_frames: FrameWatch | None = None
        if field_count is not None:
            self._noted |= _COUNTED
            self._sent_frames = FrameWatch(
                preface=len(PREFACE), server=False, max_concurrent_streams=0, is_open=self._is_open
            )

        # The hot path goes straight to the engine.
        self.send_response = engine.send_response if not alt_svc else _adding(alt_svc, engine)
        self.send_data = engine.send_data
        self.send_trailers = engine.send_trailers
        self.send_informational_response = engine.send_informational_response
        self.queued_body_size = engine.queued_body_size

    # -- state -----------------------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        return self._closed or self._goaway_received or self._goaway_steps > 0

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def capacity(self) -> int:
        if self.closing or not self._engine.can_send_request:
            return 0
        return min(self._max_concurrent_streams, self.stream_limit) - self._open

    def left_behind(self, stream_id: int) -> bool:
        return self.goaway_code == ErrorCode.NO_ERROR and 0 < self._last_taken < stream_id

    def was_reset(self, stream_id: int) -> bool:
        return self._server or stream_id in self._peer_resets

    def ended_before(self, stream_id: int) -> bool:
        return self._goaway_received and stream_id > self._last_taken

    @property
    def push_allowed(self) -> bool:
        return self._push_enabled and self.push_limit > 0

    @property
    def push_limit(self) -> int:
        return self.stream_limit if self._push_enabled and self._server and not self.closing else 0

    @property
    def receiving_head(self) -> bool:
        return self._frames.receiving_head

    @property
    def field_bytes(self) -> FieldBytes | None:
        if self._field_count is None or self._sent_frames is None:
            return None
        return self._field_count.total(self._sent_frames.field_bytes, self._frames.field_bytes)

    # -- bytes in --------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        if self._closed:
            return
        try:
            if self._held_reset is not None and self._frames.left <= len(data):
                data = self._release_held_reset(data)
            if error := self._frames.follow(data):
                self.terminate(error)
            else:
                self._engine.receive_data(data)
        except NGH2Error as error:
            self._fail(error)

    def receive_eof(self) -> None:
        self._close(self.goaway_code, b"the peer closed the connection")

    def events(self) -> list[Event]:
        if self._closed:
            events, self._events = self._events, []
            return events
        events = self._engine.events()
        noted = self._noted
        # In one step for the many turns without any.
        if not noted.isdisjoint(map(type, events)):
            for event in events:
                if type(event) in noted:
                    self._note(event)
        return events

    def _note(self, event: Event) -> None:
        """Keep the books that the engine does not keep for us."""
        match event:
            case StreamClosed():
                self._open -= event.stream_id & 1  # those that the server began do not count
            case StreamReset():
                self.resets_received += 1
                self._peer_resets.append(event.stream_id)
            case ResponseReceived() | InformationalResponseReceived() if self._field_count is not None:
                self._field_count.add_response(event.headers)
            case TrailersReceived() if self._field_count is not None:
                self._field_count.add_trailers(event.headers)
            case SettingsReceived(settings):
                # RFC 9113 §6.5.2: a peer that says nothing in its first SETTINGS sets no limit.
                unsaid = _UNLIMITED if self.opens_tunnels is None else self.stream_limit
                self.stream_limit = settings.get(Setting.MAX_CONCURRENT_STREAMS, unsaid)
                self.limited_by_peer = self.stream_limit < self._max_concurrent_streams
                self._push_enabled = settings.get(Setting.ENABLE_PUSH, self._push_enabled) == 1
                self.opens_tunnels = settings.get(Setting.ENABLE_CONNECT_PROTOCOL, self.opens_tunnels) == 1
            case GoAwayReceived():
                self._goaway_received = True
                self.goaway_code = event.error_code
                self._last_taken = event.last_stream_id
            case PingAcknowledged(data) if self._goaway_steps == 1 and data != _MEASURE:
                self._final_goaway()
            case ConnectionClosed():
                self._closed = True

    # -- bytes out -------------------------------------------------------------------------------

    def data_to_send(self, amount: int = PIECE) -> bytes:
        data = b""
        if not self._closed:
            engine = self._engine
            try:
                if engine.queued_body_size() > amount:
                    data = engine.data_to_send(amount)
                else:
                    data = engine.data_to_send()
            except NGH2Error as error:
                self._fail(error)
        if self._output:
            data = b"".join((*self._output, data))
            self._output.clear()
        if self._sent_frames is not None:
            self._sent_frames.follow(data)
        return data

    def send_request(self, fields: Fields, *, end_stream: bool) -> int:
        if self._closed:
            raise LocalProtocolError("no further request fits on this connection: it is closed")
        try:
            stream_id = self._engine.send_request(fields, end_stream=end_stream)
        except NGH2Error as error:
            raise LocalProtocolError(f"no further request fits on this connection: {error}") from error
        self._open += 1
        if self._field_count is not None:
            self._field_count.add_request(fields)
        return stream_id

    def open_tunnel(self, stream_id: int, fields: Fields) -> int:
        # RFC 8441 §5: as any CONNECT, accepted with a 2xx.
        self.send_response(stream_id, [(b":status", b"200"), *fields], end_stream=False)
        return 200

    def send_push_promise(self, stream_id: int, fields: Fields) -> int:
        return self._engine.send_push_promise(stream_id, fields)

    def priority_of(self, stream_id: int) -> tuple[int, bool] | None:
        try:
            found = self._engine.get_stream_priority(stream_id)
        except NGH2Error:
            return None  # the stream is gone
        return None if found is None else (found.urgency, found.incremental)

    def prioritize(self, stream_id: int, priority: Priority) -> None:
        try:
            self._engine.set_stream_priority(stream_id, EnginePriority(*priority))
        except NGH2Error:
            pass  # there is nothing left to schedule

    def update_priority(self, stream_id: int, value: bytes) -> None:
        if not self._closed:
            try:
                self._engine.send_priority_update(stream_id, value)
            except NGH2Error as error:
                self._fail(error)

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        if self._closed:
            return
        if self._frames.inside_data_of(stream_id):
            self._held_reset = (stream_id, error_code)
        else:
            self._reset_now(stream_id, error_code)

    def _is_open(self, stream_id: int) -> bool:
        try:
            self._engine.stream_local_window_size(stream_id)
        except NGH2Error:
            return False
        return True

    def _reset_now(self, stream_id: int, error_code: int) -> None:
        try:
            self._engine.reset_stream(stream_id, error_code)
            self.resets_sent += 1
            # Serialized at once: later the stream might be in the middle of a frame again.
            self._output.append(self._engine.data_to_send())
        except NGH2Error as error:
            self._fail(error)

    def _release_held_reset(self, data: bytes) -> bytes:
        """Feed the end of the frame that holds a reset back, send the reset, return the rest."""
        assert self._held_reset is not None
        end = self._frames.left
        self._engine.receive_data(data[:end])
        self._frames.left = 0
        held, self._held_reset = self._held_reset, None
        self._reset_now(*held)
        return data[end:]

    def acknowledge_received_data(self, amount: int, stream_id: int) -> None:
        if not self._closed:
            try:
                self._engine.acknowledge_received_data(amount, stream_id)
            except NGH2Error:
                pass  # the engine is ending, there is no window left to credit

    def measure(self) -> None:
        if not self._closed:
            try:
                self._engine.ping(_MEASURE)
            except NGH2Error as error:
                self._fail(error)

    def open_window(self, stream_id: int, size: int) -> None:
        try:
            self._engine.set_local_window_size(size, stream_id=stream_id)
        except NGH2Error:
            pass  # the stream is gone

    def may_send(self, stream_id: int) -> bool:
        try:
            return self._engine.stream_remote_window_size(stream_id) > 0
        except NGH2Error:
            return False  # the stream is gone

    # -- the end ---------------------------------------------------------------------------------

    def shut_down(self) -> None:
        if self._closed:
            return
        try:
            if not self._server:
                if self._goaway_steps == 0:
                    self._goaway_steps = 2
                    self._engine.send_goaway(ErrorCode.NO_ERROR)
            elif self._goaway_steps == 0:
                # RFC 9113 §6.8: a notice first; a PING tells when the client has seen it, and only
                # then the GOAWAY with the true last stream, so that no request in flight is lost.
                self._goaway_steps = 1
                self._engine.send_shutdown_notice()
                # The engine would send the PING first, and its answer would say nothing.
                self._output.append(self._engine.data_to_send())
                self._engine.ping()
            elif self._goaway_steps == 1:
                self._final_goaway()
        except NGH2Error as error:
            self._fail(error)

    def _final_goaway(self) -> None:
        self._goaway_steps = 2
        try:
            self._engine.send_goaway(ErrorCode.NO_ERROR)
        except ConnectionStateError:
            pass  # the client's own GOAWAY came with the answer, and nothing is open: both have ended

    def terminate(self, error_code: int) -> None:
        if self._closed:
            return
        try:
            self._engine.terminate_connection(error_code)
            self._output.append(self._engine.data_to_send())
        except NGH2Error as error:
            self._fail(error)
        else:
            self._close(error_code, b"")

    def _fail(self, error: NGH2Error) -> None:
        """Say a last word for the engine, which says none after a fatal error."""
        if self._goaway_steps == 2 and isinstance(error, ConnectionStateError):
            # All streams of the last GOAWAY have ended, and the client's next came behind that. It knows
            # that nobody looked at it, unless another GOAWAY says something else (RFC 9113 §6.8).
            self._close(ErrorCode.NO_ERROR, b"")
        elif not self._closed:
            code = (
                ErrorCode.ENHANCE_YOUR_CALM
                if type(error).__name__ == "DenialOfServiceError"
                else ErrorCode.PROTOCOL_ERROR
            )
            self._output.append(_GOAWAY_FRAME.pack(0, 8, 7, 0, 0, self._frames.last_peer_stream, code))
            self._close(code, str(error).encode())

    def _close(self, error_code: int, reason: bytes) -> None:
        if not self._closed:
            self._events.extend(self._engine.events())
            self._closed = True
            self._events.append(ConnectionClosed(error_code, reason))
