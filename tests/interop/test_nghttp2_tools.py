"""nghttp and h2load, the tools of nghttp2, talk to plait."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import RunningServer
from tests.support.tools import require_tool


def h2load(server: RunningServer, *arguments: str) -> str:
    """Run h2load, which must succeed, and return its report."""
    done = subprocess.run(
        [require_tool("h2load"), *arguments, server.url("/bytes?n=64")],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def without_colours(text: str) -> str:
    """Remove the terminal colours that nghttp writes even into a pipe."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def assert_all_succeeded(report: str, requests: int) -> None:
    """Check the two lines in which h2load says what became of every request."""
    expected = (
        f"requests: {requests} total, {requests} started, {requests} done, {requests} succeeded, 0 failed"
    )
    assert expected in report, report
    assert f"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx" in report, report


def test_nghttp_fetches_several_urls_over_one_connection(server: RunningServer) -> None:
    urls = [server.url(path) for path in ("/bytes?n=100000", "/", "/bytes?n=0")]

    done = subprocess.run(
        [require_tool("nghttp"), "--null-out", "--verbose", "--stat", *urls],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    report = without_colours(done.stdout)
    assert "The negotiated protocol: h2" in report, report
    assert len(re.findall(r"recv \(stream_id=\d+\) :status: 200", report)) == len(urls), report
    assert report.count("; END_STREAM") >= len(urls), report
    assert not re.search(r"recv (RST_STREAM|GOAWAY)", report), report


def test_nghttp_upgrades_by_prior_knowledge_without_tls(insecure_server: RunningServer) -> None:
    done = subprocess.run(
        [require_tool("nghttp"), "--verbose", "--null-out", insecure_server.url("/bytes?n=10")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ":status: 200" in without_colours(done.stdout)


def test_an_answer_to_an_upload_nobody_reads_arrives_before_the_reset(
    server: RunningServer, tmp_path: Path
) -> None:
    content = tmp_path / "content"
    content.write_bytes(b"x" * 5_000_000)

    done = subprocess.run(
        [require_tool("nghttp"), "--verbose", "--null-out", f"--data={content}", server.url("/ignored")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    report = without_colours(done.stdout)
    assert ":status: 200" in report, report
    assert "recv DATA frame <length=8, flags=0x01" in report, report


@pytest.mark.parametrize(
    ("clients", "streams", "requests"), [(4, 32, 30_000), (1, 32, 10_000), (8, 1, 2_000)], ids=str
)
def test_none_of_h2loads_requests_fails(
    server: RunningServer, clients: int, streams: int, requests: int
) -> None:
    report = h2load(
        server, f"--clients={clients}", f"--max-concurrent-streams={streams}", f"--requests={requests}"
    )

    assert "Application protocol: h2" in report, report
    assert_all_succeeded(report, requests)


def test_none_of_h2loads_requests_fails_over_http_1(server: RunningServer) -> None:
    report = h2load(server, "--h1", "--clients=4", "--requests=4000")

    assert "Application protocol: http/1.1" in report, report
    assert_all_succeeded(report, 4000)


def test_h2load_uploads_over_one_connection_without_a_stall(server: RunningServer, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(b"x" * 20_000)

    done = subprocess.run(
        [
            require_tool("h2load"), "--clients=1", "--max-concurrent-streams=16", "--requests=10000",
            f"--data={content}", server.url("/digest"),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert_all_succeeded(done.stdout, 10_000)
