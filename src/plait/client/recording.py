"""Tells of every exchange of a client that is over, and how it ended.

Only a client that was asked to tell imports this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from plait.client.goals import VERSIONS, head_of
from plait.client.statistics import ExchangeStatistics, Timing, statistics_of, timing_of

if TYPE_CHECKING:
    from plait.client.calls import Call
    from plait.client.messages import Request, Response
    from plait.protocol.exchange import Exchange

__all__ = ["Record", "answered", "failed"]


class Record(NamedTuple):
    """One exchange that is over: of redirects, each is one.

    Attributes:
        request: The request, as it was sent.
        response: The response; of one that was streamed the head. None where there was none.
        error: What ended the exchange before its end, or None.
        timing: When everything happened; of what never did, when the exchange ended.
        http_version: ``"HTTP/2"`` or ``"HTTP/1.1"``, ``""`` where it came to no connection.
        address: The IP address at the other end, a proxy's where there is one; ``""`` where none is known.
        content_sent: Bytes of content sent, None where nobody counted.
        content_received: Bytes of content received, codings not undone, None where nobody counted.
        statistics: What it took; None unless the client was made with ``measure``.
    """

    request: Request
    response: Response | None
    error: Exception | None
    timing: Timing
    http_version: str
    address: str
    content_sent: int | None
    content_received: int | None
    statistics: ExchangeStatistics | None


def answered(response: Response, call: Call) -> None:
    """Tell of a response, if somebody wants to know.

    Args:
        response: The response, or the head of one whose content was read by somebody else.
        call: The call, whose latest exchange this was.
    """
    plan, exchange = response.request.plan, call.exchange
    if plan is not None and plan.record is not None and exchange is not None:
        timing = response.timing if response.is_whole else timing_of(*call.times)
        plan.record(_record(response.request, response, None, timing, call, exchange))


def failed(call: Call, error: Exception, now: float) -> None:
    """Tell of a call that ended without a response, if somebody wants to know.

    Args:
        call: The call.
        error: What ended it.
        now: The time.
    """
    plan, exchange = call.request.plan, call.exchange
    if plan is None or plan.record is None:
        return
    if exchange is None:
        timing = Timing(call.submitted, now, now, now, 0, call.queued_since, now, now, now, now, now)
        plan.record(Record(call.request, None, error, timing, "", "", 0, 0, None))
    else:
        response = head_of(exchange, call) if exchange.status else None
        timing = timing_of(*call.times)
        timing = timing._replace(answered=timing.answered or now, done=now)
        plan.record(_record(call.request, response, error, timing, call, exchange))


def _record(
    request: Request,
    response: Response | None,
    error: Exception | None,
    timing: Timing,
    call: Call,
    exchange: Exchange,
) -> Record:
    return Record(
        request,
        response,
        error,
        timing,
        VERSIONS[exchange.endpoint.connection.http_version],
        call.link.transport.peer.address,
        exchange.sent_bytes - exchange.queued,
        exchange.credited_bytes,
        statistics_of(call.times[-1]),
    )
