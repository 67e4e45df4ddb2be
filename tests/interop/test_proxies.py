"""Proxies in front: curl and haproxy say for whom they connect, in every way they know."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import (
    ROOT,
    Certificate,
    RunningServer,
    free_port,
    plait,
    run_server,
    serve_app,
)
from tests.support.tools import require_tool

BOTH = pytest.mark.parametrize(("flag", "version"), [("--http2", "2"), ("--http1.1", "1.1")])


def curl(certificate: Certificate, *arguments: str) -> dict[str, Any]:
    """Run curl, which must succeed, and return what the application saw."""
    done = subprocess.run(
        [require_tool("curl"), "--silent", "--show-error", "--max-time", "60",
         "--cacert", certificate.ca, *arguments],
        capture_output=True, check=True,
    )  # fmt: skip
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@contextmanager
def haproxy(
    directory: Path, certificate: Certificate, *, mode: str, bind: str, server: str, options: str = ""
) -> Iterator[RunningServer]:
    """Run haproxy in front of a server.

    Args:
        directory: Where its configuration goes.
        certificate: What it serves TLS with where it ends TLS.
        mode: ``tcp`` or ``http``.
        bind: What follows the address it listens on.
        server: Where it connects to, and how.
        options: Further lines.
    """
    both = directory / "both.pem"
    both.write_bytes(certificate.chain.read_bytes() + certificate.key.read_bytes())
    port = free_port()
    configuration = directory / "haproxy.cfg"
    configuration.write_text(
        f"""
defaults
    mode {mode}
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{port} {bind.format(both=both)}
    default_backend back
backend back
    {options}
    server plait {server}
"""
    )
    command = [require_tool("haproxy"), "-db", "-f", configuration]
    with run_server(command, port=port) as running:
        yield running


@pytest.fixture(scope="module")
def behind_proxies(certificate: Certificate) -> Iterator[RunningServer]:
    """Run plait where everybody must speak the PROXY protocol."""
    options = ("--proxy-protocol", "--trust", "127.0.0.1")
    with serve_app("interop_app:app", *options, certificate=certificate) as running:
        yield running
        assert "Traceback" not in running.output(), running.output()


@BOTH
def test_curl_says_with_the_proxy_protocol_where_it_is(
    behind_proxies: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    seen = curl(certificate, flag, "--haproxy-protocol", "--local-port", "20000-29999", behind_proxies.url())
    assert seen["http_version"] == version
    assert seen["client"][0] == "127.0.0.1"
    assert 20000 <= seen["client"][1] <= 29999
    assert seen["server"] == ["127.0.0.1", behind_proxies.port]


@pytest.mark.parametrize("header", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"])
def test_haproxy_hands_tls_through_and_says_whose_it_is(
    behind_proxies: RunningServer, certificate: Certificate, tmp_path: Path, header: str
) -> None:
    # Its own checks come without a client, and find the server well.
    server = f"127.0.0.1:{behind_proxies.port} {header} check"
    with haproxy(tmp_path, certificate, mode="tcp", bind="", server=server) as proxy:
        for flag, version in (("--http2", "2"), ("--http1.1", "1.1")):
            seen = curl(certificate, flag, "--interface", "127.0.0.2", proxy.url())
            assert (seen["http_version"], seen["scheme"]) == (version, "https")
            assert seen["client"][0] == "127.0.0.2"
            assert seen["server"] == ["127.0.0.1", proxy.port]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    """Run plait without TLS on a port and on a socket in the file system."""
    path = tmp_path_factory.mktemp("upstream") / "plait.sock"
    port = free_port()
    listen = ("--listen", f"tcp:{port}:interface=127.0.0.1", "--listen", f"unix:{path}:mode=600")
    trust = ("--trust", "127.0.0.1", "--trust", "unix")
    app_dir = ROOT / "tests" / "support"
    command = plait("serve", "interop_app:app", "--app-dir", app_dir, "--insecure", *listen, *trust)
    with run_server(command, port=port, scheme="http", exit_status=0) as running:
        yield running, path
        assert "Traceback" not in running.output(), running.output()
    assert not path.exists()


@pytest.mark.parametrize(
    "fields",
    [
        "option forwardfor\n    http-request set-header x-forwarded-proto https",
        "http-request del-header x-forwarded-for\n"
        '    http-request add-header forwarded "for=%[src];proto=https"',
    ],
)
@pytest.mark.parametrize("protocol", ["", "proto h2"])
@pytest.mark.parametrize("place", ["port", "file"])
def test_haproxy_ends_tls_and_its_word_is_taken_and_not_the_clients(
    upstream: tuple[RunningServer, Path],
    certificate: Certificate,
    tmp_path: Path,
    fields: str,
    protocol: str,
    place: str,
) -> None:
    running, path = upstream
    server = f"127.0.0.1:{running.port}" if place == "port" else f"unix@{path}"
    bind = "ssl crt {both} alpn h2,http/1.1"
    with haproxy(
        tmp_path, certificate, mode="http", bind=bind, server=f"{server} {protocol}", options=fields
    ) as proxy:
        for flag in ("--http2", "--http1.1"):
            lies = [
                *("--header", "x-forwarded-for: 192.0.2.66"),
                *("--header", "forwarded: for=192.0.2.67;proto=http"),
            ]
            seen = curl(certificate, flag, "--interface", "127.0.0.2", *lies, proxy.url())
            assert seen["http_version"] == ("2" if protocol else "1.1")
            assert (seen["client"], seen["scheme"]) == (["127.0.0.2", 0], "https")


def test_from_anybody_else_nothing_is_believed(
    upstream: tuple[RunningServer, Path], certificate: Certificate
) -> None:
    running, _ = upstream
    lies = ("--header", "x-forwarded-for: 192.0.2.66", "--header", "x-forwarded-proto: https")
    seen = curl(certificate, "--interface", "127.0.0.2", *lies, running.url())
    assert seen["client"][0] == "127.0.0.2"
    assert seen["scheme"] == "http"
    assert ["x-forwarded-for", "192.0.2.66"] in seen["headers"]
