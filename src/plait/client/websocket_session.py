"""The client's end of an open WebSocket: ``protocol/websocket_session.py``, as both clients need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from math import inf
from typing import Any

from websockets.extensions import Extension
from websockets.frames import Close, CloseCode
from websockets.protocol import Side

from plait.errors import ExchangeError, LocalProtocolError, PlaitError, WebSocketClosed, WriteTimeout
from plait.protocol.exchange import Exchange, Half
from plait.protocol.websocket_session import Session, Terms, may_close

__all__ = ["ClientSession"]

#: Codes with which a WebSocket ends in good order (RFC 6455 §7.4.1).
_GOOD = frozenset({CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY})


def _tell_nobody() -> None:
    """Stand in until somebody waits."""


class ClientSession(Session):
    """One WebSocket at the client's end, from the handshake's end to the tunnel's.

    Args:
        exchange: The exchange whose tunnel the server has opened.
        terms: What is taken from the server, and for how long.
        extensions: What was granted in the handshake.
        now: The time, in seconds.
        moved: Tells how many bytes the transport has moved, where it carries nothing else.

    Attributes:
        blocked: Whether so much waits for the server that whoever sends has to wait, too.
        on_change: Called when there is a message, an end, an answer to a ping, or room to write.
        on_due: Called when ``due`` has become earlier without anybody's doing.
        pings: Pings that were not answered yet.
    """

    __slots__ = (
        "_awaits_close",
        "_moved",
        "_numbers",
        "_own",
        "_seen",
        "blocked",
        "on_change",
        "on_due",
        "pings",
    )

    def __init__(
        self,
        exchange: Exchange,
        terms: Terms,
        extensions: Sequence[Extension],
        now: float,
        moved: Callable[[], Any],
    ) -> None:
        self.on_change: Callable[[], None] = _tell_nobody
        self.on_due: Callable[[], None] = _tell_nobody
        self.blocked = False
        self.pings: dict[bytes, None] = {}
        self._numbers = count(1)
        self._moved = moved
        self._seen: Any = None
        #: Bytes that waited for the server when the client had last sent something.
        self._own = 0
        #: Whether it is the server's turn to send a Close frame.
        self._awaits_close = False
        super().__init__(Side.CLIENT, exchange, terms, extensions, now, lambda: self.on_change())

    # -- what the layer above does ---------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether there is something to receive: a message, or the end."""
        return bool(self._messages) or self.ended is not None

    @property
    def gone(self) -> bool:
        """Whether nothing is left of the tunnel."""
        return self._exchange.closed

    @property
    def ended_well(self) -> bool:
        """Whether it has ended in good order."""
        return self.ended is not None and self.ended.code in _GOOD

    def failure(self) -> Exception:
        """Return what to raise where there is nothing more to receive or to send."""
        error, ended = self._exchange.error, self.ended
        if error is not None and not isinstance(error, PlaitError):
            return error  # what an application in this process raised
        if ended is None:
            ended = Close(CloseCode.ABNORMAL_CLOSURE, "")
        closed = WebSocketClosed(
            f"the WebSocket is closed: {ended}", code=int(ended.code), reason=ended.reason
        )
        if ended.code == CloseCode.ABNORMAL_CLOSURE:
            closed.__cause__ = error
        return closed

    def check_open(self) -> None:
        """Raise what is to be raised if nothing can be sent.

        Raises:
            WebSocketClosed: The WebSocket has ended.
        """
        if not self.open:
            raise self.failure()

    def send(self, message: str | bytes) -> None:
        """Send a message; the session must be open.

        Raises:
            LocalProtocolError: The text cannot be encoded.
        """
        try:
            super().send(message)
        except UnicodeEncodeError as error:
            raise _no_text(error) from error
        self._look_at_queue()

    def send_fragment(self, fragment: str | bytes, *, first: bool, last: bool) -> None:
        """Send a part of a message (RFC 6455 §5.4).

        Raises:
            LocalProtocolError: The text cannot be encoded.
        """
        try:
            data = fragment.encode() if isinstance(fragment, str) else fragment
        except UnicodeEncodeError as error:
            raise _no_text(error) from error
        if not first:
            self._protocol.send_continuation(data, last)
        elif isinstance(fragment, str):
            self._protocol.send_text(data, last)
        else:
            self._protocol.send_binary(data, last)
        self._write()
        self._look_at_queue()

    def ping(self) -> bytes:
        """Send a ping, and return what its answer takes out of ``pings``."""
        payload = b"%d" % next(self._numbers)
        self.pings[payload] = None
        self._protocol.send_ping(payload)
        self._write()
        return payload

    def close(self, code: int, reason: str, now: float) -> None:
        """Begin the closing handshake; where it has begun, or is over, the server has so much time left.

        Raises:
            LocalProtocolError: A WebSocket cannot be closed so.
        """
        if not may_close(code, reason):
            raise LocalProtocolError(f"a WebSocket cannot be closed with code {code!r} and reason {reason!r}")
        if self.open:
            self._awaits_close = True
            super().close(code, reason, now)
        elif not self.gone:
            self.due = now + self._terms.close_timeout

    def resume(self, now: float) -> None:
        """Take note that somebody waits again; time in which nobody did is not the server's."""
        if self._pinged is not None and self.due < now:
            self.due = now + self._terms.ping_timeout

    @property
    def waiting(self) -> int:
        """Bytes that wait for the server to take them."""
        return self._exchange.queued

    def check_progress(self, before: int, seconds: float) -> None:
        """Give up a server that took nothing.

        Args:
            before: How many bytes waited for it then.
            seconds: How long ago that was.

        Raises:
            WriteTimeout: None of them has left.
        """
        if self.blocked and self.waiting >= before:
            self.abandon()
            raise WriteTimeout(f"the server took nothing for {seconds:g} seconds")

    # -- what differs from the server's end ------------------------------------------------------

    def _progressed(self) -> None:
        if self.blocked and not self._exchange.queued:
            self.blocked = False
        super()._progressed()
        if self.ended is not None and self.gone:
            self.due = inf
            self._exchange.on_progress = None  # each holds the other

    def _look_at_queue(self) -> None:
        exchange = self._exchange
        self._own = exchange.queued
        if self._own > self._terms.write_buffer:
            self.blocked = True
            exchange.endpoint.waiting_to_write.add(exchange)

    def _full(self) -> bool:
        exchange = self._exchange
        # Not what the client sends itself: two ends that read nothing before the other does would wait for
        # ever. What is left are answers to pings, which the server does not read.
        if exchange.queued > self._own + self._terms.write_buffer:
            exchange.endpoint.waiting_to_write.add(exchange)
            return True
        return super()._full()

    def _read(self) -> None:
        try:
            super()._read()
        except Exception as error:
            if error is not self._exchange.error:
                raise
            self._end(Close(CloseCode.ABNORMAL_CLOSURE, ""))

    def _write(self) -> None:
        super()._write()
        if self.ended is not None and not self._awaits_end():
            exchange = self._exchange
            if not exchange.closed and exchange.sent is not Half.ENDED:
                try:
                    exchange.send_data(b"", end_stream=True)
                except ExchangeError:
                    pass  # it is gone, which was all that was wanted

    def _awaits_end(self) -> bool:
        """Whether it is the server's turn, and not this end's, to end the tunnel.

        RFC 6455 §7.1.1 leaves that to servers, for the sake of their TCP ports; a stream has none.
        """
        if self._protocol.close_rcvd is not None:
            return self._exchange.endpoint.connection.http_version != "2"
        return self._awaits_close

    def _ponged(self, payload: bytes) -> None:
        if payload in self.pings:
            # RFC 6455 §5.5.3: those before need no answer of their own.
            for earlier in list(self.pings):
                del self.pings[earlier]
                if earlier == payload:
                    break

    def _answered(self) -> None:
        super()._answered()
        self.on_due()

    def _ping(self, now: float) -> None:
        self._seen = self._progress()
        super()._ping(now)

    def _judge(self, now: float) -> None:
        seen, self._seen = self._seen, self._progress()
        if self._exchange.queued and self._seen != seen:
            # The ping waits behind a long message, of which the server goes on to take more.
            self.due = now + self._terms.ping_timeout
        else:
            super()._judge(now)

    def _progress(self) -> Any:
        return self._exchange.queued, self._moved()


def _no_text(error: UnicodeEncodeError) -> LocalProtocolError:
    return LocalProtocolError(f"a text message cannot hold {error.object[error.start : error.end]!r}")
