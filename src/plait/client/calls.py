"""What runs the flows: calls, and the sending of content."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from plait.client.flow import Flow, NeedConnection, Send, Wait
from plait.client.messages import Request
from plait.client.pool import Link
from plait.errors import ExchangeError, LocalProtocolError, PlaitError
from plait.protocol.exchange import Exchange
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.client.core import ClientCore

__all__ = ["Call", "Upload"]

#: Bytes of content handed to a connection at once.
PIECE = 262_144


class Upload:
    """Sends one request's content, piece by piece, as the peer takes it.

    Content that is at hand is sent by itself. Content that comes from an iterable is pulled by the
    one who owns the call, since pulling may take its time: ``wants_piece`` says when.

    Args:
        exchange: The exchange.
        request: The request, whose content is not empty.
    """

    __slots__ = ("_announced", "_exchange", "_left", "_pieces", "source", "wants_piece")

    def __init__(self, exchange: Exchange, request: Request) -> None:
        self._exchange = exchange
        self._left = request.length
        self._announced = request.length
        self._pieces: Iterator[memoryview] | None = None
        self.source: Iterator[bytes] | AsyncIterable[bytes] | None = None
        self.wants_piece = False
        content = request.content
        if type(content) is bytes:
            if len(content) <= PIECE:
                exchange.send_data(content, end_stream=True)
            else:
                view = memoryview(content)
                self._pieces = (view[at : at + PIECE] for at in range(0, len(view), PIECE))
                self.progress()
        else:
            self.source = iter(content) if isinstance(content, Iterable) else content  # type: ignore[assignment]
            self.wants_piece = True

    @property
    def unfinished(self) -> bool:
        """Whether there is content still to be handed over."""
        return self._pieces is not None or self.source is not None

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

    def give(self, piece: bytes | None) -> None:
        """Take the next piece, None at the end.

        Raises:
            LocalProtocolError: It is not bytes, or there are more or fewer of them than announced.
        """
        exchange = self._exchange
        self.wants_piece = False
        if exchange.closed:
            return
        if piece is None:
            if self._left:
                raise LocalProtocolError(f"the content ended {self._left} bytes short of its content-length")
            self.source = None
            exchange.send_data(b"", end_stream=True)
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
            self.wants_piece = True


class Call:
    """Runs the flows of one request, one after another.

    Attributes:
        done: Whether the current flow has ended.
        value: What it returned.
        error: What it raised, or None.
        origin: Where its request waits for a connection, or None.
        exchange: Its exchange, once there is one.
        upload: What sends the request's content, if there is any.
        touched: When something happened last, on the core's clock.
        on_change: Called when the flow ended, or when the upload wants a piece, if set.
    """

    __slots__ = (
        "_core",
        "_flow",
        "_ready",
        "done",
        "error",
        "exchange",
        "on_change",
        "origin",
        "touched",
        "upload",
        "value",
    )

    def __init__(self, core: ClientCore, flow: Flow[Any]) -> None:
        self._core = core
        self._flow = flow
        self._ready: Callable[[Exchange], bool] | None = None
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None
        self.origin: Origin | None = None
        self.exchange: Exchange | None = None
        self.upload: Upload | None = None
        self.touched = core.clock()
        self.on_change: Callable[[], None] | None = None

    def then(self, flow: Flow[Any]) -> None:
        """Begin the next flow, after the last has ended."""
        self._flow = flow
        self.done = False
        self.value = None
        self._advance(None)

    def start(self) -> None:
        """Begin the first flow."""
        self._advance(None)

    def _advance(self, answer: Any) -> None:
        """Run the flow until it has to wait."""
        flow = self._flow
        try:
            while True:
                need = flow.send(answer)
                if type(need) is NeedConnection:
                    self.exchange = None
                    answer = self._core.pool.ask(need.origin, self)
                    if answer is None:
                        self.origin = need.origin
                        self._core.needs_connection(need.origin)
                        return
                    self._core.exchanges += 1
                elif type(need) is Send:
                    answer = None
                    self._watch(need.exchange)
                    upload = Upload(need.exchange, need.request)
                    if upload.unfinished:
                        self.upload = upload
                        self._look_for_piece()
                elif type(need) is Wait:
                    answer = None
                    exchange = need.exchange
                    if exchange is not self.exchange:
                        self._watch(exchange)
                    self._ready = need.ready
                    if not need.ready(exchange):
                        return
        except StopIteration as end:
            self._finish(end.value, None)
        except Exception as error:
            self._finish(None, error)

    def _watch(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._ready = None
        exchange.on_progress = self._progress

    def _progress(self) -> None:
        """Take note that something happened to the exchange."""
        self.touched = self._core.clock()
        if self.upload is not None:
            try:
                self.upload.progress()
            except ExchangeError:
                self.upload = None  # the stream is gone; the event that says why is on its way
            else:
                self._look_for_piece()
        ready = self._ready
        if ready is not None and not self.done and ready(self.exchange):  # type: ignore[arg-type]
            self._advance(None)

    def _look_for_piece(self) -> None:
        if self.upload is not None and self.upload.wants_piece and self.on_change is not None:
            self.on_change()

    def give(self, piece: bytes | None) -> None:
        """Send the piece of content that the upload wanted, None at the end."""
        self.touched = self._core.clock()
        if self.upload is not None:
            try:
                self.upload.give(piece)
            except ExchangeError:
                self.upload = None  # as above

    def granted(self, link: Link) -> None:
        """Go on, on this connection (called for the pool)."""
        self.origin = None
        self.touched = self._core.clock()
        self._core.exchanges += 1
        self._advance(link)

    def refused(self, error: PlaitError) -> None:
        """End: there will be no connection (called for the pool)."""
        self.origin = None
        self._finish(None, error)

    def give_up(self, error: Exception) -> None:
        """End the call, and its exchange, from this side."""
        if self.origin is not None:
            self._core.pool.withdraw(self.origin, self)
            self.origin = None
        if self.exchange is not None:
            self.exchange.on_progress = None
            self.exchange.abandon()
        if not self.done:
            self._finish(None, error)

    def _finish(self, value: Any, error: Exception | None) -> None:
        self.done = True
        self._ready = None
        self.value = value
        self.error = error
        if error is not None and self.exchange is not None and not self.exchange.closed:
            self.exchange.abandon()
        if self.on_change is not None:
            self.on_change()
