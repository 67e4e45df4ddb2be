"""What HTTP/1.1 servers do to connections that are kept."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from plait.errors import ConnectionLost, ContentTooLarge, ExchangeError
from tests.support.faces import Face
from tests.support.h1_peer import OK, h1_server, request
from tests.support.servers import Certificate

Make = Callable[..., Face]


def answer(sock: socket.socket) -> None:
    while request(sock):
        sock.sendall(OK)


def closes_instead_of_a_second_answer(sock: socket.socket) -> None:
    request(sock)
    sock.sendall(OK)
    request(sock)


def test_a_get_that_meets_a_closing_connection_is_sent_again(make_client: Make) -> None:
    with h1_server(closes_instead_of_a_second_answer, answer) as url, make_client(url) as client:
        assert client.get("/").content == b"ok"
        assert client.get("/").content == b"ok"
        assert client.statistics.exchanges == 3


def test_a_post_that_meets_a_closing_connection_is_not_sent_again(make_client: Make) -> None:
    with h1_server(closes_instead_of_a_second_answer) as url, make_client(url) as client:
        assert client.get("/").content == b"ok"
        with pytest.raises(ConnectionLost) as caught:
            client.post("/")
        assert not caught.value.unprocessed
        assert client.statistics.exchanges == 2


def test_a_get_on_a_new_connection_that_closes_is_not_sent_again(make_client: Make) -> None:
    def closes_without_an_answer(sock: socket.socket) -> None:
        request(sock)

    with h1_server(closes_without_an_answer) as url, make_client(url) as client:
        with pytest.raises(ConnectionLost):
            client.get("/")
        assert client.statistics.exchanges == 1


def test_a_response_without_an_end_has_one_at_the_limit_over_http_1(make_client: Make) -> None:
    def endless(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                sock.sendall(bytes(65536))
        except OSError:
            pass

    with h1_server(endless, answer) as url, make_client(url, max_content_size=1 << 20) as client:
        with pytest.raises(ContentTooLarge, match="the content is more than 1048576 bytes"):
            client.get("/")
        assert client.get("/").content == b"ok"


def test_a_connection_that_is_to_be_closed_is_used_no_more(make_client: Make) -> None:
    def closing(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
        assert request(sock) == b""

    with h1_server(closing, answer) as url, make_client(url) as client:
        assert [client.get("/").content for _ in range(2)] == [b"ok", b"ok"]
        assert client.statistics.connections_opened == 2


def test_a_response_that_breaks_off_is_an_error(make_client: Make) -> None:
    def breaking(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")

    with h1_server(breaking) as url, make_client(url) as client, pytest.raises(ExchangeError):
        client.get("/")


def test_a_response_left_early_closes_its_connection_and_the_next_request_opens_one(
    make_client: Make,
) -> None:
    def endless(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                sock.sendall(b"400\r\n" + bytes(1024) + b"\r\n")
        except OSError:
            pass  # the client left

    with h1_server(endless, answer) as url, make_client(url) as client:
        with client.stream("GET", "/") as response:
            assert next(iter(response.iter_bytes()))
        assert client.get("/").content == b"ok"


@pytest.mark.parametrize("framing", [b"", b"content-length: 10\r\n"], ids=["until close", "content-length"])
@pytest.mark.parametrize("ends_tls", [True, False], ids=["ended", "broken off"])
def test_the_end_of_a_connection_ends_a_response_only_where_tls_has_ended_too(
    make_client: Make, certificate: Certificate, framing: bytes, ends_tls: bool
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)

    def script(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            request(tls)
            tls.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\nhello")
            if ends_tls:
                tls.unwrap()

    with (
        h1_server(script) as url,
        make_client(url.replace("http://127.0.0.1", "https://localhost"), verify=certificate.ca) as client,
    ):
        if ends_tls and not framing:
            assert client.get("/").content == b"hello"
        elif ends_tls:
            with pytest.raises(ExchangeError, match="middle of a response"):
                client.get("/")
        else:
            with pytest.raises(ConnectionLost, match="without ending TLS"):
                client.get("/")


@pytest.mark.parametrize("resets", [False, True])
def test_a_server_that_refuses_much_content_and_leaves_is_taken_note_of_in_silence(
    make_client: Make, caplog: pytest.LogCaptureFixture, resets: bool
) -> None:
    """asyncio logs what is written to a transport that is gone, and what is closed twice."""
    refusal = b"HTTP/1.1 413 X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
    left = threading.Event()

    def refuses(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(refusal)
        if not resets:
            sock.shutdown(socket.SHUT_WR)
            left.wait(0.1)

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(100_000)

    def reads_all(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(refusal.replace(b"connection: close\r\n", b""))
        while sock.recv(65536):
            pass

    with caplog.at_level(logging.WARNING), h1_server(refuses, refuses, reads_all, reads_all) as url:
        for content in (bytes(10_000_000), pieces(), bytes(10_000_000), pieces()):
            # A reset may take the response with it.
            with make_client(url, read_timeout=5) as client, suppress(ExchangeError):
                assert client.post("/", content=content).status == 413
    assert not caplog.records
