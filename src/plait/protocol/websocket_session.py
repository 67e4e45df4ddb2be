"""An open WebSocket (RFC 6455) on the tunnel of an exchange, whatever its version of HTTP.

Frames, masks, compression and the closing handshake are those of the ``websockets`` library, which does
no I/O here. What it leaves to its user is this module: whole messages, credit both ways, signs of life,
and time. The two ends are ``server/websocket_session.py`` and ``client/websocket_session.py``.

Rules:

1. Bytes are read while few messages wait for the application. Otherwise they stay in the exchange, whose
   credit then runs out: a peer that sends too fast is slowed down.
2. Whatever the peer sends becomes a message, or ends the session; nothing is raised for it.
3. Time is an argument: whoever has a session calls ``look`` when it is ``due``.
"""

from __future__ import annotations

import logging
from codecs import IncrementalDecoder, getincrementaldecoder
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from websockets.exceptions import ProtocolError
from websockets.extensions import Extension
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from plait.errors import ExchangeError
from plait.protocol.exchange import Exchange, Half

__all__ = ["Session", "Terms", "may_close"]

#: The library's word for every connection that closed is no news to anybody.
_logger = logging.getLogger("plait.websocket")
_logger.setLevel(logging.WARNING)

#: Bytes of messages that wait for the application before no more are read.
_QUEUE_MAX = 65_536
#: What a message takes beside its content.
_MESSAGE_OVERHEAD = 64
#: Bytes given to the parser at a time, so that what comes of them stays within bounds: frames, and in a
#: session that compresses a thousand times as many bytes.
_PIECE, _COMPRESSED_PIECE = 65_536, 16_384

_OPEN = State.OPEN
_CONT, _TEXT, _BINARY, _CLOSE = Opcode.CONT, Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE
_PONG = Opcode.PONG
_utf8 = getincrementaldecoder("utf-8")


def may_close(code: object, reason: object) -> bool:
    """Whether a WebSocket can be closed with this code and for this reason (RFC 6455 §7.4, §5.5)."""
    if not isinstance(code, int) or not isinstance(reason, str):
        return False
    try:
        return len(Close(code, reason).serialize()) <= 125
    except (ProtocolError, UnicodeEncodeError):
        return False


class Terms(NamedTuple):
    """What a session takes from the peer, and for how long.

    Attributes:
        max_message_size: Bytes of one message, decompressed; None for any number.
        write_buffer: Bytes that may wait for the peer to take them.
        ping_interval: Seconds between pings, ``inf`` for none.
        ping_timeout: Seconds that the peer has to answer one.
        close_timeout: Seconds that it has to answer a Close frame, and to end the tunnel.
    """

    max_message_size: int | None
    write_buffer: int
    ping_interval: float
    ping_timeout: float
    close_timeout: float


class _Protocol(Protocol):
    """The library's, which takes a Close frame in the middle of a message for an error."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is _CLOSE:
            self.current_size = None  # RFC 6455 §5.4: control frames may come between fragments
        super().recv_frame(frame)


class Session:
    """One WebSocket, from the handshake's end to the tunnel's.

    Args:
        side: Which end this is.
        exchange: The exchange whose tunnel has just been opened.
        terms: What is taken from the peer, and for how long.
        extensions: What was granted in the handshake.
        now: The time, in seconds.
        on_change: Called without arguments when there is a message, an end, or room to write.

    Attributes:
        ended: How the session ended, the peer's word where it gave one, or None; nothing more is
            received or sent then.
        due: When to :meth:`look`; ``inf`` for never.
    """

    __slots__ = (
        "_exchange",
        "_gathered",
        "_messages",
        "_on_change",
        "_piece",
        "_pinged",
        "_position",
        "_protocol",
        "_raw",
        "_terms",
        "_text",
        "_waiting_size",
        "due",
        "ended",
    )

    def __init__(
        self,
        side: Side,
        exchange: Exchange,
        terms: Terms,
        extensions: Sequence[Extension],
        now: float,
        on_change: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._terms = terms
        self._on_change = on_change
        self.ended: Close | None = None
        self._protocol = _Protocol(side, max_size=terms.max_message_size, logger=_logger)
        self._protocol.extensions = list(extensions)
        self._piece = _COMPRESSED_PIECE if extensions else _PIECE
        self._messages: deque[str | bytes] = deque()
        #: Bytes of them.
        self._waiting_size = 0
        #: The message in progress, and what checks it where it is text.
        self._gathered: bytearray | None = None
        self._text: IncrementalDecoder | None = None
        #: Read, and from here on not parsed yet.
        self._raw = b""
        self._position = 0
        #: When the ping was sent that the peer has not answered, or None.
        self._pinged: float | None = None
        self.due = now + terms.ping_interval
        exchange.on_progress = self._progressed
        self._read()

    # -- what the layer above does ---------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether this side has nothing left to do: its last byte is sent, or the tunnel is gone."""
        return self._exchange.closed or self._exchange.sent is Half.ENDED

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is _OPEN and not self.over

    def receive(self) -> str | bytes | None:
        """Take the next message, None when there is none."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        self._waiting_size -= len(message) + _MESSAGE_OVERHEAD
        if not self._messages:
            self._read()
        return message

    def send(self, message: str | bytes) -> None:
        """Send a message; the session must be open.

        Raises:
            UnicodeEncodeError: The text has surrogates.
        """
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._write()

    def close(self, code: int, reason: str, now: float) -> None:
        """Begin the closing handshake, unless the session has ended.

        Args:
            code: A close code that may be sent (RFC 6455 §7.4).
            reason: For whoever reads the peer's logs; at most 123 bytes.
            now: The time, in seconds; the tunnel is broken off ``close_timeout`` later.
        """
        if self.open:
            self._protocol.send_close(code, reason)
            self._end(Close(code, reason))
            self.due = now + self._terms.close_timeout
            self._write()
            self._read()

    def abandon(self) -> None:
        """Break the tunnel off."""
        self._end(Close(CloseCode.ABNORMAL_CLOSURE, ""))
        self._exchange.abandon()
        self._on_change()

    # -- bytes in --------------------------------------------------------------------------------

    def _progressed(self) -> None:
        self._read()
        self._on_change()

    def _read(self) -> None:
        """Read as far as there is room for what comes of it."""
        protocol = self._protocol
        try:
            while self.ended is not None or not self._full():
                data = self._next_piece()
                if data is None:
                    break
                if self._pinged is not None:
                    self._answered()
                if data:
                    protocol.receive_data(data)
                else:
                    protocol.receive_eof()
                for frame in protocol.events_received():
                    if self.ended is None and isinstance(frame, Frame):
                        self._take(frame)
                if protocol.parser_exc is not None:
                    # No Close frame: whoever is told of the end learns what was wrong.
                    self._end(protocol.close_sent or Close(CloseCode.ABNORMAL_CLOSURE, ""))
                self._write()
                if not data:
                    break
        except ExchangeError:
            self._end(Close(CloseCode.ABNORMAL_CLOSURE, ""))

    def _full(self) -> bool:
        """Whether nothing more is read for now."""
        return self._waiting_size >= _QUEUE_MAX

    def _next_piece(self) -> bytes | None:
        raw, position = self._raw, self._position
        if not raw:
            data = self._exchange.read()
            if not data or len(data) <= self._piece:
                return data
            raw, position = data, 0
        self._position = position + self._piece
        self._raw = raw if self._position < len(raw) else b""
        return raw[position : self._position]

    def _take(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is _CLOSE:
            self._end(self._protocol.close_rcvd)
        elif opcode is _TEXT or opcode is _BINARY or opcode is _CONT:
            try:
                if opcode is not _CONT and frame.fin:
                    self._deliver(frame.data, text=opcode is _TEXT)
                else:
                    self._gather(frame)
            except UnicodeDecodeError as error:
                self._protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
                self._end(Close(CloseCode.INVALID_DATA, ""))
        elif opcode is _PONG:
            self._ponged(bytes(frame.data))

    def _ponged(self, payload: bytes) -> None:
        """Take an answer to a ping: any byte is as good a sign of life."""

    def _gather(self, frame: Frame) -> None:
        """Put a fragmented message together (RFC 6455 §5.4), in one buffer however small the pieces."""
        if frame.opcode is not _CONT:
            self._gathered = bytearray()
            self._text = _utf8() if frame.opcode is _TEXT else None
        gathered = self._gathered
        assert gathered is not None
        gathered += frame.data
        if self._text is not None:
            # Bad text is refused as soon as it is seen, not at the end of the message.
            self._text.decode(frame.data, frame.fin)
        if frame.fin:
            self._gathered = None
            self._deliver(gathered, text=self._text is not None)

    def _deliver(self, data: bytes | bytearray | memoryview, *, text: bool) -> None:
        message = str(data, "utf-8") if text else bytes(data)
        self._messages.append(message)
        self._waiting_size += len(message) + _MESSAGE_OVERHEAD

    # -- bytes out -------------------------------------------------------------------------------

    def _write(self) -> None:
        """Send what the protocol has to say; the end of it is an empty piece."""
        pieces = self._protocol.data_to_send()
        if pieces and not self.over:
            try:
                self._exchange.send_data(b"".join(pieces), end_stream=not pieces[-1])
            except ExchangeError:
                self._end(Close(CloseCode.ABNORMAL_CLOSURE, ""))

    def _end(self, how: Close | None) -> None:
        self.due = inf
        self._pinged = None
        if self.ended is None:
            self.ended = how

    # -- time ------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Do what is due: ask for a sign of life, or give the peer up."""
        if now < self.due:
            return
        if self.ended is not None:
            self.abandon()
        elif self._pinged is not None:
            self._judge(now)
        elif self.open:
            self._ping(now)
        else:
            self.due = inf

    def _ping(self, now: float) -> None:
        """Ask for a sign of life."""
        self._pinged = now
        self.due = now + self._terms.ping_timeout
        self._protocol.send_ping(b"")
        self._write()

    def _answered(self) -> None:
        """Take anything that comes for an answer: the pong may be behind a long message."""
        assert self._pinged is not None
        self.due = self._pinged + self._terms.ping_interval
        self._pinged = None

    def _judge(self, now: float) -> None:
        """Give up a peer that gave no sign of life."""
        if self._exchange.content or self._raw:
            # It does send; the application is what does not receive.
            self.due = now + self._terms.ping_timeout
            return
        reason = "keepalive ping timeout"
        self._protocol.fail(CloseCode.INTERNAL_ERROR, reason)
        self._end(Close(CloseCode.INTERNAL_ERROR, reason))
        self._write()
        self._on_change()
