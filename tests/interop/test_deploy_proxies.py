"""The configurations of proxies in deploy/, each by a running proxy in front of a running plait."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

import plait
from tests.support.deployment import Site, caddy, envoy, haproxy, nginx, passthrough
from tests.support.servers import Certificate
from tests.support.tools import require_tool
from tests.support.websocket_peer import connected
from tests.support.workshop import until

BOTH = pytest.mark.parametrize("flag", ["--http2", "--http1.1"])
LIES = [
    *("--header", "x-forwarded-for: 192.0.2.66"),
    *("--header", "x-forwarded-proto: http"),
    *("--header", "forwarded: for=192.0.2.67;proto=http"),
]


PROXIES: list[Callable[..., Any]] = [nginx, haproxy, caddy, envoy, passthrough]


@pytest.fixture(scope="module", params=PROXIES, ids=lambda one: one.__name__)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Site]:
    """Run each proxy in turn."""
    # Short, since the path of a Unix socket has to be.
    with request.param(tmp_path_factory.mktemp("site"), certificate) as running:
        running.wait()
        yield running


@BOTH
def test_the_application_sees_the_client_and_not_the_proxy(site: Site, flag: str) -> None:
    seen = json.loads(site.curl("/a%20b?c=d", flag, "--interface", "127.0.0.2", *LIES))
    version = {"--http2": "2", "--http1.1": "1.1"}[flag] if site.version == "as the client" else site.version
    assert seen["http_version"] == version
    assert seen["scheme"] == "https"
    # The proxy says whose request it is, and what the client says itself is not believed.
    assert seen["client"][0] == "127.0.0.2"
    assert seen["path"] == "/a b"
    assert seen["query"] == "c=d"
    assert dict(seen["headers"])["host"] == f"localhost:{site.proxy.port}"


@BOTH
def test_an_upload_arrives_whole(site: Site, flag: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    file = tmp_path / "upload"
    file.write_bytes(content)
    seen = json.loads(site.curl("/digest", flag, "--data-binary", f"@{file}"))
    assert seen == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@BOTH
def test_a_download_arrives_whole(site: Site, flag: str) -> None:
    assert len(site.curl("/bytes?n=5000000", flag)) == 5_000_000


@BOTH
def test_a_stream_arrives_as_it_is_written(site: Site, flag: str) -> None:
    command = [
        require_tool("curl"), "--silent", "--show-error", "--fail", "--no-buffer", "--max-time", "60", flag,
        "--cacert", site.certificate.ca, site.proxy.url("/wait"),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout is not None
        # plait writes the second line when it has seen another request, so the first came before it.
        assert waiting.stdout.readline() == b"first\n"
        site.curl("/go")
        assert waiting.stdout.read() == b"second\n"
    assert waiting.returncode == 0


def test_a_websocket_goes_through(site: Site) -> None:
    url = site.proxy.url("/chat").replace("http", "ws", 1)
    here = ("127.0.0.2", 0)  # as a client elsewhere: to Envoy, 127.0.0.1 is the machine it runs on
    with connect(url, ssl=site.certificate.context(), proxy=None, source_address=here) as client:
        how = json.loads(client.recv())
        assert how["scheme"] == "wss"
        assert how["client"][0] == "127.0.0.2"
        for message in ("héllo", "x" * 300_000, bytes(100_000)):
            client.send(message)
            assert client.recv() == message


def test_a_websocket_of_plaits_own_client_goes_through(site: Site) -> None:
    """Over HTTP/2 where the proxy opens tunnels there, beside it over HTTP/1.1 where it does not."""
    options: dict[str, Any] = {"verify": site.certificate.ca, "local_address": "127.0.0.2"}
    with plait.Client(site.proxy.url(), **options) as client:
        assert client.get("/ignored").http_version == "HTTP/2"
        with client.websocket("/chat") as websocket:
            how = json.loads(websocket.recv())
            assert (how["scheme"], how["client"][0]) == ("wss", "127.0.0.2")
            for message in ("héllo", "x" * 300_000, bytes(100_000)):
                websocket.send(message)
                assert websocket.recv() == message
            assert websocket.ping() < 60
        one = websocket.http_version == "HTTP/2"
        assert client.statistics.connections_opened == (1 if one else 2)
        assert client.get("/ignored").status == 200


class Front:
    """The public side of a site, for clients in this process."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def connect(self, *alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, offering these protocols."""
        context = self._site.certificate.context()
        context.set_alpn_protocols(list(alpn))
        return await asyncio.open_connection(
            "127.0.0.1", self._site.proxy.port, ssl=context, server_hostname="localhost"
        )


@pytest.mark.parametrize(
    "site", [haproxy, envoy, passthrough], ids=lambda one: one.__name__, indirect=True, scope="module"
)
async def test_a_websocket_of_a_browsers_goes_through_as_one_stream(site: Site) -> None:
    """RFC 8441 from end to end; nginx and Caddy leave browsers to HTTP/1.1 for it."""
    async with connected(Front(site), "2", b"/chat") as peer:  # type: ignore[arg-type]
        how = json.loads(await peer.receive())
        assert (how["http_version"], how["scheme"]) == ("2", "wss")
        await peer.send("there and back")
        assert await peer.receive() == "there and back"


@pytest.mark.parametrize("front", [nginx, haproxy, caddy, envoy], ids=lambda one: one.__name__)
def test_a_reload_under_load_fails_no_request(
    front: Callable[..., Any], certificate: Certificate, tmp_path: Path
) -> None:
    with front(tmp_path, certificate, "--workers", "2") as site:
        site.wait()
        asked = site.server.output().count("GET /ignored")
        # 4 clients that send 200 requests a second each, so that they take longer than the reload.
        command = [
            require_tool("h2load"), "--requests=1000", "--clients=4", "--max-concurrent-streams=10",
            "--rps=200", site.proxy.url("/ignored"),
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as load:
            until(lambda: site.server.output().count("GET /ignored") > asked + 100, site.server.output)
            site.server.process.send_signal(signal.SIGHUP)
            until(lambda: "reloaded; workers: 2" in site.server.output(), site.server.output)
            assert load.stdout is not None
            said = load.stdout.read()
        assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in said, said
        assert "status codes: 1000 2xx" in said, said
