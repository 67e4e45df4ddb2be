"""What a client tells of its connections and its exchanges.

Times are seconds of ``time.monotonic()``: on Linux that is CLOCK_MONOTONIC, which every process of the
machine reads alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from plait.drivers.tcp_info import counts

if TYPE_CHECKING:
    from plait.client.messages import Circumstances
    from plait.client.sites import Opening
    from plait.protocol.field_bytes import FieldBytes

__all__ = [
    "ConnectionMeasures",
    "ConnectionStatistics",
    "ExchangeStatistics",
    "Phases",
    "Statistics",
    "TcpInfo",
    "Timing",
    "WindowStalls",
    "connection_statistics",
    "statistics_of",
    "timing_of",
]


class Phases(NamedTuple):
    """What the time of one exchange went into, in seconds; the sum is that from ``queued`` to ``done``.

    Attributes:
        queue: Waiting for a connection with room, which was not just being opened.
        dns: Waiting for the name to be looked up.
        connect: Waiting for TCP.
        tls: Waiting for TLS.
        send: Sending, until the last of the request's content was on its way or the response was there.
        wait: Waiting for the response.
        receive: Receiving its content.
    """

    queue: float
    dns: float
    connect: float
    tls: float
    send: float
    wait: float
    receive: float


class Timing(NamedTuple):
    """When everything happened to one exchange, in seconds of ``time.monotonic()``.

    Attributes:
        submitted: When the request was given to the client.
        sent: When it was handed to a connection; when it was sent twice, the second time.
        answered: When the final response's header section was there.
        done: When its content was complete.
        connection: The number of its connection; see :class:`ConnectionStatistics`.
        queued: When it began to wait for a connection: when it was submitted, or later if it was sent again
            or follows from a redirect.
        uploaded: When the last of its content was handed to the connection, or, for a client made with
            ``measure``, had left it; equal to ``sent`` where there is none.
        began: When the client began to see to the connection, by looking the name up.
        started: When it began to connect.
        connected: When TCP was established.
        secured: When TLS was; equal to ``connected`` without TLS.
    """

    submitted: float
    sent: float
    answered: float
    done: float
    connection: int
    queued: float
    uploaded: float
    began: float
    started: float
    connected: float
    secured: float

    def phases(self) -> Phases:
        """Return what the time went into; an earlier attempt, or a redirect, has times of its own.

        Looking up, connecting and securing count as far as the exchange waited for them: most find a
        connection that there is already.
        """
        queued, sent = self.queued, self.sent
        steps = (self.began, self.started, self.connected, self.secured)
        # What fell between the moment when it began to wait and the one when it was sent.
        moments = [min(max(moment, queued), sent) for moment in steps]
        dns, connect, tls = (until - since for since, until in pairwise(moments))
        uploaded = min(max(self.uploaded, sent), self.answered)
        return Phases(
            sent - queued - dns - connect - tls,
            dns,
            connect,
            tls,
            uploaded - sent,
            self.answered - uploaded,
            self.done - self.answered,
        )


def timing_of(
    submitted: float, sent: float, answered: float, done: float, how: Opening | Circumstances
) -> Timing:
    """Make readable what a response keeps."""
    if isinstance(how, tuple):
        opening, queued, uploaded = how, submitted, sent
    else:
        opening, queued, uploaded = how.opening, how.queued, how.uploaded
    number, *steps = opening
    return Timing(submitted, sent, answered, done, number, queued, uploaded, *steps)


def statistics_of(how: Opening | Circumstances) -> ExchangeStatistics | None:
    """Make readable what was counted, None where nothing was."""
    return None if isinstance(how, tuple) or how.counts is None else how.counts.statistics


class WindowStalls(NamedTuple):
    """How often, and how long, a request's content waited for the peer to open a flow-control window
    (RFC 9113 §5.2).

    Attributes:
        stream: How often for that of its stream.
        stream_seconds: How long.
        connection: How often for that of the connection, its stream's being open.
        connection_seconds: How long.
    """

    stream: int
    stream_seconds: float
    connection: int
    connection_seconds: float


class ExchangeStatistics(NamedTuple):
    """What one exchange took; of one that was sent again, the last time.

    Attributes:
        fields: Bytes of its field sections, header and trailer, interim responses included.
        content_sent: Bytes of content sent, without the framing of HTTP.
        content_received: Bytes of content received, as they came: codings not undone.
        interim: Interim responses.
        stalls: What its content waited for.
    """

    fields: FieldBytes
    content_sent: int
    content_received: int
    interim: int
    stalls: WindowStalls


class ConnectionMeasures(NamedTuple):
    """What one connection has done so far, measured.

    Attributes:
        max_in_flight: The most exchanges that were open at once.
        content_sent: Bytes of content sent, without the framing of HTTP.
        content_received: Bytes of content received, as they came: codings not undone.
        interim: Interim responses.
        stalls: What content waited for, summed over all exchanges.
        resets_sent: How many streams were reset from this side, by error code (RFC 9113 §7).
        resets_received: How many were by the server.
        goaway_sent: The error code of this side's GOAWAY, None before it.
        goaway_received: That of the server's latest, None before it.
        round_trips: How long the server took to answer each PING, in seconds; the latest hundred.
        settings: The server's SETTINGS, by name; what it did not say is what RFC 9113 §6.5.2 says.
    """

    max_in_flight: int
    content_sent: int
    content_received: int
    interim: int
    stalls: WindowStalls
    resets_sent: Mapping[str, int]
    resets_received: Mapping[str, int]
    goaway_sent: str | None
    goaway_received: str | None
    round_trips: tuple[float, ...]
    settings: Mapping[str, int]


class TcpInfo(NamedTuple):
    """What the kernel counted on one connection.

    Attributes:
        segments_sent: Segments that left, the retransmitted ones too.
        segments_received: Segments that came in.
        retransmitted: Segments that left once more.
        out_of_order: Segments that came in behind a gap; None where the kernel does not count them.
        rtt: The smoothed round-trip time, in seconds.
    """

    segments_sent: int
    segments_received: int
    retransmitted: int
    out_of_order: int | None
    rtt: float


class ConnectionStatistics(NamedTuple):
    """What one connection has done so far.

    Attributes:
        number: Counts a client's connections from 1, in the order in which they came to be.
        port: Its port on this side.
        http_version: ``"HTTP/2"`` or ``"HTTP/1.1"``.
        started: When the client began to connect, the name being resolved, in seconds of
            ``time.monotonic()``.
        connected: When TCP was established.
        secured: When TLS was; equal to ``connected`` without TLS.
        exchanges: Requests sent on it.
        bytes_sent: Bytes handed to TCP, TLS included; None where the system does not tell.
        bytes_received: Bytes taken from TCP, TLS included; None where the system does not tell.
        fields: Bytes of field sections; None unless the client was made with ``count_fields`` or
            ``measure``.
        resets_sent: HTTP/2 streams that the client reset.
        resets_received: HTTP/2 streams that the server reset.
        began: When the client began to see to it, by looking the name up.
        address: The IP address at the other end, a proxy's where there is one; ``""`` for an application in
            this process.
        measures: More that was measured; None unless the client was made with ``measure``.
        tcp: What the kernel counted, until it closed; None where the system does not tell.
    """

    number: int
    port: int
    http_version: str
    started: float
    connected: float
    secured: float
    exchanges: int
    bytes_sent: int | None
    bytes_received: int | None
    fields: FieldBytes | None
    resets_sent: int
    resets_received: int
    began: float
    address: str
    measures: ConnectionMeasures | None
    tcp: TcpInfo | None


class Statistics(NamedTuple):
    """What a client has done so far.

    Attributes:
        connections_opened: Connections that came to be.
        exchanges: Requests sent, replays counted again.
        bytes_sent: Bytes handed to TCP, TLS included; None where the system does not tell.
        bytes_received: Bytes taken from TCP, TLS included; None where the system does not tell.
        connections: Each connection, in the order in which they came to be; of many that are gone
            the most recent.
    """

    connections_opened: int
    exchanges: int
    bytes_sent: int | None
    bytes_received: int | None
    connections: tuple[ConnectionStatistics, ...]


def connection_statistics(facts: tuple[Any, ...]) -> ConnectionStatistics:
    """Make readable what a :class:`~plait.client.journal.Journal` keeps of a connection."""
    info: bytes | None = facts[-1]
    return ConnectionStatistics._make((*facts[:-1], None if info is None else TcpInfo(*counts(info))))
