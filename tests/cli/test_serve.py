"""``plait serve`` as a user meets it: what goes wrong is one sentence, Ctrl-C is a proper end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import Certificate, free_port, make_certificate, plait, run_server, serve_app

APPS = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def failed(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database is away"})


async def raising(scope, receive, send):
    await receive()
    raise ValueError("the database is away")


async def hanging(scope, receive, send):
    import asyncio

    await receive()
    print("starting", flush=True)
    await asyncio.sleep(600)


class inner:
    app = staticmethod(app)


number = 5
"""


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a module of applications and some that cannot be imported."""
    folder = tmp_path_factory.mktemp("apps")
    (folder / "apps.py").write_text(APPS)
    (folder / "needs_more.py").write_text("import a_module_that_is_not_there\n")
    (folder / "half.py").write_text("from os import no_such_name\n")
    (folder / "broken.py").write_text("def app(:\n")
    (folder / "exiting.py").write_text("import sys\n\nsys.exit(3)\n")
    (folder / "dividing.py").write_text("number = 1 / 0\n")
    return folder


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in plait(*arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "XDG_DATA_HOME": str(cwd / "data")},
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], status: int, says: str) -> None:
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("plait: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert re.search(says, done.stderr), done.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere:app", "no module 'nowhere'"),
        ("apps.deeper:app", "apps"),
        ("apps:nothing", "'apps' has no 'nothing'"),
        ("apps:inner.nothing", "no 'inner.nothing'"),
        ("apps:number", "int, not an application"),
        ("apps:", "MODULE:APP"),
        ("apps", "such as apps:app"),
        ("apps.py", "such as apps:app"),
        ("./inner/apps.py", "such as inner.apps:app"),
        (":app", "MODULE:APP"),
        (":", "MODULE:APP"),
        ("", "MODULE:APP"),
        (".apps:app", "apps"),
        ("..:app", ""),
        ("apps..x:app", "apps"),
        ("./apps.py:app", ""),
        ("needs_more:app", "a_module_that_is_not_there"),
        ("half:app", "no_such_name"),
        ("broken:app", "broken"),
        ("exiting:app", r"'exiting' ended in sys\.exit\(3\)"),
    ],
)
def test_an_application_that_is_not_there_is_one_sentence(apps: Path, name: str, says: str) -> None:
    assert_one_sentence(run("serve", name, "--insecure", "--port", "0", cwd=apps), 2, says)


def test_an_application_that_raises_when_imported_shows_its_own_traceback_only(apps: Path) -> None:
    done = run("serve", "dividing:app", "--insecure", "--port", "0", cwd=apps)
    assert done.returncode == 2
    assert done.stderr.endswith("plait: importing 'dividing' failed: ZeroDivisionError: division by zero\n")
    assert re.findall(r'File "(.*)"', done.stderr) == [str(apps / "dividing.py")]


@pytest.mark.parametrize("name", ["apps:failed", "apps:raising"])
def test_an_application_that_fails_to_start_is_one_sentence(apps: Path, name: str) -> None:
    done = run("serve", name, "--insecure", "--port", "0", cwd=apps)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("plait: ")
    assert "the database is away" in last
    if name == "apps:failed":
        assert_one_sentence(done, 1, "the application failed to start: the database is away")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--port", "65536"], "port must be from 0 to 65535"),
        (["--port", "-1"], "port must be from 0 to 65535"),
        (["--port", "many"], "'many' is not a valid integer"),
        (["--grace", "-1"], "grace must not be negative"),
        (["--grace", "nan"], "grace"),
        (["--keep-alive", "0"], "keep_alive must be greater than zero"),
        (["--keep-alive", "nan"], "keep_alive"),
        (["--max-concurrent-streams", "0"], "max_concurrent_streams must be greater than zero"),
        (["--max-concurrent-streams", "4294967296"], "max_concurrent_streams"),
        (["--stream-window", "2147483648"], "stream_window"),
        (["--max-header-size", "4294967296"], "max_header_size"),
        (["--http", "3"], "--http"),
        (["--nonsense"], "(?i)no such option.*--nonsense"),
        (["--cert", "c.pem"], "each --cert needs a --key"),
        (["--key", "k.pem"], "each --key needs a --cert"),
        (["--insecure", "--cert", "c.pem", "--key", "k.pem"], "--insecure"),
        (["--listen", "nonsense"], "nonsense"),
        (["--listen", "ssl"], "ssl"),
        (["--listen", "ssl:port=many"], "port"),
        (["--listen", "quic:443"], "quic"),
        (["--listen", "tcp:port=0:colour=red"], "colour"),
        (["--listen", ""], "endpoint"),
        (["--listen", "tcp:0\\"], "backslash"),
        (["--listen", "tcp:0", "--port", "8443"], "--listen says where to listen, so --port is of no use"),
        (["--listen", "tcp:0", "--host", "::1"], "--listen says where to listen, so --host is of no use"),
        (["--listen", "fd:987"], "endpoint 'fd:987': descriptor 987 is not open"),
        (["--listen", "systemd:index=0"], "systemd has handed this process no sockets"),
        (["--insecure", "--port", "0", "--trust", "nowhere"], "--trust 'nowhere' is neither an address"),
        (["--proxy-protocol"], "--proxy-protocol needs --trust"),
        (["--client-cert", "required"], "--client-cert needs --client-ca"),
        (["--app-dir", "nowhere"], "nowhere"),
        (["second:app"], "(?i)unexpected extra argument"),
    ],
)
def test_a_wrong_option_is_one_sentence(apps: Path, options: list[str], says: str) -> None:
    assert_one_sentence(run("serve", "apps:app", *options, cwd=apps), 2, says)


def test_a_missing_application_is_one_sentence(apps: Path) -> None:
    assert_one_sentence(run("serve", cwd=apps), 2, "(?i)missing argument")


def test_an_unknown_command_is_one_sentence(apps: Path) -> None:
    assert_one_sentence(run("sevre", cwd=apps), 2, "sevre")


def test_a_port_in_use_is_one_sentence(apps: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "apps:app", "--insecure", "--port", str(port), cwd=apps)
    assert_one_sentence(done, 1, f"cannot listen on 127.0.0.1 port {port}: address already in use")


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 300, "with space"])
def test_an_address_that_is_not_ours_is_one_sentence(apps: Path, host: str) -> None:
    done = run("serve", "apps:app", "--insecure", "--port", "0", "--host", host, cwd=apps)
    assert_one_sentence(done, 1, "cannot listen on")


def test_certificates_that_cannot_be_used_are_one_sentence(
    apps: Path, certificate: Certificate, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path)
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    empty = tmp_path / "empty.pem"
    empty.touch()
    for cert, key in [
        (certificate.chain, other.key),
        (certificate.chain, tmp_path / "nowhere.pem"),
        (tmp_path / "nowhere.pem", certificate.key),
        (certificate.key, certificate.key),
        (certificate.chain, certificate.chain),
        (garbage, certificate.key),
        (empty, empty),
        (tmp_path, certificate.key),
    ]:
        done = run("serve", "apps:app", "--cert", cert, "--key", key, "--port", "0", cwd=apps)
        assert_one_sentence(done, 2, r"\.pem|certificate|key|directory")


def test_ctrl_c_is_a_proper_end(apps: Path, certificate: Certificate) -> None:
    with serve_app("apps:app", certificate=certificate, app_dir=apps) as server:
        assert f":{server.port} (Ctrl-C stops)" in server.output()
    # serve_app has asserted that the exit status is 0.


def test_sigterm_is_a_proper_end(apps: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [str(word) for word in plait("serve", "apps:app", "--insecure", "--port", str(port))],
        cwd=apps,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr:
        assert "serving" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()


def test_ctrl_c_ends_an_application_that_never_starts(apps: Path) -> None:
    process = subprocess.Popen(
        [str(word) for word in plait("serve", "apps:hanging", "--insecure", "--port", "0")],
        cwd=apps,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        assert process.stdout.readline() == "starting\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()


def test_an_endpoint_string_of_twisted_is_served(apps: Path, certificate: Certificate) -> None:
    port = free_port()
    endpoint = f"ssl:port={port}:privateKey={certificate.key}:certKey={certificate.chain}:interface=127.0.0.1"
    command = plait("serve", "apps:app", "--listen", endpoint, "--no-access-log")
    with run_server(command, port=port, cwd=apps, exit_status=0) as server:
        assert f"https://127.0.0.1:{port}" in server.output()


@pytest.mark.parametrize("command", [[], ["serve"], ["bookstore"], ["cert"], ["compare"]])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_has_help(apps: Path, command: list[str], option: str) -> None:
    done = run(*command, option, cwd=apps)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith(f"Usage: plait{''.join(' ' + word for word in command)} ")
    assert "Traceback" not in done.stdout


def test_without_a_command_the_help_is_printed(apps: Path) -> None:
    done = run(cwd=apps)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: plait ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["cert", "--help"]])
def test_output_that_cannot_be_written_is_one_sentence(apps: Path, arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(plait(*arguments), cwd=apps, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "plait: No space left on device\n")


def test_the_version_is_told(apps: Path) -> None:
    done = run("--version", cwd=apps)
    assert done.returncode == 0
    assert re.fullmatch(r"plait, version \d\S*\n", done.stdout)
