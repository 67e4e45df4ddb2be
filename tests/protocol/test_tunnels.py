"""Tunnels: extended CONNECT over HTTP/2 (RFC 8441) and Upgrade over HTTP/1.1, bytes in and bytes out."""

from __future__ import annotations

import h2.settings
import pytest

from plait.errors import ExchangeReset, LocalProtocolError
from plait.protocol.events import ErrorCode
from plait.protocol.negotiation import ALPN_HTTP_1_1, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.protocol.server_exchange import ServerExchange
from plait.server_config import Limits
from tests.support.pairs import AUTHORITY, ServerPair

CONNECT_PROTOCOL = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
UPGRADE = (
    b"GET /chat?room=1 HTTP/1.1\r\nHost: a.example\r\nUpgrade: WebSocket\r\n"
    b"Connection: keep-alive, Upgrade\r\nX-A: one\r\n\r\n"
)


class Tunnels(ServerPair):
    """A server that takes extended CONNECT, and ``h2`` as its client."""

    def connect(self, *leave_out: bytes, protocol: bytes = b"websocket", end_stream: bool = False) -> int:
        """Ask for a tunnel, some fields left out, and return the stream's id."""
        fields = [
            (b":method", b"CONNECT"),
            (b":protocol", protocol),
            (b":scheme", b"https"),
            (b":path", b"/chat?room=1"),
            (b":authority", AUTHORITY),
            (b"x-a", b"one"),
        ]
        stream_id: int = self.peer.get_next_available_stream_id()
        asked = [field for field in fields if field[0] not in leave_out]
        self.peer.send_headers(stream_id, asked, end_stream=end_stream)
        self.move()
        return stream_id

    def opened(self) -> tuple[int, ServerExchange]:
        """Open a tunnel, and return its stream and the server's end of it."""
        stream_id = self.connect()
        exchange = self.exchange_of(stream_id)
        exchange.open_tunnel([(b"x-b", b"two"), (b"content-length", b"9")])
        self.move()
        return stream_id, exchange


def tunnels(**limits: float) -> Tunnels:
    return Tunnels(websockets=True, **limits)


class Line:
    """A server's end of HTTP/1.1 that takes Upgrade: what it was asked, and what it has sent."""

    def __init__(self, *, websockets: bool = True, **limits: float) -> None:
        known = Limits(**limits)  # type: ignore[arg-type]
        connection = server_connection(ALPN_HTTP_1_1, known, "https", websockets=websockets)
        self.endpoint = ServerEndpoint(connection, known, 0.0)
        self.accepted: list[ServerExchange] = []
        self.now = 0.0

    def receive(self, data: bytes) -> bytes:
        """Give the server bytes, and return those it has to send."""
        self.endpoint.receive_data(data, self.now)
        return self.output()

    def output(self) -> bytes:
        data = self.endpoint.data_to_send()
        self.accepted += self.endpoint.take_accepted()
        return data

    def opened(self) -> ServerExchange:
        """Open a tunnel, and return the server's end of it."""
        self.receive(UPGRADE)
        (exchange,) = self.accepted
        exchange.open_tunnel([])
        self.output()
        return exchange

    def after(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.endpoint.expire(self.now)


# -- asking ----------------------------------------------------------------------------------------


def test_extended_connect_is_advertised_where_it_is_taken() -> None:
    assert tunnels().peer.remote_settings.get(CONNECT_PROTOCOL) == 1
    assert not ServerPair().peer.remote_settings.get(CONNECT_PROTOCOL)


def test_extended_connect_says_what_to_speak_and_where() -> None:
    pair = tunnels()
    request = pair.exchange_of(pair.connect()).request
    assert request is not None
    assert (request.protocol, request.target, request.authority) == (b"websocket", b"/chat?room=1", AUTHORITY)
    assert request.fields == [(b"host", AUTHORITY), (b"x-a", b"one")]
    assert request.refusal is None


@pytest.mark.parametrize("left_out", [b":scheme", b":path", b":authority"])
def test_extended_connect_without_its_pseudo_fields_is_a_stream_error(left_out: bytes) -> None:
    pair = tunnels()
    stream_id = pair.connect(left_out)
    assert pair.messages[stream_id].reset == ErrorCode.PROTOCOL_ERROR
    assert pair.accepted == []
    assert not pair.endpoint.closed


def test_extended_connect_that_was_not_advertised_is_a_stream_error() -> None:
    pair = Tunnels()
    assert pair.messages[pair.connect()].reset == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("left_out", "protocol"), [((), b"connect-udp"), ((b":protocol", b":scheme", b":path"), b"")]
)
def test_any_other_connect_is_refused_with_501(left_out: tuple[bytes, ...], protocol: bytes) -> None:
    pair = tunnels()
    request = pair.exchange_of(pair.connect(*left_out, protocol=protocol)).request
    assert request is not None
    assert request.refusal is not None
    assert request.refusal[0] == 501


def test_upgrade_says_the_same_as_extended_connect() -> None:
    line = Line()
    assert line.receive(UPGRADE) == b""
    request = line.accepted[0].request
    assert (request.protocol, request.method, request.target) == (b"websocket", b"GET", b"/chat?room=1")
    assert request.authority == b"a.example"


@pytest.mark.parametrize(
    "head",
    [
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        UPGRADE.replace(b"keep-alive, Upgrade", b"keep-alive"),
        UPGRADE.replace(b"WebSocket", b"irc/6.9"),
        UPGRADE.replace(b"GET", b"POST"),
        UPGRADE.replace(b"X-A: one", b"Content-Length: 2") + b"ab",
    ],
)
def test_upgrade_that_opens_no_tunnel_is_ignored(head: bytes) -> None:
    line = Line()
    line.receive(head)
    assert line.accepted[0].request.protocol == b""


def test_upgrade_is_ignored_where_websocket_is_not_spoken() -> None:
    line = Line(websockets=False)
    line.receive(UPGRADE)
    assert line.accepted[0].request.protocol == b""
    assert line.accepted[0].read() == b""


# -- an open tunnel --------------------------------------------------------------------------------


def test_a_tunnel_over_http2_opens_with_200() -> None:
    pair = tunnels()
    stream_id, exchange = pair.opened()
    assert pair.messages[stream_id].head == [(b":status", b"200"), (b"x-b", b"two")]
    assert exchange.status == 200


def test_a_tunnel_over_http1_opens_with_101() -> None:
    line = Line()
    line.receive(UPGRADE)
    line.accepted[0].open_tunnel([(b"x-b", b"two")])
    head = (
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-b: two\r\n\r\n"
    )
    assert line.output() == head
    assert line.accepted[0].status == 101


def test_bytes_go_both_ways_over_http2() -> None:
    pair = tunnels()
    stream_id, exchange = pair.opened()
    pair.peer.send_data(stream_id, b"there")
    pair.move()
    assert exchange.read() == b"there"
    assert exchange.read() is None
    exchange.send_data(b"and back")
    pair.move()
    assert pair.messages[stream_id].content == b"and back"


def test_bytes_go_both_ways_over_http1_unframed() -> None:
    line = Line()
    exchange = line.opened()
    line.receive(b"GET / HTTP/1.1\r\n\r\n")
    assert exchange.read() == b"GET / HTTP/1.1\r\n\r\n"
    assert exchange.read() is None
    exchange.send_data(b"and back")
    assert line.output() == b"and back"
    assert len(line.accepted) == 1


def test_bytes_right_behind_the_request_are_the_tunnels() -> None:
    line = Line()
    line.receive(UPGRADE + b"early")
    (exchange,) = line.accepted
    assert exchange.read() is None
    exchange.open_tunnel([])
    line.output()
    assert exchange.read() == b"early"


def test_bytes_behind_a_request_that_was_denied_are_the_next_request() -> None:
    line = Line()
    line.receive(UPGRADE + b"GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n")
    line.accepted[0].send_whole_response(403, [(b"content-length", b"2")], b"no")
    line.endpoint.finished(line.accepted[0])
    assert line.output() == b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"
    line.output()
    assert line.accepted[1].request.target == b"/next"
    assert line.accepted[1].request.protocol == b""


def test_a_denial_over_http2_is_a_plain_response() -> None:
    pair = tunnels()
    stream_id = pair.connect()
    exchange = pair.exchange_of(stream_id)
    pair.answer(exchange, b"no", status=403)
    pair.move()
    message = pair.messages[stream_id]
    assert (message.head[0], message.content, message.ended) == ((b":status", b"403"), b"no", True)


def test_a_tunnel_opens_once_and_only_where_it_was_asked_for() -> None:
    pair = tunnels()
    _, exchange = pair.opened()
    plain = pair.exchange_of(pair.request())
    for one in (exchange, plain):
        with pytest.raises(LocalProtocolError, match="no tunnel to open"):
            one.open_tunnel([])


# -- the end ---------------------------------------------------------------------------------------


def test_each_way_over_http2_ends_by_itself() -> None:
    pair = tunnels()
    stream_id, exchange = pair.opened()
    pair.peer.end_stream(stream_id)
    pair.move()
    assert exchange.read() == b""
    exchange.send_data(b"last words", end_stream=True)
    pair.move()
    assert pair.messages[stream_id].content == b"last words"
    assert pair.messages[stream_id].ended
    assert exchange.closed
    assert exchange.error is None


def test_the_server_may_end_its_way_first() -> None:
    pair = tunnels()
    stream_id, exchange = pair.opened()
    exchange.send_data(b"", end_stream=True)
    pair.move()
    assert pair.messages[stream_id].ended
    pair.peer.send_data(stream_id, b"still here", end_stream=True)
    pair.move()
    assert exchange.read() == b"still here"


def test_the_clients_fin_over_http1_ends_its_way_only() -> None:
    line = Line()
    exchange = line.opened()
    line.receive(b"bye")
    line.endpoint.receive_eof()
    assert exchange.read() == b"bye"
    assert exchange.read() == b""
    exchange.send_data(b"last words", end_stream=True)
    assert line.output() == b"last words"
    assert line.endpoint.closed


def test_a_client_that_leaves_before_the_answer_ends_the_exchange() -> None:
    line = Line()
    line.receive(UPGRADE)
    line.endpoint.receive_eof()
    assert line.accepted[0].closed
    with pytest.raises(ExchangeReset):
        line.accepted[0].open_tunnel([])


def test_a_fin_that_came_while_an_earlier_request_was_answered_ends_the_tunnel() -> None:
    line = Line()
    line.receive(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n" + UPGRADE + b"hello")
    line.endpoint.receive_eof()
    first = line.accepted.pop()
    first.send_whole_response(200, [], b"first")
    line.endpoint.finished(first)
    line.output()
    (exchange,) = line.accepted
    exchange.open_tunnel([])
    line.output()
    assert exchange.read() == b"hello"
    assert exchange.read() == b""
    exchange.send_data(b"", end_stream=True)
    line.output()
    assert line.endpoint.closed


def test_a_reset_breaks_the_tunnel_off() -> None:
    pair = tunnels()
    stream_id, exchange = pair.opened()
    pair.peer.reset_stream(stream_id, ErrorCode.CANCEL)
    pair.move()
    with pytest.raises(ExchangeReset):
        exchange.read()
    other_id, other = pair.opened()
    other.abandon()
    pair.move()
    assert pair.messages[other_id].reset == ErrorCode.CANCEL


def test_abandoning_a_tunnel_over_http1_closes_the_connection() -> None:
    line = Line()
    line.opened().abandon()
    assert line.output() == b""
    assert line.endpoint.closed


# -- credit and time -------------------------------------------------------------------------------


def test_what_nobody_reads_keeps_the_credit_of_its_stream_only() -> None:
    pair = tunnels(stream_window=65_535)
    stream_id, exchange = pair.opened()
    for _ in range(4):
        pair.peer.send_data(stream_id, bytes(16_000))
    pair.move()
    assert pair.peer.local_flow_control_window(stream_id) < 2_000
    other_id, _ = pair.opened()
    assert pair.peer.local_flow_control_window(other_id) == 65_535
    assert exchange.read() == bytes(64_000)
    pair.move()
    assert pair.peer.local_flow_control_window(stream_id) == 65_535


def test_what_nobody_reads_over_http1_stops_the_reading() -> None:
    line = Line(stream_window=1000)
    exchange = line.opened()
    line.receive(bytes(1000))
    assert not line.endpoint.connection.wants_read
    exchange.read()
    assert line.endpoint.connection.wants_read


def test_a_quiet_tunnel_outlives_every_deadline() -> None:
    pair, line = tunnels(), Line()
    for exchange in (pair.opened()[1], line.opened()):
        assert not exchange.closed
    pair.after(1000)
    line.after(1000)
    assert not pair.accepted[0].closed
    assert not line.accepted[0].closed


def test_a_client_that_takes_nothing_of_a_tunnel_is_cut_off() -> None:
    pair = tunnels(write_timeout=60)
    pair.credits = False
    stream_id, exchange = pair.opened()
    exchange.send_data(bytes(100_000))
    pair.move()
    pair.after(62)
    assert pair.messages[stream_id].reset == ErrorCode.CANCEL


def test_a_graceful_end_leaves_open_tunnels_to_finish() -> None:
    pair, line = tunnels(), Line()
    stream_id, exchange = pair.opened()
    pair.endpoint.shut_down()
    pair.move()
    exchange.send_data(b"still", end_stream=True)
    pair.move()
    assert pair.messages[stream_id].content == b"still"
    tunnel = line.opened()
    line.endpoint.shut_down()
    tunnel.send_data(b"still", end_stream=True)
    assert line.output() == b"still"
    assert line.endpoint.closed
