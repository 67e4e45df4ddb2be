"""Tunnels that a client opens: extended CONNECT over HTTP/2 (RFC 8441), Upgrade over HTTP/1.1; in memory."""

from __future__ import annotations

import h2.settings
import pytest
from websockets.utils import accept_key

from plait.errors import ConnectionLost, ExchangeReset, LocalProtocolError
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Exchange, Half
from tests.support import h1
from tests.support.pairs import ClientPair, request_fields

CONNECT_PROTOCOL = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
WEBSOCKET = (b":protocol", b"websocket")


def tunnel_fields(*more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return request_fields(b"CONNECT", b"/chat?room=1", WEBSOCKET, (b"x-a", b"one"), *more)


# -- HTTP/2 ----------------------------------------------------------------------------------------


def test_there_are_tunnels_from_the_settings_on_that_say_so() -> None:
    pair = ClientPair()
    assert pair.endpoint.connection.opens_tunnels is False
    pair.peer.update_settings({CONNECT_PROTOCOL: 1})
    pair.move()
    assert pair.endpoint.connection.opens_tunnels is True
    pair.peer.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 70_000})
    pair.move()
    assert pair.endpoint.connection.opens_tunnels is True


def test_who_waits_for_the_settings_is_called_once_they_are_there_or_never_will_be() -> None:
    pair = ClientPair()
    told: list[bool] = []
    pair.endpoint.undecided.append(lambda: told.append(pair.endpoint.closed))
    pair.peer.update_settings({CONNECT_PROTOCOL: 1})
    pair.move()
    assert told == [False]
    pair.endpoint.undecided.append(lambda: told.append(pair.endpoint.closed))
    pair.endpoint.connection_lost("gone")
    assert told == [False, True]


def opened() -> tuple[ClientPair, Exchange]:
    pair = ClientPair()
    pair.peer.update_settings({CONNECT_PROTOCOL: 1})
    pair.move()
    exchange = pair.endpoint.open_exchange(tunnel_fields())
    pair.move()
    pair.peer.send_headers(exchange.stream_id, [(b":status", b"200")])
    pair.move()
    return pair, exchange


def test_extended_connect_carries_bytes_both_ways() -> None:
    pair, exchange = opened()
    message = pair.messages[exchange.stream_id]
    assert (b":protocol", b"websocket") in message.head
    assert (b":path", b"/chat?room=1") in message.head
    assert not message.ended
    assert (exchange.status, exchange.received, exchange.sent) == (200, Half.CONTENT, Half.CONTENT)
    exchange.send_data(b"ping")
    pair.move()
    assert message.content == b"ping"
    pair.peer.send_data(exchange.stream_id, b"pong")
    pair.move()
    assert exchange.read() == b"pong"


def test_each_end_of_a_stream_ends_by_itself() -> None:
    pair, exchange = opened()
    exchange.send_data(b"", end_stream=True)
    pair.move()
    assert pair.messages[exchange.stream_id].ended
    assert not exchange.closed
    pair.peer.send_data(exchange.stream_id, b"last", end_stream=True)
    pair.move()
    assert exchange.read() == b"last"
    assert exchange.read() == b""
    assert exchange.closed
    assert exchange.error is None


# -- HTTP/1.1 --------------------------------------------------------------------------------------


class Line:
    """A client's end of HTTP/1.1 that asked for a tunnel; the server is the test."""

    def __init__(self, *more: tuple[bytes, bytes]) -> None:
        self.endpoint = ClientEndpoint(h1.client())
        self.exchange = self.endpoint.open_exchange(tunnel_fields(*more))
        self.head = self.endpoint.data_to_send()
        lines = self.head.decode().split("\r\n")
        self.start = lines[0]
        self.fields = dict(line.split(": ", 1) for line in lines[1:] if line)

    def switching(self, *more: bytes, accept: str | None = None, leave_out: bytes = b"-") -> bytes:
        key = self.fields["sec-websocket-key"]
        lines = [
            b"upgrade: WebSocket",
            b"connection: keep-alive, Upgrade",
            b"sec-websocket-accept: " + (accept or accept_key(key)).encode(),
            *more,
        ]
        kept = [line for line in lines if not line.startswith(leave_out)]
        return b"\r\n".join((b"HTTP/1.1 101 Switching Protocols", *kept, b"", b""))


def test_over_http_1_a_tunnel_is_asked_for_by_upgrade() -> None:
    line = Line()
    assert line.start == "GET /chat?room=1 HTTP/1.1"
    assert line.fields["connection"] == "Upgrade"
    assert line.fields["upgrade"] == "websocket"
    assert line.fields["host"] == "a.example"
    assert line.fields["x-a"] == "one"
    assert "transfer-encoding" not in line.fields
    assert line.head.endswith(b"\r\n\r\n")
    assert Line().fields["sec-websocket-key"] != line.fields["sec-websocket-key"]


def test_bytes_behind_a_101_are_the_tunnels() -> None:
    line = Line()
    for piece in h1.splits(line.switching() + b"first"):
        line = Line()
        answer = line.switching() + b"first"
        at = 0
        for part in piece:
            line.endpoint.receive_data(answer[at : at + len(part)])
            at += len(part)
        assert line.exchange.status == 101
        assert line.exchange.read() == b"first"
    assert line.endpoint.connection.closing
    assert line.endpoint.capacity == 0
    line.exchange.send_data(b"raw")
    assert line.endpoint.data_to_send() == b"raw"
    line.endpoint.receive_data(b"HTTP/1.1 200 OK\r\n\r\n")
    assert line.exchange.read() == b"HTTP/1.1 200 OK\r\n\r\n"


def test_an_interim_response_may_come_before_the_101() -> None:
    line = Line()
    line.endpoint.receive_data(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + line.switching())
    assert line.exchange.status == 101
    assert line.exchange.aside is not None
    assert len(line.exchange.aside.interim) == 1


def test_a_tunnel_is_read_only_as_fast_as_its_content_is_taken() -> None:
    line = Line()
    line.endpoint.receive_data(line.switching() + bytes(65_536))
    assert not line.endpoint.connection.wants_read
    assert line.exchange.read() == bytes(65_536)
    assert line.endpoint.connection.wants_read


def test_the_servers_end_is_the_end_of_the_tunnel() -> None:
    line = Line()
    line.endpoint.receive_data(line.switching() + b"last")
    line.endpoint.receive_eof()
    assert line.exchange.read() == b"last"
    assert line.exchange.read() == b""
    assert not line.endpoint.connection.wants_read
    line.exchange.send_data(b"words", end_stream=True)
    assert line.endpoint.data_to_send() == b"words"
    assert line.exchange.closed
    assert line.endpoint.closed


def test_a_tunnel_that_ends_twice_is_gone() -> None:
    line = Line()
    line.endpoint.receive_data(line.switching() + b"last")
    line.endpoint.receive_eof()
    line.endpoint.receive_eof()
    assert line.exchange.read() == b"last"
    assert line.exchange.closed
    assert line.endpoint.closed


def test_the_clients_end_is_the_end_of_the_tunnel() -> None:
    line = Line()
    line.endpoint.receive_data(line.switching())
    line.exchange.send_data(b"words", end_stream=True)
    assert line.endpoint.data_to_send() == b"words"
    assert line.endpoint.closed


def test_abandoning_a_tunnel_closes_its_connection() -> None:
    line = Line()
    line.endpoint.receive_data(line.switching())
    line.exchange.abandon()
    line.endpoint.data_to_send()
    assert line.endpoint.closed


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden", b"404 Not Found", b"426 Upgrade Required"])
def test_anything_but_a_101_is_a_response_like_any_other(status: bytes) -> None:
    line = Line()
    line.endpoint.receive_data(b"HTTP/1.1 " + status + b"\r\ncontent-length: 4\r\n\r\nno:-")
    assert line.exchange.status == int(status[:3])
    assert line.exchange.read() == b"no:-"
    assert line.exchange.closed
    assert line.exchange.error is None
    assert line.endpoint.capacity == 1
    again = line.endpoint.open_exchange(request_fields(), end_stream=True)
    assert b"upgrade" not in line.endpoint.data_to_send()
    line.endpoint.receive_data(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n")
    assert isinstance(again.error, ExchangeReset)


@pytest.mark.parametrize(
    ("accept", "leave_out", "more"),
    [
        ("AAAA", b"-", ()),
        (None, b"sec-", ()),
        (None, b"-", (b"sec-websocket-accept: twice",)),
        (None, b"upgrade", ()),
        (None, b"connection", ()),
        (None, b"upgrade", (b"upgrade: h2c",)),
    ],
)
def test_a_switch_that_is_none_ends_the_connection(
    accept: str | None, leave_out: bytes, more: tuple[bytes, ...]
) -> None:
    line = Line()
    line.endpoint.receive_data(line.switching(*more, accept=accept, leave_out=leave_out) + b"behind")
    error = line.exchange.error
    assert isinstance(error, ConnectionLost)
    assert error.error_code == ErrorCode.PROTOCOL_ERROR
    assert "switched" in str(error) or "Accept" in str(error)
    assert line.endpoint.closed


def test_plain_connect_stays_refused_over_http_1() -> None:
    endpoint = ClientEndpoint(h1.client())
    with pytest.raises(LocalProtocolError, match="opens no tunnels"):
        endpoint.open_exchange(request_fields(b"CONNECT"))
    endpoint.open_exchange(request_fields(), end_stream=True)
    assert endpoint.data_to_send().startswith(b"GET / ")
