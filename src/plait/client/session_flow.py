"""The flow of a request with more to it than sending: who asks, redirects, hooks.

A hook sees every request that is sent and every response that comes, those of redirects and of
authentication included.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from plait.client.flow import Flow, fetch
from plait.client.goals import WHOLE, head_of
from plait.client.messages import Request, Response
from plait.client.progress import Reporter
from plait.client.redirects import next_request
from plait.errors import ConfigError, LocalProtocolError, TooManyRedirects
from plait.protocol.exchange import Half

if TYPE_CHECKING:
    from plait.client.calls import Call
    from plait.client.plan import Plan

__all__ = ["converse"]

Conversation = Generator[Any, Any, Response]

#: Bytes of a redirect's content that are read for its connection's sake; over more it is not.
_WORTH_READING = 65_536
#: What a server answers that knows nothing of ``expect`` (RFC 9110 §15.5.18).
EXPECTATION_FAILED = 417


def converse(request: Request, call: Call) -> Flow:
    """Send a request, and those that follow from its response.

    Args:
        request: The request; its plan says what follows.
        call: The call.

    Raises:
        TooManyRedirects: One led to the next too often.
        PlaitError: An attempt failed.
    """
    first = request
    if (plan := request.plan) is not None and (plan.progress is not None or plan.on_interim is not None):
        call.reporter = Reporter(plan.progress, plan.on_interim)
    history: list[Response] = []
    while True:
        plan = request.plan
        assert plan is not None
        response = yield from _authenticate(request, call, plan)
        following = next_request(response) if plan.follow else None
        if following is None:
            break
        if len(history) >= plan.follow:
            raise TooManyRedirects(f"{first.url} was redirected more than {plan.follow} times")
        if not response.is_whole:
            response = yield from _read(response, call)
        _tell(response, call)
        response.history = tuple(history)
        history.append(response)
        field = call.cookie_field(following)
        if field is not None and "cookie" not in following.headers:
            following.fields.append(field)
        request = following
    response.history = call.history = tuple(history)
    if response.is_whole:
        _tell(response, call)
    return response if response.is_whole else call.exchange


def _tell(response: Response, call: Call) -> None:
    """Tell of a response that is over, if somebody wants to know."""
    plan = response.request.plan
    if plan is not None and plan.record is not None:
        from plait.client.recording import answered

        answered(response, call)


def _read(response: Response, call: Call) -> Conversation:
    """Read the content of a response whose head was all that was wanted, if that is soon done."""
    exchange = call.exchange
    assert exchange is not None
    length = response.headers.get("content-length", "")
    if exchange.received is Half.ENDED or (length.isdigit() and int(length) <= _WORTH_READING):
        response = yield WHOLE
    return response


def _authenticate(request: Request, call: Call, plan: Plan) -> Conversation:
    """Send a request as somebody; return the last response."""
    auth = plan.auth
    if auth is None:
        return (yield from _send(request, call, plan))
    begin = partial(auth.auth_flow, request)
    steps = (yield begin) if auth.waits else begin()
    if steps is None or isinstance(steps, Request):
        return (yield from _send(_checked(steps or request), call, plan))
    response: Response | None = None
    while True:
        take = partial(_next, steps, response)
        wanted = (yield take) if auth.waits else take()
        if wanted is None:
            if response is None:
                raise ConfigError("auth_flow gave no request to send")
            return response
        if response is not None:
            _tell(response, call)
        response = yield from _send(_checked(wanted), call, plan)
        if wanted is not request and not response.is_whole:
            # One of its own, such as for a token: it is the caller's content that the caller reads.
            response = yield WHOLE


def _checked(request: Any) -> Request:
    if not isinstance(request, Request):
        raise ConfigError(f"auth must give requests, not {type(request).__name__}")
    return request


def _next(steps: Any, response: Response | None) -> Any:
    """Give a generator of requests a response, and return the next request; None at its end."""
    if hasattr(steps, "asend"):
        return _anext(steps, response)
    try:
        return steps.send(response)
    except StopIteration:
        return None


async def _anext(steps: Any, response: Response | None) -> Any:
    try:
        return await steps.asend(response)
    except StopAsyncIteration:
        return None


def _send(request: Request, call: Call, plan: Plan) -> Conversation:
    """Send one request, and return its response; of one that is streamed, the head."""
    for hook in plan.request_hooks:
        yield partial(hook, request)
    if call.exchange is not None and call.request is request and not request.replayable:
        raise LocalProtocolError(
            f"{request.url} wants the content again, and it came from an iterator: give bytes or a file"
        )
    reply = yield from fetch(request, call)
    if reply.status == EXPECTATION_FAILED and plan.expects_continue:
        upload = call.upload
        if request.replayable or (upload is not None and upload.held):
            # RFC 9110 §10.1.1: then without asking.
            reply = yield from fetch(request.unasking(), call)
    response: Response = reply if isinstance(reply, Response) else head_of(reply, call)
    for hook in plan.response_hooks:
        yield partial(hook, response)
    return response
