"""A WebSocket session in memory: masked frames in, the server's frames out, and a clock that is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, cast

from websockets.extensions import Extension

from plait.protocol.negotiation import ALPN_HTTP_1_1, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.server.websocket_session import Session
from plait.server_config import Limits

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "PING",
    "PONG",
    "TEXT",
    "Clock",
    "Frame",
    "Line",
    "close",
    "frame",
    "parse",
]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    length: int | None = None,
) -> bytes:
    """Write a client's frame (RFC 6455 §5.2), a wrong one too.

    Args:
        opcode: From 0 to 15.
        payload: Its content.
        fin: Whether it ends a message.
        rsv: The three reserved bits.
        mask: The masking key, or None for none.
        length: What it says of its length, by default the truth.
    """
    size = len(payload) if length is None else length
    first = bytes([fin << 7 | rsv << 4 | opcode])
    masked = 0x80 if mask is not None else 0
    if size < 126:
        first += bytes([masked | size])
    elif size < 65_536:
        first += bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        first += bytes([masked | 127]) + size.to_bytes(8, "big")
    if mask is None:
        return first + payload
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    return first + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """Write a client's Close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


class Frame(NamedTuple):
    """A frame of the server's."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


def parse(data: bytes) -> list[Frame]:
    """Take a server's bytes apart; none of its frames is masked (RFC 6455 §5.1)."""
    found = []
    while data:
        size, at = data[1], 2
        assert size < 0x80, "a server's frame is masked"
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        assert len(data) >= at + size, "a frame is not whole"
        found.append(Frame(data[0] & 0xF, data[at : at + size], bool(data[0] & 0x80), data[0] >> 4 & 7))
        data = data[at + size :]
    return found


class _Timer:
    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Clock:
    """As much of an event loop as a session knows: the time, and calls that become due."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[_Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> _Timer:
        return self.call_at(self.now + delay, call)

    def call_at(self, when: float, call: Callable[[], None]) -> _Timer:
        timer = _Timer(when, call)
        self._timers.append(timer)
        return timer

    @property
    def pending(self) -> int:
        """How many calls are still to come."""
        return sum(timer.call is not None for timer in self._timers)

    def after(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while due := [timer for timer in self._timers if timer.call is not None and timer.when <= end]:
            timer = min(due, key=lambda one: one.when)
            self._timers.remove(timer)
            self.now = max(self.now, timer.when)
            assert timer.call is not None
            timer.call()
        self.now = end


class Line:
    """A session on a tunnel over HTTP/1.1, and what came of it.

    Args:
        extensions: What was granted.
        echo: Whether messages are sent back at once; else they wait in the session.
        limits: Fields of ``Limits`` that differ from the default.

    Attributes:
        endpoint: The connection's owner.
        session: The session.
        clock: The time it is told.
        takes: Whether the transport takes bytes.
    """

    def __init__(self, extensions: Sequence[Extension] = (), *, echo: bool = True, **limits: float) -> None:
        known = Limits(**limits)  # type: ignore[arg-type]
        connection = server_connection(ALPN_HTTP_1_1, known, "https", websockets=True)
        self.endpoint = ServerEndpoint(connection, known, 0.0)
        self.endpoint.receive_data(UPGRADE, 0.0)
        (exchange,) = self.endpoint.take_accepted()
        exchange.open_tunnel([])
        self.endpoint.data_to_send()
        self.clock = Clock()
        self.takes = True
        self._echo = echo
        self._written = b""
        loop = cast(asyncio.AbstractEventLoop, self.clock)
        self.session = Session(exchange, loop, known, extensions, self._changed)

    def _changed(self) -> None:
        if self._echo:
            while (message := self.session.receive()) is not None:
                if self.session.open:
                    self.session.send(message)

    def receive(self, *pieces: bytes) -> None:
        """Give the server bytes, as far as it reads, a piece at a time."""
        for piece in pieces:
            if not self.endpoint.closed:
                self.endpoint.receive_data(piece, self.clock.now)
                self.move()

    def move(self) -> None:
        """Let the transport take what the server has to send."""
        while self.takes and (data := self.endpoint.data_to_send()):
            self._written += data

    def after(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.after(seconds)
        self.move()

    def frames(self) -> list[Frame]:
        """Return the server's frames since the last call."""
        self.move()
        written, self._written = self._written, b""
        return parse(written)

    def outcome(self, pieces: Iterable[bytes]) -> list[Frame]:
        """Give the server all of these, and return the frames that came of it."""
        self.receive(*pieces)
        return self.frames()

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection."""
        self.move()
        return self.endpoint.closed
