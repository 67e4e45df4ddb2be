"""``plait compare`` as a user runs it: a process, its two streams and its exit status."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from plait.lab.record import Record
from plait.lab.samples import Medium
from tests.support.emulation import require_emulation
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
STANDARD = ["h1x1", "h1x6", "h1x6-again", "h1x100", "h2-serial", "h2-static", "h2"]


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
        (["--with", "wget"], "'wget' is not a contender"),
        (["--contenders", "h1x6,h3"], "'h3' is not a contender"),
        (["--contenders", "h1x6", "--reference", "h2"], "--reference 'h2' does not take part"),
        (["--contenders", "h1x6,h2-again"], "h2-again is h2 a second time, and h2 does not take part"),
        (["--contenders", "h2,h2-again", "--reference", "h2-again"], "takes part twice by itself"),
        (["--time-limit", "nan"], "'nan' is no number of seconds"),
        (["--time-limit", "inf"], "inf is not in the range 0<x<=86400"),
        (["--paths", "p"], "--paths is for a server of yours: bookstore has its own resources"),
        (["--cacert", "c"], "are about a server that runs: give its URL"),
        (["bookshop"], "'bookshop' is no URL and no MODULE:APP; did you mean bookstore?"),
        (["https://localhost"], "what to fetch from https://localhost? --paths FILE, --har FILE or --page"),
        (["hello:app"], "what to fetch from hello:app? --paths FILE, --har FILE or --page says it"),
        (["https://localhost", "--paths", "/nowhere/p"], "cannot read /nowhere/p: No such file or directory"),
        (["https://localhost", "--har", "/nowhere/h"], "cannot read /nowhere/h: No such file or directory"),
        (["https://localhost", "--har", "h", "--page"], "--har and --page both say what to fetch"),
        (["--header", "two words: 1"], "two words"),
        (["--header", "cookie"], "--header 'cookie' is not a line such as 'cookie: a=b'"),
        (["--blocks", "0"], "'0' is not a number of blocks such as 10, or 10..60"),
        (["--blocks", "9..3"], "'9..3' is not a number of blocks such as 10, or 10..60"),
        (["--margin", "3"], "'3' is not a share such as 3% or 0.03"),
        (["--network", "rtt=fast"], "--network rtt=fast: 'fast' is no number; write it like 100ms"),
        (["--network", "5g"], "'5g'"),
        (["--sweep", "rtt=5..", "loss=0..3%"], "--sweep rtt=5..: '' is no number"),
        (["--network", "4g,3g", "--sweep", "loss=0..3%"], "--sweep changes one network: give --network once"),
        (["--network", "lossy-wifi", "--link", "relay"], "a relay cannot lose packets"),
        (["--congestion-control", "bbr"], "--congestion-control is for an emulated network"),
        (["--network", "4g", "--congestion-control", "vegas9"], "'vegas9'"),
        (["--fail-if", "h2 slowed"], "'slowed'"),
        (["--fail-if", "h2 slower than h1x7", "--blocks", "1"], "'h1x7'"),
        (
            ["--json", "/nowhere/samples.json"],
            "cannot write /nowhere/samples.json: No such file or directory",
        ),
        (["--report", "/nowhere/page.html"], "cannot write /nowhere/page.html: No such file or directory"),
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
    assert "'localhost' is no URL and no MODULE:APP" in the_sentence(
        compare("localhost", "--paths", paths), 2
    )


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
            server.target.base_url, "--paths", paths, "--blocks", "1", "--json", Path("/dev/full")
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
    samples = tmp_path / "samples.json"
    with small_server(CONTENTS) as server:
        url = server.target.base_url
        given = [
            url,
            "--paths",
            paths,
            "--with",
            "requests",
            "--blocks",
            "2",
            "--seed",
            "7",
            "--json",
            samples,
        ]
        ended = compare(*given)
    assert ended.stderr == f"plait: {url} does not speak HTTP/2: the contenders that need it are left out\n"
    assert ended.returncode == 0
    record = Record.from_json(samples.read_text())
    names = ["h1x1", "h1x6", "h1x6-again", "h1x100", "requests"]
    assert [contender.name for contender in record.contenders] == names
    [cell] = record.cells
    assert cell.network is None
    assert [len(cell.measurements(name)) for name in names] == [2] * 5
    assert [run.connections for run in cell.measurements("h1x1")] == [1, 1]
    assert [run.connections for run in cell.measurements("h1x6")] == [6, 6]
    assert record.command == shlex.join(["plait", "compare", *map(str, given)])


def test_a_server_without_http_1_is_compared_over_http_2(certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("one")
    (tmp_path / "paths").write_text("/one\n" * 20)
    with serve_nghttpd(require_tool("nghttpd"), tmp_path, certificate=certificate) as server:
        url = f"https://localhost:{server.port}"
        ended = compare(url, "--paths", tmp_path / "paths", "--cacert", certificate.ca, "--blocks", "1")
    assert f"plait: {url} does not speak HTTP/1.1: the contenders that need it are left out\n" in ended.stderr
    assert ended.returncode == 0
    assert "HTTP/2, serial" in ended.stdout


def test_a_server_that_lies_to_the_contenders_fails_them_untimed(paths: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples.json"
    with small_server(dict(CONTENTS)) as server:

        def lie_after_the_reference(path: str) -> None:
            if server.asked.count("/29") > 2:
                server.contents["/29"] = b"something else"

        server.before_answering = lie_after_the_reference
        ended = compare(
            server.target.base_url,
            *("--paths", paths, "--blocks", "1", "--contenders", "h1x1,h1x6", "--json", samples),
        )
    fault = "received something else than expected for 1 of 30 responses (/29)"
    assert ended.returncode == 1
    assert ended.stderr.endswith("plait: not every run received what it was to receive\n")
    assert f"HTTP/1.1, 1 connection failed in every run and is not judged: {fault}" in ended.stdout
    written = json.loads(samples.read_text())["cells"][0]["samples"]
    assert [(sample["failure"], sample["measurement"]) for sample in written] == [(fault, None)] * 3


class Interrupted(NamedTuple):
    """A comparison that was interrupted: how it ended, and the processes it had then."""

    status: int
    output: str
    errors: str
    children: list[int]


def interrupt(number: int, *options: str | Path, after: int) -> Interrupted:
    """Interrupt a comparison when its server is asked for /0 once more than so many times."""
    held, release = threading.Event(), threading.Event()
    with small_server(CONTENTS) as server:

        def hold(path: str) -> None:
            if server.asked.count("/0") > after:
                held.set()
                release.wait()

        server.before_answering = hold
        command = plait("compare", server.target.base_url, *options)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert held.wait(60)
            family = children(process.pid)
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        release.set()
    return Interrupted(process.returncode, output, errors, family)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_comparison_ends_its_contender(
    paths: Path, tmp_path: Path, number: signal.Signals
) -> None:
    samples = tmp_path / "samples.json"
    ended = interrupt(number, "--paths", paths, "--json", samples, after=2)
    assert ended.status == 130
    assert ended.output == ""
    assert "Traceback" not in ended.errors
    assert len(ended.children) == 1
    assert not Path(f"/proc/{ended.children[0]}").exists()
    assert not samples.exists()


def test_an_interrupted_comparison_tells_of_the_blocks_that_are_done(paths: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples.json"
    # Asked for twice beforehand, once by the run that warms up, and by two runs in each block.
    ended = interrupt(signal.SIGINT, "--paths", paths, "--contenders", "h1x1", "--json", samples, after=6)
    assert ended.status == 130
    assert "plait: interrupted: 1 block on 1 of 1 network can be told of\n" in ended.errors
    assert "HTTP/1.1, 1 connection" in ended.output
    [cell] = Record.from_json(samples.read_text()).cells
    assert [sample.block for sample in cell.samples] == [0, 0]


def children(pid: int) -> list[int]:
    """List the processes a process has started; none where the system does not tell."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    if not file.exists():
        pytest.skip("only Linux lists the children of a process")
    return [int(child) for child in file.read_text().split()]


def test_the_bookstore_is_compared_without_a_target(tmp_path: Path) -> None:
    samples, page = tmp_path / "samples.json", tmp_path / "page.html"
    ended = compare(
        *("--with", "requests", "--blocks", "2", "--seed", "11", "--requests", "400"),
        *("--json", samples, "--report", page),
    )
    assert ended.returncode == 0, ended
    assert ended.stderr == ""  # no progress bar in a pipe
    assert "\x1b" not in ended.stdout
    assert "seed 11" in ended.stdout
    assert page.read_text().startswith("<!doctype html>")
    record = Record.from_json(samples.read_text())
    assert [contender.name for contender in record.contenders] == [*STANDARD, "requests"]
    assert record.medium is Medium.LOOPBACK
    assert len(record.resources) == 400
    connections = {"h1x6": 6, "h1x6-again": 6, "h1x100": 100}
    [cell] = record.cells
    for contender in record.contenders:
        runs = cell.measurements(contender.name)
        assert len(runs) == 2
        for run in runs:
            assert len(run.latencies) == 400
            if contender.name == "h1x100":  # as many as the answers that were quicker left it a need for
                assert 6 < run.connections <= 100
            else:
                assert run.connections == connections.get(contender.name, 1)
            assert run.server is None or run.server.total > 0
    # HPACK is what makes the difference in what is sent; HTTP/1.1 repeats every field.
    [h1, _], [h2, _] = cell.measurements("h1x1"), cell.measurements("h2")
    if h1.bytes_sent is not None and h2.bytes_sent is not None:
        assert h2.bytes_sent < h1.bytes_sent / 2
    assert h1.fields is not None
    assert h2.fields is not None
    assert h2.fields.request_wire < h1.fields.request_wire / 4


def test_a_server_that_is_running_already_is_compared(certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "paths").write_text("".join(f"/book?id={n}\n" for n in range(1, 301)))
    with serve_bookstore("--no-access-log", certificate=certificate) as server:
        url = f"https://localhost:{server.port}"
        ended = compare(url, "--paths", tmp_path / "paths", "--insecure", "--blocks", "1")
        untrusted = compare(url, "--paths", tmp_path / "paths", "--blocks", "1")
    assert ended.returncode == 0, ended
    assert ended.stderr == ""
    assert "300 requests a load" in ended.stdout
    assert "is not trusted" in the_sentence(untrusted, status=1)


APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    content = b'<link rel=stylesheet href=/style.css><img src=/a.png><img src=/b.png>'
    kind = b"text/html"
    if scope["path"] != "/":
        content, kind = scope["path"].encode() * 100, b"text/css" if "css" in scope["path"] else b"image/png"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": content})
"""


@pytest.mark.parametrize("link", ["loopback", "tun", "relay"])
def test_an_application_is_served_and_compared(tmp_path: Path, link: str) -> None:
    (tmp_path / "own.py").write_text(APP)
    over = {
        "loopback": [],
        "tun": ["--network", "rtt=10ms,down=20mbit"],
        "relay": ["--network", "rtt=10ms,down=20mbit", "--link", "relay"],
    }
    if link == "tun":
        require_emulation()
    command = plait("compare", "own:app", "--page", *over[link], "--blocks", "1", "--json", "samples.json")
    ended = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=tmp_path)
    assert ended.returncode == 0, ended
    record = Record.from_json((tmp_path / "samples.json").read_text())
    assert [one.path for one in record.resources] == ["/", "/style.css", "/a.png", "/b.png"]
    mediums = {"loopback": Medium.LOOPBACK, "tun": Medium.EMULATED, "relay": Medium.MODELLED}
    assert record.medium is mediums[link]
    assert all(sample.measurement for cell in record.cells for sample in cell.samples)
    if link == "relay":
        assert "modelled" in ended.stdout


MORTAL = """
import os

answers = 0

async def app(scope, receive, send):
    global answers
    if scope["type"] != "http":
        raise NotImplementedError
    answers += 1
    if answers > 4:
        print("that was all", flush=True)
        os._exit(3)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""


def test_a_server_that_dies_ends_the_comparison_and_networks_that_were_done_are_kept(tmp_path: Path) -> None:
    (tmp_path / "mortal.py").write_text(MORTAL)
    (tmp_path / "paths").write_text("/\n")
    command = plait("compare", "mortal:app", "--paths", "paths", "--contenders", "h1x1", "--blocks", "1")
    command += ["--link", "relay", "--network", "rtt=1ms", "--network", "rtt=2ms", "--json", "samples.json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=tmp_path)
    assert ended.returncode == 1, ended
    assert ended.stderr.splitlines() == [
        "plait: interrupted: 1 block on 1 of 2 networks can be told of",
        "plait: the server to compare ended with exit status 3: that was all",
    ]
    assert "rtt=1ms" in ended.stdout
    assert len(Record.from_json((tmp_path / "samples.json").read_text()).cells) == 1


def test_a_server_that_dies_before_any_block_is_done_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mortal.py").write_text(MORTAL.replace("> 4", "> 2"))
    (tmp_path / "paths").write_text("/\n")
    command = plait(
        "compare", "mortal:app", "--paths", "paths", "--contenders", "h1x1", "--json", "samples.json"
    )
    ended = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=tmp_path)
    assert the_sentence(ended, 1) == "the server to compare ended with exit status 3: that was all"
    assert not (tmp_path / "samples.json").exists()


def test_a_network_decides_and_a_condition_fails_the_command(tmp_path: Path) -> None:
    require_emulation()
    samples = tmp_path / "samples.json"
    ended = compare(
        *("many-small", "--network", "rtt=60ms,down=20mbit", "--contenders", "h1x6,h2", "--blocks", "10"),
        *("--requests", "40"),
        *("--json", samples, "--fail-if", "h2 faster than h1x6 by 20%"),
    )
    assert ended.returncode == 1
    assert 'plait: "h2 faster than h1x6 by 20%" is so: ' in ended.stderr
    assert "HTTP/2 was" in ended.stdout
    [cell] = Record.from_json(samples.read_text()).cells
    for sample in cell.samples:
        assert sample.link is not None
        assert sample.link.down.packets > 0
    again = subprocess.run(plait("report", samples), capture_output=True, text=True, timeout=60)
    assert again.returncode == 0, again
    assert again.stdout == ended.stdout
    later = subprocess.run(
        plait("report", samples, samples, "--fail-if", "h2 slower than before by 5%"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert later.returncode == 0, later
    assert "no practical difference" in later.stdout


def test_a_sweep_makes_a_cell_of_each_network(tmp_path: Path) -> None:
    require_emulation()
    samples = tmp_path / "samples.json"
    ended = compare(
        *("bookstore", "--requests", "20", "--contenders", "h1x6,h2", "--blocks", "1", "--json", samples),
        *("--sweep", "rtt=1..20ms/2", "loss=0..2%/2"),
    )
    assert ended.returncode == 0, ended
    networks = [cell.network for cell in Record.from_json(samples.read_text()).cells]
    found = {(one.rtt, one.down.loss.rate if one.down.loss else 0.0) for one in networks if one is not None}
    assert found == {(0.001, 0.0), (0.001, 0.02), (0.02, 0.0), (0.02, 0.02)}


def test_a_server_that_runs_already_is_reached_through_an_emulated_network(
    certificate: Certificate, tmp_path: Path
) -> None:
    require_emulation()
    (tmp_path / "paths").write_text("".join(f"/book?id={n}\n" for n in range(1, 31)))
    given = ["--paths", tmp_path / "paths", "--insecure", "--blocks", "1", "--network", "rtt=40ms"]
    with serve_bookstore("--no-access-log", certificate=certificate) as server:
        samples = tmp_path / "samples.json"
        ended = compare(f"https://localhost:{server.port}", *given, "--json", samples)
        by_address = compare(f"https://127.0.0.1:{server.port}", *given)
    assert ended.returncode == 0, ended
    [cell] = Record.from_json(samples.read_text()).cells
    # TCP, TLS and a request take a round trip each.
    assert all(0.12 < load < 1 for load in cell.loads("h2").values())
    assert "an emulated network reaches servers by name" in the_sentence(by_address, status=2)


@pytest.mark.parametrize("over", [[], ["--network", "rtt=10ms"]], ids=["loopback", "emulated"])
def test_nothing_outlives_a_comparison_that_is_killed(tmp_path: Path, over: list[str]) -> None:
    if over:
        require_emulation()
    command = plait("compare", "many-small", "--blocks", "60", "--contenders", "h1x1,h1x6", *over)
    # The temporary directory of the run is the one thing that nobody is left to remove.
    own = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=own) as process:
        wanted = 3 if over else 2  # the server, a contender, and the link
        while process.poll() is None and len(family := children(process.pid)) < wanted:
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()
        process.kill()
    for pid in family:
        while Path(f"/proc/{pid}/stat").exists() and state(pid) not in "ZX":
            time.sleep(0.01)


def state(pid: int) -> str:
    """Tell the state of a process, X when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def test_a_server_elsewhere_gets_few_requests_at_a_time_unless_it_is_owned(tmp_path: Path) -> None:
    (tmp_path / "paths").write_text("/book?id=1\n" * 20)
    with serve_bookstore("--no-access-log", "--host", "0.0.0.0", certificate=None) as server:
        url = f"http://{address_on_the_network()}:{server.port}"
        polite = compare(url, "--paths", tmp_path / "paths", "--blocks", "1")
        owned = compare(url, "--paths", tmp_path / "paths", "--blocks", "1", "--i-own-this")
    assert "is not this machine: at most 6 requests at a time" in polite.stderr
    assert "HTTP/1.1, 100 connections" not in polite.stdout
    assert "over whatever network lay in between" in polite.stdout
    assert owned.stderr == ""
    assert "HTTP/1.1, 100 connections" in owned.stdout


def address_on_the_network() -> str:
    """Find an address of this machine that is not loopback; nothing is sent for that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine is on no network")
        address: str = probe.getsockname()[0]
        return address
