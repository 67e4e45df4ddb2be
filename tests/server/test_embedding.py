"""A server inside a program: a function, a coroutine, a thread."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import plait
from plait.config import HttpVersions
from plait.errors import ConfigError
from plait.server import Server
from plait.server.embedding import configure
from plait.server.server import Phase
from plait.server_config import LogLevel, ServerConfig
from tests.support.servers import ROOT
from tests.support.workshop import gone


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def test_options_are_given_by_name_with_paths_as_strings() -> None:
    config = configure(
        "shop:app", cert="c.pem", key=Path("k.pem"), http="2", header_timeout=3, workers=4, log_level="debug"
    )
    assert config == ServerConfig(
        app="shop:app",
        cert=(Path("c.pem"),),
        key=(Path("k.pem"),),
        http=HttpVersions.HTTP_2,
        workers=4,
        log_level=LogLevel.DEBUG,
        limits=type(config.limits)(header_timeout=3.0),
    )
    several = configure(
        "a:b", cert=["1.pem", "2.pem"], key=["1.key", "2.key"], trust="10.0.0.0/8", pid_file="p"
    )
    assert several.cert == (Path("1.pem"), Path("2.pem"))
    assert several.trust == ("10.0.0.0/8",)
    assert several.pid_file == Path("p")


def test_the_example_of_the_docs_names_options_that_there_are() -> None:
    text = (ROOT / "docs" / "server.md").read_text()
    (call,) = re.findall(r"^plait\.serve\((.*)\)$", text, re.MULTILINE)
    config = eval(f"configure({call})")
    assert (config.app, config.workers, config.limits.header_timeout) == ("hello:app", 4, 5.0)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"wokers": 2}, "there is no option 'wokers'; did you mean 'workers'?"),
        ({"zebra": 2}, "there is no option 'zebra'"),
        ({"http": "3"}, "http must be one of 'auto', '1', '2', not '3'"),
        ({"workers": "2"}, "workers must be int, not '2'"),
        ({"workers": 0}, "workers must be greater than zero, not 0"),
        ({"keep_alive": 0}, "keep_alive must be greater than zero, not 0.0"),
    ],
)
def test_what_is_no_option_is_one_sentence(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plait.serve(hello, **options)
    assert str(caught.value) == complaint


def test_a_server_in_a_thread_is_stopped_from_another() -> None:
    ready = threading.Event()
    server = Server(configure(hello, port=0, insecure=True, access_log=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(lambda _: ready.set())))
    thread.start()
    assert ready.wait(20)
    try:
        assert server.phase is Phase.SERVING
        with plait.Client(f"http://127.0.0.1:{server.listening[0].port}") as client:
            assert client.get("/").content == b"hello"
    finally:
        server.stop()
        thread.join(20)
    assert not thread.is_alive()
    assert server.phase is Phase.STOPPED
    server.stop()  # once more is no harm


async def test_a_server_serves_once() -> None:
    server = Server(ServerConfig(app=hello, port=0, insecure=True, access_log=False))
    await server.serve(Server.stop)
    with pytest.raises(RuntimeError, match="a Server serves once"):
        await server.serve()


def test_a_server_stopped_before_it_starts_ends_at_once() -> None:
    server = Server(configure(hello, port=0, insecure=True, access_log=False))
    server.stop()
    asyncio.run(server.serve())
    assert server.phase is Phase.STOPPED


async def test_a_server_runs_in_a_loop_that_does_other_things() -> None:
    ready = asyncio.Event()
    server = Server(configure(hello, port=0, insecure=True, access_log=False))
    serving = asyncio.create_task(server.serve(lambda _: ready.set()))
    await ready.wait()
    async with plait.AsyncClient(f"http://127.0.0.1:{server.listening[0].port}") as client:
        assert (await client.get("/")).content == b"hello"
        server.stop()
        await asyncio.sleep(0)
        assert server.phase is Phase.DRAINING
    await serving


_PROGRAM = """
import os
import plait

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"%d" % os.getpid()}})

plait.serve(app, port=0, insecure=True, access_log=False, {options})
print("returned", flush=True)
"""


@pytest.mark.parametrize("options", ["", "workers=2"])
def test_serve_returns_after_sigterm(options: str) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(options=options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stderr is not None
    try:
        line = program.stderr.readline()
        assert line.startswith("plait: serving"), line
        port = int(line.split("127.0.0.1:")[1].split()[0])
        with plait.Client(f"http://127.0.0.1:{port}") as client:
            pid = int(client.get("/").content)
        assert (pid == program.pid) == (options == "")
        program.send_signal(signal.SIGTERM)
        output, errors = program.communicate(timeout=20)
        assert output.endswith("returned\n")
        assert output.count("returned") == 1  # in the first process only
        assert "Traceback" not in errors
        assert program.returncode == 0
        assert gone(pid)
    finally:
        program.kill()
        program.wait()


def test_workers_outside_the_main_thread_are_refused_in_one_sentence() -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            plait.serve(hello, port=0, insecure=True, workers=2)
        except ConfigError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert [str(error) for error in errors] == [
        "workers are supervised in the main thread, and this is another"
    ]
