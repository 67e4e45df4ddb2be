"""What an ASGI application must not send: a clear exception in it, and never a response that looks whole."""

from __future__ import annotations

from typing import Any

import pytest

from plait.server_config import LogLevel
from tests.support.serving import h2_client, serving

Scope = dict[str, Any]
Messages = list[Any]
START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body"}
MORE = {"type": "http.response.body", "body": b"x", "more_body": True}
PROMISE = {**START, "trailers": True}
TRAILERS = {"type": "http.response.trailers", "headers": []}
HINT = {"type": "http.response.early_hint", "links": [b"</a>"]}
PUSH = {"type": "http.response.push", "path": "/a", "headers": []}
PATH = {"type": "http.response.pathsend", "path": "/dev/null"}
FILE = {"type": "http.response.zerocopysend", "file": 0}


def with_headers(headers: Any) -> dict[str, Any]:
    return {**START, "headers": headers}


#: What is sent, and what the exception says of its last message.
BEFORE_THE_HEAD: list[tuple[Messages, str]] = [
    # No message.
    ([None], "a dictionary with a type"),
    (["http.response.start"], "a dictionary with a type"),
    ([{}], "a dictionary with a type"),
    ([{"type": None}], "None is not a message"),
    ([{"type": []}], r"\[\] is not a message"),
    ([{"type": "http.response.end"}], "'http.response.end' is not a message"),
    ([{"type": "websocket.send", "text": ""}], "'websocket.send' is not a message"),
    ([{"type": "lifespan.startup.complete"}], "is not a message an http application"),
    # The wrong order.
    ([BODY], "http.response.body came before http.response.start"),
    ([TRAILERS], "http.response.trailers came before http.response.start"),
    ([PATH], "http.response.pathsend came before http.response.start"),
    ([FILE], "http.response.zerocopysend came before http.response.start"),
    ([START, START], "http.response.start came twice"),
    ([START, TRAILERS], "http.response.trailers came before the content was complete"),
    # The wrong types and values.
    ([{"type": "http.response.start"}], "no status"),
    ([{**START, "status": "200"}], "'200' is not the status"),
    ([{**START, "status": 200.0}], "200.0 is not the status"),
    ([{**START, "status": None}], "None is not the status"),
    ([{**START, "status": True}], "True is not the status"),
    ([{**START, "status": 103}], "103 is not the status"),
    ([{**START, "status": 600}], "600 is not the status"),
    ([with_headers(None)], "must be pairs of bytes"),
    ([with_headers(5)], "must be pairs of bytes"),
    ([with_headers([b"name"])], "must be pairs of bytes"),
    ([with_headers([(b"name",)])], "must be pairs of bytes"),
    ([with_headers([(b"name", b"value", b"more")])], "must be pairs of bytes"),
    ([with_headers([5])], "must be pairs of bytes"),
    ([with_headers({"name": "value"})], "must be pairs of bytes"),
    ([with_headers([("name", b"value")])], "must be bytes"),
    ([with_headers([(b"name", "value")])], "must be bytes"),
    ([with_headers([(b"name", 5)])], "must be bytes"),
    ([with_headers([(b"name", [])])], "must be bytes"),
    ([with_headers([(b":status", b"200")])], "not a field name"),
    ([with_headers([(b"", b"value")])], "not a field name"),
    ([with_headers([(b"na me", b"value")])], "not a field name"),
    ([with_headers([(b"name", b"a\nb")])], "control character"),
    ([with_headers([(b"content-length", b"+5")]), BODY], "not the one length"),
    ([with_headers([(b"content-length", b"1"), (b"content-length", b"2")]), BODY], "not the one length"),
    ([with_headers([(b"content-length", b"1")]), BODY], "content of 0 bytes, and a content-length of 1"),
    ([with_headers([(b"content-length", b"1")]), {**BODY, "body": b"ab"}], "content of 2 bytes"),
    ([START, {**BODY, "body": "text"}], "must be bytes, not str"),
    ([START, {**BODY, "body": None}], "must be bytes, not NoneType"),
    ([START, {**BODY, "body": 5}], "must be bytes, not int"),
    ([START, {**BODY, "body": [b"a"]}], "must be bytes, not list"),
    # Extensions.
    ([{**HINT, "links": b"</a>"}], "must be a list of bytes"),
    ([{**HINT, "links": ["</a>"]}], "must be bytes"),
    ([{**HINT, "links": [b"</a>\n"]}], "control character"),
    ([{**PUSH, "path": b"/a"}], "must begin with /"),
    ([{**PUSH, "path": "a"}], "must begin with /"),
    ([{"type": "http.response.push"}], "must begin with /"),
    ([{**PUSH, "headers": [("a", "b")]}], "must be bytes"),
    ([{**PUSH, "headers": [(b":path", b"/b")]}], "not a field name"),
]

#: The same once the response has begun: the client sees a reset.
AFTER_THE_HEAD: list[tuple[Messages, str]] = [
    ([START, MORE, START], "http.response.start came twice"),
    ([START, MORE, TRAILERS], "http.response.trailers came before the content was complete"),
    ([START, MORE, {**BODY, "body": "text"}], "must be bytes, not str"),
    ([START, MORE, {}], "a dictionary with a type"),
    ([with_headers([(b"content-length", b"3")]), MORE, BODY], "shorter than its content-length"),
    ([with_headers([(b"content-length", b"0")]), MORE], "longer than its content-length"),
    ([with_headers([(b"content-length", b"1")]), MORE, MORE], "longer than its content-length"),
    ([PROMISE, BODY, BODY], "http.response.body came in place of the http.response.trailers"),
    ([PROMISE, BODY, PATH], "http.response.pathsend came in place of the http.response.trailers"),
    ([PROMISE, BODY, START], "http.response.start came twice"),
    ([PROMISE, BODY, {**TRAILERS, "headers": None}], "must be pairs of bytes"),
    ([PROMISE, BODY, {**TRAILERS, "headers": [(b":status", b"200")]}], "not a field name"),
]

#: And when it was complete: nothing can happen to it any more.
AFTER_THE_END: list[tuple[Messages, str]] = [
    ([START, BODY, BODY], "http.response.body came after the response was complete"),
    ([START, BODY, START], "http.response.start came twice"),
    ([START, BODY, HINT], "http.response.early_hint came after the response was complete"),
    ([START, BODY, PUSH], "http.response.push came after the response was complete"),
    ([START, BODY, PATH], "http.response.pathsend came after the response was complete"),
    ([START, BODY, FILE], "http.response.zerocopysend came after the response was complete"),
    ([START, BODY, TRAILERS], "http.response.trailers came after the response was complete"),
    ([PROMISE, BODY, TRAILERS, TRAILERS], "http.response.trailers came after the response was complete"),
    ([PROMISE, BODY, TRAILERS, BODY], "http.response.body came after the response was complete"),
]


class Misused:
    """An application that sends what a test wants, and keeps the exception."""

    def __init__(self, messages: Messages) -> None:
        self.messages = messages
        self.error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        *good, bad = self.messages
        for message in good:
            await send(message)
        try:
            await send(bad)
        except Exception as error:
            self.error = error
            raise


async def send(messages: Messages, says: str) -> Any:
    """Have an application send messages; check what it is told and return what the client got."""
    app = Misused(messages)
    async with serving(app, log_level=LogLevel.DEBUG) as running, h2_client(running) as client:
        message = await client.response(client.request(b"GET", b"/", (b"te", b"trailers")))
        # The connection goes on.
        client.engine.ping(b"12345678")
        client.flush()
        assert not client.goaways
    assert app.error is not None
    assert not isinstance(app.error, OSError), "it would say that the client is gone"
    with pytest.raises(type(app.error), match=says):
        raise app.error
    return message


@pytest.mark.parametrize(("messages", "says"), BEFORE_THE_HEAD)
async def test_misuse_before_the_head_is_answered_with_500(messages: Messages, says: str) -> None:
    message = await send(messages, says)
    assert (message.status, message.content) == (500, b"Internal Server Error\n")


@pytest.mark.parametrize(("messages", "says"), AFTER_THE_HEAD)
async def test_misuse_after_the_head_resets_the_stream(messages: Messages, says: str) -> None:
    message = await send(messages, says)
    assert message.reset == 2  # INTERNAL_ERROR, which may overtake the head
    assert not message.ended


@pytest.mark.parametrize(("messages", "says"), AFTER_THE_END)
async def test_misuse_after_the_end_leaves_the_response_as_it_was(messages: Messages, says: str) -> None:
    message = await send(messages, says)
    assert (message.status, message.ended, message.reset) == (200, True, None)
