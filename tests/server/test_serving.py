"""Which versions a port speaks, and how a server starts, logs and stops."""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any

import pytest

from plait.errors import ConfigError, PlaitError
from plait.server import Server
from plait.server_config import ServerConfig
from tests.support.pairs import Message
from tests.support.servers import Certificate, make_certificate
from tests.support.serving import H2Client, h1_client, h2_client, serving

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body"}
GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


async def ok(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    await send(START)
    await send({**BODY, "body": scope["http_version"].encode()})


# -- versions ---------------------------------------------------------------------------------------


async def test_one_cleartext_port_speaks_both_versions() -> None:
    async with serving(ok) as running:
        async with h2_client(running) as client:
            assert (await client.response(client.request())).content == b"2"
        async with h1_client(running) as h1:
            h1.writer.write(GET)
            assert (await h1.rest()).endswith(b"\r\n\r\n1.1")


async def test_a_preface_may_come_byte_by_byte() -> None:
    async with serving(ok) as running:
        reader, writer = await running.connect()
        client = H2Client(reader, writer)
        client.engine.initiate_connection()
        for byte in client.engine.data_to_send():
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.response(client.request())).content == b"2"
        writer.close()
        await writer.wait_closed()


async def test_a_request_may_come_byte_by_byte() -> None:
    async with serving(ok) as running, h1_client(running) as h1:
        for byte in GET.replace(b"GET", b"PROPFIND"):  # it begins as the preface of HTTP/2 does
            h1.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await h1.rest()).endswith(b"\r\n\r\n1.1")


@pytest.mark.parametrize("secure", [True, False])
async def test_http_2_only_answers_http_1_with_505(certificate: Certificate, secure: bool) -> None:
    async with serving(ok, certificate=certificate if secure else None, http="2") as running:
        async with h2_client(running) as client:
            assert (await client.response(client.request())).content == b"2"
        async with h1_client(running) as h1:
            h1.writer.write(GET)
            answer = await h1.rest()
    assert answer.startswith(b"HTTP/1.1 505 ")
    head, _, content = answer.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(content) in head


async def test_http_1_only_offers_no_http_2(certificate: Certificate) -> None:
    async with serving(ok, certificate=certificate, http="1") as running:
        _, writer = await running.connect("h2", "http/1.1")
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == "http/1.1"
        writer.transport.abort()
        async with h1_client(running, "http/1.1") as h1:
            h1.writer.write(GET)
            assert (await h1.rest()).endswith(b"\r\n\r\n1.1")


async def test_a_client_of_http_1_over_tls_leaves_without_a_word(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it has its response by then or not."""
    ended = asyncio.Event()

    async def wait(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/wait":
            while (await receive())["type"] != "http.disconnect":
                pass
            ended.set()
        else:
            await ok(scope, receive, send)

    async with serving(wait, certificate=certificate) as running:
        async with h1_client(running, "http/1.1") as h1:
            h1.writer.write(GET.replace(b"close", b"keep-alive"))
            await h1.head()
            h1.writer.close()
            await h1.writer.wait_closed()
        async with h1_client(running, "http/1.1") as h1:
            h1.writer.write(GET.replace(b" / ", b" /wait "))
            h1.writer.close()
            await h1.writer.wait_closed()
            async with asyncio.timeout(20):
                await ended.wait()
    assert [record.getMessage() for record in caplog.records] == []


async def test_http_1_only_answers_a_preface_with_an_error() -> None:
    async with serving(ok, http="1") as running, h1_client(running) as h1:
        h1.writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert re.match(rb"HTTP/1\.1 (400|505) ", await h1.rest())


async def test_garbage_gets_an_answer_and_the_connection_is_closed() -> None:
    async with serving(ok) as running:
        for garbage in (b"\0\0\0\0", b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            async with h1_client(running) as h1:
                h1.writer.write(garbage)
                h1.writer.write_eof()
                assert re.match(rb"HTTP/1\.1 (400|501) ", await h1.rest())


async def test_a_connection_that_both_ends_have_closed_is_gone_at_once() -> None:
    async with serving(ok, handshake_timeout=600) as running:
        for _ in range(20):
            async with h1_client(running) as h1:
                h1.writer.write(GET)
                await h1.rest()
        # What lingers is the last one at most: its end may not have been read yet.
        assert len(running.server._drivers) <= 2


async def test_a_failed_handshake_is_no_error_of_the_servers(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(ok, certificate=certificate) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(GET)
        try:
            await reader.read()
        except ConnectionError:
            pass
        writer.close()
        async with h2_client(running) as client:
            assert (await client.response(client.request())).content == b"2"
    assert "Traceback" not in caplog.text


# -- limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "path", "fields", "status"),
    [
        ({"max_header_fields": 20}, b"/", 30, 431),
        ({"max_header_size": 2000}, b"/", 60, 431),
        ({"max_target_size": 100}, b"/" + b"a" * 200, 0, 414),
    ],
)
async def test_a_request_over_a_limit_is_answered_over_both_versions(
    limits: dict[str, int], path: bytes, fields: int, status: int
) -> None:
    async with serving(ok, **limits) as running:
        async with h2_client(running) as client:
            more = [(b"x-field-%d" % number, b"value") for number in range(fields)]
            message = await client.response(client.request(b"GET", path, *more))
            assert message.status == status
            assert message.content.endswith(b"\n")
            assert (await client.response(client.request())).content == b"2"
        async with h1_client(running) as h1:
            lines = b"".join(b"x-field-%d: value\r\n" % number for number in range(fields))
            h1.writer.write(b"GET %s HTTP/1.1\r\nhost: a\r\n%s\r\n" % (path, lines))
            assert (await h1.head()).startswith(b"HTTP/1.1 %d " % status)


async def test_a_host_other_than_the_authority_is_answered_with_400() -> None:
    async with serving(ok) as running, h2_client(running) as client:
        message = await client.response(client.request(b"GET", b"/", (b"host", b"other.example")))
        assert message.status == 400


async def test_a_tunnel_is_answered_with_501() -> None:
    async with serving(ok) as running, h2_client(running) as client:
        stream = client.engine.get_next_available_stream_id()
        client.engine.send_headers(stream, [(b":method", b"CONNECT"), (b":authority", b"a:443")])
        client.flush()
        client.messages[stream] = Message()
        await client.until(lambda: client.messages[stream].head)
        assert client.messages[stream].status == 501


async def test_a_connection_without_a_preface_is_dropped_in_time() -> None:
    async with serving(ok, handshake_timeout=0.1) as running, h1_client(running) as h1:
        assert await h1.rest() == b""


async def test_an_idle_connection_is_closed_in_time() -> None:
    async with serving(ok, keep_alive=0.1, handshake_timeout=0.1) as running:
        async with h2_client(running) as client:
            await client.response(client.request())
            await client.until(lambda: client.goaways)
            await client.until(lambda: client.closed)
        async with h1_client(running) as h1:
            h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert (await h1.rest()).endswith(b"1.1")


async def test_a_stalled_upload_is_a_disconnect_in_time() -> None:
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await receive()
            outcome.set_result(await receive())

    async with serving(app, read_timeout=0.1) as running, h2_client(running) as client:
        stream = client.request(b"POST", content=b"part", end_stream=False)
        assert (await client.response(stream)).reset == 8  # CANCEL
        assert await outcome == {"type": "http.disconnect"}


async def test_a_client_that_takes_nothing_is_given_up_in_time() -> None:
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send(START)
            try:
                while True:
                    await send({**BODY, "body": bytes(50_000), "more_body": True})
            except OSError as error:
                outcome.set_result(error)
                raise

    async with (
        serving(app, write_timeout=0.1, write_buffer=10_000) as running,
        h2_client(running, initial_window_size=100) as client,
    ):
        client.credits = False
        assert (await client.response(client.request())).reset == 8  # CANCEL
        assert isinstance(await outcome, OSError)


async def test_a_client_that_takes_no_bytes_is_dropped_in_time() -> None:
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send(START)
            try:
                while True:
                    await send({**BODY, "body": bytes(500_000), "more_body": True})
            except OSError as error:
                outcome.set_result(error)
                raise

    async with serving(app, write_timeout=0.1) as running, h1_client(running) as h1:
        h1.writer.transport.pause_reading()  # type: ignore[attr-defined]
        h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        async with asyncio.timeout(20):
            assert isinstance(await outcome, OSError)


# -- lifespan ---------------------------------------------------------------------------------------


class Lived:
    """An application that notes its life."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.messages: list[str] = []
        self.answers = list(answers)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await ok(scope, receive, send)
            return
        assert scope["asgi"]["version"] == "3.0"
        for answer in self.answers:
            self.messages.append((await receive())["type"])
            await send(answer)


STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


async def test_an_application_is_told_of_start_and_stop() -> None:
    app = Lived(STARTED, STOPPED)
    async with serving(app) as running, h2_client(running) as client:
        assert app.messages == ["lifespan.startup"]
        await client.response(client.request())
    assert app.messages == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_application_that_fails_to_start_says_why() -> None:
    app = Lived({"type": "lifespan.startup.failed", "message": "no database"})
    with pytest.raises(PlaitError, match="no database"):
        async with serving(app):
            pass


async def test_an_application_that_raises_while_starting_does_not_start() -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        raise ValueError("no database")

    with pytest.raises(PlaitError, match="no database"):
        async with serving(app):
            pass


async def test_an_application_that_fails_to_stop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Lived(STARTED, {"type": "lifespan.shutdown.failed", "message": "stuck"})):
        pass
    assert "stuck" in caplog.text


async def test_an_application_that_ends_its_lifespan_early_is_served() -> None:
    async with serving(Lived(STARTED)) as running, h2_client(running) as client:
        assert (await client.response(client.request())).content == b"2"


# -- the end ----------------------------------------------------------------------------------------


async def test_what_is_in_flight_finishes_and_then_all_ends(certificate: Certificate) -> None:
    go, came = asyncio.Event(), asyncio.Queue[None]()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            came.put_nowait(None)
            await go.wait()
            await ok(scope, receive, send)

    async with (
        serving(app, certificate=certificate, grace=20) as running,
        h2_client(running) as client,
        h1_client(running) as h1,
    ):
        h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await came.get()
        stream = client.request()
        await came.get()
        running.server.stop()
        await client.until(lambda: client.goaways)
        with pytest.raises(ConnectionRefusedError):
            await running.connect("h2")
        assert not running.task.done()
        go.set()
        answer = await h1.rest()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"1.1")
        assert b"connection: close" in answer.lower()
        assert (await client.response(stream)).content == b"2"
        await client.until(lambda: client.closed)
        async with asyncio.timeout(5):
            await running.task


async def test_idle_connections_do_not_hold_up_the_end(certificate: Certificate) -> None:
    async with (
        serving(ok, certificate=certificate, grace=20) as running,
        h2_client(running) as client,
        h1_client(running) as fresh,
        h1_client(running) as h1,
    ):
        await client.response(client.request())
        h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await h1.head()
        running.server.stop()
        await client.until(lambda: client.closed)
        await fresh.rest()
        await h1.rest()
        async with asyncio.timeout(5):
            await running.task


async def test_what_outlasts_the_grace_period_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    came = asyncio.Event()
    cancelled = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            came.set()
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    async with serving(app, grace=0.1) as running, h2_client(running) as client:
        client.request()
        await came.wait()
        running.server.stop()
        async with asyncio.timeout(5):
            await running.task
            await cancelled.wait()
    assert "grace" in caplog.text


async def test_a_second_stop_gives_up_at_once() -> None:
    came = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            came.set()
            await asyncio.sleep(600)

    async with serving(app, grace=600) as running, h2_client(running) as client:
        client.request()
        await came.wait()
        running.server.stop()
        running.server.stop()
        async with asyncio.timeout(5):
            await running.task


# -- bad configuration ------------------------------------------------------------------------------


async def test_a_port_in_use_is_said_in_one_sentence() -> None:
    async with serving(ok) as running:
        second = Server(ServerConfig(app=ok, port=running.port, insecure=True, access_log=False))
        with pytest.raises(PlaitError, match=f"cannot listen on 127.0.0.1 port {running.port}: .*in use"):
            await second.serve()


async def test_a_key_of_another_certificate_is_refused(certificate: Certificate, tmp_path: Any) -> None:
    other = make_certificate(tmp_path)
    mixed = Certificate(ca=certificate.ca, chain=certificate.chain, key=other.key)
    with pytest.raises(ConfigError):
        async with serving(ok, certificate=mixed):
            pass
