"""One request's journey, as generators: what both clients do, and neither has to know.

A flow yields what it needs and is answered when it is there:

* ``NeedConnection(origin, again)`` is answered with a :class:`~plait.client.pool.Link` that has room;
* ``Send(exchange, request)`` begins to send the request's content, and is answered at once;
* ``Wait(exchange, ready)`` is answered when ``ready(exchange)`` is true.

A flow never waits for time: deadlines belong to whoever waits for its result.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from plait.client.messages import Request, Response
from plait.client.pool import Link
from plait.errors import ConnectionLost, ExchangeError, PlaitError
from plait.protocol.exchange import Exchange, Half
from plait.urls import Origin

__all__ = ["Flow", "NeedConnection", "Send", "Wait", "VERSIONS", "fetch", "head", "read"]

T = TypeVar("T")

#: What a response calls the version of HTTP.
VERSIONS = {"2": "HTTP/2", "1.1": "HTTP/1.1"}


class NeedConnection:
    """A connection to an origin, with room for one more exchange.

    Args:
        origin: The origin.
        again: Whether the request had its turn once, and was not processed.
    """

    __slots__ = ("again", "origin")

    def __init__(self, origin: Origin, again: bool) -> None:
        self.origin = origin
        self.again = again


class Send:
    """Someone who sends a request's content while the flow goes on."""

    __slots__ = ("exchange", "request")

    def __init__(self, exchange: Exchange, request: Request) -> None:
        self.exchange = exchange
        self.request = request


class Wait:
    """Progress of an exchange, up to a point."""

    __slots__ = ("exchange", "ready")

    def __init__(self, exchange: Exchange, ready: Callable[[Exchange], bool]) -> None:
        self.exchange = exchange
        self.ready = ready


Flow = Generator[NeedConnection | Send | Wait, Any, T]


def _has_head(exchange: Exchange) -> bool:
    return exchange.received is not Half.HEAD or exchange.closed


def _has_content(exchange: Exchange) -> bool:
    return bool(exchange.content) or exchange.received is Half.ENDED or exchange.closed


def _has_ended(exchange: Exchange) -> bool:
    # A response may be complete before its request is (RFC 9113 §8.1).
    return exchange.closed or (
        exchange.received is Half.ENDED and (exchange.sent is not Half.ENDED or exchange.queued > 0)
    )


def fetch(request: Request, clock: Callable[[], float]) -> Flow[Response]:
    """Send a request and gather its response.

    Args:
        request: The request.
        clock: Tells the time, in seconds.

    Raises:
        PlaitError: There is no complete response.
    """
    exchange, began = yield from _send(request, clock, _has_ended, collect=True)
    content = exchange.read() or b""
    if not exchange.closed:
        exchange.abandon()
    return Response(
        exchange.status,
        exchange.fields,
        content,
        VERSIONS[exchange.endpoint.connection.http_version],
        clock() - began,
    )


def head(request: Request, clock: Callable[[], float]) -> Flow[tuple[Exchange, float]]:
    """Send a request and wait for the head of its response.

    Args:
        request: The request.
        clock: Tells the time, in seconds.

    Returns:
        The exchange, whose content is still to be read, and the time it began.

    Raises:
        PlaitError: There is no response.
    """
    return (yield from _send(request, clock, _has_head, collect=False))


def read(exchange: Exchange) -> Flow[bytes]:
    """Take the content that has arrived; wait for some when there is none.

    Returns:
        Content, ``b""`` at its end.

    Raises:
        PlaitError: The exchange ended before its content.
    """
    while (content := exchange.read()) is None:
        yield Wait(exchange, _has_content)
    return content


def _send(
    request: Request, clock: Callable[[], float], ready: Callable[[Exchange], bool], *, collect: bool
) -> Flow[tuple[Exchange, float]]:
    again = False
    while True:
        link: Link = yield NeedConnection(request.origin, again)
        used_before, link.used = link.used, True
        began = clock()
        has_content = request.content != b""
        exchange = link.endpoint.open_exchange(request.fields, end_stream=not has_content)
        if collect:
            exchange.collect()
        if has_content:
            yield Send(exchange, request)
        yield Wait(exchange, ready)
        error = exchange.error
        arrived = exchange.received
        if error is None or arrived is Half.ENDED or (arrived is Half.CONTENT and not collect):
            return exchange, began
        if again or not request.replayable or not _may_replay(exchange, error, request, used_before):
            raise error
        again = True


def _may_replay(exchange: Exchange, error: PlaitError, request: Request, used_before: bool) -> bool:
    """Say whether sending a request again is safe, and likely to help."""
    if isinstance(error, ExchangeError) and error.unprocessed:
        return True
    # RFC 9112 §9.3.1: the server may have closed a connection that it took for idle just then.
    return (
        used_before
        and request.idempotent
        and isinstance(error, ConnectionLost)
        and exchange.received is Half.HEAD
        and not exchange.interim_responses
    )
