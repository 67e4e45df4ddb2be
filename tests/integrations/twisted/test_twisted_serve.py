"""``plait serve --twisted``: real processes, real clients."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.application import service
from twisted.application.internet import TCPServer, UNIXServer
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import HTTPFactory
from twisted.web.resource import Resource
from twisted.web.server import Site

from plait.errors import ConfigError
from plait.integrations.twisted.roots import find_root
from plait.server_config import Interface, ServerConfig
from tests.support.servers import ROOT, Certificate, RunningServer, free_port, plait, serve_app
from tests.support.tools import require_tool
from tests.support.workshop import Workshop, until, workshop

BOTH = pytest.mark.parametrize(("flag", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture(scope="module")
def tree(certificate: Certificate) -> Iterator[RunningServer]:
    """Serve the tree over TLS, with a log in JSON."""
    options = ("--twisted", "--log-format", "json", "--access-log-format", "%(r)s %(s)s")
    with serve_app("twisted_tree:app", *options, certificate=certificate) as running:
        yield running


def curl(certificate: Certificate | None, *arguments: str | Path) -> str:
    """Run curl, which must succeed, and return what it prints."""
    command = [require_tool("curl"), "--silent", "--show-error", "--max-time", "60"]
    if certificate is not None:
        command += ["--cacert", str(certificate.ca)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def site(directory: Path, *options: str | Path) -> AbstractContextManager[Workshop]:
    """Serve a copy of the tree in processes of its own."""
    if not (directory / "workshop.py").exists():
        shutil.copy(ROOT / "tests" / "support" / "twisted_tree.py", directory / "workshop.py")
    return workshop(directory, "--twisted", *options)


# -- requests ------------------------------------------------------------------------------------


@BOTH
def test_what_a_resource_answers_arrives(
    tree: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    expected = {
        "/version": f"HTTP/{version}",
        "/deferred": "in the end",
        "/thread": "from a thread",
        "/process": "it ended",
        "/client": "IPv4Address 127.0.0.1 True None",
        "/wsgi": f"HTTP/{version} ",
        "/nowhere": "",
    }
    answered = {path: curl(certificate, flag, tree.url(path)) for path in expected}

    assert "<h1>No Such Resource</h1>" in answered.pop("/nowhere")
    del expected["/nowhere"]
    assert answered == expected


@BOTH
def test_an_exception_gives_twisteds_page_and_one_traceback_in_the_log(
    tree: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    def tracebacks() -> list[dict[str, str]]:
        return [json.loads(line) for line in tree.output().splitlines() if "own fault" in line]

    before = tracebacks()
    page = curl(certificate, flag, "--write-out", " %{http_code}", tree.url("/fail"))

    assert page.endswith(" 500")
    assert "<title>Processing Failed</title>" in page
    until(lambda: f"GET /fail HTTP/{version} 500" in tree.output().replace("HTTP/2.0", "HTTP/2"), tree.output)
    logged = tracebacks()
    assert len(logged) == len(before) + 1
    assert logged[-1]["logger"] == "twisted"
    assert re.fullmatch(
        rf"<Request at \w+ method=GET uri=/fail clientproto=HTTP/{version}> failed", logged[-1]["message"]
    )
    assert logged[-1]["exception"].endswith("ValueError: the resource's own fault")


@BOTH
def test_uploads_arrive_and_files_come_in_parts(
    tree: RunningServer, certificate: Certificate, tmp_path: Path, flag: str, version: str
) -> None:
    content = b"0123456789abcdef" * 200_000
    (tmp_path / "upload").write_bytes(content)
    said = curl(certificate, flag, "--data-binary", f"@{tmp_path / 'upload'}", tree.url("/digest"))
    part = curl(
        certificate,
        flag,
        "--range",
        "3-12",
        "--write-out",
        " %{http_code}",
        tree.url("/files/twisted_tree.py"),
    )
    malformed = curl(
        certificate, flag, "--header", "content-type: multipart/form-data; boundary=", "--data", "x",
        "--write-out", "%{http_code}", tree.url("/digest"),
    )  # fmt: skip

    assert said == hashlib.sha256(content).hexdigest()
    assert part == (ROOT / "tests" / "support" / "twisted_tree.py").read_text()[3:13] + " 206"
    assert malformed == "400"


def test_a_session_is_remembered_by_its_cookie(
    tree: RunningServer, certificate: Certificate, tmp_path: Path
) -> None:
    jar = tmp_path / "cookies"
    visits = [curl(certificate, "--cookie", jar, "--cookie-jar", jar, tree.url("/visits")) for _ in range(3)]

    assert visits == ["1", "2", "3"]


def test_pushes_hints_and_trailers_come_over_http2(tree: RunningServer) -> None:
    done = subprocess.run(
        [require_tool("nghttp"), "--verbose", "--null-out", tree.url("/everything")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    report = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert "(stream_id=13) :status: 103" in report, report
    assert re.search(r"recv PUSH_PROMISE frame .*stream_id=13", report)
    assert "(stream_id=2) :status: 200" in report
    assert "(stream_id=13) x-sum: 7" in report


def test_hints_and_trailers_come_over_http1_to_who_reads_them(
    tree: RunningServer, certificate: Certificate
) -> None:
    url = tree.url("/everything")
    said = curl(certificate, "--http1.1", "--include", "--header", "TE: trailers", url)
    unasked = curl(certificate, "--http1.1", "--include", url)

    assert said.startswith("HTTP/1.1 103 Early Hints")
    assert "not pushed at all" in said
    assert "x-sum: 7" in said
    assert "not pushed at all" in unasked
    assert "x-sum: 7" not in unasked


def test_push_can_be_left_out_and_files_mounted(certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "style.css").write_text("p {}")
    options = ("--twisted", "--no-push", "--mount", f"/static={tmp_path}")
    with serve_app("twisted_tree:app", *options, certificate=certificate) as running:
        done = subprocess.run(
            [require_tool("nghttp"), running.url("/everything")], capture_output=True, text=True, check=True
        )
        assert done.stdout == "not pushed at all"
        assert curl(certificate, running.url("/static/style.css")) == "p {}"


@BOTH
def test_content_that_is_given_up_never_looks_complete(
    tree: RunningServer, certificate: Certificate, flag: str, version: str
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as raised:
        curl(certificate, flag, tree.url("/unfinished"))

    assert raised.value.stdout == "not all"


def test_ten_thousand_requests_succeed(tree: RunningServer) -> None:
    done = subprocess.run(
        [require_tool("h2load"), "-n", "10000", "-c", "4", "-m", "32", tree.url("/")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "10000 done, 10000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout


def test_a_client_is_who_its_certificate_and_its_proxy_say(certificate: Certificate, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("a@example.org", organization_name="a client")
    authority.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    options = ("--twisted", "--client-ca", tmp_path / "clients.pem", "--client-cert", "optional")
    with serve_app("twisted_tree:app", *options, "--trust", "127.0.0.1", certificate=certificate) as running:
        url = running.url("/client")
        assert curl(certificate, url) == "IPv4Address 127.0.0.1 True None"
        known = curl(certificate, "--cert", tmp_path / "client.pem", url)
        assert known == "IPv4Address 127.0.0.1 True a client"
        said = curl(certificate, "--header", "X-Forwarded-For: 2001:db8::7", url)
        assert said == "IPv6Address 2001:db8::7 True None"


def test_limits_are_those_of_the_server(tmp_path: Path) -> None:
    with site(tmp_path, "--max-concurrency", "1", "--app-timeout", "1") as running:
        url = f"http://127.0.0.1:{running.port}"
        command = [require_tool("curl"), "--silent", "--write-out", "%{http_code}", f"{url}/patient"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
            until(lambda: running.lives("asked"), running.output)
            busy = curl(None, "--write-out", "%{http_code}", f"{url}/version")
            answered, _ = waiting.communicate(timeout=30)

        assert busy == "The server is busy.\n503"
        assert answered == "The application took too long.\n504"
        assert "the application took more than 1 seconds for GET /patient" in running.output()
        until(lambda: running.lives("ConnectionAborted"), running.output)
        assert curl(None, f"{url}/version") == "HTTP/1.1"
        assert running.end() == 0


def test_a_client_that_leaves_is_told_of_by_notify_finish(tmp_path: Path) -> None:
    with site(tmp_path) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            # To close is to reset: over HTTP/1.1 without TLS, a client may end its side and still read.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(b"GET /patient HTTP/1.1\r\nhost: localhost\r\n\r\n")
            until(lambda: running.lives("asked"), running.output)
        until(lambda: running.lives("ConnectionLost"), running.output)
        url = f"http://127.0.0.1:{running.port}/patient"
        with subprocess.Popen([require_tool("curl"), "--silent", "--http2-prior-knowledge", url]) as curl:
            until(lambda: len(running.lives("asked")) == 2, running.output)
            curl.kill()
        until(lambda: len(running.lives("ConnectionLost")) == 2, running.output)
        assert running.end() == 0


# -- processes -----------------------------------------------------------------------------------


def test_a_request_in_flight_finishes_and_then_the_shutdown_triggers_are_called(tmp_path: Path) -> None:
    with site(tmp_path) as running:
        client = fetch(running, "/wait")
        until(lambda: running.lives("waiting"), running.output)
        running.send(signal.SIGTERM)
        running.let_go()
        assert running.wait() == 0
        assert client.communicate(timeout=30)[0] == f"{running.process.pid} one"
        assert running.lives("up") == running.lives("down") == [running.process.pid]


def fetch(running: Workshop, path: str) -> subprocess.Popen[str]:
    """Begin a request."""
    command = [require_tool("curl"), "--silent", f"http://127.0.0.1:{running.port}{path}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@needs_fork
def test_workers_are_replaced_on_sighup_with_new_code(tmp_path: Path) -> None:
    with site(tmp_path, "--workers", "2") as running:
        first = running.lives("up")
        assert len(set(first)) == 2
        assert running.get() in [(pid, "one") for pid in first]
        running.app.write_text(running.app.read_text().replace('"one"', '"second"'))
        running.send(signal.SIGHUP)
        until(lambda: sorted(running.lives("down")) == sorted(first), running.output)
        assert running.get()[1] == "second"
        assert running.end() == 0
        assert sorted(running.lives("down")) == sorted(running.lives("up"))


@needs_fork
def test_a_change_of_the_source_is_served(tmp_path: Path) -> None:
    with site(tmp_path, "--reload") as running:
        assert running.get()[1] == "one"
        running.app.write_text(running.app.read_text().replace('"one"', '"second"'))
        until(lambda: running.get()[1] == "second", running.output)
        assert running.end() == 0


def test_to_stop_the_reactor_ends_the_server_in_good_order(tmp_path: Path) -> None:
    with site(tmp_path) as running:
        assert curl(None, f"http://127.0.0.1:{running.port}/stop") == "as you wish"
        assert running.wait() == 0
        assert running.lives("down") == [running.process.pid]
        assert "Traceback" not in running.output()


@needs_fork
def test_to_stop_the_reactor_of_a_worker_replaces_it(tmp_path: Path) -> None:
    with site(tmp_path, "--workers", "2") as running:
        assert curl(None, f"http://127.0.0.1:{running.port}/stop") == "as you wish"
        until(lambda: len(running.lives("up")) == 3 and len(running.lives("down")) == 1, running.output)
        assert running.get()[1] == "one"
        assert running.end() == 0


# -- Sites and services --------------------------------------------------------------------------


def named(directory: Path, name: str, *options: str) -> AbstractContextManager[Workshop]:
    """Serve something else of the tree's module."""
    shutil.copy(ROOT / "tests" / "support" / "twisted_tree.py", directory / "tree.py")
    (directory / "workshop.py").write_text(f"from tree import {name} as app\n")
    return site(directory, *options)


def test_a_site_keeps_its_requests_its_log_and_its_tracebacks(tmp_path: Path) -> None:
    with named(tmp_path, "site") as running:
        said = curl(None, "--include", f"http://127.0.0.1:{running.port}/fail")
        assert running.end() == 0

    assert "x-marked: yes" in said.lower()
    assert "the resource's own fault" in said
    assert '"GET /fail HTTP/1.1" 500' in (tmp_path / "site.log").read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_is_started_and_stopped_and_its_site_served_here(tmp_path: Path, workers: str) -> None:
    with named(tmp_path, "application", "--workers", workers) as running:
        until(lambda: len(set(running.lives("started"))) == int(workers), running.output)
        started = running.lives("started")
        assert running.get()[0] in started
        assert running.end() == 0
        assert sorted(running.lives("stopped")) == sorted(started)


def test_a_service_that_does_nothing_but_listen_is_its_site(tmp_path: Path) -> None:
    with named(tmp_path, "listening") as running:
        assert running.get()[1] == "one"
        assert running.end() == 0


def test_a_factory_makes_what_is_served(tmp_path: Path) -> None:
    with named(tmp_path, "make", "--factory") as running:
        assert running.get()[1] == "one"
        assert running.end() == 0


# -- bad use -------------------------------------------------------------------------------------


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``plait serve --twisted``, which must fail before it serves."""
    command = plait(
        "serve", "--twisted", *options, "--insecure", "--port", "0", "--app-dir", ROOT / "tests" / "support"
    )
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=ROOT, env={**os.environ, **environment}
    )


def test_what_cannot_be_served_is_one_sentence() -> None:
    done = run("twisted_tree:number")

    sentence = "plait: 'twisted_tree:number' is int, not a Twisted resource, Site or service\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


def test_a_module_or_factory_that_runs_the_reactor_is_told_not_to() -> None:
    done = run("twisted_tree:running", "--factory")

    assert done.returncode == 2
    assert done.stderr == (
        "plait: the factory 'twisted_tree:running' failed: plait runs the reactor, so the module must not "
        "call reactor.run()\n"
    )


def _service(*parts: service.Service) -> service.MultiService:
    whole = service.MultiService()
    for part in parts:
        part.setServiceParent(whole)
    return whole


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (None, "x is NoneType, not a Twisted resource, Site or service"),
        (Resource, "x is type, not a Twisted resource, Site or service: if it makes one, say --factory"),
        (HTTPFactory(), "x is HTTPFactory, not a Twisted resource, Site or service"),
        (
            _service(TCPServer(1, Site(Resource())), _service(TCPServer(2, Site(Resource())))),
            "x is a service with 2 Sites: name the one that plait is to serve",
        ),
        (
            _service(service.Service()),
            "x is a service without a Site that plait could serve: it looks for those of strports, "
            "StreamServerEndpointService, TCPServer, SSLServer and UNIXServer",
        ),
    ],
)
def test_whatever_is_no_root_is_one_sentence(found: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        find_root(found, "x")
    assert str(raised.value) == sentence


def test_a_site_is_found_wherever_it_is_in_a_service_and_the_rest_is_kept() -> None:
    site = Site(Resource())
    wrapped = WrappingFactory(site)
    kept = service.Service()
    whole = _service(_service(kept, TCPServer(1, site)), UNIXServer("path", factory=wrapped))

    assert find_root(whole, "x") == (site, whole)
    (inner,) = whole.services
    assert inner.services == [kept]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "--twisted needs the name of what it serves, MODULE:ROOT"),
        ({"app": "m:r", "interface": Interface.WSGI}, "--twisted goes without --interface wsgi"),
        ({"app": "m:r", "root_path": "/app"}, "--twisted goes without --root-path: twisted.web.vhost has "
         "its own ways"),
    ],
)  # fmt: skip
def test_options_that_are_not_for_twisted_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ServerConfig(twisted=True, **options)
    assert str(raised.value) == sentence


def test_a_service_that_does_not_start_says_why() -> None:
    done = run("twisted_tree:broken")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "plait: the site failed to start: KeyError: 'DATABASE'"
    assert done.stderr.count("Traceback") == 1


@needs_fork
def test_a_port_that_a_service_opens_itself_is_for_one_process() -> None:
    done = run("twisted_tree:elsewhere", "--workers", "2", ELSEWHERE=str(free_port()))

    assert done.returncode == 1
    assert "plait: the service cannot listen: Couldn't listen on any:" in done.stderr
    assert done.stderr.endswith("(a port that it opens by itself is for one process)\n")
    assert "Traceback" not in done.stderr


def test_without_twisted_one_sentence_says_how_to_get_it() -> None:
    program = "import sys; sys.modules['twisted'] = None; from plait.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", "--twisted", "mysite:root", "--insecure"],
        capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr == 'plait: Twisted is not installed: pip install "plait[twisted]"\n'
