"""What calls are for: facts about an exchange, no action.

A call waits for one goal at a time. Both clients have the same three: a whole response, the head of
one, and the next piece of its content.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plait.client.messages import Response
from plait.protocol.exchange import Exchange, Half

if TYPE_CHECKING:
    from plait.client.calls import Call

__all__ = ["HEAD", "PIECE", "VERSIONS", "WHOLE", "Goal", "head_of"]

#: What a response calls the version of HTTP.
VERSIONS = {"2": "HTTP/2", "1.1": "HTTP/1.1"}

_NOTHING, _CONTENT, _ENDED = Half.HEAD, Half.CONTENT, Half.ENDED


class Goal:
    """How far an exchange has to come, and what is then made of it.

    Args:
        reached: Tells whether the exchange has come there, or to its end.
        missed: Tells whether it had not come there when it ended; asked of one that ended in error.
        result: Makes what the call returns, out of the exchange and the call; None when there is
            nothing to return yet.
        whole: Whether the content is gathered, and the exchange over when the goal is reached.
    """

    __slots__ = ("missed", "reached", "result", "whole")

    def __init__(
        self,
        reached: Callable[[Exchange], bool],
        missed: Callable[[Exchange], bool],
        result: Callable[[Exchange, Call], Any],
        *,
        whole: bool = False,
    ) -> None:
        self.reached = reached
        self.missed = missed
        self.result = result
        self.whole = whole


def _has_ended(exchange: Exchange) -> bool:
    return exchange.received is _ENDED or exchange.closed


def _is_incomplete(exchange: Exchange) -> bool:
    return exchange.received is not _ENDED


def _response(exchange: Exchange, call: Call) -> Response:
    content = exchange.read() or b""
    # A response may be complete before its request is (RFC 9113 §8.1).
    if not exchange.closed and (exchange.sent is not _ENDED or (exchange.sent_bytes and exchange.queued)):
        exchange.abandon()
    fields, request = exchange.fields, call.request
    version = VERSIONS[exchange.endpoint.connection.http_version]
    response = Response(exchange.status, fields, content, version, request, call.times, exchange.aside)
    if (plan := request.plan) is not None:
        noted = plan.noted
        for name, _ in fields:  # every response comes by here: no call, and no set of names
            if name in noted:
                call.note(response)
                break
    return response


def head_of(exchange: Exchange, call: Call) -> Response:
    """Return a response whose content is still to be read, by who reads it and not from here."""
    fields, request = exchange.fields, call.request
    version = VERSIONS[exchange.endpoint.connection.http_version]
    response = Response(exchange.status, fields, None, version, request, call.times, exchange.aside)
    plan = request.plan
    if plan is not None and not plan.noted.isdisjoint(dict(fields)):
        call.note(response)
    return response


def _has_head(exchange: Exchange) -> bool:
    return exchange.received is not _NOTHING or exchange.closed


def _is_headless(exchange: Exchange) -> bool:
    return exchange.received is _NOTHING


def _exchange(exchange: Exchange, call: Call) -> Exchange:
    return exchange


def _has_content(exchange: Exchange) -> bool:
    return bool(exchange.content) or exchange.received is _ENDED or exchange.closed


def _never(exchange: Exchange) -> bool:
    return False  # reading raises what went wrong, after the content that arrived


def _piece(exchange: Exchange, call: Call) -> bytes | None:
    piece = exchange.read()
    if piece and call.reporter is not None:
        call.reporter.read(len(piece))
    return piece


#: A complete response.
WHOLE = Goal(_has_ended, _is_incomplete, _response, whole=True)
#: The exchange, whose content is still to be read.
HEAD = Goal(_has_head, _is_headless, _exchange)
#: Content, ``b""`` at its end.
PIECE = Goal(_has_content, _never, _piece)
