"""WebSockets of both clients against servers: plait's own, the ``websockets`` library's, Hypercorn's."""

from __future__ import annotations

import asyncio
import http
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import pytest
from websockets.sync.server import Server, ServerConnection, serve

import plait
from plait.errors import (
    ConfigError,
    LocalProtocolError,
    NoCommonProtocol,
    RemoteProtocolError,
    Timeout,
    WebSocketClosed,
    WebSocketRefused,
)
from tests.support.both_versions import both_versions
from tests.support.faces import AsyncFace, Face
from tests.support.proxy import running_proxy
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer, serve_app, serve_hypercorn

Make = Callable[..., Face]
HTTP = pytest.mark.parametrize("http", ["2", "1"])
VERSIONS = {"2": "HTTP/2", "1": "HTTP/1.1"}


@pytest.fixture(scope="module", params=["plait", "hypercorn"])
def echo(request: pytest.FixtureRequest, certificate: Certificate) -> Iterator[RunningServer]:
    """Run the application of tests/support/websocket_app.py on both servers that speak RFC 8441."""
    if request.param == "plait":
        with serve_app("websocket_app:app", certificate=certificate) as running:
            yield running
    else:
        with serve_hypercorn("websocket_app:app", certificate=certificate) as running:
            yield running


@contextmanager
def library_server(handler: Callable[[ServerConnection], None], **options: Any) -> Iterator[str]:
    """Run the ``websockets`` library's server; every client must be closed before the end."""
    server: Server = serve(handler, "127.0.0.1", 0, **options)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
        thread.join(20)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def echoing(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


# -- the same over both versions -------------------------------------------------------------------


@HTTP
def test_messages_go_there_and_come_back(
    make_client: Make, echo: RunningServer, certificate: Certificate, http: str
) -> None:
    with (
        make_client(echo.url(), verify=certificate.ca, http=http) as client,
        client.websocket("/chat", subprotocols=["one", "two"]) as websocket,
    ):
        how = json.loads(websocket.recv())
        assert (how["version"], how["scheme"]) == ({"2": "2", "1": "1.1"}[http], "wss")
        assert websocket.http_version == VERSIONS[http]
        assert websocket.subprotocol == "two"
        assert websocket.close_code is None
        for message in ("héllo", "", b"", "x" * 300_000, bytes(range(256)) * 1000):
            websocket.send(message)
            assert websocket.recv() == message
        websocket.send(["in ", "frag", "ments"])
        assert websocket.recv() == "in fragments"
        assert websocket.ping(timeout=20) < 20
        websocket.send("close")
        with pytest.raises(WebSocketClosed, match="as you wish") as caught:
            websocket.recv()
        assert (caught.value.code, caught.value.reason) == (4000, "as you wish")
        assert (websocket.close_code, websocket.close_reason) == (4000, "as you wish")
        with pytest.raises(WebSocketClosed):
            websocket.send("too late")


@HTTP
def test_a_websocket_that_is_not_granted_says_what_the_server_answered(
    make_client: Make, echo: RunningServer, certificate: Certificate, http: str
) -> None:
    with make_client(verify=certificate.ca, http=http) as client:
        with pytest.raises(WebSocketRefused, match=r"/denied answered 403 Forbidden") as caught:
            client.websocket(echo.url("/denied")).__enter__()
        assert caught.value.response.status == 403
        assert caught.value.response.http_version == VERSIONS[http]
        assert client.get(echo.url()).status == 200


def test_over_http2_a_websocket_is_one_more_stream_of_the_connection(
    make_client: Make, echo: RunningServer, certificate: Certificate
) -> None:
    with make_client(echo.url(), verify=certificate.ca) as client:
        first = client.get("/")
        with client.websocket("/") as one, client.websocket("/") as other:
            for websocket in (one, other):
                assert json.loads(websocket.recv())["version"] == "2"
                assert websocket.response.status == 200
                assert websocket.response.timing.connection == first.timing.connection
            assert client.get("/").timing.connection == first.timing.connection
            one.send("each")
            other.send("its own")
            assert (one.recv(), other.recv()) == ("each", "its own")
        assert client.statistics.connections_opened == 1


def test_the_first_thing_that_a_client_does_may_be_a_websocket(
    make_client: Make, echo: RunningServer, certificate: Certificate
) -> None:
    with make_client(verify=certificate.ca) as client:
        with client.websocket(echo.url().replace("https", "wss")) as websocket:
            assert json.loads(websocket.recv())["version"] == "2"
        assert client.statistics.connections_opened == 1


def test_over_http1_a_websocket_takes_its_connection_with_it(
    make_client: Make, echo: RunningServer, certificate: Certificate
) -> None:
    with make_client(echo.url(), verify=certificate.ca, http="1", max_connections=1) as client:
        first = client.get("/").timing.connection
        with client.websocket("/") as one, client.websocket("/") as other:
            assert json.loads(one.recv())["version"] == json.loads(other.recv())["version"] == "1.1"
            numbers = {one.response.timing.connection, other.response.timing.connection}
            assert client.get("/").timing.connection not in numbers
        assert first in numbers
        assert client.get("/").timing.connection not in numbers
        assert client.statistics.connections_opened == 3


def test_a_server_whose_http2_opens_no_tunnels_gets_a_connection_of_http1(
    make_client: Make, certificate: Certificate
) -> None:
    with (
        library_server(echoing) as url,
        both_versions(port_of(url), certificate) as server,
        make_client(server, verify=certificate.ca) as client,
    ):
        assert client.get("/").http_version == "HTTP/2"
        for _ in range(2):
            with client.websocket("/") as websocket:
                assert websocket.http_version == "HTTP/1.1"
                websocket.send("there and back")
                assert websocket.recv() == "there and back"
        assert client.get("/").http_version == "HTTP/2"
        assert client.statistics.connections_opened == 3


def test_a_context_of_the_callers_keeps_its_own_offer(make_client: Make, certificate: Certificate) -> None:
    with (
        library_server(echoing) as url,
        both_versions(port_of(url), certificate) as server,
        make_client(server, verify=certificate.context(), keep_alive=0.1) as client,
    ):
        with client.websocket("/") as websocket:
            assert websocket.http_version == "HTTP/1.1"
        assert client.get("/").http_version == "HTTP/2"


def test_http2_alone_is_refused_in_one_sentence_where_it_opens_no_tunnels(make_client: Make) -> None:
    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(ordinary) as server, make_client(server.url, http="2") as client:
        with pytest.raises(NoCommonProtocol, match="opens no WebSockets over HTTP/2"):
            client.websocket("/").__enter__()
        assert client.get("/").status == 200


# -- the library's server --------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["deflate", None])
def test_the_library_understands_what_is_sent_and_is_understood(
    make_client: Make, compression: str | None
) -> None:
    with library_server(echoing, max_size=None) as url, make_client() as client:
        with client.websocket(url, compression=compression) as websocket:
            granted = "sec-websocket-extensions" in websocket.response.headers
            assert granted is (compression is not None)
            for message in ("é" * 70_000, bytes(1_000_000), "", b"\0"):
                websocket.send(message)
                assert websocket.recv() == message
            websocket.send([b"a", b"b" * 100_000, b"c"])
            assert websocket.recv() == b"a" + b"b" * 100_000 + b"c"
            assert websocket.ping() < 60
        assert websocket.close_code == 1000


def test_a_close_carries_code_and_reason(make_client: Make) -> None:
    ended: list[tuple[int | None, str | None]] = []
    done = threading.Event()

    def listening(connection: ServerConnection) -> None:
        for _ in connection:
            pass
        ended.append((connection.close_code, connection.close_reason))
        done.set()

    with library_server(listening) as url, make_client(url.replace("ws", "http", 1)) as client:
        with client.websocket("/") as websocket:
            websocket.close(1001, "au revoir")
            websocket.close()
            with pytest.raises(WebSocketClosed, match="au revoir"):
                websocket.recv()
        assert done.wait(20)
        assert ended == [(1001, "au revoir")]


def test_an_error_in_the_block_closes_with_1011(make_client: Make) -> None:
    ended: list[int | None] = []

    def listening(connection: ServerConnection) -> None:
        try:
            connection.recv()
        except Exception:
            ended.append(connection.close_code)

    with (
        library_server(listening) as url,
        make_client() as client,
        pytest.raises(ZeroDivisionError),
        client.websocket(url),
    ):
        raise ZeroDivisionError
    assert ended == [1011]


def test_iterating_ends_where_the_server_closes_in_good_order(make_client: Make) -> None:
    def counting(connection: ServerConnection) -> None:
        for number in range(5):
            connection.send(str(number))
        connection.close(1001)

    with library_server(counting) as url, make_client() as client, client.websocket(url) as websocket:
        assert list(websocket) == ["0", "1", "2", "3", "4"]


def test_iterating_raises_where_it_does_not(make_client: Make) -> None:
    def failing(connection: ServerConnection) -> None:
        connection.send("last words")
        connection.close(4999, "no")

    with library_server(failing) as url, make_client() as client, client.websocket(url) as websocket:
        messages = iter(websocket)
        assert next(messages) == "last words"
        with pytest.raises(WebSocketClosed, match="no") as caught:
            next(messages)
        assert caught.value.code == 4999


def test_what_a_session_has_goes_along(make_client: Make) -> None:
    seen: dict[str, str | None] = {}

    def looking(connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        seen.update({name.lower(): value for name, value in request.headers.raw_items()}, path=request.path)
        connection.send("seen")

    options: dict[str, Any] = {"headers": {"x-a": "1", "origin": "https://a.example"}, "params": {"b": "2"}}
    with library_server(looking) as url:
        http_url = url.replace("ws", "http", 1)
        with (
            make_client(http_url, cookies={"c": "3"}, auth=("me", "secret"), **options) as client,
            client.websocket("/chat?d=4", headers={"x-e": "5"}, params={"f": "6"}) as websocket,
        ):
            assert websocket.recv() == "seen"
    assert (seen["x-a"], seen["x-e"], seen["origin"]) == ("1", "5", "https://a.example")
    assert (seen["cookie"], seen["path"]) == ("c=3", "/chat?d=4&b=2&f=6")
    assert str(seen["authorization"]).startswith("Basic ")


def test_redirects_are_followed_when_told_and_auth_asks_again(make_client: Make) -> None:
    def guarding(connection: ServerConnection, request: Any) -> Any:
        if request.path == "/old":
            response = connection.respond(http.HTTPStatus.MOVED_PERMANENTLY, "elsewhere")
            response.headers["Location"] = request.headers["X-To"]
            return response
        return None

    with library_server(echoing, process_request=guarding) as url, make_client() as client:
        options: dict[str, Any] = {"headers": {"x-to": f"{url}/new"}}
        with pytest.raises(WebSocketRefused, match=r"301 Moved Permanently .*, and leads to ws://") as caught:
            client.websocket(f"{url}/old", **options).__enter__()
        assert caught.value.response.content == b"elsewhere"
        for where in (f"{url}/new", "/new"):
            options = {"headers": {"x-to": where}, "follow_redirects": True}
            with client.websocket(f"{url}/old", **options) as websocket:
                assert [one.status for one in websocket.response.history] == [301]
                websocket.send("here")
                assert websocket.recv() == "here"


def test_digest_authentication_opens_a_websocket(make_client: Make) -> None:
    def guarding(connection: ServerConnection, request: Any) -> Any:
        if "Authorization" in request.headers:
            assert 'uri="/"' in request.headers["Authorization"]
            return None
        response = connection.respond(http.HTTPStatus.UNAUTHORIZED, "who?")
        response.headers["WWW-Authenticate"] = 'Digest realm="r", nonce="n", qop="auth"'
        return response

    with (
        library_server(echoing, process_request=guarding) as url,
        make_client(auth=plait.DigestAuth("me", "secret")) as client,
        client.websocket(url) as websocket,
    ):
        websocket.send("me")
        assert websocket.recv() == "me"


def test_a_refusal_is_read_up_to_a_bound(make_client: Make) -> None:
    def refusing(connection: ServerConnection, request: Any) -> Any:
        return connection.respond(http.HTTPStatus.NOT_FOUND, "no" * 1_000_000)

    with library_server(echoing, process_request=refusing) as url, make_client() as client:
        with pytest.raises(WebSocketRefused, match="404 Not Found") as caught:
            client.websocket(url).__enter__()
        assert caught.value.response.content == b"no" * 32_768


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_websocket_goes_through_a_tunnel_even_in_plain_http(make_client: Make, scheme: str) -> None:
    with library_server(echoing) as url, running_proxy("me:secret") as proxy:
        where = f"{scheme}://me:secret@127.0.0.1:{proxy.port}"
        with make_client(proxy=where) as client, client.websocket(url) as websocket:
            websocket.send("through")
            assert websocket.recv() == "through"
        port = url.rpartition(":")[2]
        assert proxy.seen == [
            f"CONNECT 127.0.0.1:{port} HTTP/1.1" if scheme == "http" else f"127.0.0.1:{port}"
        ]


def test_a_subprotocol_that_nobody_offered_is_refused(make_client: Make) -> None:
    def naming(connection: ServerConnection, request: Any, response: Any) -> None:
        response.headers["Sec-WebSocket-Protocol"] = "mine"

    with (
        library_server(echoing, process_response=naming) as url,
        make_client() as client,
        pytest.raises(RemoteProtocolError, match="subprotocol"),
    ):
        client.websocket(url).__enter__()


# -- waiting ---------------------------------------------------------------------------------------


def test_a_message_that_comes_after_the_time_is_not_lost(make_client: Make) -> None:
    go = threading.Event()

    def late(connection: ServerConnection) -> None:
        go.wait(20)
        connection.send("late")
        connection.recv()

    with library_server(late) as url, make_client() as client, client.websocket(url) as websocket:
        for timeout in (0, 0.01):
            with pytest.raises(Timeout, match="no message within"):
                websocket.recv(timeout)
        go.set()
        assert websocket.recv() == "late"
        websocket.send("thanks")


async def test_a_cancelled_recv_loses_nothing() -> None:
    go = threading.Event()

    def sending(connection: ServerConnection) -> None:
        go.wait(20)
        for number in range(100):
            connection.send(str(number))
        connection.recv()

    with library_server(sending) as url:
        async with plait.AsyncClient() as client, client.websocket(url) as websocket:
            waiting = asyncio.ensure_future(websocket.recv())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            go.set()
            received = []
            while len(received) < 100:
                waiting = asyncio.ensure_future(websocket.recv())
                await asyncio.sleep(0)
                waiting.cancel()
                try:
                    received.append(await waiting)
                except asyncio.CancelledError:
                    await asyncio.sleep(0)
            assert received == [str(number) for number in range(100)]
            await websocket.send("thanks")


async def test_several_tasks_share_a_websocket() -> None:
    with library_server(echoing) as url:
        async with plait.AsyncClient() as client, client.websocket(url) as websocket:

            async def send(letter: str) -> None:
                for number in range(50):
                    await websocket.send([letter, str(number)])

            async def receive() -> list[str | bytes]:
                return [await websocket.recv() for _ in range(50)]

            _, _, one, other = await asyncio.gather(send("a"), send("b"), receive(), receive())
            assert sorted(map(str, one + other)) == sorted(f"{c}{n}" for c in "ab" for n in range(50))


def test_one_thread_sends_while_another_receives() -> None:
    with library_server(echoing) as url, plait.Client() as client, client.websocket(url) as websocket:
        received: list[str | bytes] = []

        def receive() -> None:
            received.extend(websocket.recv() for _ in range(500))

        def send(letter: str) -> None:
            for number in range(250):
                websocket.send(f"{letter}{number}")

        threads = [threading.Thread(target=receive)]
        threads += [threading.Thread(target=send, args=(letter,)) for letter in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(map(str, received)) == sorted(f"{c}{n}" for c in "ab" for n in range(250))


def test_a_close_in_one_thread_wakes_the_one_that_receives() -> None:
    with library_server(echoing) as url, plait.Client() as client, client.websocket(url) as websocket:
        outcomes: list[Exception] = []

        def receive() -> None:
            try:
                websocket.recv()
            except WebSocketClosed as error:
                outcomes.append(error)

        thread = threading.Thread(target=receive)
        thread.start()
        websocket.close()
        thread.join(20)
        assert not thread.is_alive()
        assert isinstance(outcomes[0], WebSocketClosed)
        assert outcomes[0].code == 1000


def test_closing_the_client_ends_its_websockets(make_client: Make) -> None:
    with library_server(echoing) as url:
        with make_client() as client:
            websocket = client.websocket(url)
            websocket.__enter__()
        if isinstance(client, AsyncFace):
            return  # its loop is closed, and nothing can be asked of it
        with pytest.raises(WebSocketClosed) as caught:
            websocket.recv()
        assert caught.value.code == 1006
        assert "closed" in str(caught.value.__cause__)


# -- wrong use -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"compression": "gzip"}, "compression must be"),
        ({"max_message_size": 0}, "max_message_size must be"),
        ({"ping_interval": -1}, "ping_interval must be greater than zero"),
        ({"ping_timeout": float("nan")}, "ping_timeout must be"),
        ({"close_timeout": None}, "close_timeout must be"),
        ({"subprotocols": "chat"}, "subprotocols must be a list"),
        ({"subprotocols": ["a b"]}, "subprotocols must be a list"),
    ],
)
def test_a_wrong_option_is_one_sentence(make_client: Make, options: dict[str, Any], sentence: str) -> None:
    with make_client() as client, pytest.raises(ConfigError, match=sentence):
        client.websocket("ws://localhost:1", **options)


@pytest.mark.parametrize(
    ("url", "options", "sentence"),
    [
        ("ftp://a", {}, "only http and https"),
        ("ws://a", {"headers": {"Sec-WebSocket-Key": "mine"}}, "the WebSocket's own"),
        ("ws://a", {"content": b"x"}, "handshake has no content"),
    ],
)
def test_what_a_handshake_cannot_be_is_refused_before_a_byte(
    make_client: Make, url: str, options: dict[str, Any], sentence: str
) -> None:
    with make_client() as client, pytest.raises(LocalProtocolError, match=sentence):
        client.websocket(url, **options)


def test_what_is_no_message_is_refused_and_harms_nothing(make_client: Make) -> None:
    with library_server(echoing) as url, make_client() as client, client.websocket(url) as websocket:
        for wrong in (1, None, {"a": "b"}, "\ud800"):
            with pytest.raises(LocalProtocolError):
                websocket.send(wrong)
        for code, reason in ((1005, ""), (999, ""), (1000, "x" * 124), ("1000", "")):
            with pytest.raises(LocalProtocolError, match="cannot be closed with"):
                websocket.close(code, reason)
        websocket.send(bytearray(b"still"))
        assert websocket.recv() == b"still"


def test_a_message_whose_fragments_break_off_ends_the_websocket(make_client: Make) -> None:
    def breaking() -> Iterator[str]:
        yield "first"
        raise ZeroDivisionError

    with library_server(echoing) as url, make_client() as client, client.websocket(url) as websocket:
        with pytest.raises(ZeroDivisionError):
            websocket.send(breaking())
        with pytest.raises(WebSocketClosed):
            websocket.send("more")
        assert websocket.close_code == 1011


def test_outside_its_block_a_websocket_is_not_open() -> None:
    with plait.Client() as client:
        websocket = client.websocket("ws://localhost:1/chat")
        assert repr(websocket) == "<WebSocket http://localhost:1/chat, not open>"
        with pytest.raises(LocalProtocolError, match="inside its with block"):
            websocket.recv()


# -- leaving in a hurry ----------------------------------------------------------------------------


async def test_a_task_that_is_cancelled_in_the_block_does_not_wait_for_the_server() -> None:
    ended: Queue[int | None] = Queue()

    def listening(connection: ServerConnection) -> None:
        for _ in connection:
            pass
        ended.put(connection.close_code)

    with library_server(listening) as url:
        async with plait.AsyncClient() as client:
            opened = asyncio.Event()

            async def waiting() -> None:
                async with client.websocket(url, close_timeout=1000) as websocket:
                    opened.set()
                    await websocket.recv()

            task = asyncio.create_task(waiting())
            await opened.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with client.websocket(url) as another:
                await another.send("goes on")
        codes = {await asyncio.to_thread(ended.get, timeout=20) for _ in range(2)}
    assert codes in ({1000, 1001}, {1000, 1006})


def test_an_interrupt_in_the_block_does_not_wait_for_the_server() -> None:
    with (
        library_server(echoing) as url,
        plait.Client() as client,
        pytest.raises(KeyboardInterrupt),
        client.websocket(url, close_timeout=1000),
    ):
        raise KeyboardInterrupt


async def test_a_handshake_that_is_cancelled_opens_nothing() -> None:
    asked = threading.Event()
    go = threading.Event()

    def slow(connection: ServerConnection, request: Any) -> Any:
        asked.set()
        go.wait(20)
        return None

    with library_server(echoing, process_request=slow) as url:
        async with plait.AsyncClient() as client:
            opening = asyncio.create_task(client.websocket(url).__aenter__())
            await asyncio.to_thread(asked.wait, 20)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            go.set()


FORKING = """
import os, sys
import plait
with plait.Client() as client, client.websocket(sys.argv[1]) as websocket:
    child = os.fork()
    if not child:
        try:
            websocket.recv()
        except plait.WebSocketClosed as error:
            good = error.code == 1006 and "forked" in str(error.__cause__)
            with client.websocket(sys.argv[1]) as another:
                another.send("child")
                good = good and another.recv() == "child"
            os._exit(0 if good else 4)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    websocket.send("parent")
    assert websocket.recv() == "parent"
"""


def test_after_a_fork_the_websocket_is_the_parents() -> None:
    with library_server(echoing) as url:
        done = subprocess.run(
            [sys.executable, "-c", FORKING, url], capture_output=True, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, "")
