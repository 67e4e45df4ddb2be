"""Through a proxy: a tunnel for everything that is encrypted, and a sentence when there is none."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

import plait
from plait.drivers.proxies import Proxy, ProxyMap, Tunnel, parse_proxy
from plait.errors import ConfigError, ConnectFailed, ConnectTimeout, ProxyFailed
from plait.urls import Origin
from tests.support.faces import Face
from tests.support.proxy import running_proxy
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer, free_port, serve_app

Make = Callable[..., Face]


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_https_goes_through_a_tunnel_and_the_proxy_sees_the_name_alone(
    make_client: Make, nghttpd: RunningServer, certificate: Certificate, scheme: str
) -> None:
    with running_proxy("me:p@ss") as proxy:
        url = f"{scheme}://me:p%40ss@127.0.0.1:{proxy.port}"
        with make_client(nghttpd.url(), verify=certificate.ca, proxy=url) as client:
            response = client.get("/small")
            assert (response.http_version, response.content) == ("HTTP/2", b"small\n")
            assert client.get("/small").status == 200
        where = f"localhost:{nghttpd.port}"
        assert proxy.seen == [where if scheme != "http" else f"CONNECT {where} HTTP/1.1"]
        assert proxy.credentials == ["me:p@ss"]


def test_http1_goes_to_the_proxy_with_its_whole_url(make_client: Make) -> None:
    with serve_app("interop_app:app", certificate=None) as server, running_proxy("me:secret") as proxy:
        url = f"http://127.0.0.1:{server.port}"
        with make_client(url, proxy=f"http://me:secret@127.0.0.1:{proxy.port}") as client:
            responses = [client.submit("GET", "/", params={"n": n}) for n in range(3)]
            assert [one.result().status for one in responses] == [200] * 3
        assert f"GET {url}/?n=0 HTTP/1.1" in proxy.seen
        assert set(proxy.credentials) == {"me:secret"}


def test_http2_with_prior_knowledge_goes_through_a_tunnel(make_client: Make) -> None:
    with raw_server(ordinary) as server, running_proxy() as proxy:
        with make_client(server.url, http="2", proxy=f"http://127.0.0.1:{proxy.port}") as client:
            assert client.get("/").content == b"ok"
        assert proxy.seen[0].startswith("CONNECT 127.0.0.1:")


def test_http1_over_several_connections_has_a_tunnel_for_each(
    make_client: Make, plait_server: RunningServer, certificate: Certificate
) -> None:
    with running_proxy() as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        with make_client(plait_server.url(), verify=certificate.ca, proxy=url, http="1") as client:
            pending = [client.submit("GET", "/") for _ in range(20)]
            assert [one.result().status for one in pending] == [200] * 20
            # The last of them may come when there is nothing left to ask for.
            assert 2 <= client.statistics.connections_opened <= len(proxy.seen) <= 6


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_knows_nobody_of_this_name_is_told(make_client: Make, scheme: str) -> None:
    with running_proxy("me:secret") as proxy:
        url = f"{scheme}://me:wrong@127.0.0.1:{proxy.port}"
        with make_client("https://localhost:9", proxy=url) as client:
            with pytest.raises(
                ProxyFailed, match=rf"the proxy {scheme}://127\.0\.0\.1:\d+ opens no "
            ) as caught:
                client.get("/")
            assert "wrong" not in str(caught.value)
            assert caught.value.unprocessed
            if scheme == "http":
                assert str(caught.value).endswith("to localhost:9: 407 Proxy Authentication Required")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_not_there_is_told(make_client: Make, scheme: str) -> None:
    proxy = f"{scheme}://127.0.0.1:{free_port()}"
    with (
        make_client("https://localhost:9", proxy=proxy) as client,
        pytest.raises(ProxyFailed, match=rf"cannot connect to the proxy {proxy}: Connection refused"),
    ):
        client.get("/")


def test_a_proxy_that_is_not_there_is_told_to_plain_http_too(make_client: Make) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    with (
        make_client("http://localhost:9", proxy=proxy) as client,
        pytest.raises(ProxyFailed, match=rf"no way through the proxy {proxy}: .*Connection refused"),
    ):
        client.get("/")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_says_nothing_has_the_time_to_connect(make_client: Make, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
        with (
            make_client("https://localhost:9", proxy=proxy, connect_timeout=0.3) as client,
            pytest.raises(ConnectTimeout),
        ):
            client.get("/")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"", "closed the connection instead of opening a tunnel"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "does not speak HTTP/1.1"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "opens no tunnel to localhost:9: 502 Bad Gateway"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, "answers with more than 65536 bytes"),
    ],
)
def test_a_proxy_that_opens_no_tunnel_is_told(make_client: Make, answer: bytes, sentence: str) -> None:
    with running_proxy() as proxy:
        proxy.answer = answer
        with (
            make_client("https://localhost:9", proxy=f"http://127.0.0.1:{proxy.port}") as client,
            pytest.raises(ConnectFailed, match=sentence),
        ):
            client.get("/")


def test_what_follows_the_answer_belongs_to_the_tunnel() -> None:
    tunnel = Tunnel(Proxy("http", "proxy", 80), "::1", 443)
    assert tunnel.request == b"CONNECT [::1]:443 HTTP/1.1\r\nhost: [::1]:443\r\n\r\n"
    answer = b"HTTP/1.1 100 \r\n\r\nHTTP/1.0 200 OK\nx: 1\n\nthe tunnel's"
    while not tunnel.opened:
        size = tunnel.wanted
        tunnel.receive(answer[:size])
        answer = answer[size:]
    assert answer == b"the tunnel's"


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy:3128", Proxy("http", "proxy", 3128)),
        ("HTTP://Proxy/", Proxy("http", "proxy", 80)),
        ("socks5h://a%20b:c%3A@[::1]", Proxy("socks5", "::1", 1080, "a b", "c:")),
    ],
)
def test_the_url_of_a_proxy_is_read(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy


@pytest.mark.parametrize(
    "url", ["proxy:3128", "ftp://proxy", "http://", "http://proxy:99999", "http://a@b@c"]
)
def test_what_is_no_proxy_is_refused_and_its_password_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="proxy"):
        plait.Client(proxy=url)
    with pytest.raises(ConfigError) as caught:
        plait.Client(proxy="https://me:secret@proxy")
    assert "secret" not in str(caught.value)


def test_the_environment_names_a_proxy_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:1")
    monkeypatch.setenv("ALL_PROXY", "socks5://every:2")
    monkeypatch.setenv("NO_PROXY", "localhost,.example.com,host.test:8443")
    named = ProxyMap(None, trust_env=True)
    assert named.for_origin(Origin("https", "www.test", 443)) == Proxy("http", "secure", 1)
    assert named.for_origin(Origin("http", "www.test", 80)) == Proxy("socks5", "every", 2)
    assert named.for_origin(Origin("https", "localhost", 443)) is None
    assert named.for_origin(Origin("https", "www.example.com", 443)) is None
    assert named.for_origin(Origin("https", "host.test", 8443)) is None
    assert named.for_origin(Origin("https", "host.test", 443)) is not None
    assert ProxyMap("http://mine", trust_env=True).for_origin(Origin("https", "localhost", 443)) is not None


def test_nothing_is_read_from_the_environment_unasked(
    make_client: Make, nghttpd: RunningServer, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with make_client(nghttpd.url(), verify=certificate.ca) as client:
        assert client.get("/small").status == 200
    with (
        make_client(nghttpd.url(), verify=certificate.ca, trust_env=True) as client,
        pytest.raises(ProxyFailed),
    ):
        client.get("/small")
