"""What an ASGI 3 application sees and what its messages lead to: the same over both versions of HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.support.servers import Certificate
from tests.support.serving import h1_client, h2_client, httpx_client, serving

Scope = dict[str, Any]
START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body"}


def http_only(app: Callable[..., Any]) -> Callable[..., Any]:
    """Leave lifespan to the server."""

    async def wrapped(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        await app(scope, receive, send)

    return wrapped


async def ok(scope: Scope, receive: Any, send: Any) -> None:
    await send(START)
    await send({**BODY, "body": b"ok"})


# -- scope ------------------------------------------------------------------------------------------


async def test_the_scope_is_what_asgi_says(certificate: Certificate, version: str) -> None:
    scopes: list[Scope] = []

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await ok(scope, receive, send)

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        target = "/caf%C3%A9/a%2Fb%20c?q=%20x&y"
        response = await client.request("PATCH", target, headers={"X-Mixed": "Value"}, content=b"")
        assert response.http_version == f"HTTP/{version}"
    (scope,) = scopes
    assert scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0"
    assert scope["http_version"] == version
    assert scope["method"] == "PATCH"
    assert scope["scheme"] == "https"
    assert scope["path"] == "/café/a/b c"
    assert scope["raw_path"] == b"/caf%C3%A9/a%2Fb%20c"
    assert scope["query_string"] == b"q=%20x&y"
    assert scope["root_path"] == ""
    assert scope["client"][0] == "127.0.0.1"
    assert isinstance(scope["client"][1], int)
    assert scope["server"] == ("127.0.0.1", running.port)
    headers = list(scope["headers"])
    assert headers[0] == (b"host", b"localhost:%d" % running.port)
    assert (b"x-mixed", b"Value") in [tuple(header) for header in headers]
    assert not [name for name, _ in headers if name.startswith(b":") or name != name.lower()]


async def test_each_request_has_a_state_of_its_own(certificate: Certificate, version: str) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["shared"] = []
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen.append(scope["state"].get("mine"))
        scope["state"]["mine"] = True
        scope["state"]["shared"].append(1)
        await send(START)
        await send({**BODY, "body": b"%d" % len(scope["state"]["shared"])})

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        assert [(await client.get("/")).text for _ in range(3)] == ["1", "2", "3"]
    assert seen == [None, None, None]


async def test_a_cookie_in_crumbs_arrives_as_one(certificate: Certificate) -> None:
    cookies: list[bytes] = []

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        cookies.extend(value for name, value in scope["headers"] if name == b"cookie")
        await ok(scope, receive, send)

    async with serving(app, certificate=certificate) as running, h2_client(running) as client:
        await client.response(client.request(b"GET", b"/", (b"cookie", b"a=1"), (b"cookie", b"b=2")))
    assert cookies == [b"a=1; b=2"]


@pytest.mark.parametrize("offered", [(), ("http/1.1",), ("unknown", "http/1.1")])
async def test_a_client_that_offers_no_http_2_gets_http_1(
    certificate: Certificate, offered: tuple[str, ...]
) -> None:
    async with (
        serving(http_only(ok), certificate=certificate) as running,
        h1_client(running, *offered) as client,
    ):
        client.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 200 ")


# -- receive ----------------------------------------------------------------------------------------


async def test_a_request_without_content_gives_one_message_and_then_waits(
    certificate: Certificate, version: str
) -> None:
    messages: list[Any] = []

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        messages.append(await receive())
        waiting = asyncio.ensure_future(receive())
        for _ in range(10):
            await asyncio.sleep(0)  # a turn of the loop
        assert not waiting.done()
        await ok(scope, receive, send)
        messages.append(await waiting)
        messages.append(await receive())

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        assert (await client.get("/")).text == "ok"
    assert messages[0] == {"type": "http.request", "body": b"", "more_body": False}
    assert messages[1:] == [{"type": "http.disconnect"}] * 2


async def test_content_comes_in_pieces_and_ends_once(certificate: Certificate, version: str) -> None:
    content = bytes(range(256)) * 4000
    messages: list[Any] = []

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        while True:
            messages.append(await receive())
            if not messages[-1]["more_body"]:
                break
        await ok(scope, receive, send)

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        assert (await client.post("/", content=content)).text == "ok"
    assert b"".join(message["body"] for message in messages) == content
    assert [message["more_body"] for message in messages].count(False) == 1


async def test_streams_flow_both_ways_at_once(certificate: Certificate, version: str) -> None:
    @http_only
    async def echo(scope: Scope, receive: Any, send: Any) -> None:
        await send(START)
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({**BODY, "body": message["body"], "more_body": more})

    async def content() -> AsyncIterator[bytes]:
        for number in range(300):
            yield bytes([number % 256]) * 10_000

    async with serving(echo, certificate=certificate) as running, httpx_client(running, version) as client:
        response = await client.post("/", content=content())
    assert response.content == b"".join([bytes([number % 256]) * 10_000 for number in range(300)])


async def test_a_client_that_leaves_is_a_disconnect(certificate: Certificate, version: str) -> None:
    came = asyncio.Event()
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        came.set()
        outcome.set_result(await receive())

    async with serving(app, certificate=certificate) as running:
        if version == "2":
            async with h2_client(running) as client:
                stream = client.request()
                await came.wait()
                client.engine.reset_stream(stream)
                client.flush()
                assert await outcome == {"type": "http.disconnect"}
        else:
            async with h1_client(running) as h1:
                h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                await came.wait()
            assert await outcome == {"type": "http.disconnect"}


async def test_a_reset_in_the_middle_of_content_is_a_disconnect(certificate: Certificate) -> None:
    messages: list[Any] = []
    first, ended = asyncio.Event(), asyncio.Event()

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        messages.append(await receive())
        first.set()
        messages.append(await receive())
        messages.append(await receive())
        ended.set()

    async with serving(app, certificate=certificate) as running, h2_client(running) as client:
        stream = client.request(b"POST", content=b"part", end_stream=False)
        await first.wait()
        client.engine.reset_stream(stream)
        client.flush()
        await ended.wait()
    assert messages[0] == {"type": "http.request", "body": b"part", "more_body": True}
    assert messages[1:] == [{"type": "http.disconnect"}] * 2


async def test_the_client_is_told_to_continue_when_the_application_reads(certificate: Certificate) -> None:
    go = asyncio.Event()

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await go.wait()
        content = (await receive())["body"]
        await send(START)
        await send({**BODY, "body": content})

    async with serving(app, certificate=certificate) as running:
        async with h2_client(running) as client:
            stream = client.request(b"POST", b"/", (b"expect", b"100-continue"), end_stream=False)
            client.engine.ping(b"12345678")
            client.flush()
            assert client.messages[stream].interim == []
            go.set()
            await client.until(lambda: client.messages[stream].interim)
            assert client.messages[stream].interim == [[(b":status", b"100")]]
            client.send(stream, b"content", end_stream=True)
            assert (await client.response(stream)).content == b"content"
        async with h1_client(running) as h1:
            head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 7\r\n\r\n"
            h1.writer.write(head)
            assert await h1.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            h1.writer.write(b"content")
            assert (await h1.head()).startswith(b"HTTP/1.1 200 ")
            assert await h1.reader.readexactly(7) == b"content"


async def test_an_answer_without_reading_asks_for_no_content(certificate: Certificate) -> None:
    async with serving(http_only(ok), certificate=certificate) as running, h2_client(running) as client:
        stream = client.request(b"POST", b"/", (b"expect", b"100-continue"), end_stream=False)
        message = await client.response(stream)
        assert message.interim == []
        assert message.content == b"ok"


# -- send -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 299, 304, 404, 418, 500, 599])
async def test_any_final_status_can_be_sent(certificate: Certificate, version: str, status: int) -> None:
    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({**START, "status": status})
        await send(BODY)

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        response = await client.get("/")
    assert response.status_code == status
    assert response.content == b""


async def test_a_whole_response_gets_length_and_date(certificate: Certificate, version: str) -> None:
    async with (
        serving(http_only(ok), certificate=certificate) as running,
        httpx_client(running, version) as client,
    ):
        response = await client.get("/")
    assert response.headers["content-length"] == "2"
    assert response.headers["date"].endswith(" GMT")
    assert "connection" not in response.headers


async def test_the_applications_own_length_and_date_stand(certificate: Certificate, version: str) -> None:
    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        fields = [(b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"Content-Length", b"2"), (b"X-A", b" 1 ")]
        await send({**START, "headers": fields})
        await send({**BODY, "body": b"ok"})

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        response = await client.get("/")
    assert response.headers["date"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert response.headers.get_list("content-length") == ["2"]
    assert response.headers["x-a"] == "1"


async def test_headers_may_be_any_iterable_of_pairs(certificate: Certificate, version: str) -> None:
    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": iter([[b"x-a", b"1"]])})
        await send(BODY)

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        assert (await client.get("/")).headers["x-a"] == "1"


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_content_may_be_any_kind_of_bytes(
    certificate: Certificate, version: str, kind: Callable[[bytes], Any]
) -> None:
    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(START)
        await send({**BODY, "body": kind(b"one "), "more_body": True})
        await send({**BODY, "body": kind(b"two")})

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        assert (await client.get("/")).text == "one two"


@pytest.mark.parametrize("body", [b"", b"hello"])
async def test_head_gets_the_head_of_get(certificate: Certificate, version: str, body: bytes) -> None:
    """RFC 9110 §8.6: no content-length other than what GET would have."""

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(START)
        await send({**BODY, "body": body})

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        response = await client.head("/")
        assert (await client.get("/")).status_code == 200  # the connection goes on
    assert response.content == b""
    assert response.headers.get("content-length") == (str(len(body)) if body else None)


@pytest.mark.parametrize("status", [204, 304])
async def test_content_of_a_response_without_content_is_dropped(
    certificate: Certificate, version: str, status: int
) -> None:
    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({**START, "status": status})
        await send({**BODY, "body": b"dropped", "more_body": True})
        await send({**BODY, "body": b"too"})

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        for _ in range(2):
            response = await client.get("/")
            assert response.status_code == status
            assert response.content == b""


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_an_application_that_streams_where_nothing_is_wanted_is_left_in_peace(
    certificate: Certificate, version: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The response is over for the client long before the application has sent all it has."""
    ended = asyncio.Event()

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        await send({**START, "status": 200 if method == "HEAD" else 304})
        for _ in range(20):
            await send({**BODY, "body": bytes(100), "more_body": True})
            await asyncio.sleep(0.001)
        await send(BODY)
        ended.set()

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        for _ in range(2):
            ended.clear()
            assert (await client.request(method, "/")).content == b""
            await ended.wait()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_stream_of_pieces_arrives_as_it_is_sent(certificate: Certificate, version: str) -> None:
    step = asyncio.Queue[bytes]()

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(START)
        while piece := await step.get():
            await send({**BODY, "body": piece, "more_body": True})
        await send(BODY)

    step.put_nowait(b"zero")  # with it comes the head, as ASGI has it
    async with (
        serving(app, certificate=certificate) as running,
        httpx_client(running, version) as client,
        client.stream("GET", "/") as response,
    ):
        pieces = response.aiter_raw()
        assert await anext(pieces) == b"zero"
        for piece in (b"one", b"two", b"three"):
            step.put_nowait(piece)
            assert await anext(pieces) == piece
        step.put_nowait(b"")
        assert [piece async for piece in pieces] == []


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([BODY], "before http.response.start"),
        ([START, START], "twice"),
        ([{"type": "http.response.nonsense"}], "http.response.nonsense"),
        ([{"type": "websocket.accept"}], "websocket.accept"),
        ([{**START, "status": 101}], "101"),
        ([{**START, "status": "200"}], "'200'"),
        ([{**START, "headers": [(b"x", b"a\r\nb: c")]}], "control character"),
        ([{**START, "headers": [("x", "y")]}], "bytes"),
        ([{**START, "headers": [(b"x y", b"z")]}], "not a field name"),
        ([{**START, "headers": [(b"content-length", b"5")]}, {**BODY, "body": b"1234"}], "content-length"),
        ([{**START, "headers": [(b"content-length", b"five")]}, BODY], "content-length"),
        ([START, {**BODY, "body": "text"}], "must be bytes"),
        ([START, {**BODY, "body": None}], "must be bytes"),
        ([{}], "type"),
        ([START], "without completing"),
        ([], "without completing"),
    ],
)
async def test_misuse_is_said_in_the_application_and_answered_with_500(
    certificate: Certificate,
    version: str,
    messages: list[Any],
    says: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/good":
            await ok(scope, receive, send)
            return
        for message in messages:
            await send(message)

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        for _ in range(2):
            response = await client.get("/")
            assert response.status_code == 500
            assert response.text == "Internal Server Error\n"
            assert (await client.get("/good")).text == "ok"
    assert says in caplog.text


async def test_a_message_after_the_end_raises_and_harms_nobody(
    certificate: Certificate, version: str
) -> None:
    raised: list[Exception] = []

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await ok(scope, receive, send)
        for message in (BODY, START):
            try:
                await send(message)
            except RuntimeError as error:
                raised.append(error)

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        for _ in range(2):
            assert (await client.get("/")).text == "ok"
    assert len(raised) == 4


@pytest.mark.parametrize("begun", [True, False], ids=["response begun", "before the response"])
async def test_send_raises_an_oserror_once_the_client_is_gone(
    certificate: Certificate, version: str, begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    outcome: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    came = asyncio.Event()

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if begun:
            await send(START)
        came.set()
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        try:
            await send({**BODY, "body": b"x", "more_body": True} if begun else START)
        except OSError as error:
            outcome.set_result(error)
            raise

    async with serving(app, certificate=certificate) as running:
        if version == "2":
            async with h2_client(running) as client:
                stream = client.request()
                await came.wait()
                client.engine.reset_stream(stream)
                client.flush()
                assert isinstance(await outcome, OSError)
        else:
            async with h1_client(running) as h1:
                h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                await came.wait()
            assert isinstance(await outcome, OSError)
    # A client that leaves is no error of anybody's.
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_who_listens_hears_of_the_disconnect_before_send_raises(
    certificate: Certificate, version: str
) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()

    async def stream(send: Any) -> None:
        try:
            await send(START)
            while True:
                await send({**BODY, "body": bytes(100_000), "more_body": True})
        except BaseException as error:
            ended.set_result(type(error).__name__)
            raise

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        # As Django has it.
        await receive()
        tasks = [asyncio.create_task(receive()), asyncio.create_task(stream(send))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        tasks[1].cancel()
        await asyncio.wait(tasks)

    async with serving(app, certificate=certificate) as running:
        if version == "2":
            async with h2_client(running) as client:
                stream_id = client.request()
                await client.until(lambda: client.messages[stream_id].content)
                client.engine.reset_stream(stream_id)
                client.flush()
                assert await ended == "CancelledError"
        else:
            async with h1_client(running) as h1:
                h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                await h1.head()
            assert await ended == "CancelledError"


async def disconnect_itself(error: OSError) -> None:
    raise error


async def its_own_exception(error: OSError) -> None:
    raise LookupError("the framework's name for a client that left") from error


async def a_group(error: OSError) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(disconnect_itself(error))


@pytest.mark.parametrize("react", [disconnect_itself, its_own_exception, a_group])
async def test_a_client_that_leaves_is_no_error_whatever_the_framework_makes_of_it(
    react: Callable[[OSError], Any], caplog: pytest.LogCaptureFixture
) -> None:
    came, ended = asyncio.Event(), asyncio.Event()

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/good":
            await ok(scope, receive, send)
            return
        await send(START)
        try:
            while True:
                await send({**BODY, "body": bytes(1000), "more_body": True})
                came.set()
                await asyncio.sleep(0)
        except OSError as error:
            ended.set()
            await react(error)

    async with serving(app) as running, h2_client(running) as client:
        stream = client.request()
        await came.wait()
        client.engine.reset_stream(stream)
        client.flush()
        await ended.wait()
        assert (await client.response(client.request(path=b"/good"))).content == b"ok"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# -- failures ---------------------------------------------------------------------------------------


async def test_an_application_that_raises_first_gives_500_and_a_logged_traceback(
    certificate: Certificate, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/start":
            await send(START)
        raise ValueError("a mistake of the application's")

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        for path in ("/", "/start"):
            response = await client.get(path)
            assert response.status_code == 500
            assert "mistake" not in response.text
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(records) == 2
    assert all(record.exc_info for record in records)
    assert "ValueError: a mistake of the application's" in caplog.text


@pytest.mark.parametrize("how", ["raise", "return"])
async def test_a_response_that_breaks_off_never_looks_complete(
    certificate: Certificate, version: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/good":
            await ok(scope, receive, send)
            return
        await send(START)
        await send({**BODY, "body": b"part", "more_body": True})
        if how == "raise":
            raise ValueError("a mistake of the application's")

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")
        assert (await client.get("/good")).text == "ok"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_broken_stream_leaves_its_siblings_alone(certificate: Certificate) -> None:
    go = asyncio.Event()

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(START)
        await send({**BODY, "body": b"part", "more_body": True})
        if scope["path"] == "/bad":
            go.set()
            raise ValueError("a mistake of the application's")
        await go.wait()
        await send(BODY)

    async with serving(app, certificate=certificate) as running, h2_client(running) as client:
        good, bad = client.request(path=b"/good"), client.request(path=b"/bad")
        assert (await client.response(bad)).reset == 2  # INTERNAL_ERROR
        assert not client.messages[bad].ended
        assert (await client.response(good)).content == b"part"


# -- back-pressure ----------------------------------------------------------------------------------


async def test_send_waits_for_a_client_that_takes_nothing_and_siblings_go_on(
    certificate: Certificate,
) -> None:
    sent = 0

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        nonlocal sent
        if scope["path"] == "/small":
            await ok(scope, receive, send)
            return
        await send(START)
        for _ in range(10_000):
            await send({**BODY, "body": bytes(10_000), "more_body": True})
            sent += 10_000

    async with (
        serving(app, certificate=certificate, write_buffer=50_000) as running,
        h2_client(running, initial_window_size=1000) as client,
    ):
        client.credits = False
        client.request()
        for _ in range(50):
            assert (await client.response(client.request(path=b"/small"))).content == b"ok"
        assert sent <= 60_000
        client.credits = True


async def test_send_goes_on_when_credit_comes(certificate: Certificate) -> None:
    size = 3_000_000

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(START)
        for _ in range(size // 10_000):
            await send({**BODY, "body": bytes(10_000), "more_body": True})
        await send(BODY)

    async with (
        serving(app, certificate=certificate, write_buffer=20_000) as running,
        h2_client(running, initial_window_size=5000) as client,
    ):
        message = await client.response(client.request())
    assert len(message.content) == size
    assert message.ended


async def test_send_waits_for_an_http_1_client_that_takes_nothing(certificate: Certificate) -> None:
    sent = 0

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(START)
        while True:
            await send({**BODY, "body": bytes(100_000), "more_body": True})
            sent += 100_000

    async with serving(app, grace=0) as running, h1_client(running) as client:
        client.reader._limit = 1000  # type: ignore[attr-defined] # the transport stops reading soon
        client.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        before = -1
        async with asyncio.timeout(20):
            while sent != before:  # until it has stopped
                before = sent
                await asyncio.sleep(0.2)
        assert 0 < sent < 50_000_000


async def test_an_upload_nobody_reads_is_held_back_and_its_siblings_go_on(certificate: Certificate) -> None:
    release = asyncio.Event()

    @http_only
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await release.wait()
        size = 0
        more = True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        await send(START)
        await send({**BODY, "body": b"%d" % size})

    async with (
        serving(app, certificate=certificate, stream_window=20_000, max_concurrent_streams=4) as running,
        h2_client(running) as client,
    ):
        await client.until(lambda: client.engine.remote_settings.initial_window_size == 20_000)
        slow = client.request(b"POST", b"/slow", content=bytes(20_000), end_stream=False)
        assert client.engine.local_flow_control_window(slow) == 0
        for _ in range(30):
            stream = client.request(b"POST", b"/fast", content=bytes(20_000))
            assert (await client.response(stream)).content == b"20000"
        assert client.engine.local_flow_control_window(slow) == 0
        release.set()
        await client.until(lambda: client.engine.local_flow_control_window(slow) >= 10_000)
        client.send(slow, bytes(10_000), end_stream=True)
        assert (await client.response(slow)).content == b"30000"
