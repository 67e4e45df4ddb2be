"""Responses that a server pushes to a client which asked for that (RFC 9113 §8.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plait.errors import ExchangeReset, LocalProtocolError, PlaitError
from plait.fields import FieldSection
from plait.protocol.events import ErrorCode, Fields, error_name
from plait.protocol.exchange import Exchange, Half
from plait.protocol.push import promised_request

if TYPE_CHECKING:
    from plait.protocol.endpoint import ClientEndpoint

__all__ = ["Promise", "PushedExchange", "Pushes"]

#: What a request says that another answer than the one that was pushed may belong to.
_PARTICULAR = frozenset(
    b"authorization cache-control expect if-match if-modified-since if-none-match if-range "
    b"if-unmodified-since pragma range".split()
)

#: Promises that one response may have come with, as a multiple of those that may wait: each that was
#: dropped is still told of.
_PROMISES = 10


class PushedExchange(Exchange):
    """An exchange that the server began: its request was never sent."""

    __slots__ = ()

    def end_of(self, error_code: int) -> PlaitError | None:
        if error_code == ErrorCode.NO_ERROR and self.received is Half.ENDED:
            return None
        # Who asks for the same in its own name asks for the first time.
        return ExchangeReset(
            f"the server broke off what it pushed: {error_name(error_code)}",
            error_code=error_code,
            unprocessed=True,
        )


class Promise:
    """A response that was promised.

    Attributes:
        fields: The request that it answers, pseudo-fields first.
        exchange: The exchange.
        pushes: All that its connection has.
    """

    __slots__ = ("exchange", "fields", "pushes")

    def __init__(self, fields: FieldSection, exchange: Exchange, pushes: Pushes) -> None:
        self.fields = fields
        self.exchange = exchange
        self.pushes = pushes

    def answers(self, fields: Fields) -> bool:
        """Whether it is the answer to a request: one for the same, which has nothing particular to say."""
        if list(fields[:4]) != self.fields[:4]:
            return False
        return all(name not in _PARTICULAR for name, _ in fields[4:])


class Pushes:
    """The pushed responses of one connection that nobody has taken.

    They may be so many, and have so many bytes; the oldest go first. Each holds a window's worth of content
    at most, since credit is given for what is read.

    Args:
        is_own: Whether the server speaks for a scheme and authority.
        max_count: How many there may be.
        max_size: Bytes of content that all of them may hold.

    Attributes:
        home: Whatever the layer above needs to know of the connection.
    """

    __slots__ = ("_is_own", "_max_count", "_max_size", "_waiting", "home")

    def __init__(self, is_own: Callable[[bytes, bytes], bool], max_count: int, max_size: int) -> None:
        self._is_own = is_own
        self._max_count = max_count
        self._max_size = max_size
        self._waiting: dict[Exchange, Promise] = {}
        self.home: object = None

    def receive(self, endpoint: ClientEndpoint, parent: Exchange, stream_id: int, fields: Fields) -> None:
        """Take a promise that came with a response, or refuse it.

        RFC 9113 §8.4: what is not safe and cacheable, has content, or is not the server's to answer, is
        an error of the promised stream.
        """
        said = dict(fields)
        authority = said.get(b":authority", b"")
        try:
            request = promised_request(fields, authority)
            is_own = self._is_own(said[b":scheme"], authority)
        except LocalProtocolError:
            is_own = False
        if len(parent.beside().promises) >= _PROMISES * self._max_count:
            endpoint.connection.reset_stream(stream_id, ErrorCode.ENHANCE_YOUR_CALM)
            return
        if not is_own:
            endpoint.connection.reset_stream(stream_id, ErrorCode.PROTOCOL_ERROR)
            return
        exchange = PushedExchange(endpoint, stream_id)
        exchange.sent = Half.ENDED
        endpoint.exchanges[stream_id] = exchange
        pseudo = [(name, said[name]) for name in (b":method", b":scheme", b":authority", b":path")]
        promise = Promise(pseudo + request[4:], exchange, self)
        parent.beside().promises.append(promise)
        self._waiting[exchange] = promise
        exchange.on_progress = self._shed
        self._shed()

    def _shed(self) -> None:
        """Drop the oldest of too many, or too much."""
        while len(self._waiting) > self._max_count or (
            sum(exchange.unread for exchange in self._waiting) > self._max_size
        ):
            exchange = next(iter(self._waiting))
            self.take(exchange)
            exchange.abandon()
            exchange.error = ExchangeReset(
                "nobody took what was pushed, and there was too much of it", error_code=ErrorCode.CANCEL
            )

    def take(self, exchange: Exchange) -> bool:
        """Take a response; say whether it was there to be taken: each is, once."""
        exchange.on_progress = None
        return self._waiting.pop(exchange, None) is not None

    def answer_to(self, fields: Fields) -> Exchange | None:
        """Take the response to a request, if it was pushed."""
        for exchange, promise in self._waiting.items():
            if exchange.error is None and promise.answers(fields):
                self.take(exchange)
                return exchange
        return None

    def are_all(self, exchanges: dict[int, Exchange]) -> bool:
        """Whether these are nothing but pushed responses that nobody has taken."""
        return all(exchange in self._waiting for exchange in exchanges.values())
