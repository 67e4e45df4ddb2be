"""Figures and health, as Prometheus and an orchestrator see them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from plait.errors import ConfigError, PlaitError
from plait.server import Server
from plait.server import figures as fig
from plait.server.figures import Board, Figures
from plait.server.metrics import Metrics
from plait.server.phase import Phase
from plait.server_config import ServerConfig
from tests.support.servers import ROOT, Certificate, free_port, plait, run_server
from tests.support.serving import h1_client, h2_client, serving

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
GET = b"GET /%s HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    if scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    status = 500 if scope["path"] == "/500" else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def samples(text: str) -> Samples:
    """Parse Prometheus's text as Prometheus does."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """Return one figure, 0 when it is not there."""
    return found.get((f"plait_{name}", tuple(sorted(labels.items()))), 0.0)


async def ask(address: str, path: str, method: str = "GET") -> tuple[int, bytes, bytes]:
    """Ask the listener of figures over HTTP/1.1; return status, head and content."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
    head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), head, content


async def figures(address: str) -> Samples:
    """Return all figures."""
    status, head, content = await ask(address, "/metrics")
    assert status == 200
    assert b"content-type: text/plain; version=" in head
    return samples(content.decode())


@pytest.fixture
def address() -> str:
    """Return where to listen for those who ask."""
    return f"127.0.0.1:{free_port()}"


async def test_requests_are_counted_by_version_method_and_status(address: str) -> None:
    async with serving(app, metrics=address) as running:
        async with h2_client(running) as client:
            for method in (b"GET", b"GET", b"POST", b"PROPFIND"):
                await client.response(client.request(method))
            await client.response(client.request(b"GET", b"/500"))
        async with h1_client(running) as h1:
            h1.writer.write(GET % b"")
            await h1.rest()
        found = await figures(address)
    assert value(found, "requests_total", protocol="2", method="GET", status="2xx") == 2
    assert value(found, "requests_total", protocol="2", method="POST", status="2xx") == 1
    assert value(found, "requests_total", protocol="2", method="other", status="2xx") == 1
    assert value(found, "requests_total", protocol="2", method="GET", status="5xx") == 1
    assert value(found, "requests_total", protocol="1.1", method="GET", status="2xx") == 1
    assert value(found, "connections_total", protocol="2") == 1
    assert value(found, "connections_total", protocol="1.1") == 1
    assert value(found, "worker_starts_total") == 1
    assert value(found, "received_bytes_total") > 100
    assert value(found, "sent_bytes_total") > 100


async def test_the_time_requests_take_is_a_histogram(address: str) -> None:
    async with serving(app, metrics=address) as running, h2_client(running) as client:
        for _ in range(3):
            await client.response(client.request())
        found = await figures(address)
    name = "request_duration_seconds"
    assert value(found, f"{name}_count", protocol="2") == 3
    assert value(found, f"{name}_bucket", protocol="2", le="+Inf") == 3
    assert 0 < value(found, f"{name}_sum", protocol="2") < 60
    ends = [float(dict(labels)["le"]) for sample, labels in found if sample == f"plait_{name}_bucket"]
    assert len(set(ends)) == 16


async def test_what_is_open_now_is_a_gauge(address: str) -> None:
    async with serving(app, metrics=address) as running, h2_client(running) as client:
        for _ in range(3):
            client.request(b"GET", b"/wait")
        await client.response(client.request())
        found = await figures(address)
        assert value(found, "requests_in_progress") == 3
        assert value(found, "streams_open") == 3
        assert value(found, "connections_open", protocol="2") == 1
        assert value(found, "connections_open", protocol="1.1") == 0


async def test_resets_are_counted_by_who_sent_them_and_why(address: str) -> None:
    async with (
        serving(app, metrics=address, max_concurrent_streams=1) as running,
        h2_client(running) as client,
    ):
        stream = client.request(b"GET", b"/wait")
        client.engine.remote_settings.max_concurrent_streams = 9
        refused = client.request()
        await client.response(refused)
        client.engine.reset_stream(stream, 8)
        client.flush()
        found: Samples = {}
        while not value(found, "requests_total", protocol="2", method="GET", status="none"):
            found = await figures(address)
    assert value(found, "stream_resets_total", by="server", code="REFUSED_STREAM") == 1
    assert value(found, "stream_resets_total", by="client", code="CANCEL") == 1
    assert value(found, "requests_total", protocol="2", method="GET", status="none") == 1


async def test_handshakes_that_fail_are_counted(address: str, certificate: Certificate) -> None:
    async with serving(app, certificate=certificate, metrics=address) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        found: Samples = {}
        while not value(found, "tls_handshake_failures_total"):
            found = await figures(address)
    assert value(found, "tls_handshake_failures_total") == 1
    assert value(found, "connections_total", protocol="1.1") == 0


async def test_websocket_sessions_are_counted_and_do_not_count_as_slow_requests(address: str) -> None:
    import websockets.asyncio.client

    async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async with serving(echo, metrics=address) as running:
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{running.port}/"):
            pass
        found: Samples = {}
        while not value(found, "websocket_sessions_total", protocol="1.1"):
            found = await figures(address)
    assert value(found, "request_duration_seconds_count", protocol="1.1") == 0
    assert value(found, "requests_total", protocol="1.1", method="GET", status="1xx") == 1


async def test_health_follows_the_life_of_the_server(address: str) -> None:
    go = asyncio.Event()

    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await go.wait()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await app(scope, receive, send)

    async def until_starting() -> None:
        while True:
            try:
                assert await ask(address, "/livez") == (200, ANY, b"live\n")
                assert await ask(address, "/readyz") == (503, ANY, b"starting\n")
                return
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)  # until it listens

    async def begin() -> None:
        await until_starting()
        go.set()

    beginning = asyncio.create_task(begin())
    async with serving(slow, metrics=address, grace=5.0) as running, h2_client(running) as client:
        await beginning
        assert await ask(address, "/readyz") == (200, ANY, b"ready\n")
        assert (await ask(address, "/readyz", "HEAD"))[0::2] == (200, b"")
        stream = client.request(b"GET", b"/wait")
        await client.response(client.request())
        running.server.stop()
        await client.until(lambda: client.goaways)
        assert await ask(address, "/readyz") == (503, ANY, b"draining\n")
        assert await ask(address, "/livez") == (200, ANY, b"live\n")
        client.engine.reset_stream(stream)
        client.flush()


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


ANY: Any = _Any()


async def test_nothing_else_is_there(address: str) -> None:
    async with serving(app, metrics=address):
        assert (await ask(address, "/"))[0] == 404
        status, head, _ = await ask(address, "/metrics", "POST")
        assert status == 405
        assert b"allow: GET, HEAD" in head


@pytest.mark.parametrize("address", ["9100", ":9100", "host:", "host:many", "::1:9100", "a:99999", "a:-1"])
def test_an_address_that_is_none_is_one_sentence(address: str) -> None:
    with pytest.raises(ConfigError, match="must be"):
        Metrics(ServerConfig(metrics=address))


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    metrics = Metrics(ServerConfig(metrics="[::1]:0"))
    assert metrics.listening[0].port
    metrics.close()


def listen(address: str) -> None:
    metrics = Metrics(ServerConfig(metrics=address))
    try:
        metrics.listening[0].start()
    finally:
        metrics.close()


def test_an_address_that_is_taken_is_one_sentence(address: str) -> None:
    first = Metrics(ServerConfig(metrics=address))
    first.listening[0].start()
    with pytest.raises(PlaitError, match=f"cannot listen on 127.0.0.1 port {first.listening[0].port}"):
        listen(address)
    first.close()


async def test_the_servers_own_address_is_one_that_is_taken() -> None:
    port = free_port()
    config = ServerConfig(app=app, port=port, insecure=True, metrics=f"127.0.0.1:{port}", access_log=False)
    with pytest.raises(PlaitError, match=f"cannot listen on 127.0.0.1 port {port}: address already in use"):
        await Server(config).serve()


@pytest.fixture
def board() -> Iterator[Board]:
    """Return memory for figures."""
    board = Board()
    yield board
    board.close()


def in_a_child(work: Any) -> int:
    """Run a function in a forked process, and return its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_counters_outlive_their_process_and_gauges_do_not(board: Board) -> None:
    def work() -> None:
        one = Figures(board)
        one.connected("2")
        one.observe([], 7)
        one.enter(Phase.SERVING)

    for count in (1, 2, 3):
        assert in_a_child(work) == 0
        totals = board.totals()
        assert totals[fig.CONNECTIONS + 2] == count
        assert totals[fig.STARTS] == count
        assert totals[fig.RUNNING] == 0
        assert board.phases() == set()
    one = Figures(board)
    one.observe([], 7)
    assert board.totals()[fig.RUNNING] == 7
    assert board.phases() == {Phase.STARTING}


def test_living_processes_have_rows_of_their_own(board: Board) -> None:
    first = Figures(board)
    first.enter(Phase.DRAINING)

    def work() -> None:
        second = Figures(board)
        second.enter(Phase.SERVING)
        assert board.phases() == {Phase.DRAINING, Phase.SERVING}

    assert in_a_child(work) == 0
    assert board.phases() == {Phase.DRAINING}


# -- several workers --------------------------------------------------------------------------------


def get(url: str) -> tuple[int, str]:
    """Fetch over a connection of its own."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_two_workers_count_together_whichever_answers_and_after_one_was_killed(tmp_path: Path) -> None:
    port, beside = free_port(), free_port()
    command = plait(
        "serve", "interop_app:app", "--app-dir", ROOT / "tests" / "support", "--insecure",
        "--port", str(port), "--workers", "2", "--metrics", f"127.0.0.1:{beside}", "--no-access-log",
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    metrics = f"http://127.0.0.1:{beside}/metrics"

    def counted() -> float:
        return value(samples(get(metrics)[1]), "requests_total", protocol="1.1", method="GET", status="2xx")

    def until(condition: Any) -> None:
        while not condition():
            time.sleep(0.05)  # workers publish once a second; the test's own timeout ends this

    with run_server(command, port=port, scheme="http", cwd=tmp_path, exit_status=0) as server:
        until(lambda: get(f"http://127.0.0.1:{beside}/readyz") == (200, "ready\n"))
        for _ in range(20):
            assert get(url)[0] == 200
        until(lambda: counted() == 20)
        assert all(counted() == 20 for _ in range(10))
        until(lambda: value(samples(get(metrics)[1]), "worker_starts_total") == 2)
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        until(lambda: value(samples(get(metrics)[1]), "worker_starts_total") == 3)
        assert counted() == 20
        for _ in range(10):
            assert get(url)[0] == 200
        until(lambda: counted() == 30)
