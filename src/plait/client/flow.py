"""Flows: which requests are sent for one call, and what is made of how they ended.

A flow is a generator, run by :class:`plait.client.calls.Call` for both clients alike. It yields what to
do next: a request to send; a goal to go on to with the exchange at hand; a pause to make; or something to
be called by whoever waits for the call, which may take its time. It is sent what came of it, or has the
error thrown into it; what it returns, or raises, is what the call comes to. It never waits and touches no
connection.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from plait.client.goals import Goal
from plait.client.messages import Request
from plait.errors import ConnectionLost, ExchangeError
from plait.protocol.exchange import Half

if TYPE_CHECKING:
    from plait.client.calls import Call

__all__ = ["MISDIRECTED", "Flow", "Pause", "Step", "fetch", "may_replay", "was_left_behind"]

#: Misdirected Request (RFC 9110 §15.5.20).
MISDIRECTED = 421

Flow = Generator[Any, Any, Any]


class Pause:
    """A step: wait for so many seconds."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


Step = Request | Goal | Pause | Callable[[], Any]


def fetch(request: Request, call: Call) -> Flow:
    """Send a request; send it once more if it was certainly, or safely taken to be, not acted on.

    It is sent as often as connections end in good order before they come to it.

    Args:
        request: The request.
        call: The call, asked about an attempt that failed.

    Raises:
        ExchangeError: The last attempt failed.
    """
    if call.retries is not None:
        from plait.client.retries import persist

        return (yield from persist(request, call, call.retries))
    again = True
    while True:
        try:
            answer = yield request
        except ExchangeError as error:
            if was_left_behind(request, call):
                continue
            if not again or not may_replay(request, call, error):
                raise
        else:
            if answer.status != MISDIRECTED or not again or not call.was_misdirected(request, answer):
                return answer
        again = False


def was_left_behind(request: Request, call: Call) -> bool:
    """Whether a request may go out again because its connection ended in good order before it came to it.

    A server that closes after so many requests does that to one request several times. It comes to an
    end: the connection took at least one other request first (RFC 9113 §6.8).

    Args:
        request: The request.
        call: The call, whose exchange is the one that failed.
    """
    exchange = call.exchange
    return (
        exchange is not None
        and request.replayable
        and exchange.endpoint.connection.left_behind(exchange.stream_id)
    )


def may_replay(request: Request, call: Call, error: ExchangeError) -> bool:
    """Whether a request may go out once more after it failed, whatever its client was told of retries.

    Args:
        request: The request.
        call: The call, whose exchange is the one that failed.
        error: What it failed of.
    """
    if not request.replayable:
        return False
    if error.unprocessed:
        return True
    # RFC 9112 §9.3.1: the server may have closed a connection that it took for idle just then.
    exchange = call.exchange
    return (
        call.used_before
        and request.idempotent
        and isinstance(error, ConnectionLost)
        and exchange is not None
        and exchange.received is Half.HEAD
        and exchange.aside is None
    )
