"""What an ASGI 3 application sees of a WebSocket, and what its messages lead to, over either HTTP."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Opcode

from tests.support.servers import Certificate
from tests.support.serving import SECONDS, h1_client, h2_client, serving
from tests.support.websocket_peer import (
    COMPRESSION,
    H2Wire,
    Peer,
    connected,
    open_stream,
    wire,
)

Scope = dict[str, Any]
ACCEPT = {"type": "websocket.accept"}


def on_websocket(handle: Callable[[Scope, Any, Any], Awaitable[None]]) -> Any:
    """Make an application of what handles WebSockets after ``websocket.connect``."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        assert scope["type"] == "websocket"
        assert await receive() == {"type": "websocket.connect"}
        await handle(scope, receive, send)

    return app


@on_websocket
async def echo(scope: Scope, receive: Any, send: Any) -> None:
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


class Heard:
    """An application that keeps what it hears after accepting, and does what it is told before."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = [ACCEPT, *messages]
        self.received: list[dict[str, Any]] = []
        self.done = asyncio.Event()
        self.app = on_websocket(self._handle)

    async def _handle(self, scope: Scope, receive: Any, send: Any) -> None:
        for message in self.messages:
            await send(message)
        while not self.received or self.received[-1]["type"] != "websocket.disconnect":
            self.received.append(await receive())
        self.done.set()

    async def disconnect(self) -> tuple[int, str]:
        """Wait for the end, and return its code and reason."""
        async with asyncio.timeout(SECONDS):
            await self.done.wait()
        return self.received[-1]["code"], self.received[-1]["reason"]


# -- the handshake ---------------------------------------------------------------------------------


async def test_the_scope_is_what_asgi_says(version: str) -> None:
    scopes: list[Scope] = []

    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send(ACCEPT)

    async with (
        serving(app, root_path="/app") as running,
        connected(running, version, b"/ch%61t?room=1", (b"sec-websocket-protocol", b"one, two")) as peer,
    ):
        assert await peer.ended() == (1000, "")
    (scope,) = scopes
    assert scope["type"] == "websocket"
    assert scope["http_version"] == version
    assert scope["scheme"] == "ws"
    assert (scope["path"], scope["raw_path"]) == ("/app/chat", b"/app/ch%61t")
    assert (scope["query_string"], scope["root_path"]) == (b"room=1", "/app")
    assert scope["subprotocols"] == ["one", "two"]
    assert scope["headers"][0] == (b"host", b"a.example")
    assert (b"sec-websocket-version", b"13") in scope["headers"]
    assert scope["client"][0] == scope["server"][0] == "127.0.0.1"
    assert scope["state"] == {}
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert "method" not in scope


@pytest.mark.parametrize("alpn", ["h2", "http/1.1"])
async def test_over_tls_the_scheme_is_wss(certificate: Certificate, alpn: str) -> None:
    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": f"{scope['scheme']} {scope['http_version']}"})

    async with serving(app, certificate=certificate) as running:
        if alpn == "h2":
            async with connected(running, "2") as peer:
                assert await peer.receive() == "wss 2"
        else:
            url = f"wss://localhost:{running.port}/"
            async with connect(url, ssl=certificate.context(), proxy=None) as client:
                assert await client.recv() == "wss 1.1"


@pytest.mark.parametrize(
    ("key", "answer"),
    [(b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), (b"of a stream it means nothing", None)],
)
async def test_a_key_that_a_proxy_hands_on_over_http2_is_answered(key: bytes, answer: bytes | None) -> None:
    """Envoy has a client of HTTP/1.1, whose handshake it leaves to the server (RFC 6455 §4.2.2)."""
    given = (b"sec-websocket-key", key)
    async with serving(echo) as running, wire(running, "2", b"/", given) as opened:
        assert opened.fields.get(b"sec-websocket-accept") == answer


async def test_a_subprotocol_and_fields_of_the_applications_are_sent(version: str) -> None:
    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({**ACCEPT, "subprotocol": "two", "headers": [(b"Set-Cookie", b"a=b"), (b"upgrade", b"x")]})

    offer = (b"sec-websocket-protocol", b"one, two")
    async with serving(app) as running, wire(running, version, b"/", offer) as opened:
        fields = opened.fields
        assert fields[b"sec-websocket-protocol"] == b"two"
        assert fields[b"set-cookie"] == b"a=b"
        assert b"date" in fields
        assert b"content-length" not in fields
        if version == "2":
            assert b"sec-websocket-accept" not in fields
            assert b"upgrade" not in fields
        else:
            # RFC 6455 §1.3 has this pair.
            assert fields[b"sec-websocket-accept"] == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
            assert fields[b"upgrade"] == b"websocket"


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ((b"sec-websocket-version", b"8"), 426),
        ((b"sec-websocket-version", b""), 426),
        ((b"sec-websocket-key", b""), 400),
        ((b"sec-websocket-key", b"c2hvcnQ="), 400),
        ((b"sec-websocket-key", b"!!!!"), 400),
        ((b"sec-websocket-protocol", b"a b"), 400),
        ((b"sec-websocket-extensions", b"=,"), 400),
    ],
)
async def test_a_malformed_handshake_is_refused(
    version: str, field: tuple[bytes, bytes], status: int
) -> None:
    if version == "2" and field[0] == b"sec-websocket-key":
        status = 200  # RFC 8441 §5: a stream needs no key
    async with serving(echo) as running, wire(running, version, b"/", field) as opened:
        assert opened.status == status
        if status == 426:
            assert opened.fields[b"sec-websocket-version"] == b"13"
            assert (opened.fields.get(b"upgrade") == b"websocket") is (version == "1.1")


async def test_where_websockets_are_off_an_upgrade_is_a_plain_request() -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["type"].encode()})

    async with serving(app, websockets=False) as running:
        async with wire(running, "1.1") as opened:
            assert opened.status == 200
            assert await opened.read() == b"http"
        async with h2_client(running) as client:
            await client.response(client.request())
            assert not client.engine.remote_settings.enable_connect_protocol


# -- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, COMPRESSION], ids=["plain", "deflate"])
async def test_messages_of_every_size_come_back(version: str, compression: Any) -> None:
    async with serving(echo) as running, connected(running, version, compression=compression) as peer:
        assert bool(peer.protocol.extensions) is (compression is not None)
        for size in (0, 1, 125, 126, 65_535, 65_536, 300_000):
            for message in ("ä" * (size // 2), bytes(size)):
                sending = asyncio.create_task(peer.send(message))
                assert await peer.receive() == message
                await sending
        await peer.close()


async def test_a_fragmented_message_comes_whole_with_control_frames_in_between(version: str) -> None:
    async with serving(echo) as running, connected(running, version) as peer:
        await peer.send("a", fin=False)
        peer.protocol.send_ping(b"still there?")
        await peer.send_more(b"b", fin=False)
        await peer.send_more(b"", fin=False)
        await peer.send_more(b"c", fin=True)
        pong = await peer.frame()
        assert pong is not None
        assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"still there?")
        assert await peer.receive() == "abc"


async def test_what_is_sent_right_behind_the_handshake_is_heard(version: str) -> None:
    hello = b"\x81\x85\0\0\0\0hello"
    async with serving(echo) as running, wire(running, version, behind=hello) as opened:
        assert await Peer(opened).receive() == "hello"


async def test_compression_is_not_granted_where_it_is_off(version: str) -> None:
    async with (
        serving(echo, ws_compression=False) as running,
        connected(running, version, compression=COMPRESSION) as peer,
    ):
        assert peer.protocol.extensions == []
        await peer.send("hello")
        assert await peer.receive() == "hello"


async def test_the_first_offer_that_can_be_met_is_granted(version: str) -> None:
    small, wrong = b"permessage-deflate; server_max_window_bits=8", b"permessage-deflate; foo"
    offers = b", ".join((b"x-unknown", small, wrong, b"permessage-deflate"))
    offer = (b"sec-websocket-extensions", offers)
    async with serving(echo) as running, wire(running, version, b"/", offer) as opened:
        granted = opened.fields[b"sec-websocket-extensions"]
        assert granted == b"permessage-deflate; server_max_window_bits=12"


async def test_many_websockets_and_requests_share_one_connection() -> None:
    async with serving(echo) as running, h2_client(running) as client:
        await client.until(lambda: client.engine.remote_settings.enable_connect_protocol)
        streams = [open_stream(client, b"/") for _ in range(20)]
        await client.until(lambda: all(client.messages[stream].head for stream in streams))
        peers = [Peer(H2Wire(client, stream)) for stream in streams]
        for number, peer in enumerate(peers):
            await peer.send(f"message {number}")
        for number, peer in reversed(list(enumerate(peers))):
            assert await peer.receive() == f"message {number}"


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason", "heard"),
    [(1000, "", 1000), (1001, "moved on", 1001), (4321, "ümlaut", 4321), (None, "", 1005)],
)
async def test_the_clients_close_is_answered_and_told(
    version: str, code: int | None, reason: str, heard: int
) -> None:
    app = Heard()
    async with serving(app.app) as running, connected(running, version) as peer:
        await peer.send("last words")
        await peer.close(code, reason)
        close = peer.protocol.close_rcvd
        assert close is not None
        assert (close.code, close.reason) == (heard, reason)
        assert await app.disconnect() == (heard, reason)
        assert app.received[0] == {"type": "websocket.receive", "text": "last words"}


@pytest.mark.parametrize(
    ("message", "heard"), [({}, (1000, "")), ({"code": 4000, "reason": "enough"}, (4000, "enough"))]
)
async def test_the_application_closes(version: str, message: dict[str, Any], heard: tuple[int, str]) -> None:
    app = Heard({"type": "websocket.close", **message})
    async with serving(app.app) as running, connected(running, version) as peer:
        assert await peer.ended() == heard
        assert await app.disconnect() == heard
        if isinstance(peer.wire, H2Wire):
            assert peer.wire.message.ended


async def test_a_client_that_vanishes_is_1006(version: str) -> None:
    app = Heard()
    async with serving(app.app) as running:
        async with connected(running, version) as peer:
            await peer.send("hello")
        assert await app.disconnect() == (1006, "")
        assert app.received[0]["text"] == "hello"


async def test_the_end_of_the_stream_without_a_close_is_1006(version: str) -> None:
    app = Heard()
    async with serving(app.app) as running, connected(running, version) as peer:
        peer.wire.end()
        assert await app.disconnect() == (1006, "")
        assert await peer.ended() == (1006, "")


async def test_a_reset_of_the_stream_is_1006_and_concerns_no_other() -> None:
    app = Heard()
    async with serving(app.app) as running, connected(running, "2") as peer:
        assert isinstance(peer.wire, H2Wire)
        client = peer.wire.client
        client.engine.reset_stream(peer.wire.stream_id, 8)
        client.flush()
        assert await app.disconnect() == (1006, "")
        other = open_stream(client, b"/")
        await client.until(lambda: client.messages[other].head)


async def test_the_server_says_that_it_goes_away(version: str) -> None:
    app = Heard()
    async with serving(app.app) as running, connected(running, version) as peer:
        running.server.stop()
        assert await peer.ended() == (1001, "")
        assert await app.disconnect() == (1001, "")
        async with asyncio.timeout(SECONDS):
            await running.task


async def test_sending_after_the_client_is_gone_raises_an_os_error(version: str) -> None:
    errors: list[BaseException] = []

    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        assert (await receive())["type"] == "websocket.disconnect"
        for message in ({"type": "websocket.send", "text": "late"}, {"type": "websocket.close"}):
            try:
                await send(message)
            except OSError as error:
                errors.append(error)

    async with serving(app) as running, connected(running, version) as peer:
        await peer.close()
    assert [str(error) for error in errors] == ["the client is gone"] * 2


async def test_an_application_that_fails_closes_with_1011(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        raise ValueError("a mistake")

    async with serving(app) as running, connected(running, version) as peer:
        assert await peer.ended() == (1011, "")
    assert "a mistake" in caplog.text


# -- denials ---------------------------------------------------------------------------------------


async def test_a_close_before_the_accept_is_403(version: str) -> None:
    heard: list[Any] = []

    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 4000})
        heard.append(await receive())

    async with serving(app) as running, wire(running, version) as opened:
        assert opened.status == 403
    assert heard == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


@pytest.mark.parametrize("pieces", [[b"not you"], [b"not ", b"you"]])
async def test_a_denial_may_be_any_response(version: str, pieces: list[bytes]) -> None:
    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        fields = [(b"www-authenticate", b"Basic"), (b"content-length", b"7")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": fields})
        for number, piece in enumerate(pieces, 1):
            more = number < len(pieces)
            await send({"type": "websocket.http.response.body", "body": piece, "more_body": more})

    async with serving(app) as running, wire(running, version) as opened:
        assert opened.status == 401
        assert opened.fields[b"www-authenticate"] == b"Basic"
        content = b""
        while len(content) < 7:
            content += await opened.read()
        assert content == b"not you"


async def test_after_a_denial_an_http1_connection_serves_on() -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"ok"})

    async with serving(app) as running, h1_client(running) as client:
        head = b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        handshake = b"sec-websocket-version: 13\r\nsec-websocket-key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
        client.writer.write(head + handshake)
        assert (await client.head()).startswith(b"HTTP/1.1 403 ")
        assert await client.reader.readexactly(len("Forbidden\n")) == b"Forbidden\n"
        client.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")


async def test_an_application_that_knows_no_websockets_gives_500_and_one_line(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        raise ValueError(f"only http here, not {scope['type']}")

    caplog.set_level(logging.INFO)
    async with serving(app) as running, wire(running, version) as opened:
        assert opened.status == 500
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert record.message == ("the application takes no WebSocket: ValueError: only http here, not websocket")
    assert record.exc_info is None


async def test_an_application_that_gives_no_answer_gives_500(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        return

    async with serving(app) as running, wire(running, version) as opened:
        assert opened.status == 500
    assert "returned without an answer to websocket.connect" in caplog.text


# -- misuse ----------------------------------------------------------------------------------------

SEND = {"type": "websocket.send"}
CLOSE = {"type": "websocket.close"}
DENY = {"type": "websocket.http.response.start", "status": 401}


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ([{**SEND, "text": "a"}], "'websocket.send' is not what a websocket application sends first"),
        ([ACCEPT, ACCEPT], "sends between websocket.accept and websocket.close"),
        ([ACCEPT, DENY], "sends between websocket.accept and websocket.close"),
        ([ACCEPT, CLOSE, {**SEND, "text": "a"}], "sends after the end"),
        ([CLOSE, ACCEPT], "sends after the end"),
        ([DENY, ACCEPT], "sends between websocket.http.response.start and the end of the content"),
        ([{**DENY, "status": 200}], "200 is not a status that denies a WebSocket"),
        ([ACCEPT, SEND], "websocket.send has neither text nor bytes"),
        ([ACCEPT, {**SEND, "text": "a", "bytes": b"a"}], "websocket.send has both text and bytes"),
        ([ACCEPT, {**SEND, "text": b"a"}], "a websocket.send's text must be str, not bytes"),
        ([ACCEPT, {**SEND, "bytes": "a"}], "a websocket.send's bytes must be bytes, not str"),
        ([ACCEPT, {**CLOSE, "code": 1005}], "cannot be closed with code 1005 and reason ''"),
        ([ACCEPT, {**CLOSE, "code": "1000"}], "cannot be closed with code '1000'"),
        ([ACCEPT, {**CLOSE, "reason": "x" * 124}], "cannot be closed with code 1000 and reason 'xxx"),
        ([{**ACCEPT, "subprotocol": "three"}], "the client does not offer the subprotocol 'three'"),
        ([{**ACCEPT, "headers": [(b"Sec-WebSocket-Protocol", b"a")]}], "is the server's to send"),
        ([{**ACCEPT, "headers": [(b"a", "b")]}], "must be bytes"),
        ([{"type": "http.response.start", "status": 200}], "'http.response.start' is not what"),
        ([{}], "a message is a dictionary with a type"),
    ],
)
async def test_misuse_raises_in_the_application(messages: list[dict[str, Any]], sentence: str) -> None:
    errors: list[Exception] = []

    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        for message in messages:
            try:
                await send(message)
            except Exception as error:
                errors.append(error)
                raise

    async with serving(app) as running, wire(running, "2"):
        pass
    (error,) = errors
    assert not isinstance(error, OSError)
    assert sentence in str(error)


# -- credit ----------------------------------------------------------------------------------------


async def test_a_client_that_does_not_read_makes_send_wait(version: str) -> None:
    sent = 0
    waiting = asyncio.Event()

    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(ACCEPT)
        for _ in range(2000):
            await send({**SEND, "bytes": bytes(16_384)})
            sent += 1
            waiting.set()

    async with (
        serving(app, write_buffer=65_536) as running,
        connected(running, version, credits=False) as peer,
    ):
        await waiting.wait()
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            for _ in range(50):
                await asyncio.sleep(0)
        assert sent < 2000
        if isinstance(peer.wire, H2Wire):
            peer.wire.client.engine.reset_stream(peer.wire.stream_id)
            peer.wire.client.flush()
        else:
            assert await peer.receive() == bytes(16_384)


async def test_an_application_that_does_not_receive_holds_up_its_own_stream_only() -> None:
    go = asyncio.Event()
    sizes: list[int] = []

    @on_websocket
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        if scope["path"] == "/deaf":
            await go.wait()
        while (message := await receive())["type"] == "websocket.receive":
            sizes.append(len(message["bytes"]))
            await send({**SEND, "text": "heard"})

    async with serving(app, stream_window=65_535) as running, connected(running, "2", b"/deaf") as deaf:
        assert isinstance(deaf.wire, H2Wire)
        client = deaf.wire.client
        messages = 64
        sending = asyncio.create_task(_send_many(deaf, messages))
        other = open_stream(client, b"/")
        await client.until(lambda: client.messages[other].head)
        while client.engine.local_flow_control_window(deaf.wire.stream_id) > 0:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert not sending.done()
        peer = Peer(H2Wire(client, other))
        await peer.send(b"1")
        assert await peer.receive() == "heard"
        go.set()
        for _ in range(messages):
            assert await deaf.receive() == "heard"
        await sending
    assert sizes == [1] + [8_192] * messages


async def _send_many(peer: Peer, count: int) -> None:
    for _ in range(count):
        await peer.send(bytes(8_192))


async def test_a_websocket_is_one_line_of_the_access_log(version: str, tmp_path: Path) -> None:
    lines = tmp_path / "access.log"
    async with (
        serving(echo, access_log=True, access_log_file=lines) as running,
        connected(running, version, b"/chat") as peer,
    ):
        await peer.close()
    method, status = ("CONNECT", 200) if version == "2" else ("GET", 101)
    assert f'"{method} /chat HTTP/{version}" {status} ' in lines.read_text()


async def test_to_applications_that_are_not_asgi_no_websocket_is_offered() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("content-length", "2")])
        return [b"ok"]

    async with serving(app) as running:
        async with wire(running, "1.1") as opened:
            assert opened.status == 200
        async with h2_client(running) as client:
            await client.response(client.request())
            assert not client.engine.remote_settings.enable_connect_protocol


async def test_the_example_of_the_docs_echoes(version: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "server.md").read_text()
    (block,) = re.findall(r"```python\n(async def echo.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    async with serving(names["echo"]) as running, connected(running, version) as peer:
        await peer.send("hello")
        assert await peer.receive() == "hello"
        await peer.close()
