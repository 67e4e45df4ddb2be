"""How connections are accepted: within limits, for whom a proxy says, and with few descriptors."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import Certificate
from tests.support.serving import Running, h1_client, h2_client, serving

V2 = b"\r\n\r\n\0\r\nQUIT\n"
GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
SECONDS = 20.0


async def who(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    seen = {name: scope[name] for name in ("client", "server", "scheme")}
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


async def ask(running: Running, first: bytes) -> dict[str, Any] | None:
    """Send some bytes, then a request, over TLS where it is served; None when the server hangs up."""
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.setblocking(False)
        await loop.sock_sendall(connection, first)
        context = running.certificate.context() if running.certificate else None
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol,
                sock=connection,
                ssl=context,
                server_hostname="localhost" if context else None,
            )
        except OSError:
            return None
        transport.write(GET)
        try:
            async with asyncio.timeout(SECONDS):
                answer = await reader.read()
        except ConnectionError:
            return None
        finally:
            transport.abort()
    _, _, content = answer.partition(b"\r\n\r\n")
    return json.loads(content) if content else None


# -- the limit --------------------------------------------------------------------------------------


async def test_connections_beyond_the_limit_wait_until_another_ends(certificate: Certificate) -> None:
    async with serving(who, certificate=certificate, max_connections=2) as running:
        async with h2_client(running) as one:
            await one.response(one.request())
            async with h2_client(running) as two:
                await two.response(two.request())
                waiting = asyncio.create_task(ask(running, b""))
                # The others are served on, and the third is not.
                for _ in range(20):
                    assert (await one.response(one.request())).status == 200
                assert not waiting.done()
            async with asyncio.timeout(SECONDS):
                assert await waiting is not None
        assert await ask(running, b"") is not None


async def test_a_failed_handshake_makes_room_for_the_next(certificate: Certificate) -> None:
    async with serving(who, certificate=certificate, max_connections=1) as running:
        for _ in range(3):
            assert await ask(running, b"no TLS at all\r\n\r\n") is None
        assert await ask(running, b"") is not None


async def test_who_says_nothing_is_dropped_and_makes_room(certificate: Certificate) -> None:
    async with serving(who, certificate=certificate, max_connections=1, handshake_timeout=0.3) as running:
        with socket.create_connection(("127.0.0.1", running.port)):
            async with asyncio.timeout(SECONDS):
                assert await ask(running, b"") is not None


async def test_a_connection_at_its_handshake_when_the_server_stops_is_not_waited_for(
    certificate: Certificate,
) -> None:
    async with serving(who, certificate=certificate, grace=0.2) as running:
        with socket.create_connection(("127.0.0.1", running.port)):
            while not running.server._acceptor.open:  # noqa: ASYNC110
                await asyncio.sleep(0)
            running.server.stop()
            async with asyncio.timeout(SECONDS):
                await running.task


EMFILE = """
    import asyncio, os, resource, socket, sys, time
    from plait.server_config import Limits, ServerConfig
    from plait.server import Server

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    async def ask(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n")
        answer = await reader.read()
        writer.close()
        return answer.endswith(b"here")

    async def main():
        server = Server(ServerConfig(app=app, port=0, insecure=True, access_log=False))
        ready = asyncio.Event()
        task = asyncio.create_task(server.serve(lambda _: ready.set()))
        await ready.wait()
        port = server.listening[0].port
        assert await ask(port)
        # Clients in the same process would take descriptors of their own: those are opened first.
        clients = [socket.socket() for _ in range(40)]
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        for client in clients:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        while server._acceptor._breather is None:
            await asyncio.sleep(0.01)
        before = time.process_time()
        await asyncio.sleep(0.5)
        busy = time.process_time() - before
        for client in clients[:30]:
            client.close()
        assert await asyncio.wait_for(ask(port), 10)
        for client in clients[30:]:
            client.close()
        server.stop()
        await task
        print("busy" if busy > 0.25 else "calm")

    if sys.argv[1] == "uvloop":
        import uvloop
        uvloop.run(main())
    else:
        asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_without_descriptors_left_it_waits_calmly_and_serves_again(loop: str, tmp_path: Path) -> None:
    pytest.importorskip(loop)
    program = tmp_path / "emfile.py"
    program.write_text(textwrap.dedent(EMFILE))
    done = subprocess.run(
        [sys.executable, program, loop], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "calm\n", done.stderr
    assert done.stderr.count("cannot accept connections: too many open files") == 1


# -- the PROXY protocol -----------------------------------------------------------------------------

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
BINARY = V2 + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 7, 198, 51, 100, 1]) + b"\x12\x67\x01\xbb"


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("header", [LINE, BINARY])
async def test_a_trusted_proxy_says_whose_connection_it_is(
    certificate: Certificate, secure: bool, header: bytes
) -> None:
    options: dict[str, Any] = {"trust": ("127.0.0.1",), "proxy_protocol": True}
    async with serving(who, certificate=certificate if secure else None, **options) as running:
        assert await ask(running, header) == {
            "client": ["192.0.2.7", 4711],
            "server": ["198.51.100.1", 443],
            "scheme": "https" if secure else "http",
        }


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", V2 + b"\x20\x00\x00\x00"])
async def test_a_proxys_own_connection_has_its_own_address(header: bytes) -> None:
    async with serving(who, trust=("127.0.0.0/8",), proxy_protocol=True) as running:
        seen = await ask(running, header)
        assert seen is not None
        assert seen["client"][0] == "127.0.0.1"
        assert seen["server"] == ["127.0.0.1", running.port]


@pytest.mark.parametrize(
    "header", [b"", b"PROXY TCP4 192.0.2.7\r\n", b"PROXY " + b"x" * 200, V2 + b"\x31\0\0\0"]
)
async def test_without_a_good_header_there_is_no_connection(certificate: Certificate, header: bytes) -> None:
    async with serving(who, certificate=certificate, trust=("127.0.0.1",), proxy_protocol=True) as running:
        assert await ask(running, header) is None
        assert await ask(running, LINE) is not None


async def test_nobody_else_may_speak_the_proxy_protocol() -> None:
    async with serving(who, trust=("192.0.2.0/24",), proxy_protocol=True) as running:
        assert await ask(running, LINE) is None
        assert await ask(running, b"") is None


async def test_a_header_that_never_ends_is_given_up() -> None:
    async with serving(who, trust=("127.0.0.1",), proxy_protocol=True, handshake_timeout=0.3) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(LINE[:20])
        async with asyncio.timeout(SECONDS):
            assert await reader.read() == b""
        writer.close()


async def test_a_header_may_come_byte_by_byte_and_the_request_with_its_end() -> None:
    async with serving(who, trust=("127.0.0.1",), proxy_protocol=True) as running:
        for header in (LINE, BINARY + b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            for byte in header[:-3]:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            writer.write(header[-3:] + GET)
            assert b'["192.0.2.7", 4711]' in await reader.read()
            writer.close()


async def test_without_the_option_a_header_is_an_error() -> None:
    async with serving(who, trust=("127.0.0.1",)) as running, h1_client(running) as h1:
        h1.writer.write(LINE + GET)
        assert re.match(rb"HTTP/1\.1 (400|501) ", await h1.head())
