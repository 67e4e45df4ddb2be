"""ASGI's extensions of http: offered where they work, and what they lead to for the client."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import Running, h1_client, h2_client, serving

Scope = dict[str, Any]
START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body"}
TE = (b"te", b"trailers")


class Sending:
    """An application that sends the same messages every time.

    Attributes:
        scopes: Of the requests it got.
        errors: What ``send`` raised.
    """

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = messages
        self.scopes: list[Scope] = []
        self.errors: list[Exception] = []

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        self.scopes.append(scope)
        for message in self.messages:
            try:
                await send(message)
            except Exception as error:
                self.errors.append(error)
                raise


OK = (START, {**BODY, "body": b"ok"})


async def h1_get(
    running: Running, head: bytes = b"", version: bytes = b"1.1", method: bytes = b"GET"
) -> bytes:
    """Fetch over HTTP/1.1 and return all that came."""
    async with h1_client(running) as client:
        client.writer.write(
            method + b" / HTTP/" + version + b"\r\nhost: a\r\n" + head + b"connection: close, te\r\n\r\n"
        )
        return await client.rest()


# -- what is offered -------------------------------------------------------------------------------------

ALWAYS = {"http.response.early_hint", "http.response.pathsend", "http.response.zerocopysend"}


async def test_extensions_are_offered_exactly_where_they_work() -> None:
    app = Sending(*OK)
    async with serving(app) as running:
        async with h2_client(running) as client:
            await client.response(client.request())
            await client.response(client.request(b"GET", b"/", TE))
        async with h2_client(running, enable_push=0) as client:
            await client.response(client.request())
        await h1_get(running)
        await h1_get(running, b"te: deflate;q=0.5, Trailers\r\n")
        await h1_get(running, b"te: trailers\r\n", version=b"1.0")
    assert [set(scope["extensions"]) for scope in app.scopes] == [
        ALWAYS | {"http.response.push"},
        ALWAYS | {"http.response.push", "http.response.trailers"},
        ALWAYS,
        ALWAYS,
        ALWAYS | {"http.response.trailers"},
        ALWAYS - {"http.response.early_hint"},
    ]
    assert {scope["asgi"]["spec_version"] for scope in app.scopes} == {"2.5"}


async def test_push_can_be_turned_off() -> None:
    app = Sending(*OK)
    async with serving(app, push=False) as running, h2_client(running) as client:
        await client.response(client.request())
    assert set(app.scopes[0]["extensions"]) == ALWAYS


async def test_what_one_request_does_to_its_extensions_no_other_sees() -> None:
    seen: list[set[str]] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append({name for name, told in scope["extensions"].items() if told == {}})
            scope["extensions"]["http.response.early_hint"]["mine"] = True
            scope["extensions"]["mine"] = {}
            scope["extensions"].pop("http.response.pathsend")
            for message in OK:
                await send(message)

    async with serving(app) as running, h2_client(running, enable_push=0) as client:
        for _ in range(2):
            await client.response(client.request())
    assert seen == [ALWAYS, ALWAYS]


@pytest.mark.parametrize(
    ("message", "version"),
    [
        ({**START, "trailers": True}, "2"),
        ({**START, "trailers": True}, "1.1"),
        ({"type": "http.response.push", "path": "/a", "headers": []}, "1.1"),
        ({"type": "http.response.debug", "info": {}}, "2"),
        ({"type": "http.response.early_hint", "links": []}, "1.0"),
    ],
)
async def test_what_is_not_offered_is_refused(message: dict[str, Any], version: str) -> None:
    app = Sending(message)
    async with serving(app) as running:
        if version == "2":
            async with h2_client(running) as client:
                assert (await client.response(client.request())).status == 500
        else:
            assert b" 500 " in await h1_get(running, version=version.encode())
    assert "not offered here" in str(app.errors[0])


# -- trailers --------------------------------------------------------------------------------------------

WITH_TRAILERS = (
    {**START, "trailers": True},
    {**BODY, "body": b"content", "more_body": True},
    {**BODY, "body": b" and more"},
    {"type": "http.response.trailers", "headers": [(b"X-One", b"1")], "more_trailers": True},
    {"type": "http.response.trailers", "headers": [(b"x-two", b"2")]},
)


async def test_trailers_follow_the_content() -> None:
    app = Sending(*WITH_TRAILERS)
    async with serving(app) as running:
        async with h2_client(running) as client:
            message = await client.response(client.request(b"GET", b"/", TE))
        assert message.content == b"content and more"
        assert message.trailers == [(b"x-one", b"1"), (b"x-two", b"2")]
        response = await h1_get(running, b"te: trailers\r\n")
        assert b"transfer-encoding: chunked" in response
        assert response.endswith(b"\r\n0\r\nx-one: 1\r\nx-two: 2\r\n\r\n")
    assert app.errors == []


async def test_trailers_may_follow_content_sent_in_one_piece() -> None:
    app = Sending(WITH_TRAILERS[0], {**BODY, "body": b"all"}, WITH_TRAILERS[-1])
    async with serving(app) as running:
        async with h2_client(running) as client:
            message = await client.response(client.request(b"GET", b"/", TE))
            assert (message.content, message.trailers) == (b"all", [(b"x-two", b"2")])
        assert (await h1_get(running, b"te: trailers\r\n")).endswith(b"3\r\nall\r\n0\r\nx-two: 2\r\n\r\n")


async def test_trailers_go_with_a_content_length_that_the_application_gave() -> None:
    start = {**WITH_TRAILERS[0], "headers": [(b"content-length", b"3")]}
    app = Sending(start, {**BODY, "body": b"all"}, WITH_TRAILERS[-1])
    async with serving(app) as running:
        async with h2_client(running) as client:
            message = await client.response(client.request(b"GET", b"/", TE))
            assert (message.content, message.trailers) == (b"all", [(b"x-two", b"2")])
        assert b"all" in await h1_get(running, b"te: trailers\r\n")
    assert app.errors == []


async def test_a_response_to_head_has_no_trailers() -> None:
    app = Sending(*WITH_TRAILERS)
    async with serving(app) as running:
        async with h2_client(running) as client:
            message = await client.response(client.request(b"HEAD", b"/", TE))
            assert (message.status, message.content, message.trailers) == (200, b"", None)
        assert (await h1_get(running, b"te: trailers\r\n", method=b"HEAD")).endswith(b"\r\n\r\n")
    assert app.errors == []


async def test_trailers_that_were_announced_and_never_came_leave_no_complete_response() -> None:
    app = Sending(*WITH_TRAILERS[:3])
    async with serving(app) as running, h2_client(running) as client:
        message = await client.response(client.request(b"GET", b"/", TE))
    assert message.reset is not None


# -- early hints -----------------------------------------------------------------------------------------

HINT = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]}
LINKS = [(b":status", b"103"), (b"link", b"</a.css>; rel=preload"), (b"link", b"</b.js>; rel=preload")]


@pytest.mark.parametrize("messages", [(HINT, *OK), (OK[0], HINT, OK[1])], ids=["before", "after"])
async def test_hints_are_sent_before_and_after_the_start_of_the_response(messages: Any) -> None:
    async with serving(Sending(*messages)) as running:
        async with h2_client(running) as client:
            message = await client.response(client.request())
            assert (message.interim, message.status, message.content) == ([LINKS], 200, b"ok")
        response = await h1_get(running)
        assert response.startswith(
            b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n\r\n"
            b"HTTP/1.1 200 OK\r\n"
        )


async def test_a_hint_that_comes_too_late_is_left_out() -> None:
    app = Sending(START, {**BODY, "body": b"o", "more_body": True}, HINT, {**BODY, "body": b"k"})
    async with serving(app) as running, h2_client(running) as client:
        message = await client.response(client.request())
    assert (message.interim, message.content) == ([], b"ok")
    assert app.errors == []


# -- push ------------------------------------------------------------------------------------------------


async def test_a_push_is_a_request_of_the_servers_own() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan here")
        scopes.append(scope)
        await send(START)
        if scope["path"] == "/":
            headers = [(b"accept-encoding", b"br")]
            await send({"type": "http.response.push", "path": "/café.css?v=1", "headers": headers})
        await send({**BODY, "body": scope["path"].encode()})

    async with serving(app) as running, h2_client(running) as client:
        stream = client.request()
        await client.response(stream)
        await client.until(lambda: client.promises)
        ((_, pushed, request),) = client.promises
        assert request == [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"a.example"),
            (b":path", b"/caf%C3%A9.css?v=1"),
            (b"accept-encoding", b"br"),
        ]
        assert (await client.response(pushed)).content == "/café.css".encode()
    assert scopes[1]["headers"] == [(b"host", b"a.example"), (b"accept-encoding", b"br")]
    assert scopes[1]["query_string"] == b"v=1"


# -- files -----------------------------------------------------------------------------------------------


FILE = bytes(range(256)) * 4000 + b"the end"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of many pieces."""
    path = tmp_path_factory.mktemp("files") / "a file.bin"
    path.write_bytes(FILE)
    return path


def path_send(path: object) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": path}


@pytest.fixture(params=["at once", "in a thread"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files as Linux lets a process do, and as any system does."""
    if request.param == "in a thread":
        monkeypatch.setattr("plait.server.files._IN_MEMORY_ONLY", None)


@pytest.mark.usefixtures("reading")
async def test_a_file_is_sent_by_its_path_with_its_length(file: Path) -> None:
    async with serving(Sending(START, path_send(str(file)))) as running:
        async with h2_client(running) as client:
            message = await client.response(client.request())
            assert message.content == FILE
            assert (b"content-length", b"1024007") in message.head
        response = await h1_get(running)
        assert response.endswith(b"\r\n\r\n" + FILE)
        assert b"content-length: 1024007\r\n" in response


async def test_head_gets_a_files_length_without_its_content(file: Path) -> None:
    async with serving(Sending(START, path_send(str(file)))) as running:
        async with h2_client(running) as client:
            message = await client.response(client.request(b"HEAD"))
            assert message.content == b""
            assert (b"content-length", b"1024007") in message.head
        assert (await h1_get(running, method=b"HEAD")).endswith(b"\r\n\r\n")


async def test_an_empty_file_is_a_response_of_no_content(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    app = Sending(START, path_send(str(tmp_path / "empty")))
    async with serving(app) as running, h2_client(running) as client:
        message = await client.response(client.request())
    assert message.content == b""
    assert (b"content-length", b"0") in message.head


async def test_a_file_waits_for_a_client_that_reads_slowly(file: Path) -> None:
    """And is not held in memory meanwhile: no more is queued than a response may have queued."""
    queued: list[int] = []
    async with serving(Sending(START, path_send(str(file)))) as running, h2_client(running) as client:
        client.credits = False
        stream = client.request()
        await client.until(lambda: len(client.messages[stream].content) == 65_535)
        (driver,) = running.server._drivers
        for _ in range(20):
            await asyncio.sleep(0)
            queued.append(driver.endpoint.exchanges[stream].queued)  # type: ignore[union-attr]
        assert max(queued) <= 2 * 131_072
        client.credits = True
        client.engine.acknowledge_received_data(65_535, stream)
        client.flush()
        assert (await client.response(stream)).content == FILE


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/no/such/file", "No such file"),
        (os.sep, "not a regular file"),
        ("relative", "absolute"),
        (b"/bytes", "absolute"),
        (None, "absolute"),
        ("/nul\0", "null"),
    ],
)
async def test_a_file_that_cannot_be_sent_is_an_error_in_the_application(path: object, says: str) -> None:
    app = Sending(START, path_send(path))
    async with serving(app) as running, h2_client(running) as client:
        assert (await client.response(client.request())).status == 500
    (error,) = app.errors
    assert says in str(error)
    assert not isinstance(error, OSError)  # which would say that the client is gone


async def test_a_pipe_is_no_file_and_nothing_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    app = Sending(START, path_send(str(tmp_path / "pipe")))
    async with serving(app) as running, h2_client(running) as client:
        assert (await client.response(client.request())).status == 500
    assert "not a regular file" in str(app.errors[0])


async def test_a_file_of_another_length_than_announced_is_an_error(file: Path) -> None:
    app = Sending({**START, "headers": [(b"content-length", b"5")]}, path_send(str(file)))
    async with serving(app) as running, h2_client(running) as client:
        assert (await client.response(client.request())).status == 500
    assert "1024007" in str(app.errors[0])


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ({}, slice(3, None)),
        ({"count": 10}, slice(3, 13)),
        ({"offset": 0}, slice(None)),
        ({"offset": 1_000_000}, slice(1_000_000, None)),
        ({"offset": 2, "count": 300_000}, slice(2, 300_002)),
        ({"offset": 5_000_000}, slice(0, 0)),
        ({"offset": 0, "count": 0}, slice(0, 0)),
    ],
)
@pytest.mark.usefixtures("reading")
async def test_a_part_of_an_open_file_is_sent(file: Path, message: dict[str, Any], part: slice) -> None:
    with file.open("rb", buffering=0) as stream:
        stream.seek(3)
        app = Sending(START, {"type": "http.response.zerocopysend", "file": stream, **message})
        async with serving(app) as running, h2_client(running) as client:
            got = await client.response(client.request())
        assert got.content == FILE[part]
        # As sendfile(2): who gives no offset has the position moved.
        assert stream.tell() == (3 if "offset" in message else 3 + len(got.content))


async def test_parts_of_files_and_other_content_mix(file: Path) -> None:
    with file.open("rb") as stream:
        part = {"type": "http.response.zerocopysend", "file": stream, "offset": 1, "count": 2}
        app = Sending(
            START,
            {**BODY, "body": b"<", "more_body": True},
            {**part, "more_body": True},
            {**BODY, "body": b"|", "more_body": True},
            {**part, "file": stream.fileno(), "more_body": True},
            {**BODY, "body": b">"},
        )
        async with serving(app) as running, h2_client(running) as client:
            message = await client.response(client.request())
            assert message.content == b"<\x01\x02|\x01\x02>"
            assert (await client.response(client.request(b"HEAD"))).content == b""


@pytest.mark.parametrize("extra", [{"file": None}, {"offset": -1}, {"count": "5"}, {"file": 1 << 20}])
async def test_what_is_no_open_file_is_an_error_in_the_application(file: Path, extra: dict[str, Any]) -> None:
    with file.open("rb") as stream:
        app = Sending(START, {"type": "http.response.zerocopysend", "file": stream, **extra})
        async with serving(app) as running, h2_client(running) as client:
            assert (await client.response(client.request())).status == 500
    assert isinstance(app.errors[0], RuntimeError)


# -- debug -----------------------------------------------------------------------------------------------


async def test_debug_information_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    from plait.server_config import LogLevel

    app = Sending({"type": "http.response.debug", "info": {"template": "index.html"}}, *OK)
    caplog.set_level(logging.DEBUG, "plait.server")
    async with serving(app, log_level=LogLevel.DEBUG) as running, h2_client(running) as client:
        assert (await client.response(client.request())).content == b"ok"
    assert "http.response.debug" in app.scopes[0]["extensions"]
    assert "index.html" in caplog.text
