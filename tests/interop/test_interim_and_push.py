"""What clients see of server push, 103 and the h2c Upgrade: nghttp and curl."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.interop.test_nghttp2_tools import without_colours
from tests.support.servers import Certificate, RunningServer
from tests.support.tools import require_tool


def run(*arguments: str | Path) -> str:
    """Run a tool, which must succeed, and return all that it says."""
    done = subprocess.run(
        [require_tool(str(arguments[0])), *arguments[1:]], capture_output=True, text=True, check=True
    )
    return without_colours(done.stdout + done.stderr)


def test_nghttp_is_pushed_what_the_application_promises(server: RunningServer) -> None:
    report = run("nghttp", "--verbose", "--null-out", server.url("/pushing"))

    promise = re.search(r"recv PUSH_PROMISE frame .*stream_id=13>\n(?:.*\n)*?.*promised_stream_id=2", report)
    assert promise, report
    assert "recv (stream_id=13) :path: /bytes?n=5" in report, report
    assert "recv (stream_id=2) :status: 200" in report, report
    assert re.search(r"recv DATA frame <length=5, flags=0x01, stream_id=2>", report), report
    assert not re.search(r"recv (RST_STREAM|GOAWAY)", report), report


def test_nghttp_without_push_is_promised_nothing(server: RunningServer) -> None:
    report = run("nghttp", "--verbose", "--null-out", "--no-push", server.url("/pushing"))

    assert "PUSH_PROMISE" not in report, report
    assert "recv (stream_id=13) :status: 200" in report, report


@pytest.mark.parametrize(("flag", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_curl_shows_early_hints(
    server: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    report = run("curl", "--silent", "--verbose", flag, "--cacert", certificate.ca, server.url("/hinting"))

    assert f"< HTTP/{version} 103" in report, report
    assert "< link: </style.css>; rel=preload" in report, report
    assert report.index(f"< HTTP/{version} 103") < report.index(f"< HTTP/{version} 200"), report


def test_curl_upgrades_to_http_2_without_tls(insecure_server: RunningServer, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(b"x" * 100_000)
    for more in ([], ["--data-binary", f"@{content}", "--header", "Expect:"]):
        report = run("curl", "--silent", "--verbose", "--http2", *more, insecure_server.url("/digest"))

        assert "< HTTP/1.1 101 Switching Protocols" in report, report
        assert "< HTTP/2 200" in report, report
        assert f'"size": {100_000 if more else 0}' in report, report


def test_curl_gets_a_long_response_to_an_upgrade(insecure_server: RunningServer) -> None:
    report = run(
        "curl", "--silent", "--http2", "--output", "/dev/null",
        "--write-out", "%{http_version} %{size_download} %{errormsg}", insecure_server.url("/bytes?n=300000"),
    )  # fmt: skip

    assert report.strip() == "2 300000", report


def test_nghttp_upgrades_and_goes_on(insecure_server: RunningServer) -> None:
    report = run(
        "nghttp", "--upgrade", "--verbose", "--null-out",
        insecure_server.url("/bytes?n=100000"), insecure_server.url("/bytes?n=7"),
    )  # fmt: skip

    assert "HTTP Upgrade success" in report, report
    assert len(re.findall(r"recv \(stream_id=\d+\) :status: 200", report)) == 2, report


def test_curl_without_http_2_is_left_alone(insecure_server: RunningServer) -> None:
    report = run("curl", "--silent", "--verbose", "--http1.1", insecure_server.url("/bytes?n=1"))

    assert "< HTTP/1.1 200" in report, report
