"""Twisted programs as processes, and real clients: curl, nghttp, h2load and Chromium."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.chromium import Chromium, trust
from tests.support.servers import ROOT, Certificate, RunningServer, free_port, make_certificate, run_server
from tests.support.tools import require_tool

EXAMPLES = ROOT / "examples" / "twisted"
BOTH = pytest.mark.parametrize("flag", ["--http2", "--http1.1"])


@contextmanager
def run_example(name: str, directory: Path, certificate: Certificate) -> Iterator[RunningServer]:
    """Run one of the two original programs, the port aside as it is."""
    port = free_port()
    shutil.copy(certificate.chain, directory / "cert.pem")
    shutil.copy(certificate.key, directory / "privkey.pem")
    program = directory / name
    program.write_text((EXAMPLES / name).read_text().replace("port=8080", f"port={port}"))
    with run_server([sys.executable, program], port=port, cwd=directory, exit_status=0) as running:
        yield running
        assert "Traceback" not in running.output(), running.output()


@contextmanager
def run_site(certificate: Certificate | None) -> Iterator[RunningServer]:
    """Run the site of tests/support/twisted_program.py."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "tests.support.twisted_program", str(port)]
    if certificate is not None:
        command += [certificate.chain, certificate.key]
    scheme = "http" if certificate is None else "https"
    with run_server(command, port=port, scheme=scheme, exit_status=0) as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[RunningServer]:
    """Run the first program."""
    with run_example("hello.py", tmp_path_factory.mktemp("hello"), certificate) as running:
        yield running


@pytest.fixture(scope="module")
def bookstore(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[RunningServer]:
    """Run the second program."""
    with run_example("bookstore.py", tmp_path_factory.mktemp("bookstore"), certificate) as running:
        yield running


@pytest.fixture(scope="module")
def site(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the site over TLS."""
    with run_site(certificate) as running:
        yield running
        assert "Traceback" not in running.output(), running.output()


def curl(certificate: Certificate, *arguments: str | Path) -> str:
    """Run curl, which must succeed, and return what it prints."""
    command = [require_tool("curl"), "--silent", "--show-error", "--max-time", "60"]
    done = subprocess.run(
        [*command, "--cacert", certificate.ca, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


# -- the original programs -----------------------------------------------------------------------


def test_one_line_of_each_program_differs_from_twisteds() -> None:
    for name in ("hello.py", "bookstore.py"):
        lines = (EXAMPLES / name).read_text().splitlines()
        assert [line for line in lines if "plait" in line and "bookstore" not in line] == [
            "from plait.integrations.twisted import Site  # from twisted.web.server import Site"
        ]


def test_the_page_shows_its_programs_and_names_tests_that_there_are() -> None:
    page = (ROOT / "docs" / "twisted.md").read_text()
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    programs = [(EXAMPLES / name).read_text().partition('"""\n\n')[2] for name in ("hello.py", "push.py")]

    assert [program for program in programs if f"```python\n{program}```" not in page] == []
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) > 10
    assert [name for name in named if f"def {name}(" not in tests] == []


@pytest.mark.parametrize(("flag", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_the_first_program_says_hello(
    hello: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    printed = curl(certificate, flag, "--write-out", "\n%{http_version}", hello.url())

    assert printed == f"hello world (in HTTP2)\n{version}"


def test_thirty_thousand_requests_succeed_on_four_connections(hello: RunningServer) -> None:
    done = subprocess.run(
        [require_tool("h2load"), "-n", "30000", "-c", "4", "-m", "32", hello.url()],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "30000 done, 30000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout
    assert "Application protocol: h2" in done.stdout


def test_the_bookstore_lists_its_books_and_gives_each(
    bookstore: RunningServer, certificate: Certificate
) -> None:
    ids = json.loads(curl(certificate, bookstore.url("/")))
    book = json.loads(curl(certificate, bookstore.url(f"/book?id={ids[7]}")))
    missing = [
        curl(certificate, "--write-out", "%{http_code}", "--output", "/dev/null", bookstore.url(path))
        for path in ("/book?id=999999999", "/book?id=x", "/book", "/nowhere")
    ]

    assert len(ids) == 3000
    assert {"title", "author"} <= book.keys()
    assert missing == ["404"] * 4


def test_a_browser_opens_both(
    hello: RunningServer,
    bookstore: RunningServer,
    certificate: Certificate,
    tmp_path: Path,
) -> None:
    trust(tmp_path, certificate.ca)
    with Chromium.start(tmp_path) as browser:
        browser.open(hello.url())
        said = browser.evaluate("return document.body.textContent")
        browser.open(bookstore.url())
        found = browser.evaluate("""
            const ids = await (await fetch("/")).json();
            const fetches = ids.slice(0, 100).map(id => fetch("/book?id=" + id).then(one => one.json()));
            const books = await Promise.all(fetches);
            const entries = [...performance.getEntriesByType("resource"),
                             ...performance.getEntriesByType("navigation")];
            return {books: books.length, spoken: [...new Set(entries.map(one => one.nextHopProtocol))]};
        """)

    assert said == "hello world (in HTTP2)"
    assert found == {"books": 100, "spoken": ["h2"]}


def test_a_style_sheet_is_pushed_to_who_wants_it_and_hinted_at_to_browsers(
    certificate: Certificate, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    trust(tmp_path / "home", certificate.ca)
    with run_example("push.py", tmp_path, certificate) as server:
        done = subprocess.run(
            [require_tool("nghttp"), "--verbose", "--null-out", server.url()],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        shown = re.sub(r"\x1b\[[0-9;]*m|\[ +[0-9.]+\] ", "", done.stdout)
        hints = curl(certificate, "--include", server.url())
        with Chromium.start(tmp_path / "home") as browser:
            browser.open(server.url())
            color = browser.evaluate("return getComputedStyle(document.querySelector('p')).color")

    page = (ROOT / "docs" / "twisted.md").read_text()
    lines = page.partition("$ nghttp")[2].partition("```")[0].splitlines()[1:]
    assert len(lines) > 3
    at = [shown.find(f"{line.strip()}\n") for line in lines]
    assert -1 not in at, shown
    assert at == sorted(at)
    assert hints.startswith("HTTP/2 103 \nlink: </style.css>; rel=preload; as=style\n\nHTTP/2 200")
    assert color == "rgb(0, 128, 128)"


# -- a larger site -------------------------------------------------------------------------------


@BOTH
def test_uploads_and_downloads_arrive_whole(
    site: RunningServer, certificate: Certificate, tmp_path: Path, flag: str
) -> None:
    content = b"0123456789abcdef" * 312_500
    (tmp_path / "upload").write_bytes(content)

    digest = curl(certificate, flag, "--data-binary", f"@{tmp_path / 'upload'}", site.url("/digest"))
    curl(certificate, flag, "--output", tmp_path / "download", site.url("/bytes?n=5000000"))

    assert digest == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "download").read_bytes() == b"x" * 5_000_000


def test_a_slow_client_gets_all_of_a_large_response(
    site: RunningServer, certificate: Certificate, tmp_path: Path
) -> None:
    target = tmp_path / "download"
    curl(certificate, "--limit-rate", "4M", "--output", target, site.url("/bytes?n=4000000"))

    assert target.stat().st_size == 4_000_000


def test_nghttp_sees_the_hints_the_push_and_the_trailers(site: RunningServer) -> None:
    done = subprocess.run(
        [require_tool("nghttp"), "--verbose", "--null-out", site.url("/everything")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    report = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert "(stream_id=13) :status: 103" in report, report
    assert "(stream_id=13) link: </bytes?n=3>; rel=preload; as=fetch" in report
    assert re.search(r"recv PUSH_PROMISE frame .*stream_id=13", report)
    assert "(stream_id=2) :status: 200" in report
    assert "(stream_id=13) x-sum: 7" in report


def test_without_tls_both_versions_are_served_on_one_port(certificate: Certificate) -> None:
    with run_site(None) as site:
        for flag, version in (("--http2-prior-knowledge", "2"), ("--http2", "2"), ("--http1.1", "1.1")):
            printed = curl(certificate, flag, "--write-out", " %{http_version}", site.url("/bytes?n=3"))
            assert printed == f"xxx {version}"


@BOTH
def test_a_request_in_flight_finishes_after_ctrl_c(certificate: Certificate, flag: str) -> None:
    with run_site(certificate) as site:
        command = [require_tool("curl"), "--silent", "--cacert", certificate.ca, flag, site.url("/slow")]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while "slow has begun" not in site.output():
            time.sleep(0.01)  # until the request is there; nothing else tells

    said, _ = client.communicate(timeout=20)
    assert said == "in the end"
    assert client.returncode == 0
