"""Where a server listens: every address of a name, files, and sockets that are open already."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plait.errors import ConfigError, PlaitError
from plait.server.listening import Bound, bind
from plait.server_config import ServerConfig
from tests.support.servers import Certificate, free_port
from tests.support.serving import serving

GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


async def who(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    seen = {name: scope[name] for name in ("client", "server", "scheme")}
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, Any]:
    writer.write(GET)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    seen: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return seen


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def opened() -> Iterator[list[Bound]]:
    """What a test binds, closed at its end."""
    found: list[Bound] = []
    yield found
    for one in found:
        one.close()


def insecure(**options: Any) -> ServerConfig:
    return ServerConfig(insecure=True, **options)


def refused(error: type[PlaitError] = PlaitError, **options: Any) -> str:
    with pytest.raises(error) as caught:
        bind(insecure(**options))
    message = str(caught.value)
    assert "\n" not in message
    return message


# -- TCP --------------------------------------------------------------------------------------------


@needs_ipv6
@pytest.mark.parametrize("host", ["localhost", ""])
async def test_a_name_stands_for_all_its_addresses_on_one_port(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def both(name: str | None, port: int, **options: Any) -> Any:
        # As most machines have it in /etc/hosts.
        found = [real(one, port, **options) for one in ("::1", "127.0.0.1")]
        return [*found[0], *found[1], *found[0]] if name == "localhost" else real(name, port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", both)
    async with serving(who, host=host) as running:
        for address in ("127.0.0.1", "::1"):
            seen = await ask(*await asyncio.open_connection(address, running.port))
            assert seen["client"][0] == address
            assert seen["server"] == [address, running.port]


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("127.0.0.1", "http://127.0.0.1:{}"),
        ("", "http://localhost:{}, on every address"),
        ("0.0.0.0", "http://localhost:{}, on every address"),
    ],
)
def test_the_address_announced_can_be_used(host: str, where: str, opened: list[Bound]) -> None:
    opened += bind(insecure(host=host, port=0))
    assert opened[0].where == where.format(opened[0].port)


@needs_ipv6
def test_an_address_of_ipv6_is_announced_in_brackets(opened: list[Bound]) -> None:
    opened += bind(insecure(host="::1", port=0))
    assert opened[0].where == f"http://[::1]:{opened[0].port}"
    opened += bind(insecure(host="::", port=0))
    assert opened[1].where == f"http://localhost:{opened[1].port}, on every address"


@needs_ipv6
def test_every_address_of_ipv6_leaves_those_of_ipv4_to_others(opened: list[Bound]) -> None:
    opened += bind(insecure(host="::", port=0))
    opened += bind(insecure(host="0.0.0.0", port=opened[0].port))


@pytest.mark.parametrize("listening", [True, False])
def test_a_port_in_use_is_one_sentence(listening: bool, opened: list[Bound]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listening:
            other.listen()
        port = other.getsockname()[1]
        message = refused(port=port)
    assert message == f"cannot listen on 127.0.0.1 port {port}: address already in use"
    opened += bind(insecure(port=port))


def test_a_port_that_another_server_took_between_binding_and_listening_is_one_sentence(
    opened: list[Bound],
) -> None:
    opened += bind(insecure(port=0))
    opened += bind(insecure(port=opened[0].port))
    opened[0].start()
    opened[0].start()
    with pytest.raises(
        PlaitError, match=f"cannot listen on .* port {opened[0].port}: address already in use"
    ):
        opened[1].start()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 70, "a\0b", "\udcff"])
def test_a_host_that_is_none_here_is_one_sentence(host: str) -> None:
    assert refused(host=host, port=0).startswith("cannot listen on ")


def test_of_several_endpoints_none_stays_bound_when_one_fails(opened: list[Bound], tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "web.sock"
    refused(listen=(f"tcp:{port}:interface=127.0.0.1", f"unix:{path}", "tcp:0:interface=192.0.2.1"))
    assert list(tmp_path.iterdir()) == []
    opened += bind(insecure(port=port))


async def test_several_endpoints_are_served_at_once(certificate: Certificate, tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    listen = ("tcp:0:interface=127.0.0.1", "ssl:0:interface=127.0.0.1", f"unix:{path}")
    async with serving(who, certificate=certificate, listen=listen) as running:
        plain, secure, _ = running.server.listening
        seen = await ask(*await asyncio.open_connection("127.0.0.1", plain.port))
        assert seen["scheme"] == "http"
        context = certificate.context()
        streams = await asyncio.open_connection(
            "127.0.0.1", secure.port, ssl=context, server_hostname="localhost"
        )
        assert (await ask(*streams))["scheme"] == "https"
        seen = await ask(*await asyncio.open_unix_connection(path))
        assert (seen["client"], seen["server"]) == (None, [str(path), None])


# -- files ------------------------------------------------------------------------------------------


async def test_a_socket_in_the_file_system_has_its_mode_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    async with serving(who, listen=(f"unix:{path}:mode=640",)) as running:
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert running.server.listening[0].where == f"unix:{path} (http)"
        await ask(*await asyncio.open_unix_connection(path))
    assert os.listdir(tmp_path) == []


async def test_tls_and_trusted_proxies_work_over_a_socket_in_the_file_system(
    certificate: Certificate, tmp_path: Path
) -> None:
    path = tmp_path / "web.sock"
    options: dict[str, Any] = {"listen": (f"unix:{path}:tls=yes",), "trust": ("unix",)}
    async with serving(who, certificate=certificate, proxy_protocol=True, **options):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(os.fspath(path))
            raw.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 9 10\r\n")
            raw.setblocking(False)
            streams = await asyncio.open_unix_connection(
                sock=raw, ssl=certificate.context(), server_hostname="localhost"
            )
            seen = await ask(*streams)
    assert seen == {"client": ["192.0.2.7", 9], "server": ["192.0.2.8", 10], "scheme": "https"}


@pytest.mark.parametrize("lock", ["0", "1"])
def test_a_socket_that_a_dead_server_left_is_replaced(lock: str, tmp_path: Path, opened: list[Bound]) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
        dead.listen()
    path.with_name("web.sock.lock").touch()
    opened += bind(insecure(listen=(f"unix:{path}:lockfile={lock}",)))


@pytest.mark.parametrize("lock", ["0", "1"])
def test_a_socket_that_a_server_listens_on_is_left_alone(
    lock: str, tmp_path: Path, opened: list[Bound]
) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(os.fspath(path))
        other.listen(0)
        made = path.stat().st_ino
        endpoint = f"unix:{path}:lockfile={lock}"
        assert refused(listen=(endpoint,)) == f"cannot listen on {path}: another server does"
        assert path.stat().st_ino == made


def test_a_lock_keeps_two_servers_apart_before_either_listens(tmp_path: Path, opened: list[Bound]) -> None:
    path = tmp_path / "web.sock"
    opened += bind(insecure(listen=(f"unix:{path}",)))
    assert refused(listen=(f"unix:{path}",)) == (f"cannot listen on {path}: another server holds {path}.lock")
    opened.pop().close()
    opened += bind(insecure(listen=(f"unix:{path}",)))


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    message = refused(listen=(f"unix:{path}",))
    assert message == f"cannot listen on {path}: it is there already, and it is no socket"
    assert path.read_text() == "data"
    assert [one.name for one in tmp_path.iterdir()] == ["precious"]


def test_a_file_of_another_server_is_not_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    (bound,) = bind(insecure(listen=(f"unix:{path}:lockfile=0",)))
    path.unlink()
    path.write_text("somebody else's")
    bound.close()
    assert path.read_text() == "somebody else's"


def test_a_worker_leaves_the_file_to_the_process_that_made_it(tmp_path: Path, opened: list[Bound]) -> None:
    path = tmp_path / "web.sock"
    opened += bind(insecure(listen=(f"unix:{path}",)))
    pid = os.fork()
    if pid == 0:
        opened[0].close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert path.is_socket()


@pytest.mark.parametrize("path", ["no/such/directory/web.sock", "x" * 200])
def test_a_path_that_cannot_be_bound_is_one_sentence(path: str, tmp_path: Path) -> None:
    message = refused(listen=(f"unix:{tmp_path}/{path}:lockfile=0",))
    assert message.startswith(f"cannot listen on {tmp_path}/{path}: ")


# -- sockets that are open already ----------------------------------------------------------------------


async def test_a_socket_is_taken_over_by_its_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        async with serving(who, listen=(f"fd:{given.fileno()}",)) as running:
            assert running.port == given.getsockname()[1]
            await ask(*await asyncio.open_connection("127.0.0.1", running.port))
        assert given.fileno() >= 0


@needs_ipv6
async def test_a_client_of_ipv4_is_known_as_one_on_a_socket_for_both() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as given:
        async with serving(who, listen=(f"fd:{given.fileno()}",)) as running:
            seen = await ask(*await asyncio.open_connection("127.0.0.1", running.port))
            assert seen["client"][0] == seen["server"][0] == "127.0.0.1"


def test_a_number_that_is_no_such_socket_is_refused() -> None:
    assert refused(ConfigError, listen=("fd:987",)) == "endpoint 'fd:987': descriptor 987 is not open"
    with open(os.devnull) as file:
        assert "is no socket" in refused(ConfigError, listen=(f"fd:{file.fileno()}",))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        assert "is no socket for connections" in refused(ConfigError, listen=(f"fd:{datagrams.fileno()}",))


def test_sockets_from_systemd_go_by_index_and_by_name(tmp_path: Path) -> None:
    program = tmp_path / "activated.py"
    program.write_text(
        textwrap.dedent(
            """
            import os, socket
            from plait.server_config import ServerConfig
            from plait.errors import ConfigError
            from plait.server.listening import bind

            first, second = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
            second.bind(os.environ["SOCKET"])
            for number, one in enumerate((first, second)):
                os.dup2(one.fileno(), 100 + number)
            for number in range(2):
                os.dup2(100 + number, 3 + number)
            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="web:local")

            def where(endpoint):
                try:
                    (bound,) = bind(ServerConfig(insecure=True, listen=(endpoint,)))
                except ConfigError as error:
                    return str(error)
                return bound.where.replace(f":{bound.port}", ":PORT")

            for endpoint in ("domain=INET:index=0", "name=web", "index=1", "domain=UNIX:name=local",
                             "domain=INET6:index=0", "index=2", "name=other"):
                print(where(f"systemd:{endpoint}"))
            os.environ["LISTEN_PID"] = "1"
            print(where("systemd:index=0"))
            """
        )
    )
    path = tmp_path / "local.sock"
    done = subprocess.run(
        [sys.executable, program],
        env={**os.environ, "SOCKET": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "http://127.0.0.1:PORT",
        "http://127.0.0.1:PORT",
        f"unix:{path} (http)",
        f"unix:{path} (http)",
        "endpoint 'systemd:domain=INET6:index=0': the domain of descriptor 3 is INET",
        "endpoint 'systemd:index=2': systemd has handed over 2 sockets, none with the index 2",
        "endpoint 'systemd:name=other': systemd has handed over no socket named 'other'",
        "endpoint 'systemd:index=0': systemd has handed this process no sockets (LISTEN_PID is not its own)",
    ], done.stderr
