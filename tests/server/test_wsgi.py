"""WSGI applications (PEP 3333): what they see, what they send, and how few threads they need for it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import flask
import pytest

from tests.support.servers import Certificate
from tests.support.serving import h1_client, h2_client, httpx_client, serving

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
PLAIN = [("Content-Type", "text/plain")]


def ok(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", PLAIN)
    return [b"ok"]


class Noting:
    """An application that notes the environments it is called with."""

    def __init__(self) -> None:
        self.environs: list[Environ] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self.environs.append(environ)
        return ok(environ, start_response)


class Closable:
    """Content that notes when it is closed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = iter(chunks)
        self.given = 0
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.given += 1
        return next(self.chunks)

    def close(self) -> None:
        self.closed.set()


async def happened(event: threading.Event) -> None:
    """Wait for what a thread does."""
    assert await asyncio.to_thread(event.wait, 20)


# -- the environment -------------------------------------------------------------------------------------


async def test_the_environment_is_what_the_pep_says(certificate: Certificate, version: str) -> None:
    app = Noting()
    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        target = "/caf%C3%A9/a%2Fb%20c?q=%20x&y"
        fields = [("x-a", "1"), ("X-A", "2"), ("cookie", "a=1"), ("cookie", "b=2"), ("x_b", "hidden")]
        response = await client.post(target, headers=fields, content=b"12345")
        assert (response.text, response.http_version) == ("ok", f"HTTP/{version}")
    (environ,) = app.environs
    wanted = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/caf\xc3\xa9/a/b c",
        "QUERY_STRING": "q=%20x&y",
        "REQUEST_URI": target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(running.port),
        "SERVER_PROTOCOL": f"HTTP/{version}",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": "5",
        "HTTP_HOST": f"localhost:{running.port}",
        "HTTP_X_A": "1,2",
        "HTTP_COOKIE": "a=1; b=2",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {name: environ.get(name) for name in wanted} == wanted
    assert environ["REMOTE_PORT"].isdigit()
    assert "HTTP_X_B" not in environ, "an underscore would pass for a dash that a proxy has judged"
    assert not {"HTTP_CONTENT_LENGTH", "CONTENT_TYPE"} & set(environ)
    assert all(type(value) is str for name, value in environ.items() if name.isupper())


async def test_the_root_path_is_the_script_name(certificate: Certificate) -> None:
    app = Noting()
    async with serving(app, root_path="/café", threads=1, workers=1) as running, h2_client(running) as client:
        await client.response(client.request(b"GET", b"/a"))
    (environ,) = app.environs
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/caf\xc3\xa9", "/a")
    assert environ["wsgi.multithread"] is False


async def test_an_application_of_the_standard_librarys_validator_passes(certificate: Certificate) -> None:
    """It checks the environment, the input and the errors stream, and how the response is taken."""
    errors: list[BaseException] = []

    def reading(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        content = environ["wsgi.input"].read(3) + environ["wsgi.input"].readline(100)
        write = start_response("200 OK", PLAIN)
        write(content)
        return [b"!"]

    checked = validator(reading)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return checked(environ, start_response)
        except BaseException as error:
            errors.append(error)
            raise

    async with serving(app) as running, h2_client(running) as client:
        # The validator knows versions up to 1.1 only by their form, "HTTP/2" among them.
        message = await client.response(client.request(b"POST", content=b"content\nmore"))
    assert errors == []
    assert message.content == b"content\n!"


# -- content of requests ---------------------------------------------------------------------------------


def reading(environ: Environ, start_response: StartResponse) -> list[bytes]:
    source = environ["wsgi.input"]
    how = environ["QUERY_STRING"]
    if how == "lines":
        pieces = list(source)
    elif how == "readlines":
        pieces = source.readlines()
    elif how == "limited":
        pieces = list(iter(lambda: source.readline(5), b""))
    elif how == "pieces":
        pieces = list(iter(lambda: source.read(7), b""))
    else:
        pieces = [source.read()]
    start_response("200 OK", PLAIN)
    return [b"|".join(pieces)]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("how", "result"),
    [
        ("lines", b"one\n|\n|a longer two"),
        ("readlines", b"one\n|\n|a longer two"),
        ("limited", b"one\n|\n|a lon|ger t|wo"),
        ("pieces", b"one\n\na |longer |two"),
        ("all", b"one\n\na longer two"),
    ],
)
async def test_content_is_read_as_a_file(how: str, result: bytes, whole: bool) -> None:
    content = b"one\n\na longer two"
    async with serving(reading) as running, h2_client(running) as client:
        target = b"/?" + how.encode()
        if whole:
            stream = client.request(b"POST", target, content=content)
        else:
            stream = client.request(b"POST", target, content=content[:2], end_stream=False)
            client.send(stream, content[2:9])
            client.send(stream, content[9:])
            client.send(stream, b"", end_stream=True)
        assert (await client.response(stream)).content == result


async def test_a_large_upload_streams_through(certificate: Certificate, version: str) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        digest = hashlib.sha256()
        while piece := environ["wsgi.input"].read(100_000):
            digest.update(piece)
        start_response("200 OK", PLAIN)
        return [digest.hexdigest().encode()]

    content = bytes(range(256)) * 32_768  # 8 MiB: more than any window

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 300_000):
            yield content[start : start + 300_000]

    async with serving(app, certificate=certificate) as running, httpx_client(running, version) as client:
        response = await client.post("/", content=pieces())
    assert response.text == hashlib.sha256(content).hexdigest()


async def test_an_upload_nobody_reads_stalls_its_own_stream_alone() -> None:
    go = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/stalled":
            go.wait(20)
            return reading(environ, start_response)
        return ok(environ, start_response)

    async with serving(app, stream_window=65_535) as running, h2_client(running) as client:
        stalled = client.request(b"POST", b"/stalled", content=bytes(65_535), end_stream=False)
        assert (await client.response(client.request())).content == b"ok"
        assert client.engine.local_flow_control_window(stalled) == 0
        go.set()
        await client.until(lambda: client.engine.local_flow_control_window(stalled) > 0)
        client.send(stalled, b"", end_stream=True)
        assert len((await client.response(stalled)).content) == 65_535


async def test_the_client_is_told_to_continue_when_the_application_reads() -> None:
    async with serving(reading) as running, h1_client(running) as h1:
        h1.writer.write(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        assert await h1.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        h1.writer.write(b"abc")
        assert (await h1.head()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_an_upload_that_breaks_off_is_an_error_and_no_shorter_upload() -> None:
    outcome: list[object] = []
    came, done = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        came.set()
        try:
            outcome.append(environ["wsgi.input"].read())
        except OSError as error:
            outcome.append(error)
            raise
        finally:
            done.set()
        return ok(environ, start_response)

    async with serving(app) as running, h2_client(running) as client:
        stream = client.request(b"POST", content=b"part", end_stream=False)
        await happened(came)
        client.engine.reset_stream(stream)
        client.flush()
        await happened(done)
    assert isinstance(outcome[0], OSError)


async def test_content_over_the_limit_gets_413() -> None:
    async with serving(reading, max_content_size=10) as running, h2_client(running) as client:
        stream = client.request(b"POST", content=bytes(10), end_stream=False)
        client.send(stream, b"!")
        assert (await client.response(stream)).status == 413
        declared = client.request(b"POST", b"/", (b"content-length", b"11"), end_stream=False)
        await client.until(lambda: client.messages[declared].head)
        assert client.messages[declared].status == 413


# -- responses -------------------------------------------------------------------------------------------


def generated(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("201 Created", [*PLAIN, ("X-A", "café"), ("Set-Cookie", "a"), ("Set-Cookie", "b")])
    yield b""
    yield b"one "
    yield b""
    yield b"two"


async def test_a_generator_is_sent_as_it_goes(certificate: Certificate, version: str) -> None:
    async with (
        serving(generated, certificate=certificate) as running,
        httpx_client(running, version) as client,
    ):
        response = await client.get("/")
    assert (response.status_code, response.text) == (201, "one two")
    assert response.headers.get_list("set-cookie") == ["a", "b"]
    assert (b"x-a", b"caf\xe9") in [(name.lower(), value) for name, value in response.headers.raw]
    assert "content-length" not in response.headers
    assert response.headers["date"].endswith(" GMT")


async def test_each_piece_is_sent_before_the_next_is_made() -> None:
    go = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"first"
        go.wait(20)
        yield b"second"

    async with serving(app) as running, h2_client(running) as client:
        stream = client.request()
        await client.until(lambda: client.messages[stream].content == b"first")
        go.set()
        assert (await client.response(stream)).content == b"firstsecond"


async def test_content_in_one_piece_gets_its_length(certificate: Certificate, version: str) -> None:
    async with serving(ok, certificate=certificate) as running, httpx_client(running, version) as client:
        response = await client.get("/")
        assert response.headers["content-length"] == "2"
        head = await client.head("/")
        assert (head.content, head.headers["content-length"]) == (b"", "2")


async def test_what_start_response_returns_writes() -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"one ")
        write(b"two ")
        return [b"three"]

    async with serving(app) as running, h2_client(running) as client:
        assert (await client.response(client.request())).content == b"one two three"
        assert (await client.response(client.request(b"HEAD"))).content == b""


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", "200 OK"), (b"GET", "304 Not Modified")])
async def test_a_response_without_content_ends_the_iteration(method: bytes, status: str) -> None:
    content = Closable(bytes(1000) for _ in range(1000))

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [("Content-Length", "1000000")])
        return content

    async with serving(app) as running, h2_client(running) as client:
        message = await client.response(client.request(method))
        await happened(content.closed)
    assert (message.status, message.content) == (int(status[:3]), b"")
    assert content.given == 1


async def test_a_file_is_sent_by_the_file_wrapper(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 2000)
    files: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "512000")])
        files.append(path.open("rb"))
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](files[-1], 1000)
        return wrapped

    async with serving(app) as running, h2_client(running) as client:
        message = await client.response(client.request())
        assert message.content == bytes(range(256)) * 2000
        await client.response(client.request(b"HEAD"))
    assert [file.closed for file in files] == [True, True]


async def test_a_slow_reader_holds_up_its_own_response_and_fills_no_memory() -> None:
    content = Closable(bytes(10_000) for _ in range(1000))

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/quick":
            return ok(environ, start_response)
        start_response("200 OK", PLAIN)
        return content

    async with serving(app, threads=2, write_buffer=50_000) as running, h2_client(running) as client:
        client.credits = False
        slow = client.request()
        await client.until(lambda: len(client.messages[slow].content) == 65_535)
        for _ in range(5):
            client.engine.increment_flow_control_window(100)
            quick = client.request(b"GET", b"/quick")
            assert (await client.response(quick)).content == b"ok"
        # What the window took, what may be queued, and the pieces at either end of it.
        assert content.given * 10_000 <= 65_535 + 50_000 + 20_000
        client.credits = True
        client.engine.acknowledge_received_data(65_535, slow)
        client.flush()
        assert len((await client.response(slow)).content) == 10_000_000
        await happened(content.closed)


# -- failures --------------------------------------------------------------------------------------------


async def test_an_exception_before_the_content_is_500(
    certificate: Certificate, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/before":
            start_response("200 OK", PLAIN)
        if environ["PATH_INFO"] == "/exit":
            sys.exit(3)
        raise ValueError("the application's own")

    async with (
        serving(app, certificate=certificate, threads=1) as running,
        httpx_client(running, version) as client,
    ):
        for path in ("/before", "/after", "/exit"):
            response = await client.get(path)
            assert (response.status_code, response.text) == (500, "Internal Server Error\n")
    assert "the application's own" in caplog.text


async def test_an_exception_after_content_leaves_no_complete_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"part"
        raise ValueError("the application's own")

    async with serving(app) as running:
        async with h2_client(running) as client:
            message = await client.response(client.request())
            assert (message.ended, message.reset) == (False, 2)
        async with h1_client(running) as h1:
            h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert not (await h1.rest()).endswith(b"0\r\n\r\n")
    assert "the application's own" in caplog.text


async def test_an_error_response_takes_the_place_of_one_that_has_not_begun() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        try:
            raise ValueError
        except ValueError:
            start_response("503 Sorry", PLAIN, sys.exc_info())
        return [b"sorry"]

    async with serving(app) as running, h2_client(running) as client:
        message = await client.response(client.request())
    assert (message.status, message.content) == (503, b"sorry")


async def test_an_error_response_that_comes_too_late_raises_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"part"
        try:
            raise ValueError("the application's own")
        except ValueError:
            start_response("500 Sorry", PLAIN, sys.exc_info())

    async with serving(app) as running, h2_client(running) as client:
        message = await client.response(client.request())
    assert message.reset == 2
    assert "the application's own" in caplog.text


@pytest.mark.parametrize(
    ("status", "headers", "content", "says"),
    [
        (b"200 OK", [], [b""], "not the status"),
        ("OK", [], [b""], "not the status"),
        ("2000", [], [b""], "not the status"),
        ("100 Continue", [], [b""], "not the status"),
        (200, [], [b""], "not the status"),
        ("200 OK", [(b"a", b"b")], [b""], "pairs of strings"),
        ("200 OK", [("a",)], [b""], "pairs of strings"),
        ("200 OK", None, [b""], "pairs of strings"),
        ("200 OK", [("a", "\u20ac")], [b""], "pairs of strings"),
        ("200 OK", [("a", "b\r\nc: d")], [b""], "control character"),
        ("200 OK", [("a b", "c")], [b""], "not a field name"),
        ("200 OK", [("content-length", "five")], [b"12345"], "not the one length"),
        ("200 OK", [("content-length", "1")], [b"12"], "more content than the content-length"),
        ("200 OK", [("content-length", "3")], [b"12"], "content of 2 bytes, and a content-length of 3"),
        ("200 OK", [("content-length", "3")], [], "content of 0 bytes, and a content-length of 3"),
        ("200 OK", [], ["text"], "must be bytes, not str"),
        ("200 OK", [], "text", "must be bytes, not str"),
        ("200 OK", [], [1], "must be bytes, not int"),
        ("200 OK", [], None, "not iterable"),
    ],
)
async def test_misuse_is_said_in_the_log_and_answered_with_500(
    status: Any, headers: Any, content: Any, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response(status, headers)
        return content

    async with serving(app) as running, h2_client(running) as client:
        assert (await client.response(client.request())).status == 500
    assert says in caplog.text


@pytest.mark.parametrize("calls", [0, 2])
async def test_start_response_is_called_once(calls: int, caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        for _ in range(calls):
            start_response("200 OK", PLAIN)
        return []

    async with serving(app) as running, h2_client(running) as client:
        assert (await client.response(client.request())).status == 500
    assert "start_response" in caplog.text


@pytest.mark.parametrize(("pieces", "says"), [((b"12", b"3"), "shorter"), ((b"12", b"345"), "more content")])
async def test_content_that_contradicts_its_length_never_looks_complete(
    pieces: tuple[bytes, ...], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        yield from pieces

    async with serving(app) as running, h2_client(running) as client:
        message = await client.response(client.request())
    assert (message.ended, message.reset) == (False, 2)
    assert says in caplog.text


async def test_an_exception_in_close_is_logged_and_the_thread_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Content(list[bytes]):
        def close(self) -> None:
            raise ValueError("cannot close")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Content([b"ok"])

    async with serving(app, threads=1) as running, h2_client(running) as client:
        for _ in range(2):
            assert (await client.response(client.request())).content == b"ok"
    assert "cannot close" in caplog.text


# -- clients that leave ----------------------------------------------------------------------------------


async def test_a_client_that_leaves_ends_the_iteration(
    version: str, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    left = threading.Event()
    closed = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        try:
            while True:
                yield bytes(10_000)
        except GeneratorExit:
            left.set()
            raise
        finally:
            closed.set()

    async with serving(app, certificate=certificate, threads=1) as running:
        if version == "2":
            async with h2_client(running) as client:
                stream = client.request()
                await client.until(lambda: client.messages[stream].content)
                client.engine.reset_stream(stream)
                client.flush()
                await happened(closed)
        else:
            async with h1_client(running) as h1:
                h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                await h1.head()
            await happened(closed)
        assert left.is_set()
    assert not [record for record in caplog.records if record.name.startswith("plait")]


async def test_a_request_whose_client_left_before_its_turn_is_not_run() -> None:
    go, came = threading.Event(), threading.Event()
    paths: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        paths.append(environ["PATH_INFO"])
        came.set()
        go.wait(20)
        return ok(environ, start_response)

    async with serving(app, threads=1, max_content_size=10) as running, h2_client(running) as client:
        first = client.request(b"GET", b"/first")
        await happened(came)
        second, third = client.request(b"GET", b"/second"), client.request(b"GET", b"/third")
        client.engine.reset_stream(second)
        client.flush()
        # This one is answered without a thread, after the reset was read.
        refused = client.request(b"POST", b"/", (b"content-length", b"11"), end_stream=False)
        await client.until(lambda: client.messages[refused].head)
        go.set()
        assert (await client.response(first)).content == b"ok"
        assert (await client.response(third)).content == b"ok"
    assert paths == ["/first", "/third"]


# -- threads ---------------------------------------------------------------------------------------------


async def test_many_requests_at_once_share_four_threads(certificate: Certificate, version: str) -> None:
    lock = threading.Lock()
    running_now, most, names = 0, 0, set[str]()
    four = threading.Barrier(4)
    count = 200 if version == "2" else 40  # a connection each is slow to come by

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        nonlocal running_now, most
        with lock:
            running_now += 1
            most = max(most, running_now)
            names.add(threading.current_thread().name)
        four.wait(20)  # so four do run at once
        with lock:
            running_now -= 1
        start_response("200 OK", PLAIN)
        return [environ["QUERY_STRING"].encode()]

    async with (
        serving(app, certificate=certificate, threads=4, max_concurrent_streams=200) as running,
        httpx_client(running, version) as client,
    ):
        responses = await asyncio.gather(*(client.get(f"/?{n}") for n in range(count)))
    assert [response.text for response in responses] == [str(n) for n in range(count)]
    assert most == 4


async def test_no_more_threads_are_started_than_needed() -> None:
    idents: set[int] = set()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        idents.add(threading.get_ident())
        return ok(environ, start_response)

    async with serving(app, threads=40) as running, h2_client(running) as client:
        for _ in range(20):
            assert (await client.response(client.request())).content == b"ok"
    # A response may be through a moment before its thread is free again.
    assert len(idents) <= 2


async def test_more_requests_than_allowed_get_503() -> None:
    go, came = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        came.set()
        go.wait(20)
        return ok(environ, start_response)

    async with serving(app, max_concurrency=2, threads=1) as running, h2_client(running) as client:
        streams = [client.request(), client.request()]
        assert (await client.response(client.request())).status == 503
        go.set()
        for stream in streams:
            assert (await client.response(stream)).content == b"ok"


async def test_an_application_that_takes_too_long_is_answered_for() -> None:
    go, ended = threading.Event(), threading.Event()
    content = Closable([b"late"])

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        go.wait(20)
        start_response("200 OK", PLAIN)
        return content

    async with serving(app, app_timeout=0.05, threads=1) as running, h2_client(running) as client:
        first, queued = client.request(), client.request()
        assert (await client.response(first)).status == 504
        assert (await client.response(queued)).status == 504
        assert not ended.is_set()
        go.set()
        await happened(content.closed)


async def test_an_application_that_hangs_does_not_keep_the_server(caplog: pytest.LogCaptureFixture) -> None:
    go, came = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        came.set()
        go.wait(20)
        return ok(environ, start_response)

    async with serving(app, grace=0.05) as running, h2_client(running) as client:
        client.request()
        await happened(came)
    go.set()


async def test_context_variables_of_one_request_are_not_there_for_the_next() -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable", default="unset")

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen = variable.get()
        variable.set("set")
        start_response("200 OK", PLAIN)
        return [seen.encode()]

    async with serving(app, threads=1) as running, h2_client(running) as client:
        for _ in range(2):
            assert (await client.response(client.request())).content == b"unset"


# -- a framework -----------------------------------------------------------------------------------------


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)

    @app.get("/<name>")
    def hello(name: str) -> str:
        return f"hello {name}, {flask.request.args['q']}, {flask.request.cookies['a']}"

    @app.post("/form")
    def form() -> dict[str, Any]:
        file = flask.request.files["file"]
        return {
            "field": flask.request.form["field"],
            "size": len(file.read()),
            "root": flask.request.root_path,
        }

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response(
            (bytes([n % 256]) * 1000 for n in range(1000)), mimetype="application/octet-stream"
        )

    @app.get("/file")
    def file() -> flask.Response:
        return flask.send_file(io.BytesIO(bytes(100_000)), download_name="a.bin")

    return app


async def test_flask_is_served(certificate: Certificate, version: str) -> None:
    async with (
        serving(flask_app(), certificate=certificate, root_path="/app") as running,
        httpx_client(running, version) as client,
    ):
        response = await client.get("/w%C3%B6rld", params={"q": "ü"}, headers={"cookie": "a=1"})
        assert response.text == "hello wörld, ü, 1"
        form = await client.post("/form", data={"field": "ä"}, files={"file": bytes(500_000)})
        assert form.json() == {"field": "ä", "size": 500_000, "root": "/app"}
        stream = await client.get("/stream")
        assert stream.content == b"".join(bytes([n % 256]) * 1000 for n in range(1000))
        assert len((await client.get("/file")).content) == 100_000
        assert (await client.get("/a/b")).status_code == 404
        head = await client.head("/stream")
        assert (head.status_code, head.content) == (200, b"")
