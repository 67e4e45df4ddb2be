"""The sending of a request's content."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any

from plait.client.messages import Request
from plait.errors import LocalProtocolError
from plait.fields import Field
from plait.protocol.exchange import Exchange

__all__ = ["END", "PIECE", "Outgoing", "TrailerSection", "Upload"]

#: Bytes of content handed to a connection at once.
PIECE = 262_144
#: What comes after the last piece of content; None may come from an iterable by mistake.
END: Any = object()


class TrailerSection(list[Field]):
    """What may come last of a request's pieces: the fields behind its content (RFC 9110 §6.5)."""


class Outgoing:
    """Content that is written while the exchange goes on, by whoever has it; there is nothing to iterate."""

    def __iter__(self) -> Iterator[bytes]:
        raise LocalProtocolError("this content is written, and not taken from anywhere")


class Upload:
    """Sends one request's content, piece by piece, as the peer takes it.

    Content that is at hand is sent by itself. Content that comes from an iterable is pulled by the
    one who owns the call, since pulling may take its time: ``wants_piece`` says when. Content that is
    written comes when it comes.

    Args:
        exchange: The exchange.
        request: The request, whose content is not empty.
        held: Whether the content waits until :meth:`begin`.

    Attributes:
        held: Whether nothing is sent yet, and nothing taken from the iterable.
        source: The iterator to pull from, None when there is none, or it has ended.
        wants_piece: Whether the next piece is to be pulled.
        written: Whether the pieces are written, and there may be more of them.
    """

    __slots__ = (
        "_announced", "_content", "_exchange", "_left", "_pieces", "held", "source", "wants_piece", "written",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, request: Request, held: bool = False) -> None:
        self._exchange = exchange
        self._content = request.content
        self._left = self._announced = request.length
        self._pieces: Iterator[memoryview] | None = None
        self.source: Iterator[bytes] | AsyncIterable[bytes] | None = None
        self.wants_piece = False
        self.written = isinstance(request.content, Outgoing)
        self.held = held
        if not held:
            self.begin()

    def begin(self) -> None:
        """Send the content, or the first of it.

        Raises:
            ExchangeError: The exchange has ended.
        """
        self.held = False
        content = self._content
        if type(content) is bytes:
            if len(content) <= PIECE:
                self._exchange.send_data(content, end_stream=True)
            else:
                view = memoryview(content)
                self._pieces = (view[at : at + PIECE] for at in range(0, len(view), PIECE))
                self.progress()
        elif not self.written:
            self.source = iter(content) if isinstance(content, Iterable) else content  # type: ignore[assignment]
            self.wants_piece = True

    @property
    def unfinished(self) -> bool:
        """Whether there is content still to be handed over."""
        return self._pieces is not None or self.source is not None or self.written

    def progress(self) -> None:
        """Go on, if the connection has taken what it was given."""
        exchange = self._exchange
        while self._pieces is not None and not exchange.closed:
            if exchange.queued:
                exchange.endpoint.waiting_to_write.add(exchange)
                return
            piece = bytes(next(self._pieces))
            self._left = (self._left or 0) - len(piece)
            if not self._left:
                self._pieces = None
            exchange.send_data(piece, end_stream=not self._left)
        if self.source is not None and not exchange.closed and not exchange.queued:
            self.wants_piece = True

    def give(self, piece: bytes | TrailerSection) -> None:
        """Take the next piece, ``END`` after the last.

        Raises:
            LocalProtocolError: It is not bytes, or there are more or fewer of them than announced.
        """
        exchange = self._exchange
        self.wants_piece = False
        if exchange.closed or (self.source is None and not self.written):
            return
        if piece is END:
            if self._left:
                raise LocalProtocolError(f"the content ended {self._left} bytes short of its content-length")
            self.source, self.written = None, False
            exchange.send_data(b"", end_stream=True)
            return
        if isinstance(piece, TrailerSection):
            self.source, self.written = None, False
            exchange.send_trailers(piece)
            return
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise LocalProtocolError(f"content must come in pieces of bytes, not {type(piece).__name__}")
        piece = bytes(piece)
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise LocalProtocolError(f"the content is longer than its content-length, {self._announced}")
        if piece:
            exchange.send_data(piece)
        if exchange.queued:
            exchange.endpoint.waiting_to_write.add(exchange)
        else:
            self.wants_piece = not self.written
