"""What a server says of itself and others: Alt-Svc (RFC 7838), ORIGIN (RFC 8336), limits on requests."""

from __future__ import annotations

import pytest
from hyperframe.frame import GoAwayFrame, PingFrame, SettingsFrame

from plait.protocol.events import ErrorCode
from plait.protocol.negotiation import ALPN_H2, ALPN_HTTP_1_1, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.protocol.server_exchange import ServerExchange
from plait.server_config import Limits
from tests.support.memory_h1 import H1Memory
from tests.support.pairs import ServerPair, frames, request_fields

ALT_SVC = b'h3=":443"; ma=86400'


def test_alt_svc_is_in_every_response_over_http_2() -> None:
    pair = ServerPair(alt_svc=ALT_SVC)

    stream = pair.request()
    pair.answer(pair.exchange_of(stream), b"ok", 404)
    pair.move()

    assert (b"alt-svc", ALT_SVC) in pair.messages[stream].fields


def test_alt_svc_is_in_every_response_over_http_1() -> None:
    memory = H1Memory()
    memory.endpoint = ServerEndpoint(
        server_connection(ALPN_HTTP_1_1, memory.limits, "https", alt_svc=ALT_SVC), memory.limits, 0.0
    )
    memory.request().send_whole_response(200, [(b"content-length", b"2")], b"ok")

    assert memory.output() == (b"HTTP/1.1 200 OK\r\nalt-svc: " + ALT_SVC + b"\r\ncontent-length: 2\r\n\r\nok")


def test_origins_follow_the_settings_once() -> None:
    limits = Limits()
    origins = [b"https://a.example", b"https://b.example:8443"]
    connection = server_connection(ALPN_H2, limits, "https", origins=origins)

    first, second, *rest = frames(connection.data_to_send())

    assert isinstance(first, SettingsFrame)
    assert second.type == 0x0C
    assert second.stream_id == 0
    assert second.body == b"\0\x11https://a.example\0\x16https://b.example:8443"
    assert all(frame.type != 0x0C for frame in rest)


def test_a_connection_ends_in_good_order_after_its_last_request() -> None:
    pair = ServerPair(max_requests_per_connection=3)
    streams = [1, 3, 5, 7, 9]  # the last two had been on their way
    for stream in streams:
        pair.peer.send_headers(stream, request_fields(), end_stream=True)
    pair.move()

    goaways = [frame.last_stream_id for frame in pair.sent(GoAwayFrame)]
    assert goaways[0] == 2**31 - 1
    assert [type(frame) for frame in pair.sent(PingFrame)][:1] == [PingFrame]
    for stream in streams:
        exchange = pair.exchange_of(stream)
        pair.answer(exchange, b"ok")
    pair.move()
    assert all(pair.messages[stream].content == b"ok" for stream in streams)
    assert pair.sent(GoAwayFrame)[-1].last_stream_id >= streams[2]
    pair.after(2)
    assert pair.endpoint.closed


def test_a_connection_closes_after_its_last_request_over_http_1() -> None:
    memory = H1Memory(max_requests_per_connection=2)
    heads = []
    for _ in range(2):
        exchange = memory.request()
        assert isinstance(exchange, ServerExchange)
        exchange.send_whole_response(200, [(b"content-length", b"2")], b"ok")
        memory.endpoint.finished(exchange)
        heads.append(memory.output())

    assert b"connection: close" not in heads[0]
    assert b"connection: close" in heads[1]
    assert heads[1].endswith(b"ok")
    assert memory.endpoint.closed


@pytest.mark.parametrize("code", [ErrorCode.CANCEL, ErrorCode.NO_ERROR])
@pytest.mark.parametrize("most", [3, 50])
def test_resets_have_a_named_limit(most: int, code: ErrorCode) -> None:
    pair = ServerPair(max_resets=most)
    count = 0
    while not pair.endpoint.closed and count < 1000:
        stream = pair.request(end_stream=False)
        pair.peer.reset_stream(stream, code)
        pair.move()
        for exchange in pair.accepted:
            pair.endpoint.finished(exchange)
        pair.accepted.clear()
        count += 1

    assert count == most + 1
