"""A Twisted site behind the endpoints that ``docs/twisted.md`` names, and curl in front of them."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.raw_client import H1Client, H2Client, Origin, get
from tests.support.servers import Certificate, free_port, run_server
from tests.support.tools import require_tool


@dataclass(frozen=True, slots=True)
class _Site:
    """Where the site listens.

    Attributes:
        url: Its address at each kind of endpoint.
        path: Its Unix socket.
        proxied: Its port for a proxy.
        authority: The certificate of the authority to trust.
    """

    url: dict[str, str]
    path: Path
    proxied: int
    authority: Path

    def curl(self, kind: str, *arguments: str | Path) -> str:
        """Return what curl prints of the site."""
        command = [require_tool("curl"), "--silent", "--show-error", "--cacert", self.authority, *arguments]
        done = subprocess.run([*command, self.url[kind]], capture_output=True, text=True, check=True)
        return done.stdout


@pytest.fixture(scope="module")
def site(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Site]:
    """Run the site behind four endpoints at once."""
    path = tmp_path_factory.mktemp("endpoints") / "site.socket"
    tls, tcp, proxied = (free_port() for _ in range(3))
    secret = f"privateKey={certificate.key}:certKey={certificate.chain}:extraCertChain={certificate.ca}"
    where = [
        f"ssl:port={tls}:interface=127.0.0.1:{secret}",
        f"unix:{path}",
        f"haproxy:tcp:{proxied}:interface=127.0.0.1",
        f"tcp:{tcp}:interface=127.0.0.1",
    ]
    with run_server(
        [sys.executable, "-m", "tests.support.endpoint_site", *where], port=tcp, exit_status=0
    ) as running:
        urls = {
            "ssl": f"https://localhost:{tls}/",
            "unix": "http://localhost/",
            "tcp": f"http://localhost:{tcp}/",
        }
        yield _Site(urls, path, proxied, certificate.ca)
        assert "Traceback" not in running.output(), running.output()


@pytest.mark.parametrize(("flag", "version"), [("--http2", "HTTP/2"), ("--http1.1", "HTTP/1.1")])
def test_an_ssl_endpoint_carries_both_versions(site: _Site, flag: str, version: str) -> None:
    assert site.curl("ssl", flag) == f"{version} True 127.0.0.1"


@pytest.mark.parametrize(
    ("flag", "version"),
    [("--http2-prior-knowledge", "HTTP/2"), ("--http2", "HTTP/2"), ("--http1.1", "HTTP/1.1")],
)
def test_tcp_and_unix_endpoints_carry_both_versions_without_tls(site: _Site, flag: str, version: str) -> None:
    assert site.curl("tcp", flag) == f"{version} False 127.0.0.1"
    assert site.curl("unix", flag, "--unix-socket", site.path) == f"{version} False UNIXAddress"


@pytest.mark.parametrize("version", ["HTTP/2", "HTTP/1.1"])
def test_behind_a_proxy_that_speaks_the_proxy_protocol_clients_have_their_own_address(
    site: _Site, version: str
) -> None:
    connection = Origin(site.proxied, None).connect()
    connection.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n")
    with closing(connection):
        if version == "HTTP/2":
            http2 = H2Client(connection)
            http2.handshake()
            said = http2.response(http2.headers(get()))
        else:
            http1 = H1Client(connection)
            http1.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            said = http1.response()

    assert said.content == f"{version} False 192.0.2.7".encode()


def test_websocket_stays_twisteds_own_over_http_1_1(site: _Site) -> None:
    context = ssl.create_default_context(cafile=site.authority)
    with connect(site.url["ssl"].replace("http", "ws") + "echo", ssl=context) as websocket:
        websocket.send("over a Twisted site")
        assert websocket.recv(timeout=20) == "over a Twisted site"
