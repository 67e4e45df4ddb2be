"""What HTTP/1.1 servers do to connections that are kept."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from plait.errors import ConnectionLost, ContentTooLarge, ExchangeError
from tests.support.faces import Face
from tests.support.h1_peer import OK, h1_server, request

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
