"""What runs the flows: calls, and the sending of content."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from plait.client.flow import Flow, NeedConnection, Send, Wait
from plait.client.messages import Request
from plait.client.pool import Link
from plait.errors import (
    ExchangeError,
    LocalProtocolError,
    PlaitError,
    PoolTimeout,
    ReadTimeout,
    Timeout,
    WriteTimeout,
)
from plait.protocol.exchange import Exchange, Half

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

    Args:
        core: What the client's calls have in common.
        flow: The first flow; :meth:`start` begins it.
        request: The request.

    Attributes:
        request: The request.
        done: Whether the current flow has ended.
        value: What it returned.
        error: What it raised, or None.
        queued: Whether its request waits for a connection.
        exchange: Its exchange, once there is one.
        upload: What sends the request's content, if there is any.
        touched: When something happened last, on the core's clock.
        deadline: When the request is given up, whatever happens, or None.
        watchers: Called when the flow has ended, when the upload wants a piece, and when ``expires``
            may have come nearer.
    """

    __slots__ = (
        "_core",
        "_flow",
        "_ready",
        "deadline",
        "done",
        "error",
        "exchange",
        "queued",
        "request",
        "touched",
        "upload",
        "value",
        "watchers",
    )

    def __init__(self, core: ClientCore, flow: Flow[Any], request: Request) -> None:
        self._core = core
        self._flow = flow
        self._ready: Callable[[Exchange], bool] | None = None
        self.request = request
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None
        self.queued = False
        self.exchange: Exchange | None = None
        self.upload: Upload | None = None
        self.touched = core.clock()
        self.deadline = None if request.timeout is None else self.touched + request.timeout
        self.watchers: list[Callable[[], None]] | None = None

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
                    answer = self._core.pool.ask(need.origin, self, need.again)
                    if answer is None:
                        self.queued = True
                        self._core.needs_connection(need.origin)
                        return
                    self._core.exchanges += 1
                elif type(need) is Send:
                    answer = None
                    self._watch(need.exchange)
                    upload = Upload(need.exchange, need.request)
                    if upload.unfinished:
                        self.upload = upload
                        if upload.source is not None:
                            self._core.needs_content(self, upload)
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
        self.upload = None
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
                if self.upload.wants_piece:
                    self._changed()
        ready = self._ready
        if ready is not None and not self.done and ready(self.exchange):  # type: ignore[arg-type]
            self._advance(None)

    def _changed(self) -> None:
        if self.watchers:
            for watcher in self.watchers:
                watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call somebody when there may be something to do; see ``watchers``."""
        if self.watchers is None:
            self.watchers = []
        self.watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call this one no more."""
        assert self.watchers is not None
        self.watchers.remove(watcher)

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
        self.queued = False
        self.touched = self._core.clock()
        self._core.exchanges += 1
        self._advance(link)
        self._changed()

    def refused(self, error: PlaitError) -> None:
        """End: there will be no connection (called for the pool)."""
        self.queued = False
        self._finish(None, error)

    def give_up(self, error: Exception) -> None:
        """End the call, and its exchange, from this side."""
        if self.queued:
            self._core.pool.withdraw(self.request.origin, self)
            self.queued = False
        if self.exchange is not None:
            self.exchange.on_progress = None
            self.exchange.abandon()
        if self.done:
            self._changed()
        else:
            self._finish(None, error)

    def _finish(self, value: Any, error: Exception | None) -> None:
        self.done = True
        self._ready = None
        self.value = value
        self.error = error
        if error is not None and self.exchange is not None and not self.exchange.closed:
            self.exchange.abandon()
        self._changed()

    # -- time ------------------------------------------------------------------------------------

    def expires(self, began: float) -> float:
        """Return when to give the call up, if nothing happens until then.

        Args:
            began: When somebody began to wait for it: time in which nobody did does not count.
        """
        config = self._core.config
        if self.upload is not None and self.upload.wants_piece:
            self.touched = self._core.clock()  # it is not the server that keeps us waiting
        expires = max(self.touched, began) + (config.pool_timeout if self.queued else config.read_timeout)
        return expires if self.deadline is None else min(expires, self.deadline)

    def expire(self, now: float) -> None:
        """Give the call up: its time is over."""
        exchange, config = self.exchange, self._core.config
        error: Timeout
        if self.queued:
            error = PoolTimeout(f"no connection to {self.request.origin} had room in time")
        elif self.deadline is not None and now >= self.deadline:
            error = ReadTimeout(f"no complete response within {self.request.timeout:g} seconds")
        elif exchange is not None and (exchange.sent is not Half.ENDED or exchange.queued):
            error = WriteTimeout(f"the server took nothing for {config.read_timeout:g} seconds")
        else:
            error = ReadTimeout(f"the server sent nothing for {config.read_timeout:g} seconds")
        self.give_up(error)
