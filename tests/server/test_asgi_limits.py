"""Limits on what an application may take: time, company and content."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.serving import h1_client, h2_client, serving

Scope = dict[str, Any]
START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body"}


async def no_lifespan(scope: Scope) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")


# -- time ------------------------------------------------------------------------------------------------


async def test_an_application_that_takes_too_long_is_cancelled_and_answered_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cancelled = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await no_lifespan(scope)
        if scope["path"] == "/quick":
            await send(START)
            await send({**BODY, "body": b"ok"})
            return
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(app, app_timeout=0.05) as running:
        async with h2_client(running) as client:
            slow = client.request()
            assert (await client.response(client.request(b"GET", b"/quick"))).content == b"ok"
            message = await client.response(slow)
            assert (message.status, message.reset) == (504, None)
            assert b"too long" in message.content
            await cancelled.wait()
            assert (await client.response(client.request(b"GET", b"/quick"))).content == b"ok"
        async with h1_client(running) as h1:
            h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert (await h1.head()).startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    assert "more than 0.05 seconds for GET /" in caplog.text


async def test_a_response_cut_short_by_the_limit_does_not_look_complete() -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await no_lifespan(scope)
        await send(START)
        await send({**BODY, "body": b"part", "more_body": True})
        await asyncio.Event().wait()

    async with serving(app, app_timeout=0.1) as running:
        async with h2_client(running) as client:
            message = await client.response(client.request())
            assert (message.status, message.content, message.reset) == (200, b"part", 2)
        async with h1_client(running) as h1:
            h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert (await h1.rest()).endswith(b"4\r\npart\r\n")


async def test_an_application_that_will_not_be_cancelled_is_told_that_its_client_is_gone() -> None:
    outcome: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await no_lifespan(scope)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert await receive() == {"type": "http.disconnect"}
            try:
                await send(START)
            except OSError as error:
                outcome.set_result(error)

    async with serving(app, app_timeout=0.05) as running, h2_client(running) as client:
        assert (await client.response(client.request())).status == 504
        await outcome


# -- company ---------------------------------------------------------------------------------------------


async def test_more_requests_at_once_than_allowed_get_503_and_when_to_come_back() -> None:
    go, came = asyncio.Event(), asyncio.Queue[None]()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await no_lifespan(scope)
        came.put_nowait(None)
        await go.wait()
        await send(START)
        await send({**BODY, "body": b"ok"})

    async with serving(app, max_concurrency=2) as running, h2_client(running) as client:
        streams = [client.request(), client.request()]
        await came.get()
        await came.get()
        refused = await client.response(client.request())
        assert refused.status == 503
        assert (b"retry-after", b"1") in refused.head
        go.set()
        for stream in streams:
            assert (await client.response(stream)).content == b"ok"
        assert (await client.response(client.request())).content == b"ok"


async def test_work_that_goes_on_after_a_reset_counts() -> None:
    go, came = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await no_lifespan(scope)
        came.set()
        await go.wait()

    async with serving(app, max_concurrency=1) as running, h2_client(running) as client:
        stream = client.request()
        await came.wait()
        client.engine.reset_stream(stream)
        assert (await client.response(client.request())).status == 503
        go.set()


# -- content ---------------------------------------------------------------------------------------------


class Reading:
    """An application that reads the content, and answers with its length."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.begin = False

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        await no_lifespan(scope)
        if self.begin:
            await send(START)
            await send({**BODY, "body": b"begun", "more_body": True})
        length = 0
        while True:
            message = await receive()
            self.messages.append(message)
            if message["type"] == "http.disconnect":
                return
            length += len(message["body"])
            if not message["more_body"]:
                break
        await send(START)
        await send({**BODY, "body": b"%d" % length})


async def test_content_that_says_it_is_too_long_is_refused_before_it_comes() -> None:
    app = Reading()
    async with serving(app, max_content_size=10) as running:
        async with h2_client(running) as client:
            stream = client.request(b"POST", b"/", (b"content-length", b"11"), end_stream=False)
            await client.until(lambda: client.messages[stream].head)
            message = client.messages[stream]
            assert message.status == 413
            ten = client.request(b"POST", b"/", (b"content-length", b"10"), content=bytes(10))
            assert (await client.response(ten)).content == b"10"
        async with h1_client(running) as h1:
            h1.writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\n")
            assert (await h1.head()).startswith(b"HTTP/1.1 413 ")
    assert len(app.messages) == 1


async def test_content_that_grows_too_long_is_refused_when_it_does() -> None:
    app = Reading()
    async with serving(app, max_content_size=10) as running:
        async with h2_client(running) as client:
            stream = client.request(b"POST", content=bytes(10), end_stream=False)
            await client.until(lambda: app.messages)
            client.send(stream, b"!", end_stream=True)
            message = await client.response(stream)
            assert message.status == 413
            assert message.content == b"the request's content is more than 10 bytes\n"
            assert app.messages[-1] == {"type": "http.disconnect"}
            ten = client.request(b"POST", content=bytes(10))
            assert (await client.response(ten)).content == b"10"
        async with h1_client(running) as h1:
            head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            h1.writer.write(head + b"b\r\n01234567890\r\n0\r\n\r\n")
            assert (await h1.head()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\r\nx-trailer: 1\r\n\r\n"])
async def test_content_cut_off_at_the_limit_never_looks_complete(end: bytes) -> None:
    app = Reading()
    async with serving(app, max_content_size=10) as running, h1_client(running) as h1:
        head = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        h1.writer.write(head + b"5\r\n01234\r\n6\r\n567890\r\n" + end)
        assert (await h1.rest()).startswith(b"HTTP/1.1 413 ")
    assert not [message for message in app.messages if message.get("more_body") is False]


async def test_a_response_that_has_begun_is_reset_when_its_request_grows_too_long() -> None:
    app = Reading()
    app.begin = True
    async with serving(app, max_content_size=10) as running, h2_client(running) as client:
        stream = client.request(b"POST", content=bytes(10), end_stream=False)
        await client.until(lambda: client.messages[stream].content)
        client.send(stream, b"!", end_stream=True)
        message = await client.response(stream)
    assert (message.content, message.reset) == (b"begun", 2)


async def test_content_over_the_limit_is_not_kept_for_an_application_that_does_not_read() -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await no_lifespan(scope)
        await go.wait()
        await send({**START, "status": 400})
        await send(BODY)

    async with (
        serving(app, max_content_size=10, stream_window=65_535) as running,
        h2_client(running) as client,
    ):
        stream = client.request(b"POST", content=bytes(60_000), end_stream=False)
        window = client.engine.local_flow_control_window
        await client.until(lambda: window(stream) > 32_000)  # credit came back for what was thrown away
        go.set()
        await client.until(lambda: client.messages[stream].head)
        assert client.messages[stream].status == 400
