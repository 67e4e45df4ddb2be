"""curl talks to plait: both versions over TLS, and both without."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import Certificate, RunningServer
from tests.support.tools import require_tool

VERSIONS = pytest.mark.parametrize(("flag", "version"), [("--http2", "2"), ("--http1.1", "1.1")])


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """Return a file of five megabytes, larger than every window."""
    path = tmp_path / "upload.bin"
    path.write_bytes(b"0123456789abcdef" * 312_500)
    return path


def curl(
    *arguments: str | Path, certificate: Certificate | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run curl, which must succeed."""
    trust = ["--cacert", certificate.ca] if certificate else []
    return subprocess.run(
        [require_tool("curl"), "--silent", "--show-error", "--max-time", "60", *trust, *arguments],
        capture_output=True, check=True,
    )  # fmt: skip


@VERSIONS
def test_curl_gets_the_version_it_asks_for(
    server: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    done = curl(flag, "--write-out", "\n%{http_version}", server.url("/a?b=c"), certificate=certificate)

    request, spoken = done.stdout.decode().rsplit("\n", 1)
    assert spoken == version
    described = json.loads(request)
    assert described["http_version"] == version
    assert (described["scheme"], described["path"], described["query"]) == ("https", "/a", "b=c")


@VERSIONS
def test_host_names_the_authority_whatever_the_version(
    server: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    described = json.loads(curl(flag, server.url(), certificate=certificate).stdout)

    assert [value for name, value in described["headers"] if name == "host"] == [f"localhost:{server.port}"]


@pytest.mark.parametrize(("flag", "version"), [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")])
def test_one_port_without_tls_serves_both_versions(
    insecure_server: RunningServer, flag: str, version: str
) -> None:
    described = json.loads(curl(flag, insecure_server.url()).stdout)

    assert described["http_version"] == version
    assert described["scheme"] == "http"


@VERSIONS
def test_five_megabytes_arrive_whole(
    server: RunningServer, certificate: Certificate, upload: Path, flag: str, version: str
) -> None:
    done = curl(flag, "--data-binary", f"@{upload}", server.url("/digest"), certificate=certificate)

    content = upload.read_bytes()
    assert json.loads(done.stdout) == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_chunked_upload_arrives_whole(
    server: RunningServer, certificate: Certificate, upload: Path
) -> None:
    done = curl(
        "--http1.1", "--header", "transfer-encoding: chunked", "--data-binary", f"@{upload}",
        server.url("/digest"), certificate=certificate,
    )  # fmt: skip

    assert json.loads(done.stdout)["size"] == upload.stat().st_size


@VERSIONS
def test_content_is_echoed_while_it_arrives(
    server: RunningServer, certificate: Certificate, upload: Path, flag: str, version: str
) -> None:
    done = curl(flag, "--data-binary", f"@{upload}", server.url("/echo"), certificate=certificate)

    assert done.stdout == upload.read_bytes()


@VERSIONS
def test_five_megabytes_come_back_whole(
    server: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    done = curl(flag, server.url("/bytes?n=5000000"), certificate=certificate)

    assert len(done.stdout) == 5_000_000
    assert done.stdout[:512] == bytes(range(256)) * 2


@VERSIONS
def test_head_has_the_fields_and_no_content(
    server: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    # curl fails with "excess found" or a stream error where a server sends content after a HEAD.
    done = curl(flag, "--head", server.url("/bytes?n=5"), certificate=certificate)

    status_line, *fields = done.stdout.decode().rstrip().split("\r\n")
    assert status_line.split()[:2] == [f"HTTP/{version}", "200"]
    assert "content-length: 5" in [field.lower() for field in fields]


@VERSIONS
def test_expect_continue_is_answered_before_the_content(
    server: RunningServer, certificate: Certificate, upload: Path, flag: str, version: str
) -> None:
    # curl waits 50 seconds for the 100 and gives up after 40: without a 100 it never sends the content.
    done = curl(
        flag, "--header", "expect: 100-continue", "--expect100-timeout", "50", "--data-binary", f"@{upload}",
        "--verbose", "--max-time", "40", server.url("/digest"), certificate=certificate,
    )  # fmt: skip

    assert f"< HTTP/{version} 100" in done.stderr.decode()
    assert json.loads(done.stdout)["size"] == upload.stat().st_size


@VERSIONS
def test_an_upload_nobody_reads_does_not_stop_the_next_request(
    server: RunningServer, certificate: Certificate, upload: Path, flag: str, version: str
) -> None:
    done = curl(
        flag, "--data-binary", f"@{upload}", server.url("/ignored"),
        "--next", "--silent", "--cacert", certificate.ca, flag, server.url("/bytes?n=3"),
        certificate=certificate,
    )  # fmt: skip

    assert done.stdout == b"ignored\n\x00\x01\x02"


def test_a_hundred_transfers_share_one_http_2_connection(
    server: RunningServer, certificate: Certificate
) -> None:
    done = curl(
        "--http2", "--parallel", "--parallel-max", "50", "--write-out", "%{num_connects} %{http_code}\n",
        "--output", "/dev/null", server.url("/?[1-100]"), certificate=certificate,
    )  # fmt: skip

    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == 100
    assert {line.split()[1] for line in lines} == {"200"}
    assert sum(int(line.split()[0]) for line in lines) == 1
