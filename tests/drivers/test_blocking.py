"""Threads that wait: who moves the bytes, and that nobody waits for nothing."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h2.events
import pytest

import plait
from plait.errors import ClientClosed, ConnectionLost
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import make_certificate

CONTENT = bytes(range(256)) * 32768  # 8 MiB


@contextmanager
def http1_server(
    script: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Accept one connection and let a script handle it."""
    failures: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            try:
                sock, _ = listening.accept()
                sock.settimeout(20)
                with sock if context is None else context.wrap_socket(sock, server_side=True) as end:
                    script(end)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{'http' if context is None else 'https'}://localhost:{listening.getsockname()[1]}"
        thread.join(20)
        assert not failures, failures


def test_a_large_upload_and_a_large_response_do_not_wait_for_each_other() -> None:
    def answers_before_it_reads(sock: socket.socket) -> None:
        assert sock.recv(1000).startswith(b"POST")
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(CONTENT))
        sock.sendall(CONTENT)
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass  # the client has what it wanted, and gave the rest of its request up

    with http1_server(answers_before_it_reads) as url, plait.Client(url) as client:
        assert client.post("/", content=CONTENT).content == CONTENT


def test_one_that_leads_hands_over_when_it_has_its_own() -> None:
    first_is_answered, second_waits = threading.Event(), threading.Event()

    def answers_one_by_one(peer: Peer) -> None:
        peer.start()
        first, second = peer.requests(2)
        assert second_waits.wait(20)
        peer.respond(first, content=b"first")
        assert first_is_answered.wait(20)
        peer.respond(second, content=b"second")
        peer.drain()

    with raw_server(answers_one_by_one) as server, plait.Client(server.url, http="2") as client:
        first, second = client.submit("GET", "/1"), client.submit("GET", "/2")
        contents: list[bytes] = []

        def follow() -> None:
            second_waits.set()
            contents.append(second.result().content)

        leading = threading.Thread(target=lambda: contents.append(first.result().content))
        leading.start()
        following = threading.Thread(target=follow)
        following.start()
        leading.join(20)
        assert contents == [b"first"]
        first_is_answered.set()
        following.join(20)
        assert contents == [b"first", b"second"]


def test_two_threads_may_wait_for_the_same_request() -> None:
    arrived, waiting = threading.Event(), threading.Barrier(3)

    def answers_late(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        arrived.set()
        waiting.wait(20)
        peer.respond(stream)
        peer.drain()

    with raw_server(answers_late) as server, plait.Client(server.url, http="2") as client:
        pending = client.submit("GET", "/")
        statuses: list[int] = []

        def wait() -> None:
            while not arrived.is_set():
                with pytest.raises(TimeoutError):
                    pending.result(timeout=0.01)
            waiting.wait(20)
            statuses.append(pending.result().status)

        threads = [threading.Thread(target=wait) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert statuses == [200, 200]


def test_a_request_of_one_thread_goes_out_while_another_waits() -> None:
    def answers_the_second_first(peer: Peer) -> None:
        peer.start()
        first, second = peer.requests(2)
        peer.respond(second)
        peer.respond(first)
        peer.drain()

    with raw_server(answers_the_second_first) as server, plait.Client(server.url, http="2") as client:
        first = threading.Thread(target=client.get, args=("/1",))
        first.start()
        assert client.get("/2").status == 200
        first.join(20)


def test_closing_a_client_wakes_the_threads_that_wait() -> None:
    arrived = threading.Event()

    def never_answers(peer: Peer) -> None:
        peer.start()
        peer.requests(3)
        arrived.set()
        peer.drain()

    with raw_server(never_answers) as server:
        client = plait.Client(server.url, http="2")
        errors: list[BaseException] = []

        def wait() -> None:
            try:
                client.get("/")
            except plait.errors.ClientClosed as error:
                errors.append(error)

        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert arrived.wait(20)
        client.close()
        for thread in threads:
            thread.join(20)
        assert len(errors) == 3
        with pytest.raises(plait.errors.ClientClosed):
            client.get("/")


def test_requests_nobody_waits_for_hold_nothing_up() -> None:
    with raw_server(Peer.drain) as server, plait.Client(server.url, http="2") as client:
        for _ in range(1000):
            client.submit("POST", "/", content=b"x" * 1000)
        assert client.statistics.connections_opened == 0
    assert server.connections == 0


def test_tls_records_may_come_in_any_pieces(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)

    def dribbles(sock: socket.socket) -> None:
        sock.recv(1000)
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello":
            sock.sendall(bytes([byte]))
        sock.recv(1000)

    with http1_server(dribbles, context) as url, plait.Client(url, verify=certificate.ca) as client:
        assert client.get("/").content == b"hello"


def test_content_until_the_connection_closes_is_whole_only_when_tls_ended(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)
    head = b"HTTP/1.1 200 OK\r\n\r\nhello"

    def ends_tls(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(head)
        assert isinstance(sock, ssl.SSLSocket)
        sock.unwrap()

    def breaks_off(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(head)

    with http1_server(ends_tls, context) as url, plait.Client(url, verify=certificate.ca) as client:
        assert client.get("/").content == b"hello"
    with (
        http1_server(breaks_off, context) as url,
        plait.Client(url, verify=certificate.ca) as client,
        pytest.raises(ConnectionLost, match="without ending TLS"),
    ):
        client.get("/")


def test_a_slow_reader_holds_only_its_own_stream_up() -> None:
    def serves_large_and_small(peer: Peer) -> None:
        peer.start()
        (large,) = peer.requests()
        peer.engine.send_headers(large, [(":status", "200")])
        sent = 0
        while sent < 100_000:
            size = min(peer.engine.local_flow_control_window(large), 10_000)
            if not size:
                break  # the client gives no credit for what nobody reads
            peer.engine.send_data(large, bytes(size))
            sent += size
        peer.flush()
        peer.respond(*peer.requests())
        while sent < 100_000:
            if peer.engine.local_flow_control_window(large) == 0:
                peer.wait_for(h2.events.WindowUpdated)
            size = min(peer.engine.local_flow_control_window(large), 10_000, 100_000 - sent)
            peer.engine.send_data(large, bytes(size))
            peer.flush()
            sent += size
        peer.engine.end_stream(large)
        peer.flush()
        peer.drain()

    with raw_server(serves_large_and_small) as server:
        options = {"http": "2", "stream_window": 40_000, "connection_window": 70_000}
        with plait.Client(server.url, **options) as client, client.stream("GET", "/large") as response:
            assert client.get("/small").status == 200
            assert len(response.read()) == 100_000


def test_a_request_cancelled_by_another_thread_ends_the_wait_of_the_one_that_leads() -> None:
    asked = threading.Event()

    def silent(peer: Peer) -> None:
        peer.start()
        peer.requests()
        asked.set()
        peer.drain()

    with raw_server(silent) as server, plait.Client(server.url, http="2") as client:
        pending = client.submit("GET", "/")

        def cancel() -> None:
            assert asked.wait(20)
            pending.cancel()

        cancelling = threading.Thread(target=cancel)
        cancelling.start()
        with pytest.raises(ClientClosed):
            pending.result()
        cancelling.join(20)


def test_nobody_waits_for_bytes_that_another_thread_reads() -> None:
    answered, read = threading.Event(), threading.Event()
    first_thread: list[int] = []

    def one_by_one(peer: Peer) -> None:
        peer.start()
        for _ in range(3):
            peer.respond(*peer.requests())
        answered.set()
        peer.drain()

    class LateLock:
        """The driver's lock; the first thread gets it back only when both responses are there."""

        def __init__(self, lock: threading.Lock) -> None:
            self.release, self._lock = lock.release, lock

        def acquire(self, *arguments: Any) -> bool:
            if threading.get_ident() in first_thread:
                answered.wait(20)
            return self._lock.acquire(*arguments)

        def __enter__(self) -> None:
            self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()

    class LatePoll:
        """The driver's poll; any other thread polls only when the first has read them."""

        def __init__(self, poll: Any) -> None:
            self.register, self.unregister, self._poll = poll.register, poll.unregister, poll

        def poll(self, milliseconds: float) -> Any:
            if threading.get_ident() not in first_thread:
                read.wait(20)
                return self._poll.poll(milliseconds)
            ready = self._poll.poll(milliseconds)
            second.start()
            return ready

    with raw_server(one_by_one) as server, plait.Client(server.url, http="2") as client:
        assert client.get("/").status == 200
        driver: Any = client._driver
        driver.lock, driver._poll = LateLock(driver.lock), LatePoll(driver._poll)
        second = threading.Thread(target=client.get, args=("/",), daemon=True)

        def lead() -> None:
            first_thread.append(threading.get_ident())
            client.get("/")
            read.set()

        first = threading.Thread(target=lead)
        first.start()
        first.join(20)
        second.join(5)
        assert not second.is_alive()
