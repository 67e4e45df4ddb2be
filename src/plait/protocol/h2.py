"""HTTP/2 (RFC 9113) on the ngh2 engine, which no other module but ``events.py`` touches.

The engine does framing, HPACK, flow-control arithmetic and stream states. What it leaves to its user
is here: the start of a connection, credit, the refusal of one stream too many, the two-step GOAWAY,
last words after a fatal error, and resets that must not fall into the middle of a frame.
"""

from __future__ import annotations

from struct import Struct

from ngh2 import Configuration, NGH2Error, Setting, pack_settings_payload
from ngh2 import Connection as Engine

from plait.errors import LocalProtocolError
from plait.protocol.events import (
    ConnectionClosed,
    ErrorCode,
    Event,
    Fields,
    GoAwayReceived,
    PingAcknowledged,
    Role,
    SettingsReceived,
    StreamClosed,
)

__all__ = ["H2Connection", "PIECE", "PREFACE"]

#: What a client sends first (RFC 9113 §3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_FRAME_HEADER = 9
_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _CONTINUATION = 0x00, 0x01, 0x02, 0x03, 0x09
_FIELD_FRAMES = frozenset({_HEADERS, _CONTINUATION})
_END_STREAM, _END_HEADERS = 0x01, 0x04
#: RFC 9113 §4.2: what nobody has raised by SETTINGS_MAX_FRAME_SIZE.
_MAX_FRAME_SIZE = 16_384
_GOAWAY_FRAME = Struct(">BHBBIII")
_WORD = Struct(">I").unpack_from
_LAST_STREAM = 2**31 - 1

#: Streams beyond the advertised limit that the engine tolerates, so that plait refuses them one by
#: one (RFC 9113 §5.1.2) where the engine would end the connection.
_SLACK = 1000
#: Queued content beyond which output is taken in pieces of this size, so that no write is huge.
PIECE = 262_144
#: Events that change what this module keeps account of; a server counts no streams here.
_NOTED_BY_SERVER = frozenset({SettingsReceived, GoAwayReceived, PingAcknowledged, ConnectionClosed})
_NOTED_BY_CLIENT = _NOTED_BY_SERVER | {StreamClosed}
#: Frames that are looked at before the engine sees them; see _judge.
_JUDGED_BY_SERVER = frozenset({_DATA, _PRIORITY, _RST_STREAM})
_JUDGED_BY_CLIENT = frozenset({_PRIORITY})


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
    """

    __slots__ = (
        "_closed",
        "_engine",
        "_events",
        "_frame_left",
        "_frame_stream",
        "_frame_type",
        "_goaway_received",
        "_goaway_steps",
        "_header_block_open",
        "_held_reset",
        "_judged",
        "_last_peer_stream",
        "_max_concurrent_streams",
        "_noted",
        "_open",
        "_output",
        "_partial_header",
        "_peer_max_streams",
        "_sending",
        "_sending_max",
        "_server",
        "queued_body_size",
        "send_informational_response",
        "send_response",
    )

    http_version = "2"
    #: Always: flow control slows the peer down stream by stream (RFC 9113 §5.2).
    wants_read = True

    def __init__(
        self,
        role: Role,
        *,
        max_concurrent_streams: int,
        max_header_fields: int,
        max_header_size: int,
        stream_window: int,
        connection_window: int,
    ) -> None:
        engine = Engine(
            role,
            Configuration(
                auto_window_update=False,
                max_inbound_header_count=max(1024, 4 * max_header_fields),
                max_inbound_header_list_size=max(262_144, 4 * max_header_size),
                max_send_header_block_length=1 << 20,
                # Ours come first: Endpoint judges resets by what was completed in between.
                stream_reset_rate_limit=(100_000, 10_000),
            ),
        )
        settings: dict[int, int] = {
            Setting.INITIAL_WINDOW_SIZE: stream_window,
            Setting.MAX_HEADER_LIST_SIZE: max_header_size,
        }
        self._server = role is Role.SERVER
        self._noted = _NOTED_BY_SERVER if self._server else _NOTED_BY_CLIENT
        if self._server:
            # RFC 9218 §2.1: say at once that RFC 7540's priority tree is not used here.
            settings[Setting.NO_RFC7540_PRIORITIES] = 1
            advertised = {**settings, Setting.MAX_CONCURRENT_STREAMS: max_concurrent_streams}
            engine.initiate_connection(
                {**settings, Setting.MAX_CONCURRENT_STREAMS: max_concurrent_streams + _SLACK}
            )
            # The frame just queued names the tolerated limit; send the same frame with the real one.
            first = engine.data_to_send()[:_FRAME_HEADER] + pack_settings_payload(advertised)
        else:
            settings[Setting.ENABLE_PUSH] = 0
            engine.initiate_connection(settings)
            first = engine.data_to_send()
        engine.set_local_window_size(connection_window)

        self._engine = engine
        self._output = [first]
        self._events: list[Event] = []
        self._max_concurrent_streams = max_concurrent_streams
        self._peer_max_streams = 100  # until SETTINGS say more; RFC 9113 §6.5.2 recommends no less
        self._open = 0
        self._last_peer_stream = 0
        self._goaway_received = False
        self._goaway_steps = 0
        self._closed = False

        # Where the reading stands in the sequence of frames; see _follow_frames.
        self._frame_left = len(PREFACE) if self._server else 0
        self._frame_type = -1
        self._frame_stream = 0
        self._partial_header = b""
        self._header_block_open = False
        self._held_reset: tuple[int, int] | None = None
        #: Streams on which a client may still send, in the order in which they began; see _judge.
        self._sending: dict[int, None] = {}
        self._judged = _JUDGED_BY_SERVER if self._server else _JUDGED_BY_CLIENT
        self._sending_max = max_concurrent_streams + 2 * _SLACK

        # The hot path goes straight to the engine.
        self.send_response = engine.send_response
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
        return min(self._max_concurrent_streams, self._peer_max_streams) - self._open

    @property
    def receiving_head(self) -> bool:
        """Whether a field section has begun to arrive and is not whole yet."""
        return self._header_block_open or (self._frame_left > 0 and self._frame_type in _FIELD_FRAMES)

    # -- bytes in --------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        if self._closed:
            return
        try:
            if self._held_reset is not None and self._frame_left <= len(data):
                data = self._release_held_reset(data)
            self._follow_frames(data)
            self._engine.receive_data(data)
        except NGH2Error as error:
            self._fail(error)

    def receive_eof(self) -> None:
        self._close(ErrorCode.NO_ERROR, b"the peer closed the connection")

    def events(self) -> list[Event]:
        if self._closed:
            events, self._events = self._events, []
            return events
        events = self._engine.events()
        noted = self._noted
        for event in events:
            if type(event) in noted:
                self._note(event)
        return events

    def _note(self, event: Event) -> None:
        """Keep the books that the engine does not keep for us."""
        match event:
            case StreamClosed():
                self._open -= 1
            case SettingsReceived(settings):
                self._peer_max_streams = settings.get(Setting.MAX_CONCURRENT_STREAMS, self._peer_max_streams)
            case GoAwayReceived():
                self._goaway_received = True
            case PingAcknowledged() if self._goaway_steps == 1:
                self._final_goaway()
            case ConnectionClosed():
                self._closed = True

    def _follow_frames(self, data: bytes) -> None:
        """Keep track of where frames begin and end.

        The engine gathers a DATA frame until it is whole. When a stream closes in between, because
        our RST_STREAM went out, the part gathered so far is neither delivered nor credited: up to
        16 KiB of the connection's window would be lost with every such reset. So resets of a stream
        wait for the end of its frame, and for that the frames must be followed. Only the reset of
        this endpoint can fall there: the peer's own frames are in sequence.
        """
        if self._partial_header:
            data = self._partial_header + data
            self._partial_header = b""
        size = len(data)
        position = self._frame_left
        if position <= size:
            while position + _FRAME_HEADER <= size:
                word = _WORD(data, position)[0]
                kind = data[position + 3]
                self._frame_type = kind
                self._frame_stream = stream = _WORD(data, position + 5)[0] & _LAST_STREAM
                if kind in _FIELD_FRAMES:
                    flags = data[position + 4]
                    if stream > self._last_peer_stream:
                        self._last_peer_stream = stream
                        if self._server and not flags & _END_STREAM:
                            self._begin_sending(stream)
                    elif error := self._judge(kind, stream, flags, word >> 8):
                        return self.terminate(error)
                    self._header_block_open = not flags & _END_HEADERS
                elif kind in self._judged:
                    depends_on = 0
                    if kind == _PRIORITY:
                        if position + _FRAME_HEADER + 4 > size:
                            break  # until it can be judged
                        depends_on = _WORD(data, position + _FRAME_HEADER)[0] & _LAST_STREAM
                    if error := self._judge(kind, stream, data[position + 4], word >> 8, depends_on):
                        return self.terminate(error)
                position += _FRAME_HEADER + (word >> 8)
            if position < size:
                self._partial_header = data[position:]
                self._frame_left = 0
                return
        self._frame_left = position - size

    def _begin_sending(self, stream: int) -> None:
        if len(self._sending) > self._sending_max:
            # What was reset from here stays, since more of it may be on its way, but not for ever.
            for old in list(self._sending)[:-_SLACK]:
                try:
                    self._engine.stream_local_window_size(old)
                except NGH2Error:
                    del self._sending[old]
        self._sending[stream] = None

    def _judge(self, kind: int, stream: int, flags: int, size: int, depends_on: int = 0) -> int:
        """Return the connection error in a frame that the engine would pass over, or NO_ERROR.

        It ignores PRIORITY, takes CONTINUATION of any size, and forgets streams when they close. What
        a client sends on a stream that it has ended or reset itself is an error (RFC 9113 §5.1); what
        it sends on one that was reset from here may have been on its way.
        """
        if kind == _CONTINUATION:
            return ErrorCode.FRAME_SIZE_ERROR if size > _MAX_FRAME_SIZE else ErrorCode.NO_ERROR
        if kind == _PRIORITY:
            # RFC 9113 §6.3; RFC 7540 §5.3.1.
            return ErrorCode.NO_ERROR if stream and stream != depends_on else ErrorCode.PROTOCOL_ERROR
        sending = self._sending
        if kind == _RST_STREAM:
            sending.pop(stream, None)
        elif stream in sending:
            if flags & _END_STREAM:
                del sending[stream]
        elif self._server and stream & 1 and stream <= self._last_peer_stream:
            # Within a field block the engine has an error of its own for it (RFC 9113 §6.10).
            return ErrorCode.NO_ERROR if self._header_block_open else ErrorCode.STREAM_CLOSED
        return ErrorCode.NO_ERROR

    # -- bytes out -------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        data = b""
        if not self._closed:
            engine = self._engine
            try:
                if engine.queued_body_size() > PIECE:
                    data = engine.data_to_send(PIECE)
                else:
                    data = engine.data_to_send()
            except NGH2Error as error:
                self._fail(error)
        if self._output:
            data = b"".join((*self._output, data))
            self._output.clear()
        return data

    def send_request(self, fields: Fields, *, end_stream: bool) -> int:
        if self._closed:
            raise LocalProtocolError("no further request fits on this connection: it is closed")
        try:
            stream_id = self._engine.send_request(fields, end_stream=end_stream)
        except NGH2Error as error:
            raise LocalProtocolError(f"no further request fits on this connection: {error}") from error
        self._open += 1
        return stream_id

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool = False) -> None:
        self._engine.send_data(stream_id, data, end_stream=end_stream)

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        if self._closed:
            return
        if self._frame_left and self._frame_type == _DATA and self._frame_stream == stream_id:
            self._held_reset = (stream_id, error_code)
        else:
            self._reset_now(stream_id, error_code)

    def _reset_now(self, stream_id: int, error_code: int) -> None:
        try:
            self._engine.reset_stream(stream_id, error_code)
            # Serialized at once: later the stream might be in the middle of a frame again.
            self._output.append(self._engine.data_to_send())
        except NGH2Error as error:
            self._fail(error)

    def _release_held_reset(self, data: bytes) -> bytes:
        """Feed the end of the frame that holds a reset back, send the reset, return the rest."""
        assert self._held_reset is not None
        end = self._frame_left
        self._engine.receive_data(data[:end])
        self._frame_left = 0
        held, self._held_reset = self._held_reset, None
        self._reset_now(*held)
        return data[end:]

    def acknowledge_received_data(self, amount: int, stream_id: int) -> None:
        if not self._closed:
            try:
                self._engine.acknowledge_received_data(amount, stream_id)
            except NGH2Error:
                pass  # the engine is ending, there is no window left to credit

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
        self._engine.send_goaway(ErrorCode.NO_ERROR)

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
        if not self._closed:
            code = (
                ErrorCode.ENHANCE_YOUR_CALM
                if type(error).__name__ == "DenialOfServiceError"
                else ErrorCode.PROTOCOL_ERROR
            )
            self._output.append(_GOAWAY_FRAME.pack(0, 8, 7, 0, 0, self._last_peer_stream, code))
            self._close(code, str(error).encode())

    def _close(self, error_code: int, reason: bytes) -> None:
        if not self._closed:
            self._events.extend(self._engine.events())
            self._closed = True
            self._events.append(ConnectionClosed(error_code, reason))
