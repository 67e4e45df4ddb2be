"""Chromium as a contender: a real browser, against plait's server."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.lab_app import answer
from tests.support.loads import Wanted, job, run_load, times
from tests.support.servers import Certificate, RunningServer, make_certificate, serve_app
from tests.support.small_server import small_server
from tests.support.tools import require_tool

#: What the page of the application asks for, in the order in which it becomes known.
PAGE: list[Wanted] = [
    ("/page", "document", None, 0.0),
    ("/page.css", "style", 0, 0.0),
    ("/page.js", "script", 0, 0.0),
    ("/page.png", "image", 0, 0.0),
    ("/background.png", "image", 1, 0.0),
    ("/page.json", "data", 2, 0.0),
]
GRAPH: list[Wanted] = [
    ("/0", "data", None, 0.0),
    ("/gone", "data", 0, 0.0),
    ("/elsewhere", "data", 0, 0.0),
    ("/gzip", "data", None, 0.0),
    ("/late", "data", 1, 0.08),
    ("/0", "data", 0, 0.0),
]


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    require_tool("chromium")
    require_tool("certutil")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[RunningServer]:
    """Run plait with TLS, both versions of HTTP."""
    with serve_app("lab_app:app", "--no-access-log", certificate=certificate) as running:
        yield running


@pytest.mark.parametrize(("name", "version"), [("chromium", "2"), ("chromium-h1", "1.1")])
def test_a_page_is_loaded_with_all_it_asks_for(
    name: str, version: str, server: RunningServer, certificate: Certificate
) -> None:
    result = run_load(
        name,
        server.url(""),
        PAGE,
        page="/page",
        cafile=str(certificate.ca),
        headers=[["x-lab", f"by {name}"]],
        address="127.0.0.1",
    )

    assert result["failure"] is None
    sizes = [len(answer(path)[2]) for path, *_ in PAGE]
    assert sorted(result["received"]) == [[index, 200, size, None] for index, size in enumerate(sizes)]
    phases = times(result)
    assert phases.keys() == set(range(len(PAGE)))
    for index, (_, _, parent, _) in enumerate(PAGE):
        one = phases[index]
        assert one["known"] <= one["sent"] <= one["answered"] <= one["done"]
        if parent is not None:
            assert one["known"] >= phases[parent]["answered"]
    assert max(one["done"] for one in phases.values()) == pytest.approx(result["load"] * 1e6, abs=2)
    connections = result["timeline"]["connections"]
    assert result["connections"] == len(connections) <= (1 if version == "2" else 6)
    assert all(started <= connected <= secured for _, started, connected, secured in connections)
    # Chromium does not say how long it took to open those that it had opened in advance.
    assert result["handshakes"] == pytest.approx(
        sum(secured - started for _, started, _, secured in connections) / 1e6, abs=1e-4
    )
    assert result["peak_memory"] > 50_000_000
    asked = [line.split() for line in server.output().splitlines() if f"'by {name}'" in line]
    assert sorted(line[1] for line in asked) == sorted(path for path, *_ in PAGE)
    assert {line[0] for line in asked} == {version}


@pytest.mark.parametrize("name", ["chromium", "chromium-h1"])
def test_a_graph_without_a_page_is_fetched_by_a_script(
    name: str, server: RunningServer, certificate: Certificate
) -> None:
    result = run_load(name, server.url(""), GRAPH, cafile=str(certificate.ca))

    assert result["failure"] is None
    found = {index: (status, size) for index, status, size, _ in result["received"]}
    assert [found[index][0] for index in range(len(GRAPH))] == [answer(path)[0] for path, *_ in GRAPH]
    assert found[0] == (200, len(answer("/0")[2]))
    assert found[3] == (200, None), "the size of what Chromium asks to be coded is not that of others"
    phases = times(result)
    for index, (_, _, parent, delay) in enumerate(GRAPH):
        begin = 0 if parent is None else phases[parent]["done"]
        # Chromium's timers count whole milliseconds.
        assert begin + delay * 1e6 - 1500 <= phases[index]["sent"]
    assert "/never-asked-for" not in server.output()


def test_the_fields_of_the_workload_are_sent_but_for_those_that_are_chromiums_own(
    server: RunningServer, certificate: Certificate
) -> None:
    headers = [["x-lab", "a"], ["x-lab", "b"], ["sec-fetch-mode", "no-cors"], ["accept-encoding", "identity"]]
    result = run_load(
        "chromium", server.url(""), PAGE, page="/page", cafile=str(certificate.ca), headers=headers
    )
    assert result["failure"] is None
    assert len([line for line in server.output().splitlines() if "'a, b'" in line]) == len(PAGE)


@pytest.mark.parametrize("page", [None, "/page"])
def test_chromium_goes_to_the_address_that_the_name_stands_for(page: str | None) -> None:
    with small_server({"/page": b"x"}) as small:
        base_url = f"http://server.invalid:{small.server_port}"
        result = run_load("chromium-h1", base_url, PAGE[:1], page=page, address="127.0.0.1")
        assert small.asked[0] == "/page"
    assert result["failure"] is None


def test_no_connection_is_open_when_the_load_begins(certificate: Certificate) -> None:
    contents = {"/0": b"x", "/1": b"y"}
    graph: list[Wanted] = [("/0", "data", None, 0.0), ("/1", "data", 0, 0.0)]
    with small_server(contents) as small:
        result = run_load("chromium-h1", small.target.base_url, graph)
        assert small.asked == ["/0", "/1"]
    assert result["failure"] is None
    _, started, connected, secured = result["timeline"]["connections"][0]
    assert 0 <= started <= connected == secured <= times(result)[0]["sent"]


def test_a_page_that_lacks_a_resource_is_given_up_when_nothing_more_comes(
    server: RunningServer, certificate: Certificate
) -> None:
    graph = [*PAGE, ("/not-on-the-page", "image", 0, 0.0)]
    result = run_load("chromium", server.url(""), graph, page="/page", cafile=str(certificate.ca))
    assert sorted(index for index, *_ in result["received"]) == list(range(len(PAGE)))


def test_a_server_without_http2_fails_the_load_that_needs_it(certificate: Certificate) -> None:
    with small_server({"/page": b"<p>"}, certificate=(certificate.chain, certificate.key)) as small:
        base_url = f"https://localhost:{small.server_port}"
        result = run_load("chromium", base_url, PAGE[:1], page="/page", cafile=str(certificate.ca))
    assert result == {"failure": "PlaitError: Chromium fetched /page over http/1.1, and chromium is h2"}


def test_a_server_that_is_not_trusted_or_breaks_off_fails_the_load(
    server: RunningServer, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path)
    distrusted = run_load("chromium", server.url(""), PAGE, page="/page", cafile=str(other.ca))
    assert distrusted == {
        "failure": "PlaitError: Chromium did not receive /page: net::ERR_CERT_AUTHORITY_INVALID"
    }
    refused = run_load("chromium-h1", "http://localhost:1", GRAPH)
    assert refused["failure"].startswith("PlaitError: Chromium did not receive /")
    no_file = run_load("chromium", server.url(""), PAGE, page="/page", cafile=str(tmp_path / "none.pem"))
    assert no_file["failure"].startswith("PlaitError: certutil does not take ")


def test_any_certificate_is_taken_when_that_is_asked_for(server: RunningServer) -> None:
    result = run_load("chromium", server.url(""), PAGE, page="/page", insecure=True)
    assert result["failure"] is None


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_chromium_ends_when_whoever_started_it_is_killed(
    server: RunningServer, certificate: Certificate
) -> None:
    # Not below pytest's own folder: the name of Chromium's socket would be too long.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        check_chromium_ends(server, certificate, folder)


def check_chromium_ends(server: RunningServer, certificate: Certificate, folder: str) -> None:
    graph: list[Wanted] = [("/begun", "data", None, 0.0), ("/never", "data", 0, 3600.0)]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "plait.lab.crawler"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": folder},  # the profile stays: nobody is there to remove it
    )
    try:
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(
                json.dumps(job("chromium", server.url(""), graph, cafile=str(certificate.ca))).encode()
            )
        while " /begun " not in server.output():
            assert process.poll() is None
            time.sleep(0.02)
        browser = os.pidfd_open(_child_of(process.pid))
    finally:
        process.kill()
        process.wait()
    try:
        assert select.select([browser], [], [], 20)[0], "Chromium is still there"
    finally:
        os.close(browser)


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
