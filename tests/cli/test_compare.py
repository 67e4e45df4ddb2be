"""``plait compare`` as a user runs it: a process, its two streams and its exit status."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from plait.lab.samples import Record
from tests.support.servers import (
    Certificate,
    free_port,
    make_certificate,
    plait,
    serve_bookstore,
    serve_nghttpd,
)
from tests.support.small_server import small_server
from tests.support.tools import require_tool

CONTENTS = {f"/{n}": b"content %d " % n * 20 for n in range(30)}
STANDARD = ["h1-serial", "h1-pool-6", "h2-serial", "h2-chunks", "h2-window"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def paths(tmp_path: Path) -> Path:
    file = tmp_path / "paths.txt"
    file.write_text("".join(f"{path}\n" for path in CONTENTS))
    return file


def compare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = plait("compare", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=110)


def the_sentence(ended: subprocess.CompletedProcess[str], status: int) -> str:
    """Return the one sentence on standard error, having seen to it that there is nothing else."""
    assert ended.returncode == status, ended
    assert ended.stdout == ""
    assert ended.stderr.startswith("plait: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr.removeprefix("plait: ").rstrip()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--with", "wget"], "--with 'wget' is not a contender that can be added; there is: requests"),
        (["--paths", "p"], "are about a server: give its URL, too"),
        (["--cacert", "c"], "are about a server: give its URL, too"),
        (["https://localhost"], "--paths FILE is missing: it says what to fetch from https://localhost"),
        (["https://localhost", "--paths", "/nowhere/p"], "cannot read /nowhere/p: No such file or directory"),
        (["--repeats", "0"], "'--repeats'"),
        (["--json", "/nowhere/samples.json", "--repeats", "1"], "cannot write /nowhere/samples.json"),
    ],
)
def test_wrong_use_gets_one_sentence_and_status_2(arguments: list[str], sentence: str) -> None:
    assert sentence in the_sentence(compare(*arguments), status=2)


def test_a_malformed_line_of_paths_is_quoted(tmp_path: Path) -> None:
    file = tmp_path / "paths.txt"
    file.write_text("/ok\nnot a path\n")
    sentence = the_sentence(compare("https://localhost", "--paths", file), status=2)
    assert f"{file}, line 2: 'not a path' is not a path" in sentence


def test_a_malformed_url_is_quoted(paths: Path) -> None:
    assert "'localhost' is not the URL of a server" in the_sentence(compare("localhost", "--paths", paths), 2)


def test_an_unreachable_server_gets_one_sentence_and_status_1(paths: Path) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    assert the_sentence(compare(url, "--paths", paths), 1) == f"cannot connect to {url}: Connection refused"


def test_samples_that_were_not_taken_leave_no_file_behind(paths: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("from before")
    url = f"https://127.0.0.1:{free_port()}"
    for file in (kept, tmp_path / "new.json"):
        the_sentence(compare(url, "--paths", paths, "--json", file), 1)
    assert kept.read_text() == "from before"
    assert not (tmp_path / "new.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_does_not_lose_the_figures(paths: Path) -> None:
    with small_server(CONTENTS) as server:
        ended = compare(
            server.target.base_url, "--paths", paths, "--repeats", "1", "--json", Path("/dev/full")
        )
    assert ended.returncode == 1
    assert ended.stderr.endswith("plait: cannot write /dev/full: No space left on device\n")
    assert "Traceback" not in ended.stderr
    assert "HTTP/1.1, 6 connections" in ended.stdout


def test_a_path_the_server_does_not_have_gets_one_sentence(paths: Path) -> None:
    with small_server({}) as server:
        sentence = the_sentence(compare(server.target.base_url, "--paths", paths), 1)
    assert sentence == f"{server.target.base_url}/0 answers 404: there is nothing to compare"


def test_a_server_without_http_2_is_compared_over_http_1(paths: Path, tmp_path: Path) -> None:
    pytest.importorskip("requests")
    samples = tmp_path / "samples.json"
    with small_server(CONTENTS) as server:
        url = server.target.base_url
        ended = compare(
            url, "--paths", paths, "--with", "requests", "--repeats", "2", "--seed", "7", "--json", samples
        )
    assert ended.stderr == f"plait: {url} does not speak HTTP/2: the crawlers that need it are left out\n"
    assert ended.returncode == 0
    record = Record.from_json(samples.read_text())
    assert [contender.name for contender in record.contenders] == ["h1-serial", "h1-pool-6", "requests"]
    assert [len(record.measurements(c.name)) for c in record.contenders] == [2, 2, 2]
    assert [run.connections for run in record.measurements("h1-serial")] == [1, 1]
    assert [run.connections for run in record.measurements("h1-pool-6")] == [6, 6]
    assert record.command == (
        f"plait compare {url} --paths {paths} --with requests --repeats 2 --seed 7 --time-limit 120"
    )


def test_a_server_without_http_1_is_compared_over_http_2(certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("one")
    (tmp_path / "paths").write_text("/one\n" * 20)
    with serve_nghttpd(require_tool("nghttpd"), tmp_path, certificate=certificate) as server:
        url = f"https://localhost:{server.port}"
        ended = compare(url, "--paths", tmp_path / "paths", "--cacert", certificate.ca, "--repeats", "1")
    assert ended.stderr == f"plait: {url} does not speak HTTP/1.1: the crawlers that need it are left out\n"
    assert ended.returncode == 0
    assert "HTTP/2, window of 100" in ended.stdout


def test_a_server_that_lies_to_the_crawlers_fails_them_untimed(paths: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples.json"
    with small_server(dict(CONTENTS)) as server:

        def lie_after_the_reference(path: str) -> None:
            if server.asked.count("/29") > 1:
                server.contents["/29"] = b"something else"

        server.before_answering = lie_after_the_reference
        ended = compare(server.target.base_url, "--paths", paths, "--repeats", "1", "--json", samples)
    fault = "received something else than expected for 1 of 30 responses (/29)"
    assert ended.returncode == 1
    assert ended.stderr.endswith("plait: not every crawl received what it was to receive\n")
    assert f"HTTP/1.1, 1 connection failed and is not timed: {fault}" in ended.stdout
    written = json.loads(samples.read_text())["samples"]
    assert [(sample["failure"], sample["measurement"]) for sample in written] == [(fault, None)] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_comparison_ends_its_crawler(
    paths: Path, tmp_path: Path, number: signal.Signals
) -> None:
    crawling, release, samples = threading.Event(), threading.Event(), tmp_path / "samples.json"
    with small_server(CONTENTS) as server:

        def hold_the_crawler(path: str) -> None:
            if server.asked.count("/0") > 1:
                crawling.set()
                release.wait()

        server.before_answering = hold_the_crawler
        command = plait("compare", server.target.base_url, "--paths", paths, "--json", samples)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert crawling.wait(60)
            crawler = children(process.pid)
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        release.set()
    assert process.returncode == 130
    assert output == ""
    assert "Traceback" not in errors
    assert len(crawler) == 1
    assert not Path(f"/proc/{crawler[0]}").exists()
    assert not samples.exists()


def children(pid: int) -> list[int]:
    """List the processes a process has started; none where the system does not tell."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    if not file.exists():
        pytest.skip("only Linux lists the children of a process")
    return [int(child) for child in file.read_text().split()]


def test_the_bookstore_is_compared_without_arguments(tmp_path: Path) -> None:
    pytest.importorskip("requests")
    samples = tmp_path / "samples.json"
    ended = compare("--with", "requests", "--repeats", "2", "--seed", "11", "--json", samples)
    assert ended.returncode == 0, ended
    assert ended.stderr == ""  # no progress bar in a pipe
    assert "\x1b" not in ended.stdout
    assert "seed 11" in ended.stdout
    assert "changes two things at once" in ended.stdout
    record = Record.from_json(samples.read_text())
    assert [contender.name for contender in record.contenders] == [*STANDARD, "requests"]
    assert record.loopback
    connections = {"h1-pool-6": 6}
    for contender in record.contenders:
        runs = record.measurements(contender.name)
        assert len(runs) == 2
        for run in runs:
            assert len(run.latencies) == record.requests == 3001
            assert run.connections == connections.get(contender.name, 1)
            assert run.server is None or run.server.total > 0
    # HPACK is what makes the difference in what is sent; HTTP/1.1 repeats every field.
    h1, h2 = record.measurements("h1-serial")[0], record.measurements("h2-window")[0]
    if h1.bytes_sent is not None and h2.bytes_sent is not None:
        assert h2.bytes_sent < h1.bytes_sent / 2


def test_a_bookstore_that_is_running_already_is_compared(certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "paths").write_text("".join(f"/book?id={n}\n" for n in range(1, 301)))
    with serve_bookstore("--no-access-log", certificate=certificate) as server:
        url = f"https://localhost:{server.port}"
        ended = compare(url, "--paths", tmp_path / "paths", "--insecure", "--repeats", "1")
        untrusted = compare(url, "--paths", tmp_path / "paths", "--repeats", "1")
    assert ended.returncode == 0, ended
    assert ended.stderr == ""
    assert f"{url}: 300 requests a crawl" in ended.stdout
    assert "is not trusted" in the_sentence(untrusted, status=1)


def test_a_server_elsewhere_gets_few_requests_at_a_time_unless_it_is_owned(tmp_path: Path) -> None:
    (tmp_path / "paths").write_text("/book?id=1\n" * 20)
    with serve_bookstore("--no-access-log", "--host", "0.0.0.0", certificate=None) as server:
        url = f"http://{address_on_the_network()}:{server.port}"
        polite = compare(url, "--paths", tmp_path / "paths", "--repeats", "1")
        owned = compare(url, "--paths", tmp_path / "paths", "--repeats", "1", "--i-own-this")
    assert "is not this machine: at most 6 requests at a time" in polite.stderr
    assert "HTTP/2, window of 6 " in polite.stdout
    assert "over whatever network lay in between" in polite.stdout
    assert owned.stderr == ""
    assert "HTTP/2, window of 100 " in owned.stdout


def address_on_the_network() -> str:
    """Find an address of this machine that is not loopback; nothing is sent for that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine is on no network")
        address: str = probe.getsockname()[0]
        return address
