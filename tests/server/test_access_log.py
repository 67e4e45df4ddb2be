"""The access log: a line for each request, in the form that was asked for, whatever becomes of the file."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import ConfigError
from plait.fields import RequestHead
from plait.server.access_format import compile_format, printable
from plait.server.log_writer import LogWriter
from plait.server_config import Limits
from tests.support.servers import Certificate, serve_app
from tests.support.serving import h1_client, h2_client, serving

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-kind", b'a"b')]}
GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
TIME = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"


async def ok(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    await send(START)
    await send({"type": "http.response.body", "body": scope["http_version"].encode()})


async def lines_of(path: Path, form: str, *targets: bytes, **fields: bytes) -> list[str]:
    """Serve requests for these targets, and return the lines of the log."""
    sent = [(name.replace("_", "-").encode(), value) for name, value in fields.items()]
    async with (
        serving(ok, access_log=True, access_log_file=path, access_log_format=form) as running,
        h2_client(running) as client,
    ):
        for target in targets:
            await client.response(client.request(b"GET", target, *sent))
    return path.read_text().splitlines()  # noqa: ASYNC240  (a test may wait)


async def written(path: Path) -> None:
    """Wait until there is something in a file."""
    while not path.stat().st_size:  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)  # there is no event to wait for; the test's own timeout ends it


async def test_the_access_log_has_a_line_for_each_request(certificate: Certificate, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    async with serving(
        ok, certificate=certificate, access_log=True, access_log_file=path, max_header_fields=20
    ) as running:
        async with h2_client(running) as client:
            fields = [(b"user-agent", b"curl/7.49.1"), (b"referer", b"https://a.example/")]
            await client.response(client.request(b"GET", b"/a?b=c", *fields))
            await client.response(client.request(b"HEAD", b"/head"))
            await client.response(client.request(b"GET", b"/many", *[(b"x", b"1")] * 30))
            stream = client.request(b"GET", b'/"quoted"\\', (b"user-agent", b'a"b\\c\xff\x7f\x1b[2J'))
            await client.until(lambda: client.messages[stream].ended or client.messages[stream].reset)
        async with h1_client(running) as h1:
            h1.writer.write(GET)
            await h1.rest()
    lines = path.read_text().splitlines()
    form = rf"127\.0\.0\.1 - - {TIME} "
    assert all(re.match(form, line) for line in lines)
    ends = [re.sub(form, "", line) for line in lines]
    assert ends[0] == '"GET /a?b=c HTTP/2" 200 1 "https://a.example/" "curl/7.49.1"'
    assert ends[1] == '"HEAD /head HTTP/2" 200 - "-" "-"'
    assert re.match(r'"GET /many HTTP/2" 431 \d+ "-" "-"', ends[2])
    assert ends[-1] == '"GET / HTTP/1.1" 200 3 "-" "-"'
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert line.count('"') == 6


async def test_the_access_log_can_be_off(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    async with serving(ok, access_log=False, access_log_file=path) as running, h2_client(running) as client:
        await client.response(client.request())
    assert not path.exists()


async def test_a_response_that_never_began_is_logged_without_status(tmp_path: Path) -> None:
    came = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await receive()
            came.set()
            await receive()

    path = tmp_path / "access.log"
    async with serving(app, access_log=True, access_log_file=path) as running, h2_client(running) as client:
        stream = client.request()
        await came.wait()
        client.engine.reset_stream(stream)
        client.flush()
    assert '"GET / HTTP/2" - - "-" "-"' in path.read_text()


# -- forms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (
            "%(h)s|%(l)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(b)s|%(B)s",
            r"127\.0\.0\.1\|-\|GET\|/a\|b=c\|HTTP/2\|200\|1\|1",
        ),
        ("%(r)s", r"GET /a\?b=c HTTP/2"),
        ("%(t)s", TIME),
        ("%(f)s %(a)s", "from agent"),
        ("%({x-own}i)s %({X-Own}i)s %({x-none}i)s", "mine mine -"),
        ("%({x-kind}o)s %({x-none}o)s", r"a\\x22b -"),
        ("%(u)s", "ada"),
        ("%(p)s", "<PID>"),
        ("%(T)s %(M)s %(D)s %(L)s", r"0 \d+ \d+ 0\.\d{6}"),
        ("100%% {of} 'it' \"all\" %(s)s \\n", r"100% \{of\} 'it' \"all\" 200 \\n"),
    ],
)
async def test_a_format_string_has_the_atoms_of_gunicorn(tmp_path: Path, form: str, line: str) -> None:
    fields = {
        "referer": b"from",
        "user_agent": b"agent",
        "x_own": b"mine",
        "authorization": b"Basic YWRhOnNlY3JldA==",
    }
    (found,) = await lines_of(tmp_path / "log", form, b"/a?b=c", **fields)
    assert re.fullmatch(line.replace("PID", str(os.getpid())), found), found


async def test_a_line_of_json_is_an_object(tmp_path: Path) -> None:
    (line,) = await lines_of(tmp_path / "log", "json", b'/a"?b', user_agent=b'\xff"')
    found = json.loads(line)
    assert line.isascii()
    seconds = found.pop("seconds")
    assert 0 < seconds < 20
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", found.pop("time"))
    assert found == {
        "client": "127.0.0.1",
        "method": "GET",
        "target": '/a"?b',
        "authority": "a.example",
        "protocol": "2",
        "status": 200,
        "bytes": 1,
        "referer": None,
        "user_agent": '\\xff"',
    }


def test_json_says_null_of_what_there_is_not() -> None:
    line = compile_format("json").line
    request = RequestHead([(b":method", b"GET"), (b":path", b"/")], Limits())
    connection: Any = SimpleNamespace(http_version="2")
    exchange: Any = SimpleNamespace(
        request=request, begun=0.0, sent_bytes=0, endpoint=SimpleNamespace(connection=connection)
    )
    driver: Any = SimpleNamespace(client=None)
    found = json.loads(line(exchange, driver, 0))
    assert [name for name, value in found.items() if value is None] == [
        "client",
        "status",
        "referer",
        "user_agent",
    ]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("%(x)s", r"has %\(x\)s, which is no atom"),
        ("%(h)s %d", r"has '%d', where"),
        ("%(h)s %(", r"has '%\(', where"),
        ("%({a b}i)s%(s)s", r"has '%\(\{a b"),
        ("common", r"combined, json or a format string, not 'common'"),
        ("", r"combined, json or a format string, not ''"),
    ],
)
def test_a_format_that_cannot_be_is_one_sentence(form: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        compile_format(form)


@given(st.binary())
def test_what_a_client_sends_ends_no_line_and_no_quoted_string(value: bytes) -> None:
    text = printable(value)
    assert text.isascii()
    assert text.isprintable()
    assert '"' not in text
    assert re.sub(r"\\x[0-9a-f]{2}", "", text).find("\\") == -1


@given(st.text(max_size=40).filter(lambda text: "%" not in text))
def test_what_stands_between_atoms_stays_as_it_is(text: str) -> None:
    line = compile_format(f"{text}%(h)s{text}").line
    exchange: Any = SimpleNamespace(request=None)
    driver: Any = SimpleNamespace(client=None)
    assert line(exchange, driver, 0) == f"{text}-{text}\n"


# -- files ------------------------------------------------------------------------------------------


async def test_a_log_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    moved = tmp_path / "access.log.1"
    async with (
        serving(ok, access_log=True, access_log_file=path, access_log_format="%(U)s") as running,
        h2_client(running) as client,
    ):
        await client.response(client.request(b"GET", b"/first"))
        await written(path)
        path.rename(moved)
        running.server.reopen()
        await client.response(client.request(b"GET", b"/second"))
    assert moved.read_text() == "/first\n"
    assert path.read_text() == "/second\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_broken_log_does_not_stop_the_service_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        serving(ok, access_log=True, access_log_file=Path("/dev/full")) as running,
        h2_client(running) as client,
    ):
        for _ in range(3):
            assert (await client.response(client.request())).content == b"2"
    assert caplog.text.count("the access log cannot be written") == 1
    assert "lines lost of the access log: 3" in caplog.text


async def test_a_log_in_no_directory_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "access.log"
    with pytest.raises(ConfigError, match=rf"^the access log {path} cannot be written: no such file"):
        async with serving(ok, access_log=True, access_log_file=path):
            pass


def test_a_pipe_that_nobody_reads_stops_nothing_and_what_is_lost_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = LogWriter(pipe)
    batch = ["x" * 999 + "\n"] * 1000
    for _ in range(12):  # megabytes: more than the pipe and the bound take
        writer.write(batch)
    assert "cannot be written as fast as it grows" in caplog.text
    os.set_blocking(reader, True)
    received = 0
    while received < 9_000_000:
        data = os.read(reader, 65536)
        assert not data.replace(b"x" * 999 + b"\n", b"").strip(b"x\n")
        received += len(data)
    writer.close()
    os.close(reader)
    assert "the access log is written again, after lines lost: 3000" in caplog.text


def test_lines_of_several_processes_do_not_mix_in_a_pipe() -> None:
    script = (
        "import sys; from plait.server.log_writer import LogWriter; w = LogWriter(None)\n"
        "for _ in range(50): w.write([sys.argv[1] * 150 + '\\n'] * 100)\n"
        "w.close()"
    )
    reader, writer = os.pipe()
    processes = [subprocess.Popen([sys.executable, "-c", script, name], stdout=writer) for name in "ab"]
    os.close(writer)
    with os.fdopen(reader) as stream:
        lines = stream.read().splitlines()
    assert [process.wait() for process in processes] == [0, 0]
    assert sorted(lines) == ["a" * 150] * 5000 + ["b" * 150] * 5000


def test_standard_output_gets_the_log() -> None:
    options = ("--access-log-format", "%(m)s %(U)s", "--log-level", "error")
    with serve_app("interop_app:app", *options, certificate=None) as server:
        subprocess.run(["curl", "-sf", server.url("/there")], check=False, capture_output=True)
        process = server.process
        while "GET /there\n" not in server.output():
            assert process.poll() is None
            time.sleep(0.02)  # between two looks; the test's own timeout ends them
