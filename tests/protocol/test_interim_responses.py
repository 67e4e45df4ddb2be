"""Interim responses (RFC 9110 §15.2), 103 Early Hints (RFC 8297) among them."""

from __future__ import annotations

import pytest

from plait.errors import LocalProtocolError
from tests.support.memory_h1 import H1Memory
from tests.support.pairs import ServerPair

LINK = (b"link", b"</style.css>; rel=preload")


def test_any_number_of_hints_come_before_the_response() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)

    exchange.send_informational_response(103, [LINK])
    exchange.send_informational_response(103, [(b"Link", b"</app.js>"), (b"content-length", b"3")])
    pair.answer(exchange, b"ok")
    pair.move()

    message = pair.messages[stream]
    assert message.interim == [
        [(b":status", b"103"), LINK],
        [(b":status", b"103"), (b"link", b"</app.js>")],
    ]
    assert (message.status, message.content) == (200, b"ok")


def test_hints_come_before_the_response_over_http_1() -> None:
    memory = H1Memory()
    exchange = memory.request()
    exchange.send_informational_response(103, [LINK])
    exchange.send_whole_response(200, [(b"content-length", b"2")], b"ok")

    assert memory.output() == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    )


def test_http_1_0_gets_no_hints() -> None:
    memory = H1Memory()
    exchange = memory.request(start=b"GET / HTTP/1.0")
    exchange.send_informational_response(103, [LINK])
    exchange.send_response(204, [], end_stream=True)

    assert memory.output().startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize("status", [99, 101, 200, 304])
def test_other_statuses_are_refused(status: int) -> None:
    exchange = H1Memory().request()

    with pytest.raises(LocalProtocolError, match=f"{status} is not the status of an interim response"):
        exchange.send_informational_response(status, [])


def test_fields_that_http_cannot_carry_are_refused() -> None:
    exchange = H1Memory().request()

    with pytest.raises(LocalProtocolError, match="control character"):
        exchange.send_informational_response(103, [(b"link", b"a\r\nset-cookie: b")])


def test_hints_after_the_head_are_dropped() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    exchange.send_informational_response(103, [LINK])
    exchange.send_data(b"ok", end_stream=True)
    pair.move()

    assert not pair.messages[stream].interim
    assert pair.messages[stream].ended


def test_hints_do_not_ask_for_the_content_that_a_client_holds_back() -> None:
    memory = H1Memory()
    (exchange,) = memory.send(
        b"POST / HTTP/1.1\r\nhost: a.example\r\nexpect: 100-continue\r\ncontent-length: 7\r\n\r\n"
    )
    exchange.send_informational_response(103, [LINK])
    exchange.send_whole_response(403, [(b"content-length", b"0")], b"")

    # RFC 9110 §10.1.1: nobody knows whether the content will come, so what follows is no request.
    assert b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close" in memory.output()
