"""What the objects of both clients have in common that live longer than a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, Unpack

from plait.client.goals import head_of
from plait.client.headers import Headers
from plait.client.messages import Request, Response, ResponseHead
from plait.drivers.addresses import NOBODY
from plait.errors import (
    ContentDecodingError,
    ContentTooLarge,
    ExchangeError,
    LocalProtocolError,
    RemoteProtocolError,
)
from plait.protocol.exchange import Exchange

if TYPE_CHECKING:
    from plait.client.calls import Call
    from plait.client.decoding import Decoder
    from plait.client.options import RequestOptions
    from plait.client.plan import Plan
    from plait.client.server_sent_events import Events
    from plait.client.statistics import ExchangeStatistics, Timing
    from plait.protocol.aside import Aside
    from plait.protocol.priorities import Priority

__all__ = ["Numbered", "StreamedResponse"]


class StreamedResponse(ResponseHead):
    """A response whose content is read while it arrives.

    Attributes:
        status: The status code.
        fields: The field section as it came: pairs of bytes, names in lower-case.
        http_version: ``"HTTP/2"`` or ``"HTTP/1.1"``.
        stream_id: The stream's number; HTTP/1.1 counts 1, 3, 5 … in the same way.
        history: The responses that led here by redirects, the oldest first.
        timing: When everything happened; None until the content was read to its end.
        statistics: What the exchange took, as of then; None unless the client was made with ``measure``.
        peer: Who answers, once there is an answer.
    """

    _call: Call

    def __init__(self) -> None:
        self._is_open = False
        self._head: Response | None = None
        #: The same, while one who wants to know was not told of it.
        self._untold: Response | None = None
        self._exchange: Exchange | None = None
        self.status = self.stream_id = 0
        self.fields = ()
        self.http_version = ""
        self.history = ()
        self.timing: Timing | None = None
        self.statistics: ExchangeStatistics | None = None
        self.peer = NOBODY
        self._decoder: Decoder | None = None

    @property
    def headers(self) -> Headers:
        """The field section."""
        return Headers(()) if self._head is None else self._head.headers

    @property
    def request(self) -> Request:
        """The request that this answers: after redirects, the last."""
        if self._head is None:
            raise LocalProtocolError("there is no response outside its with block")
        return self._head.request

    @property
    def _aside(self) -> Aside | None:
        return None if self._exchange is None else self._exchange.aside

    @property
    def encoding(self) -> str:
        """The charset of the text: what content-type names, or else UTF-8; it can be set."""
        return "utf-8" if self._head is None else self._head.encoding

    @encoding.setter
    def encoding(self, charset: str) -> None:
        if self._head is not None:
            self._head.encoding = charset

    def reprioritize(self, priority: Priority | str) -> None:
        """Ask for the rest of the response by another priority than so far (RFC 9218 §7).

        Args:
            priority: A :class:`plait.Priority`, or the text of a ``priority`` field.

        Raises:
            LocalProtocolError: It is none.
        """
        self._call.reprioritize(priority)

    def _begin(self, exchange: Exchange, call: Call) -> None:
        self._is_open = True
        self._exchange = exchange
        head = self._head = head_of(exchange, call)
        if (plan := head.request.plan) is not None and plan.record is not None:
            self._untold = head
        self.status = head.status
        self.stream_id = exchange.stream_id
        self.fields = head.fields
        self.http_version = head.http_version
        self.history = call.history
        self.peer = call.link.transport.peer
        if head.codings:
            from plait.client.decoding import Decoder

            self._decoder = Decoder(head.codings)

    def _gather(self) -> Gathered:
        """Return what gathers the content, or what is left of it."""
        if self._decoder is not None:
            limit = self._limit
            return Gathered(
                limit, ContentDecodingError(f"the content is more than {limit} bytes once decoded")
            )
        limit = self._plan.max_content_size
        return Gathered(limit, ContentTooLarge(f"the content is more than {limit} bytes"))

    @property
    def _plan(self) -> Plan:
        plan = self.request.plan
        assert plan is not None
        return plan

    @property
    def _limit(self) -> int:
        return self._plan.max_decoded_size

    def _events(self) -> Events:
        """Return what makes events of the content."""
        from plait.client.server_sent_events import Events

        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "text/event-stream":
            raise RemoteProtocolError(
                f"{self.url} answered with {media_type or 'nothing'}, not text/event-stream"
            )
        return Events(self._limit)

    def _end(self, call: Call) -> None:
        """Take note that the content was read to its end."""
        if self.timing is None:
            from plait.client.statistics import statistics_of, timing_of

            times = call.times
            self.timing = timing_of(*times)
            self.statistics = statistics_of(times[-1])

    def _leave(self, call: Call) -> None:
        """Take note that nothing more is read of the content, and tell who wants to know."""
        head, self._untold = self._untold, None
        if head is not None and call.error is None:
            from plait.client.recording import answered

            answered(head, call)

    def _check_open(self) -> None:
        if not self._is_open:
            raise LocalProtocolError("a response is read inside its with block")


class Gathered:
    """Content in one piece, made of many.

    Args:
        limit: Bytes that it may have.
        error: What is wrong with more.
    """

    def __init__(self, limit: int, error: ExchangeError) -> None:
        self._limit = limit
        self._error = error
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            ExchangeError: It is one too many.
        """
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._limit:
            raise self._error

    @property
    def content(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)


class _Cancellable(Protocol):
    def cancel(self) -> None:
        """Give the request up."""


P = TypeVar("P", bound=_Cancellable)


class Numbered(Generic[P]):
    """Requests by number, as the old ``hyper`` library had them.

    All requests can be sent before the first response is read; numbers count 1, 3, 5 … as the streams
    of a connection do.

    Args:
        submit: Sends a request; ``submit`` of a client that has a base URL.
    """

    def __init__(self, submit: Callable[..., P]) -> None:
        self._submit = submit
        self._pending: dict[int, P] = {}
        self._next = 1

    def request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> int:
        """Send a request, and return the number by which to ask for its response."""
        number = self._next
        self._pending[number] = self._submit(method, path, **options)
        self._next += 2
        return number

    def _take(self, stream_id: int) -> P:
        try:
            return self._pending.pop(stream_id)
        except KeyError:
            raise LocalProtocolError(f"no response is awaited on stream {stream_id}") from None

    def _cancel_all(self) -> None:
        while self._pending:
            self._pending.popitem()[1].cancel()
