"""Time limits over HTTP/1.1: the endpoint is told the time, and acts on what has taken too long."""

from __future__ import annotations

import pytest

from plait.protocol.exchange import Exchange
from plait.protocol.negotiation import ALPN_HTTP_1_1, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.server_config import Limits

GET = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 10\r\n\r\n"


class Line:
    """A server's end of HTTP/1.1, and the clock it is told.

    Attributes:
        endpoint: The endpoint.
        accepted: The exchanges it accepted.
        written: What it has sent.
        now: The time.
        takes: Whether the transport takes bytes.
    """

    def __init__(self, **limits: float) -> None:
        known = Limits(**limits)  # type: ignore[arg-type]
        self.endpoint = ServerEndpoint(server_connection(ALPN_HTTP_1_1, known, "https"), known, 0.0)
        self.accepted: list[Exchange] = []
        self.written = b""
        self.now = 0.0
        self.takes = True

    def receive(self, data: bytes) -> None:
        self.endpoint.receive_data(data, self.now)
        self._turn()

    def after(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.endpoint.expire(self.now)
            self._turn()

    def _turn(self) -> None:
        self.accepted += self.endpoint.take_accepted()
        while self.takes and (data := self.endpoint.data_to_send()):
            self.written += data

    def answer(self, content: bytes = b"ok") -> None:
        exchange = self.accepted.pop(0)
        exchange.send_whole_response(200, [(b"content-length", b"%d" % len(content))], content)
        self.endpoint.finished(exchange)
        self._turn()


def test_a_client_that_says_nothing_is_let_go() -> None:
    line = Line(handshake_timeout=5, keep_alive=75)
    line.after(4)
    assert not line.endpoint.closed
    line.after(2)
    assert line.endpoint.closed


def test_an_idle_connection_is_let_go_after_keep_alive() -> None:
    line = Line(keep_alive=20, handshake_timeout=5)
    for _ in range(3):
        line.receive(GET)
        line.answer()
        line.after(18)
        assert not line.endpoint.closed
    line.after(3)
    assert line.endpoint.closed


@pytest.mark.parametrize("first", [True, False])
def test_a_head_that_drips_is_given_up(first: bool) -> None:
    line = Line(header_timeout=10, keep_alive=1000, handshake_timeout=1000)
    if not first:
        line.receive(GET)
        line.answer()
    for byte in GET * 10:
        line.receive(bytes([byte]))
        line.after(1)
        if line.endpoint.closed:
            break
    assert line.endpoint.closed
    assert line.now <= 12
    assert line.accepted == []


def test_an_upload_that_stalls_is_given_up() -> None:
    line = Line(read_timeout=10, keep_alive=1000)
    line.receive(POST + b"12345")
    (exchange,) = line.accepted
    assert exchange.read() == b"12345"
    exchange.waiting_since = line.now
    line.after(9)
    assert not exchange.closed
    line.after(2)
    assert exchange.closed
    line.endpoint.finished(exchange)
    line.after(1)
    assert line.endpoint.closed


def test_an_exchange_that_takes_long_is_not_idle() -> None:
    line = Line(keep_alive=5, handshake_timeout=5)
    line.receive(GET)
    line.after(300)
    line.answer()
    assert line.written.endswith(b"\r\n\r\nok")
    assert not line.endpoint.closed


def test_a_response_nobody_takes_is_given_up() -> None:
    line = Line(write_timeout=10, keep_alive=1000)
    line.receive(GET)
    line.takes = False
    (exchange,) = line.accepted
    exchange.send_response(200, [(b"content-length", b"1000000")], content_length=1_000_000)
    exchange.send_data(bytes(500_000))
    line.after(9)
    assert not exchange.closed
    line.after(3)
    assert exchange.closed


def test_a_shutdown_lets_the_exchange_in_flight_finish() -> None:
    line = Line()
    line.receive(GET)
    line.endpoint.shut_down()
    line.after(3)
    assert not line.endpoint.closed
    line.answer()
    line.after(1)
    assert b"connection: close" in line.written.lower()
    assert line.written.endswith(b"\r\n\r\nok")
    assert line.endpoint.closed


def test_a_shutdown_closes_an_idle_connection() -> None:
    line = Line()
    line.receive(GET)
    line.answer()
    line.endpoint.shut_down()
    line.after(2)
    assert line.endpoint.closed
