"""What a connection is, whatever its version of HTTP: the interface ``h1`` and ``h2`` both fit.

A connection is sans-IO: bytes go in by :meth:`Connection.receive_data`, events come out of
:meth:`Connection.events`, bytes to write out of :meth:`Connection.data_to_send`. Rules:

1. It never raises for what the peer did. A violation becomes bytes to send (an error response, a
   reset, a GOAWAY), a ``StreamClosed`` for the stream or a ``ConnectionClosed`` for all of them.
2. Events may appear after ``receive_data``, after ``data_to_send`` and after any ``send_*``: drain
   them after each.
3. Every stream that was announced ends with exactly one ``StreamClosed`` or with the connection's
   ``ConnectionClosed``.
4. Field sections handed to ``send_*`` have been validated (``plait.fields``): the connection
   encodes, it does not judge.
5. Time never enters it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from plait.protocol.events import Event, Fields

if TYPE_CHECKING:
    from plait.protocol.field_bytes import FieldBytes
    from plait.protocol.priorities import Priority

__all__ = ["Connection"]


class Connection(Protocol):
    """One HTTP connection, either role.

    Attributes:
        http_version: ``"2"`` or ``"1.1"`` (for a server on HTTP/1.1 the version of the request being
            answered, so also ``"1.0"``).
        ends_early: Whether the end of a response may be sent while its request is still on its way.
        wants_read: False while the peer should be slowed down: stop reading the transport.
        closing: True when no further exchange can start here (GOAWAY, ``Connection: close``).
        closed: True when nothing more will be received: write what ``data_to_send`` still has, then
            close the transport.
        resets_sent: Streams reset from this end.
        resets_received: Streams that the peer reset.
        goaway_code: The error code with which the peer ends the connection, 0 when it has not said any.
        failure: Why the one exchange that HTTP/1.1 has broke, and the connection with it; empty where that
            is not so.
        head_limits: Fields that a response's section may have, ``:status`` counted, and its bytes as RFC 9113
            §6.5.2 counts them, where that is left to the one above; None where it is seen to here.
        stream_limit: Streams that the peer lets this side have open, as it said, or as this side presumes
            until then.
        opens_tunnels: Whether a client may ask for a tunnel to another protocol (RFC 8441 §3, RFC 9110
            §7.8); None while the server has yet to say so.
    """

    http_version: str
    ends_early: bool
    head_limits: tuple[int, int] | None
    stream_limit: int

    @property
    def resets_sent(self) -> int: ...
    @property
    def resets_received(self) -> int: ...
    @property
    def goaway_code(self) -> int: ...
    @property
    def failure(self) -> bytes: ...
    @property
    def opens_tunnels(self) -> bool | None: ...
    @property
    def field_bytes(self) -> FieldBytes | None:
        """What field sections took so far; None when they are not counted."""

    @property
    def wants_read(self) -> bool: ...
    @property
    def closing(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def push_allowed(self) -> bool:
        """Whether the client takes pushed responses now (RFC 9113 §8.4)."""

    @property
    def push_limit(self) -> int:
        """How many pushed streams the client lets be open at once; 0 when it takes none."""

    @property
    def receiving_head(self) -> bool:
        """Whether a field section has begun to arrive and is not whole yet."""

    @property
    def capacity(self) -> int:
        """How many further requests a client may send now (0 when closing)."""

    @property
    def limited_by_peer(self) -> bool:
        """Whether it is the server's limit, and no limit of this side's, that bounds ``capacity``."""

    def receive_data(self, data: bytes) -> None:
        """Take bytes the peer sent."""

    def receive_eof(self) -> None:
        """Take note that the peer sends nothing more."""

    def events(self) -> list[Event]:
        """Return the events since the last call, in order."""

    def data_to_send(self, amount: int = ...) -> bytes:
        """Return bytes to write now; ``b""`` when there are none.

        HTTP/2 returns about ``amount`` bytes at most while there is more content than that.

        Large content comes in several pieces: call again until it returns ``b""`` or the transport
        is full.
        """

    def send_request(self, fields: Fields, *, end_stream: bool) -> int:
        """Queue a request (pseudo-fields first) and return its stream id. Client only.

        Extended CONNECT asks for a tunnel (RFC 8441 §4), over HTTP/1.1 by Upgrade. What opens it is 101
        there and a 2xx here; from then on content is the tunnel's bytes, in both directions.
        """

    def send_response(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """Queue a final response (``:status`` first). Server only."""

    def send_informational_response(self, stream_id: int, fields: Fields) -> None:
        """Queue an interim response (RFC 9110 §15.2). Server only."""

    def open_tunnel(self, stream_id: int, fields: Fields) -> int:
        """Accept the tunnel that a request asks for, and return the status that says so. Server only.

        From then on content is the tunnel's bytes, and its end what the end of TCP is (RFC 8441 §5).
        """

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool = False) -> None:
        """Queue content."""

    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        """Queue a trailer section, which ends the message after the content queued before it.

        Over HTTP/1.1 only chunked content can have one; otherwise it is dropped (RFC 9110 §6.5.1).
        """

    def send_push_promise(self, stream_id: int, fields: Fields) -> int:
        """Promise the response to a request, and return the stream it will come on. Server only."""

    def priority_of(self, stream_id: int) -> tuple[int, bool] | None:
        """Return urgency and incrementality of a response, None where nothing schedules. Server only."""

    def prioritize(self, stream_id: int, priority: Priority) -> None:
        """Schedule a response by another priority (RFC 9218). Server only."""

    def update_priority(self, stream_id: int, value: bytes) -> None:
        """Ask for a response by another priority than the request said (RFC 9218 §7). Client only.

        HTTP/1.1 has no such thing, and nothing to put in another order.
        """

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """End one stream at once, in error or because nobody wants the rest of it.

        Over HTTP/1.1, which has no reset, the connection closes instead, and the response, when one
        was begun, stays visibly incomplete (RFC 9112 §8).
        """

    def left_behind(self, stream_id: int) -> bool:
        """Whether the peer leaves in good order, and before it came to a stream, but not before all."""

    def was_reset(self, stream_id: int) -> bool:
        """Whether it was the peer who reset a stream that was closed just now, for all that is known."""

    def ended_before(self, stream_id: int) -> bool:
        """Whether the peer has ended the connection, and says that it never came to this stream."""

    def acknowledge_received_data(self, amount: int, stream_id: int) -> None:
        """Give the peer credit for bytes of content that were consumed or thrown away."""

    def measure(self) -> None:
        """Have ``PingAcknowledged`` tell when a round trip is over; HTTP/1.1 has no such thing."""

    def open_window(self, stream_id: int, size: int) -> None:
        """Let the peer send more on a stream before it is read: ``size`` bytes in all."""

    def queued_body_size(self, stream_id: int) -> int:
        """Return the bytes of content queued on a stream that ``data_to_send`` has not returned yet."""

    def may_send(self, stream_id: int) -> bool:
        """Whether the peer would take content of this stream now, as far as it says so stream by stream."""

    def shut_down(self) -> None:
        """Begin a graceful end: exchanges in flight finish, no new one starts.

        Call it again, a round trip later at the earliest, for the second step of HTTP/2's two-step
        GOAWAY (RFC 9113 §6.8).
        """

    def terminate(self, error_code: int) -> None:
        """End the connection now; ``data_to_send`` gives the last words."""
