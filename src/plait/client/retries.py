"""Trying again: how often, how soon, and what.

What the server says it has not processed is sent again by ``flow.py``, unasked. What is here is for
clients that are told to try harder.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from plait.client.flow import Pause, may_replay, was_left_behind
from plait.client.messages import Request, Response
from plait.errors import (
    CertificateRefused,
    ConfigError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    ExchangeError,
    ExchangeReset,
    NoCommonProtocol,
    PlaitError,
    ReadTimeout,
    TotalTimeout,
    WriteTimeout,
)
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Exchange

if TYPE_CHECKING:
    from plait.client.calls import Call

__all__ = ["Retries", "persist", "retries_of", "retry_after"]

#: What a server may say of a stream that another attempt may find otherwise (RFC 9113 §7).
_PASSING = frozenset(
    {
        ErrorCode.NO_ERROR,
        ErrorCode.INTERNAL_ERROR,
        ErrorCode.REFUSED_STREAM,
        ErrorCode.CANCEL,
        ErrorCode.ENHANCE_YOUR_CALM,
    }
)


class Retries(NamedTuple):
    """How a client tries again.

    Attributes:
        attempts: Attempts after the first, for one request.
        backoff: Seconds before the first of them, doubled for each that follows; each wait is shortened
            at random, by up to a half, so that not all clients come back at once.
        max_backoff: Seconds that a wait has at most.
        statuses: Statuses after which to try again when the response says when (Retry-After).
        max_retry_after: Seconds that Retry-After may ask for; a response that wants more is the result.
    """

    attempts: int = 2
    backoff: float = 0.2
    max_backoff: float = 20.0
    statuses: frozenset[int] = frozenset({429, 503})
    max_retry_after: float = 60.0


def retries_of(option: int | Retries) -> Retries | None:
    """Return what an option says, None for no more attempts.

    Raises:
        ConfigError: It says something that cannot be.
    """
    retries = option if isinstance(option, Retries) else Retries(option)
    attempts, *times = retries.attempts, retries.backoff, retries.max_backoff, retries.max_retry_after
    if type(attempts) is not int or attempts < 0 or not all(time >= 0 for time in times):
        raise ConfigError(
            f"retries must be a number of attempts or plait.Retries, nothing below 0, not {option!r}"
        )
    return retries if attempts else None


def persist(request: Request, call: Call, retries: Retries) -> Generator[Any, Any, Any]:
    """Send a request, and send it again as the client was told to.

    Args:
        request: The request.
        call: The call, asked about an attempt that failed.
        retries: What the client was told.

    Raises:
        PlaitError: The last attempt failed.
    """
    left = retries.attempts
    free = True
    while True:
        answer: Response | Exchange | None = None
        failure: PlaitError | None = None
        try:
            answer = yield request
        except PlaitError as error:
            failure = error
            if isinstance(error, ExchangeError) and was_left_behind(request, call):
                continue
        if free and _costs_nothing(request, call, answer, failure):
            free = False
            continue
        wait = _wait_after(request, answer, retries) if answer is not None else retries.backoff
        if failure is not None and not _may_pass(request, failure):
            wait = None
        if left > 0 and wait is not None and request.replayable:
            if failure is not None:
                wait = _jittered(min(wait * 2 ** (retries.attempts - left), retries.max_backoff))
            if call.has_time_for(wait):
                left -= 1
                yield Pause(wait)
                continue
        if failure is not None:
            raise failure
        return answer


def _costs_nothing(request: Request, call: Call, answer: Any, failure: PlaitError | None) -> bool:
    """Whether the request goes out once more, whatever the client was told."""
    if answer is not None:
        return call.was_misdirected(request, answer)
    return isinstance(failure, ExchangeError) and may_replay(request, call, failure)


def _may_pass(request: Request, error: PlaitError) -> bool:
    """Whether another attempt may do better, and does no harm."""
    if isinstance(error, CertificateRefused | NoCommonProtocol | TotalTimeout):
        return False
    if not (error.unprocessed or request.idempotent):
        return False
    if isinstance(error, ExchangeReset):
        return error.error_code in _PASSING
    kinds = ConnectFailed | ConnectTimeout | ConnectionLost | ReadTimeout | WriteTimeout
    return isinstance(error, kinds)


def _wait_after(request: Request, answer: Response | Exchange, retries: Retries) -> float | None:
    """Return how long a response wants the client to wait, None when it is to be taken as it is."""
    if answer.status not in retries.statuses or not request.idempotent:
        return None
    if isinstance(answer, Exchange):
        found = [value.decode("latin-1") for name, value in answer.fields if name == b"retry-after"]
    else:
        found = answer.headers.get_all("retry-after")
    if not found:
        return None
    wait = retry_after(found[0])
    return wait if wait is not None and wait <= retries.max_retry_after else None


def retry_after(value: str) -> float | None:
    """Read Retry-After (RFC 9110 §10.2.3).

    Returns:
        Seconds, None when it does not say how many.
    """
    if value.isascii() and value.isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime
    from time import time

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, OverflowError):  # a date without a zone may be beyond what the system counts
        return None


def _jittered(seconds: float) -> float:
    from random import random

    return seconds * (1 - random() / 2)
