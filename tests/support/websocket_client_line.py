"""A client's WebSocket session in memory: a server's frames in, the client's out, time as it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from websockets.extensions import Extension
from websockets.utils import accept_key

from plait.client.websocket_session import ClientSession
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.websocket_session import Terms
from tests.support import h1
from tests.support.pairs import request_fields
from tests.support.websocket_line import Frame, frame

__all__ = ["ClientLine", "TERMS", "from_server", "parse_masked"]

TERMS = Terms(
    max_message_size=1_000_000, write_buffer=65_536, ping_interval=inf, ping_timeout=10.0, close_timeout=5.0
)


def from_server(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, length: int | None = None
) -> bytes:
    """Write a server's frame, which has no mask (RFC 6455 §5.1)."""
    return frame(opcode, payload, fin=fin, rsv=rsv, mask=None, length=length)


def parse_masked(data: bytes) -> list[Frame]:
    """Take a client's bytes apart; all of its frames are masked."""
    found = []
    while data:
        assert data[1] >= 0x80, "a client's frame has no mask"
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        mask, at = data[at : at + 4], at + 4
        assert len(data) >= at + size, "a frame is not whole"
        payload = bytes(byte ^ mask[number % 4] for number, byte in enumerate(data[at : at + size]))
        found.append(Frame(data[0] & 0xF, payload, bool(data[0] & 0x80), data[0] >> 4 & 7))
        data = data[at + size :]
    return found


class ClientLine:
    """A session on a tunnel over HTTP/1.1, and what came of it.

    Args:
        extensions: What was granted.
        terms: What is taken from the server, and for how long.
        stream_window: Bytes that the connection holds before it is read no more.

    Attributes:
        endpoint: The connection's owner.
        session: The session.
        now: The time.
        moved: What the transport says that it has moved.
        takes: Whether the transport takes bytes.
        changes: How often somebody was to be told.
    """

    def __init__(
        self, extensions: Sequence[Extension] = (), *, terms: Terms = TERMS, stream_window: int = 65_536
    ) -> None:
        self.endpoint = ClientEndpoint(h1.client(stream_window=stream_window))
        exchange = self.endpoint.open_exchange(request_fields(b"CONNECT", b"/", (b":protocol", b"websocket")))
        head = self.endpoint.data_to_send().decode()
        key = head.partition("sec-websocket-key: ")[2].partition("\r\n")[0]
        answer = f"sec-websocket-accept: {accept_key(key)}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        self.endpoint.receive_data(f"HTTP/1.1 101 Switching Protocols\r\n{answer}\r\n".encode())
        self.now = 0.0
        self.moved = 0
        self.takes = True
        self.changes = 0
        self._written = b""
        self.session = ClientSession(exchange, terms, extensions, self.now, lambda: self.moved)
        self.session.on_change = self._changed

    def _changed(self) -> None:
        self.changes += 1

    def receive(self, *pieces: bytes) -> None:
        """Give the client bytes, a piece at a time."""
        for piece in pieces:
            if not self.endpoint.closed:
                self.endpoint.receive_data(piece)
                self.move()

    def end(self) -> None:
        """End the server's side of the connection."""
        if not self.endpoint.closed:
            self.endpoint.receive_eof()
        self.move()

    def move(self) -> None:
        """Let the transport take what the client has to send."""
        while self.takes and (data := self.endpoint.data_to_send()):
            self._written += data

    def after(self, seconds: float) -> None:
        """Let time pass, as whoever waits does."""
        end = self.now + seconds
        while self.session.due <= end:
            self.now = max(self.now, self.session.due)
            self.session.look(self.now)
        self.now = end
        self.move()

    def frames(self) -> list[Frame]:
        """Return the client's frames since the last call."""
        self.move()
        written, self._written = self._written, b""
        return parse_masked(written)

    def messages(self) -> list[str | bytes]:
        """Take all messages."""
        found = []
        while (message := self.session.receive()) is not None:
            found.append(message)
        self.move()
        return found

    def outcome(self, pieces: Iterable[bytes]) -> tuple[list[str | bytes], list[Frame], int | None]:
        """Give the client all of these; return messages and frames that came of it, and the close code."""
        self.receive(*pieces)
        ended = self.session.ended
        return self.messages(), self.frames(), None if ended is None else int(ended.code)
