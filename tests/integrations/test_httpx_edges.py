"""What httpx and httpx2 cannot do by themselves and can over plait, and what fails how."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h2.events
import httpx
import httpx2
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import RstStreamFrame

from plait.errors import ConfigError
from plait.integrations import httpx as over_httpx
from plait.integrations import httpx2 as over_httpx2
from tests.support.proxy import running_proxy
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer, free_port
from tests.support.trap_scripts import WINDOWS, answer_two, generous, leave_behind_stream_3

MEBIBYTE = 1 << 20
REFUSED_STREAM = 7

Libraries = tuple[Any, Any]


@pytest.fixture(params=[(httpx, over_httpx), (httpx2, over_httpx2)], ids=["httpx", "httpx2"])
def libraries(request: pytest.FixtureRequest) -> Libraries:
    """Return a library, and its transports."""
    pair: Libraries = request.param
    return pair


def over_http2(libraries: Libraries, **options: Any) -> Any:
    """Return a client that speaks HTTP/2 with prior knowledge."""
    library, plait = libraries
    return library.Client(transport=plait.Transport(http1=False, **options), timeout=20)


# -- what there is to know -------------------------------------------------------------------------


def test_a_response_tells_of_its_connection(
    libraries: Libraries, site: RunningServer, certificate: Certificate
) -> None:
    library, plait = libraries
    with library.Client(transport=plait.Transport(verify=certificate.ca)) as client:
        first, second = client.get(site.url("/upload")), client.get(site.url("/upload"))
    assert [one.extensions["http_version"] for one in (first, second)] == [b"HTTP/2"] * 2
    assert [one.extensions["stream_id"] for one in (first, second)] == [1, 3]
    stream = first.extensions["network_stream"]
    assert stream.get_extra_info("server_addr") == ("127.0.0.1", site.port)
    host, port = stream.get_extra_info("client_addr")
    assert (host, port > 0) == ("127.0.0.1", True)
    assert stream.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    assert isinstance(stream.get_extra_info("socket"), socket.socket)
    assert stream.get_extra_info("something else") is None


def test_an_asynchronous_response_does_too(
    libraries: Libraries, site: RunningServer, certificate: Certificate
) -> None:
    library, plait = libraries

    async def get() -> Any:
        async with library.AsyncClient(transport=plait.AsyncTransport(verify=certificate.ca)) as client:
            return await client.get(site.url("/upload"))

    stream = asyncio.run(get()).extensions["network_stream"]
    assert stream.get_extra_info("server_addr") == ("127.0.0.1", site.port)
    assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"


def test_trailers_are_there_once_the_content_was_read(libraries: Libraries) -> None:
    def trailing(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.engine.send_data(stream, b"content")
        peer.engine.send_headers(stream, [("x-sum", "1")], end_stream=True)
        peer.flush()
        peer.drain()

    with (
        raw_server(trailing) as server,
        over_http2(libraries) as client,
        client.stream("GET", server.url) as response,
    ):
        assert response.extensions["trailers"] == []
        assert response.read() == b"content"
        assert response.extensions["trailers"] == [(b"x-sum", b"1")]


def test_fields_and_target_arrive_byte_for_byte_and_none_is_added(libraries: Libraries) -> None:
    seen: list[Any] = []

    def listening(peer: Peer) -> None:
        peer.engine.config.header_encoding = None
        peer.start()
        (event,) = peer.wait_for(h2.events.RequestReceived)
        seen.extend(event.headers)
        peer.respond(event.stream_id)
        peer.drain()

    library, _ = libraries
    with raw_server(listening) as server, over_http2(libraries) as client:
        request = library.Request(
            "GET", server.url + "/a|b{c}", headers=[(b"X-B", b"\xe4"), (b"x-a", b"1"), (b"X-B", b"2")]
        )
        client.send(request)
    authority = server.url.removeprefix("http://").encode()
    assert seen == [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", authority),
        (b":path", request.url.raw_path),
        (b"x-b", b"\xe4"),
        (b"x-a", b"1"),
        (b"x-b", b"2"),
    ]


# -- many at once ----------------------------------------------------------------------------------


def test_a_hundred_threads_share_a_connection(
    libraries: Libraries, site: RunningServer, certificate: Certificate
) -> None:
    library, plait = libraries
    transport = plait.Transport(verify=certificate.ca)
    with library.Client(transport=transport, timeout=60) as client, ThreadPoolExecutor(100) as threads:
        sizes = list(threads.map(lambda n: len(client.get(site.url(f"/bytes?n={n}")).content), range(300)))
        assert sizes == list(range(300))
        assert transport.client.statistics.connections_opened == 1


def test_a_hundred_tasks_share_a_connection(
    libraries: Libraries, site: RunningServer, certificate: Certificate
) -> None:
    library, plait = libraries

    async def main() -> tuple[list[int], int]:
        transport = plait.AsyncTransport(verify=certificate.ca)
        async with library.AsyncClient(transport=transport, timeout=60) as client:
            answers = await asyncio.gather(*(client.get(site.url(f"/bytes?n={n}")) for n in range(100)))
            return [len(one.content) for one in answers], transport.client.statistics.connections_opened

    assert asyncio.run(main()) == (list(range(100)), 1)


# -- traps that the libraries' own transports fall into --------------------------------------------


def test_40_responses_of_a_mebibyte_that_are_left_early_cost_no_window(libraries: Libraries) -> None:
    with raw_server(generous(40)) as server, over_http2(libraries, **WINDOWS) as client:
        for _ in range(40):
            with client.stream("GET", server.url) as response:
                assert response.status_code == 200
        assert client.get(server.url).content == b"ok"
        assert server.connections == 1


def test_a_response_that_nobody_closes_is_reset_when_nobody_has_it(libraries: Libraries) -> None:
    library, _ = libraries
    with raw_server(generous(3)) as server, over_http2(libraries) as client:
        for _ in range(3):
            client.send(library.Request("GET", server.url), stream=True)
            gc.collect()
        assert client.get(server.url).content == b"ok"


def test_an_asynchronous_response_that_nobody_closes_is_too(libraries: Libraries) -> None:
    library, plait = libraries

    async def main(url: str) -> bytes:
        async with library.AsyncClient(transport=plait.AsyncTransport(http1=False), timeout=20) as client:
            for _ in range(3):
                await client.send(library.Request("GET", url), stream=True)
                gc.collect()
            content: bytes = (await client.get(url)).content
            return content

    with raw_server(generous(3)) as server:
        assert asyncio.run(main(server.url)) == b"ok"


def test_a_goaway_for_stream_3_spares_1_and_3_and_has_5_and_7_sent_again(libraries: Libraries) -> None:
    with (
        raw_server(leave_behind_stream_3, answer_two) as server,
        over_http2(libraries) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        contents = threads.map(lambda _: client.post(server.url, content=b"x").content, range(4))
        assert sorted(contents) == [b"new", b"new", b"old", b"old"]


def refusing(peer: Peer) -> None:
    peer.start()
    (stream,) = peer.requests()
    peer.send(RstStreamFrame(stream, error_code=REFUSED_STREAM))
    peer.serve()


def test_a_refused_stream_is_sent_again_with_its_content(libraries: Libraries) -> None:
    with raw_server(refusing) as server, over_http2(libraries) as client:
        assert client.post(server.url, json={"a": 1}).content == b"ok"


def test_a_refused_stream_is_not_sent_again_where_the_content_is_gone(libraries: Libraries) -> None:
    library, _ = libraries
    with raw_server(refusing) as server, over_http2(libraries) as client:
        with pytest.raises(library.RemoteProtocolError, match="REFUSED_STREAM") as caught:
            client.post(server.url, content=(piece for piece in [b"x"]))
        assert caught.value.request.method == "POST"
        assert client.get(server.url).content == b"ok"


# -- limits of time --------------------------------------------------------------------------------


def test_sending_content_has_a_limit(libraries: Libraries) -> None:
    def stuck(peer: Peer) -> None:
        peer.start()
        peer.drain()

    library, _ = libraries
    with (
        raw_server(stuck) as server,
        over_http2(libraries) as client,
        pytest.raises(library.WriteTimeout),
    ):
        client.post(server.url, content=bytes(MEBIBYTE), timeout=library.Timeout(20, write=0.2))


def test_waiting_for_room_has_a_limit(libraries: Libraries) -> None:
    def full(peer: Peer) -> None:
        peer.start({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.flush()
        peer.drain()

    library, _ = libraries
    with (
        raw_server(full) as server,
        over_http2(libraries, max_h2_connections=1) as client,
        client.stream("GET", server.url),
        pytest.raises(library.PoolTimeout),
    ):
        client.get(server.url, timeout=library.Timeout(20, pool=0.1))


@pytest.mark.parametrize("timeout", [0.2, {"timeout": 20, "connect": 0.2, "pool": 0.01}])
def test_connecting_has_a_limit_and_is_not_waiting_for_room(libraries: Libraries, timeout: Any) -> None:
    library, plait = libraries
    limits = library.Timeout(**timeout) if isinstance(timeout, dict) else library.Timeout(timeout)
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        library.Client(transport=plait.Transport(), timeout=limits) as client,
        pytest.raises(library.ConnectTimeout),
    ):
        client.get(f"https://127.0.0.1:{mute.getsockname()[1]}/")


def test_no_limit_is_none(libraries: Libraries, site: RunningServer, certificate: Certificate) -> None:
    library, plait = libraries
    with library.Client(transport=plait.Transport(verify=certificate.ca), timeout=None) as client:
        assert client.get(site.url("/bytes?n=3")).content == bytes(3)


# -- what fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"x-a": "b\r\nc: d"}},
        {"headers": {"x a": "b"}},
        {"content": b"abc", "headers": {"content-length": "5"}},
        {"extensions": {"sni_hostname": "other.example"}},
        {"extensions": {"target": b"/a b"}},
    ],
)
def test_what_http_cannot_carry_is_refused_and_nothing_sent(
    libraries: Libraries, options: dict[str, Any]
) -> None:
    library, plait = libraries
    with (
        library.Client(transport=plait.Transport()) as client,
        pytest.raises(library.LocalProtocolError) as caught,
    ):
        client.post("https://localhost/", **options)
    assert str(caught.value.request.url) == "https://localhost/"


def resetting(before: int) -> Callable[[Peer], None]:
    """Return a script that resets the connection after so many pieces of a request's content."""

    def reset(peer: Peer) -> None:
        peer.start()
        peer.requests()
        if before:
            peer.wait_for(h2.events.DataReceived, before)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return reset


def test_a_connection_that_is_reset_is_a_read_error(libraries: Libraries) -> None:
    library, _ = libraries
    with (
        raw_server(resetting(0)) as server,
        over_http2(libraries) as client,
        pytest.raises(library.ReadError),
    ):
        client.post(server.url, content=b"x")


def test_a_connection_that_is_reset_while_content_leaves_is_a_write_error(libraries: Libraries) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    library, _ = libraries
    with (
        raw_server(resetting(3)) as server,
        over_http2(libraries) as client,
        pytest.raises(library.WriteError),
    ):
        client.post(server.url, content=endless())


def test_reading_on_when_the_transport_was_closed_is_a_read_error(
    libraries: Libraries, site: RunningServer, certificate: Certificate
) -> None:
    library, plait = libraries
    with library.Client(transport=plait.Transport(verify=certificate.ca)) as client:
        response = client.send(library.Request("GET", site.url("/bytes?n=9000000")), stream=True)
    with pytest.raises(library.ReadError, match="was closed"):
        response.read()


def test_no_way_through_a_proxy_is_a_proxy_error(libraries: Libraries) -> None:
    library, plait = libraries
    proxy = f"http://127.0.0.1:{free_port()}"
    with library.Client(transport=plait.Transport(proxy=proxy)) as client:
        with pytest.raises(library.ProxyError):
            client.get("https://localhost/")
        with pytest.raises(library.ProxyError):
            client.get("http://localhost/")


def test_asynchronous_transports_fail_alike(libraries: Libraries) -> None:
    library, plait = libraries

    async def get(url: str) -> Any:
        async with library.AsyncClient(transport=plait.AsyncTransport()) as client:
            with pytest.raises(library.ConnectError) as caught:
                await client.get(url)
            return caught.value

    error = asyncio.run(get(f"http://127.0.0.1:{free_port()}/"))
    assert "Connection refused" in str(error)
    assert error.request.method == "GET"


def test_without_asyncio_there_is_a_sentence(libraries: Libraries) -> None:
    library, plait = libraries
    transport = plait.AsyncTransport()
    running = transport.handle_async_request(library.Request("GET", "https://localhost/"))
    with pytest.raises(ConfigError, match=rf"under trio, use {library.__name__}\.AsyncHTTPTransport"):
        running.send(None)


# -- options ---------------------------------------------------------------------------------------


def test_the_librarys_own_options_are_understood(
    libraries: Libraries, site: RunningServer, certificate: Certificate
) -> None:
    library, plait = libraries
    limits = library.Limits(max_connections=1, keepalive_expiry=None)
    with running_proxy("me:p@ss") as proxy:
        way = library.Proxy(f"http://127.0.0.1:{proxy.port}", auth=("me", "p@ss"))
        transport = plait.Transport(verify=certificate.ca, limits=limits, proxy=way, http2=False)
        with library.Client(transport=transport) as client:
            for _ in range(2):
                assert client.get(site.url("/upload")).http_version == "HTTP/1.1"
        assert transport.client.statistics.connections_opened == 1
        assert proxy.credentials == ["me:p@ss"]


def test_a_transport_is_mounted_where_it_is_wanted(
    libraries: Libraries, site: RunningServer, certificate: Certificate
) -> None:
    library, plait = libraries
    mounts = {"https://localhost": plait.Transport(verify=certificate.ca)}
    with library.Client(mounts=mounts) as client:
        assert client.get(site.url("/upload")).http_version == "HTTP/2"


def test_a_transport_goes_on_after_it_was_closed(
    libraries: Libraries, site: RunningServer, certificate: Certificate
) -> None:
    library, plait = libraries
    transport = plait.Transport(verify=certificate.ca)
    for _ in range(2):
        with library.Client(transport=transport) as client:
            assert client.get(site.url("/upload")).http_version == "HTTP/2"
    asynchronous = plait.AsyncTransport(verify=certificate.ca)

    async def get() -> str:
        async with library.AsyncClient(transport=asynchronous) as client:
            version: str = (await client.get(site.url("/upload"))).http_version
            return version

    assert [asyncio.run(get()) for _ in range(2)] == ["HTTP/2"] * 2


def test_requests_that_fail_are_tried_again_when_plait_is_told_to(libraries: Libraries) -> None:
    def closing(peer: Peer) -> None:
        peer.start()
        peer.requests()

    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(closing, ordinary) as server, over_http2(libraries, retries=1) as client:
        assert client.get(server.url).content == b"ok"


@pytest.mark.parametrize("options", [{"http1": False, "http2": False}, {"max_in_flight": 0}])
def test_a_wrong_option_is_refused(libraries: Libraries, options: dict[str, Any]) -> None:
    for kind in (libraries[1].Transport, libraries[1].AsyncTransport):
        with pytest.raises(ConfigError):
            kind(**options)


def test_options_that_would_have_no_effect_are_refused(libraries: Libraries) -> None:
    library, plait = libraries
    for options in ({"timeout": 3}, {"headers": {"x-a": "1"}}, {"base_url": "https://localhost"}):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(options))}'"):
            plait.Transport(**options)
    with pytest.raises(ConfigError, match="no headers"):
        plait.Transport(proxy=library.Proxy("http://localhost:3128", headers={"x-a": "1"}))


class Assistant:
    """A client in the manner of OpenAI's and Anthropic's: it is given what it sends by."""

    def __init__(self, base_url: str, api_key: str, http_client: httpx2.Client) -> None:
        self._client = http_client
        self._base_url = httpx2.URL(base_url)
        self._headers = {"authorization": f"Bearer {api_key}", "accept": "application/json"}

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        request = self._client.build_request(
            "POST", self._base_url.join(path), json=body, headers=self._headers
        )
        for _ in range(2):
            try:
                response = self._client.send(request)
            except httpx2.TransportError:
                continue
            response.raise_for_status()
            return response.json()

    def listen(self, path: str) -> Iterator[str]:
        with self._client.stream("GET", self._base_url.join(path), headers=self._headers) as response:
            yield from response.iter_lines()


def test_a_kit_that_takes_an_http_client_works_over_plait(
    site: RunningServer, certificate: Certificate
) -> None:
    transport = over_httpx2.Transport(verify=certificate.ca)
    with httpx2.Client(transport=transport) as http_client:
        assistant = Assistant(site.url(""), "secret", http_client)
        seen = assistant.ask("/upload", {"model": "m"})
        assert ["authorization", "Bearer secret"] in seen["headers"]
        assert len(list(assistant.listen("/lines"))) == 2000


def test_a_library_that_is_missing_is_told_with_what_installs_it(libraries: Libraries) -> None:
    name = libraries[0].__name__
    program = f"import sys; sys.modules[{name!r}] = None; import plait.integrations.{name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f'ConfigError: {name} is not installed: pip install "plait[{name}]"' in done.stderr
