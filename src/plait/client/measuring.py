"""Counts what a client's exchanges take, and what holds them up.

Only a client that was asked to measure imports this.
"""

from __future__ import annotations

import ssl
from collections import Counter, deque
from collections.abc import Callable
from struct import unpack
from typing import TYPE_CHECKING

from plait.client.statistics import ConnectionMeasures, ExchangeStatistics, WindowStalls
from plait.protocol.connection import Connection
from plait.protocol.endpoint import PIECE, ClientEndpoint
from plait.protocol.events import (
    DataReceived,
    Event,
    Fields,
    InformationalResponseReceived,
    PushedStreamReceived,
    ResponseReceived,
    SettingsReceived,
    StreamClosed,
    TrailersReceived,
    error_name,
)
from plait.protocol.exchange import Exchange, Half
from plait.protocol.field_bytes import FieldCount
from plait.protocol.frame_details import setting_name
from plait.protocol.frames import Flag, Frame, FrameReader, FrameType, promised_stream
from plait.protocol.h2 import PREFACE
from plait.protocol.h2_frames import FRAME_HEADER

if TYPE_CHECKING:
    from plait.client.sites import Link

__all__ = ["Counts", "Meter"]

#: Round trips that are told of.
_ROUND_TRIPS = 100
_FIELD_FRAMES = frozenset({FrameType.HEADERS, FrameType.CONTINUATION})


class _Stall:
    """How often, and how long, something waited.

    Attributes:
        count: How often.
        since: When it began to wait, None while it does not.
    """

    __slots__ = ("_seconds", "count", "since")

    def __init__(self) -> None:
        self.count = 0
        self._seconds = 0.0
        self.since: float | None = None

    def begin(self, now: float) -> None:
        """Take note that it waits."""
        if self.since is None:
            self.since = now
            self.count += 1

    def end(self, now: float) -> None:
        """Take note that it does not."""
        if self.since is not None:
            self._seconds += now - self.since
            self.since = None

    def seconds(self, now: float) -> float:
        """Return how long it has waited by now."""
        return self._seconds + (0.0 if self.since is None else now - self.since)


class Counts:
    """What is counted of one exchange.

    Args:
        clock: Tells the time, in seconds.

    Attributes:
        fields: Counts its field sections, as HTTP/1.1 writes them.
        request_wire: Bytes of the frames of its request's field sections; as of HTTP/2.
        response_wire: Bytes of the frames of the responses'.
        content_sent: Bytes of content sent.
        content_received: Bytes of content received.
        interim: Interim responses.
        uploaded: When the end of the request had left, 0 before that.
        stream_stall: Its content's waiting for the window of its stream.
        connection_stall: Its content's waiting for that of the connection.
    """

    __slots__ = (
        "_clock", "_framed", "connection_stall", "content_received", "content_sent", "fields", "interim",
        "request_wire", "response_wire", "stream_stall", "uploaded",
    )  # fmt: skip

    def __init__(self, clock: Callable[[], float], framed: bool) -> None:
        self._clock = clock
        self._framed = framed
        self.fields = FieldCount()
        self.request_wire = self.response_wire = 0
        self.content_sent = self.content_received = self.interim = 0
        self.uploaded = 0.0
        self.stream_stall = _Stall()
        self.connection_stall = _Stall()

    @property
    def statistics(self) -> ExchangeStatistics:
        """What was counted, to be read."""
        fields = self.fields
        on_wire = (
            (self.request_wire, self.response_wire) if self._framed else (fields.request, fields.response)
        )
        return ExchangeStatistics(
            fields.total(*on_wire),
            self.content_sent,
            self.content_received,
            self.interim,
            self.stalls(self._clock()),
        )

    def stalls(self, now: float) -> WindowStalls:
        """Return what its content has waited for by now."""
        stream, connection = self.stream_stall, self.connection_stall
        return WindowStalls(stream.count, stream.seconds(now), connection.count, connection.seconds(now))

    def stall(self, now: float, *, at_stream: bool) -> None:
        """Take note that its content waits: for the window of its stream, or else for the connection's."""
        shut, open_ = self.stream_stall, self.connection_stall
        if not at_stream:
            shut, open_ = open_, shut
        open_.end(now)
        shut.begin(now)

    def resume(self, now: float) -> None:
        """Take note that its content does not wait."""
        self.stream_stall.end(now)
        self.connection_stall.end(now)


class Meter:
    """Measures one connection; see :class:`plait.client.observing.Watcher`.

    Args:
        connection: The connection.
        clock: Tells the time, in seconds.
    """

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._framed = connection.http_version == "2"
        self._endpoint: ClientEndpoint | None = None
        self._open: dict[int, Counts] = {}
        #: Those whose content has not left to its end.
        self._uploading: dict[int, tuple[Exchange, Counts]] = {}
        self._max_in_flight = 0
        #: Content sent and received, interim responses; stalls.
        self._gone = (0, 0, 0)
        self._gone_stalls = WindowStalls(0, 0.0, 0, 0.0)
        self._reader = FrameReader(len(PREFACE)), FrameReader(0)
        self._resets: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._goaway: list[str | None] = [None, None]
        self._pings: dict[bytes, float] = {}
        self._round_trips: deque[float] = deque(maxlen=_ROUND_TRIPS)
        self._settings: dict[str, int] = {}

    def opened(self, link: Link, tls: ssl.SSLObject | None) -> None:
        """Take note that the connection came to be."""
        link.meter = self
        self._endpoint = link.endpoint

    def closed(self, link: Link) -> None:
        """Take note that it is gone."""

    def counts(self, exchange: Exchange) -> Counts | None:
        """Return what is counted of an exchange; None of one that the server began."""
        counts: Counts | None = getattr(exchange, "counts", None)
        return counts

    @property
    def measures(self) -> ConnectionMeasures:
        """What was measured so far."""
        now = self._clock()
        sent, received, interim = self._gone
        stalls = self._gone_stalls
        for counts in self._open.values():
            sent += counts.content_sent
            received += counts.content_received
            interim += counts.interim
            stalls = _sum(stalls, counts.stalls(now))
        return ConnectionMeasures(
            self._max_in_flight,
            sent,
            received,
            interim,
            stalls,
            dict(self._resets[0]),
            dict(self._resets[1]),
            self._goaway[0],
            self._goaway[1],
            tuple(self._round_trips),
            dict(self._settings),
        )

    # -- exchanges -------------------------------------------------------------------------------

    def on_request(self, exchange: Exchange, fields: Fields) -> None:
        """Take note of a request that was handed to the connection."""
        counts = exchange.counts = Counts(self._clock, self._framed)
        counts.fields.add_request(fields)
        self._open[exchange.stream_id] = counts
        self._uploading[exchange.stream_id] = exchange, counts
        self._max_in_flight = max(self._max_in_flight, len(self._open))

    def on_event(self, event: Event) -> None:
        """Take note of what bytes mean."""
        if isinstance(event, SettingsReceived):
            self._settings.update((setting_name(number), value) for number, value in event.settings.items())
            return
        if isinstance(event, PushedStreamReceived):
            self._promised(event.promised_stream_id).fields.add_request(event.headers)
            return
        stream_id: int = getattr(event, "stream_id", 0)
        counts = self._open.get(stream_id)
        if counts is None:
            return
        if not stream_id & 1 and self._endpoint is not None:  # RFC 9113 §5.1.1: it was pushed
            pushed = self._endpoint.exchanges.get(stream_id)
            if pushed is not None:
                pushed.counts = counts
        match event:
            case DataReceived():
                counts.content_received += len(event.data)
            case ResponseReceived():
                counts.fields.add_response(event.headers)
            case InformationalResponseReceived():
                counts.fields.add_response(event.headers)
                counts.interim += 1
            case TrailersReceived():
                counts.fields.add_trailers(event.headers)
            case StreamClosed():
                self._end(stream_id, counts)

    def _promised(self, stream_id: int) -> Counts:
        """Return what is counted of an exchange that the server began."""
        counts = self._open.get(stream_id)
        if counts is None:
            counts = self._open[stream_id] = Counts(self._clock, self._framed)
        return counts

    def _end(self, stream_id: int, counts: Counts) -> None:
        del self._open[stream_id]
        self._uploading.pop(stream_id, None)
        now = self._clock()
        counts.resume(now)
        sent, received, interim = self._gone
        self._gone = (
            sent + counts.content_sent,
            received + counts.content_received,
            interim + counts.interim,
        )
        self._gone_stalls = _sum(self._gone_stalls, counts.stalls(now))

    # -- bytes -----------------------------------------------------------------------------------

    def on_received(self, data: bytes) -> None:
        """Take note of bytes that the connection takes next."""
        if self._framed:
            for frame in self._reader[1].read(data):
                self._note(frame, 1)

    def on_sent(self, data: bytes) -> None:
        """Take note of bytes that are written next."""
        if self._framed:
            for frame in self._reader[0].read(data):
                self._note(frame, 0)
                if frame.type in (FrameType.DATA, FrameType.HEADERS):
                    self._note_upload(frame)
            if self._uploading and len(data) < PIECE:
                self._look_at_windows()
            return
        for stream_id, (exchange, counts) in list(self._uploading.items()):
            counts.content_sent = exchange.sent_bytes - exchange.queued
            if exchange.sent is Half.ENDED and not exchange.queued:
                counts.uploaded = self._clock()
                del self._uploading[stream_id]

    def _note_upload(self, frame: Frame) -> None:
        found = self._uploading.get(frame.stream_id)
        if found is None:
            return
        counts, now = found[1], self._clock()
        if frame.type == FrameType.DATA:
            counts.resume(now)
            # The length of the padding takes a byte, too (RFC 9113 §6.1).
            counts.content_sent += frame.length - (1 + frame.payload[0] if frame.payload else 0)
        if frame.flags & Flag.END_STREAM:
            counts.uploaded = now
            del self._uploading[frame.stream_id]

    def _look_at_windows(self) -> None:
        """See what is left although everything was written that may be."""
        now = self._clock()
        for stream_id, (exchange, counts) in self._uploading.items():
            if exchange.queued:
                counts.stall(now, at_stream=not self._connection.may_send(stream_id))

    def _note(self, frame: Frame, direction: int) -> None:
        """Take note of a frame: 0 sent, 1 received."""
        kind, payload = frame.type, frame.payload
        if kind in _FIELD_FRAMES:
            counts = self._open.get(frame.stream_id)
            if counts is not None:
                if direction:
                    counts.response_wire += FRAME_HEADER + frame.length
                else:
                    counts.request_wire += FRAME_HEADER + frame.length
        elif kind == FrameType.PUSH_PROMISE:
            # The request that it is the response to came the other way.
            self._promised(promised_stream(frame)).request_wire += FRAME_HEADER + frame.length
        elif kind == FrameType.RST_STREAM and len(payload) == 4:
            self._resets[direction][error_name(*unpack(">I", payload))] += 1
        elif kind == FrameType.GOAWAY and len(payload) >= 8:
            self._goaway[direction] = error_name(*unpack(">I", payload[4:8]))
        elif kind == FrameType.PING:
            if not direction and not frame.flags & 1:
                self._pings[payload] = self._clock()
            elif direction and frame.flags & 1 and (asked := self._pings.pop(payload, None)) is not None:
                self._round_trips.append(self._clock() - asked)


def _sum(one: WindowStalls, other: WindowStalls) -> WindowStalls:
    return WindowStalls(
        one.stream + other.stream,
        one.stream_seconds + other.stream_seconds,
        one.connection + other.connection,
        one.connection_seconds + other.connection_seconds,
    )
