"""What requests cannot do by itself and can over plait, and that it is told everything as always."""

from __future__ import annotations

import logging
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from hyperframe.frame import RstStreamFrame
from urllib3 import Retry

from plait.errors import ConfigError
from plait.integrations.requests import Adapter
from tests.support.proxy import running_proxy
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer, free_port, serve_app
from tests.support.trap_scripts import WINDOWS, generous

MEBIBYTE = 1 << 20
REFUSED_STREAM = 7


@contextmanager
def mounted(*arguments: Any, verify: Any = True, **options: Any) -> Iterator[requests.Session]:
    """Give a session over plait, which does not ask the environment."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(verify) if isinstance(verify, Path) else verify
        adapter = Adapter(*arguments, **options)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        yield session


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


# -- many at once ----------------------------------------------------------------------------------


def test_a_hundred_threads_share_a_connection(site: RunningServer, certificate: Certificate) -> None:
    with mounted(verify=certificate.ca) as session, ThreadPoolExecutor(100) as threads:

        def fetch(size: int) -> tuple[int, Any, str]:
            response = session.get(site.url(f"/bytes?n={size}"), stream=True)
            connection: Any = response.raw._original_response._stream.peer.local
            return len(response.content), connection, response.raw.version_string

        seen = list(threads.map(fetch, range(300)))
    assert [size for size, _, _ in seen] == list(range(300))
    assert {version for _, _, version in seen} == {"HTTP/2"}
    assert len({connection for _, connection, _ in seen}) == 1


def test_a_hundred_threads_log_nothing_of_a_pool_that_is_full(
    site: RunningServer, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        mounted(verify=certificate.ca) as session,
        ThreadPoolExecutor(100) as threads,
    ):
        list(threads.map(lambda _: session.get(site.url("/bytes?n=1")), range(100)))
    assert not caplog.records


def test_a_pool_that_blocks_lets_so_many_through_at_once(
    site: RunningServer, certificate: Certificate
) -> None:
    url = site.url("/bytes?n=100000")
    with mounted(1, 1, pool_block=True, verify=certificate.ca) as session:
        first = session.get(url, stream=True)
        done = threading.Event()

        def second() -> int:
            size = len(session.get(url).content)
            done.set()
            return size

        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(second)
            assert not done.wait(0.2)
            assert len(first.content) == 100_000
            assert waiting.result(20) == 100_000


# -- streaming -------------------------------------------------------------------------------------


def test_40_responses_of_a_mebibyte_that_are_left_early_cost_no_window() -> None:
    with raw_server(generous(40)) as server, mounted(http="2", **WINDOWS) as session:
        for _ in range(40):
            with session.get(server.url, stream=True) as response:
                assert response.status_code == 200
        assert session.get(server.url).content == b"ok"
        assert server.connections == 1


def test_responses_that_nobody_closes_are_reset_when_nobody_has_them() -> None:
    with raw_server(generous(40)) as server, mounted(http="2", **WINDOWS) as session:
        for _ in range(40):
            assert session.get(server.url, stream=True).status_code == 200
        assert session.get(server.url).content == b"ok"
        assert server.connections == 1


def test_lines_come_as_they_are_sent() -> None:
    read = threading.Event()

    def slow(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.engine.send_data(stream, b"first\nsec")
        peer.flush()
        assert read.wait(20)
        peer.engine.send_data(stream, b"ond\n", end_stream=True)
        peer.flush()
        peer.drain()

    with raw_server(slow) as server, mounted(http="2") as session:
        lines = session.get(server.url, stream=True).iter_lines()
        assert next(lines) == b"first"
        read.set()
        assert list(lines) == [b"second"]


def test_a_response_can_be_read_when_its_session_is_closed(
    site: RunningServer, certificate: Certificate
) -> None:
    with mounted(verify=certificate.ca) as session:
        response = session.get(site.url("/bytes?n=3000000"), stream=True)
    assert len(response.content) == 3_000_000


def test_closing_a_session_spares_who_is_about_to_send(site: RunningServer, certificate: Certificate) -> None:
    with mounted(verify=certificate.ca) as session:
        session.get(site.url("/upload"))
        pools = session.get_adapter(site.url("")).poolmanager.pools
        pool = pools[next(iter(pools.keys()))]
        connection = pool._get_conn()
        session.close()
        connection.request("GET", "/bytes?n=3")
        assert connection.getresponse().data == bytes(3)
        assert pool.request("GET", "/bytes?n=3").data == bytes(3)
        assert session.get(site.url("/upload")).ok


# -- retries ---------------------------------------------------------------------------------------


def test_retries_are_those_of_urllib3() -> None:
    def busy(peer: Peer) -> None:
        peer.start()
        for _ in range(2):
            peer.respond(*peer.requests(), status=503, content=b"busy")
        peer.serve()

    retry = Retry(3, status_forcelist=[503], backoff_factor=0)
    with raw_server(busy) as server, mounted(max_retries=retry, http="2") as session:
        response = session.get(server.url)
    assert response.content == b"ok"
    assert [one.status for one in response.raw.retries.history] == [503, 503]


def test_retries_that_are_used_up_are_a_retry_error() -> None:
    def busy(peer: Peer) -> None:
        peer.start()
        while True:
            try:
                streams = peer.requests()
            except AssertionError:
                return
            peer.respond(*streams, status=503)

    retry = Retry(2, status_forcelist=[503], backoff_factor=0)
    with (
        raw_server(busy) as server,
        mounted(max_retries=retry, http="2") as session,
        pytest.raises(requests.exceptions.RetryError),
    ):
        session.get(server.url)


def test_connecting_is_tried_as_often_as_the_adapter_says(caplog: pytest.LogCaptureFixture) -> None:
    with mounted(max_retries=2) as session, pytest.raises(requests.ConnectionError):
        session.get(f"http://127.0.0.1:{free_port()}/")
    assert [record.getMessage()[:8] for record in caplog.records] == ["Retrying"] * 2


def test_a_connection_that_closes_is_tried_again_only_when_the_adapter_says_so() -> None:
    def closing(peer: Peer) -> None:
        peer.start()
        peer.requests()

    for retry, scripts in ((Retry(1, backoff_factor=0), (closing, ordinary)), (0, (closing,))):
        with raw_server(*scripts) as server, mounted(max_retries=retry, http="2") as session:
            if retry:
                assert session.get(server.url).content == b"ok"
            else:
                with pytest.raises(requests.ConnectionError):
                    session.get(server.url)


def test_a_refused_stream_is_sent_again_unasked() -> None:
    def refusing(peer: Peer) -> None:
        peer.start()
        peer.send(RstStreamFrame(*peer.requests(), error_code=REFUSED_STREAM))
        peer.serve()

    with raw_server(refusing) as server, mounted(http="2") as session:
        assert session.post(server.url, json={"a": 1}).content == b"ok"


# -- certificates and proxies ----------------------------------------------------------------------


def test_every_request_says_whom_it_trusts(site: RunningServer, certificate: Certificate) -> None:
    with mounted() as session:
        with pytest.raises(requests.exceptions.SSLError, match="is refused"):
            session.get(site.url("/upload"))
        assert session.get(site.url("/upload"), verify=str(certificate.ca)).ok
        with pytest.warns(match="Unverified HTTPS request is being made to host 'localhost'"):
            assert session.get(site.url("/upload"), verify=False).ok
        with pytest.raises(requests.exceptions.SSLError):
            session.get(site.url("/upload"))


def test_the_environment_names_authorities_as_always(
    site: RunningServer, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.ca))
    with mounted() as session:
        session.trust_env = True
        assert session.get(site.url("/upload")).ok


def test_a_file_that_holds_no_certificate_is_an_ssl_error(site: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with (
        mounted(verify=tmp_path / "ca.pem") as session,
        pytest.raises(requests.exceptions.SSLError, match="holds no certificate"),
    ):
        session.get(site.url("/upload"))


def test_a_certificate_of_the_clients_own_is_shown(certificate: Certificate, tmp_path: Path) -> None:
    options = ("--client-ca", certificate.ca, "--client-cert", "required")
    with (
        serve_app("library_app:app", *options, certificate=certificate) as server,
        mounted(verify=certificate.ca) as session,
    ):
        with pytest.raises(requests.ConnectionError):
            session.get(server.url("/upload"))
        own = (str(certificate.chain), str(certificate.key))
        assert session.get(server.url("/upload"), cert=own).ok


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_proxies_are_those_of_the_request(site: RunningServer, certificate: Certificate, scheme: str) -> None:
    with running_proxy("me:p@ss") as proxy, mounted(verify=certificate.ca) as session:
        proxies = {"https": f"{scheme}://me:p%40ss@127.0.0.1:{proxy.port}"}
        assert session.get(site.url("/upload"), proxies=proxies).raw.version == 20
        assert session.get(site.url("/upload")).ok
        assert proxy.credentials == ["me:p@ss"]
        assert len(proxy.seen) == 1


def test_a_proxy_is_told_the_whole_url_where_nothing_is_encrypted() -> None:
    with (
        serve_app("library_app:app", certificate=None) as server,
        running_proxy("me:secret") as proxy,
        mounted() as session,
    ):
        url = f"http://127.0.0.1:{server.port}/upload?a=1"
        answer = session.get(url, proxies={"http": f"http://me:secret@127.0.0.1:{proxy.port}"})
        assert answer.json()["path"] == "/upload"
        assert proxy.seen == [f"GET {url} HTTP/1.1"]
        assert proxy.credentials == ["me:secret"]
        assert "proxy-authorization" not in dict(answer.json()["headers"])


def test_proxies_that_change_with_every_request_do_not_pile_up(
    site: RunningServer, certificate: Certificate
) -> None:
    with running_proxy() as proxy, mounted(2, verify=certificate.ca) as session:
        for number in range(5):
            proxies = {"https": f"http://user{number}:secret@127.0.0.1:{proxy.port}"}
            assert session.get(site.url("/upload"), proxies=proxies).ok
        assert len(session.get_adapter("https://").proxy_manager) == 2


def test_no_way_through_a_proxy_is_a_proxy_error(site: RunningServer) -> None:
    with mounted() as session:
        for url in (site.url("/"), "http://localhost/"):
            scheme = url.partition(":")[0]
            with pytest.raises(requests.exceptions.ProxyError):
                session.get(url, proxies={scheme: f"http://127.0.0.1:{free_port()}"})


def test_a_proxy_that_is_not_spoken_to_is_refused_with_a_sentence(site: RunningServer) -> None:
    with (
        mounted() as session,
        pytest.raises(requests.exceptions.InvalidProxyURL, match="a proxy has the form"),
    ):
        session.get(site.url("/"), proxies={"https": "https://localhost:3128"})


def test_connections_are_kept_to_so_many_servers(certificate: Certificate) -> None:
    with raw_server(ordinary) as first, raw_server(ordinary) as second, mounted(1, http="2") as session:
        for server in (first, second, first):
            assert session.get(server.url).content == b"ok"
        assert (first.connections, second.connections) == (2, 1)


# -- limits of time, and errors --------------------------------------------------------------------


def test_connecting_has_a_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, mounted() as session:
        with pytest.raises(requests.ConnectTimeout) as caught:
            session.get(f"https://127.0.0.1:{mute.getsockname()[1]}/", timeout=(0.2, 20))
        assert caught.value.request is not None


def test_content_that_nobody_takes_is_a_connection_error() -> None:
    def stuck(peer: Peer) -> None:
        peer.start()
        peer.drain()

    with (
        raw_server(stuck) as server,
        mounted(http="2") as session,
        pytest.raises(requests.ConnectionError, match="took nothing"),
    ):
        session.post(server.url, data=bytes(MEBIBYTE), timeout=0.2)


def test_an_adapter_can_be_pickled(site: RunningServer, certificate: Certificate) -> None:
    with mounted(verify=certificate.ca, http="1") as session:
        assert session.get(site.url("/upload")).ok
        with pickle.loads(pickle.dumps(session)) as copy:
            assert copy.get(site.url("/upload")).raw.version_string == "HTTP/1.1"


def test_messages_name_pools_and_connections_as_ever() -> None:
    port = free_port()
    with mounted() as session, pytest.raises(requests.ConnectionError) as caught:
        session.get(f"http://127.0.0.1:{port}/a")
    said = str(caught.value)
    assert said.startswith(
        f"HTTPConnectionPool(host='127.0.0.1', port={port}): Max retries exceeded with url: /a"
    )
    assert f"HTTPConnection(host='127.0.0.1', port={port}): Failed to establish a new connection: " in said


def test_options_that_requests_gives_with_each_request_are_refused() -> None:
    for options in ({"verify": False}, {"timeout": 3}, {"headers": {"x-a": "1"}}):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(options))}'"):
            Adapter(**options)


def test_a_wrong_option_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="max_in_flight"):
        Adapter(max_in_flight=0)


def test_a_library_that_is_missing_is_told_with_what_installs_it() -> None:
    program = "import sys; sys.modules['requests'] = None; import plait.integrations.requests"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert 'ConfigError: requests is not installed: pip install "plait[requests]"' in done.stderr
