"""Server push (RFC 9113 §8.4)."""

from __future__ import annotations

import pytest
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from plait.errors import LocalProtocolError
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Half
from plait.protocol.server_exchange import ServerExchange
from tests.support.memory_h1 import H1Memory
from tests.support.pairs import ServerPair, frames, request_fields

STYLE = request_fields(b"GET", b"/style.css", (b"accept", b"text/css"))


def settings(pair: ServerPair, **values: int) -> None:
    """Send SETTINGS from the client."""
    pair.peer.update_settings({SettingCodes[name]: value for name, value in values.items()})
    pair.move()


def pushed(pair: ServerPair, parent: ServerExchange, path: bytes = b"/style.css") -> ServerExchange:
    """Push, which must succeed, and let the server accept it."""
    promised = parent.push(request_fields(b"GET", path))
    assert promised is not None
    pair.accepted += pair.endpoint.take_accepted()
    return promised


def begun(pair: ServerPair) -> ServerExchange:
    """Send a request and return its exchange."""
    exchange = pair.exchange_of(pair.request())
    assert isinstance(exchange, ServerExchange)
    return exchange


def test_a_pushed_exchange_is_accepted_like_any_request_and_answered() -> None:
    pair = ServerPair()
    parent = begun(pair)
    assert pair.endpoint.connection.push_allowed

    promised = parent.push(STYLE)

    assert promised is not None
    assert pair.endpoint.take_accepted() == [promised]
    request = promised.request
    assert (request.method, request.target, request.authority) == (b"GET", b"/style.css", b"a.example")
    assert request.fields == [(b"host", b"a.example"), (b"accept", b"text/css")]
    assert promised.received is Half.ENDED
    assert promised.read() == b""
    pair.answer(promised, b"body {}")
    pair.answer(parent, b"<html>")
    pair.move()
    assert pair.promises == [(parent.stream_id, promised.stream_id, STYLE)]
    assert pair.messages[promised.stream_id].content == b"body {}"
    assert pair.messages[promised.stream_id].ended
    assert pair.messages[parent.stream_id].content == b"<html>"
    assert promised.closed
    assert promised.error is None
    assert not pair.endpoint.exchanges
    assert pair.endpoint.running == 0


def test_the_promise_leaves_before_what_is_sent_after_it() -> None:
    pair = ServerPair()
    parent = begun(pair)
    parent.send_response(200, [])
    parent.send_data(b"<link href=/style.css>")
    assert parent.push(STYLE) is not None

    kinds = [type(frame).__name__ for frame in frames(pair.output())]
    assert kinds.index("PushPromiseFrame") < kinds.index("DataFrame")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (request_fields(b"POST"), "GET and HEAD"),
        (request_fields(b"get"), "GET and HEAD"),
        (request_fields(b"GET", b"style.css"), "not a path"),
        (request_fields(b"GET", b"/a b"), "not a path"),
        (request_fields(b"GET", b"/", (b"content-length", b"0")), "no content"),
        (request_fields(b"GET", b"/", (b"x\n", b"0")), "not a field name"),
        (request_fields(b"GET", b"/", (b":path", b"/")), "not a field name|no second one"),
        (request_fields(b"GET", b"/", (b"host", b"b.example")), "host and :authority differ"),
        (request_fields()[1:], "needs b':method'"),
        ([*request_fields()[:2], (b":authority", b"b.example"), (b":path", b"/")], "promises nothing for"),
        ([(b":method", b"GET"), (b":scheme", b"ftp"), *request_fields()[2:]], "not a scheme"),
    ],
)
def test_what_may_not_be_promised_is_refused(fields: list[tuple[bytes, bytes]], sentence: str) -> None:
    pair = ServerPair()
    parent = begun(pair)

    with pytest.raises(LocalProtocolError, match=sentence):
        parent.push(fields)

    pair.answer(parent, b"ok")
    pair.move()
    assert not pair.promises
    assert pair.messages[parent.stream_id].content == b"ok"


def test_http_1_has_no_push() -> None:
    memory = H1Memory()
    exchange = memory.request()

    assert exchange.push(STYLE) is None
    assert not memory.endpoint.connection.push_allowed


def test_a_client_that_disables_push_gets_none() -> None:
    pair = ServerPair()
    settings(pair, ENABLE_PUSH=0)

    assert begun(pair).push(STYLE) is None
    assert not pair.endpoint.connection.push_allowed

    settings(pair, ENABLE_PUSH=1)
    assert begun(pair).push(STYLE) is not None


def test_no_more_is_pushed_at_once_than_the_client_allows() -> None:
    pair = ServerPair()
    settings(pair, MAX_CONCURRENT_STREAMS=2)
    parent = begun(pair)
    first, second = pushed(pair, parent), pushed(pair, parent)

    assert parent.push(STYLE) is None

    pair.answer(first)
    pair.move()
    third = pushed(pair, parent)
    for exchange in (second, third, parent):
        pair.answer(exchange)
    pair.move()
    assert pair.endpoint.running == 0


def test_a_client_that_allows_no_streams_gets_no_push() -> None:
    pair = ServerPair()
    settings(pair, MAX_CONCURRENT_STREAMS=0)

    assert begun(pair).push(STYLE) is None
    assert not pair.endpoint.connection.push_allowed


def test_nothing_is_pushed_on_a_pushed_stream() -> None:
    pair = ServerPair()
    promised = pushed(pair, begun(pair))

    assert promised.push(STYLE) is None


def test_nothing_is_pushed_after_the_end_of_the_response_or_the_stream() -> None:
    pair = ServerPair()
    answered, cut = begun(pair), begun(pair)
    answered.send_response(200, [], end_stream=True)
    pair.peer.reset_stream(cut.stream_id)
    pair.move()

    assert answered.push(STYLE) is None
    assert cut.push(STYLE) is None


def test_nothing_is_pushed_on_a_connection_that_closes() -> None:
    pair = ServerPair()
    ours = begun(pair)
    pair.endpoint.shut_down()
    assert ours.push(STYLE) is None

    other = ServerPair()
    theirs = begun(other)
    other.send(GoAwayFrame(0, last_stream_id=0, error_code=0).serialize())
    assert theirs.push(STYLE) is None


def test_pushes_take_nothing_from_what_the_client_may_request() -> None:
    pair = ServerPair(max_concurrent_streams=4)
    parent = begun(pair)
    pushes = [pushed(pair, parent) for _ in range(4)]
    assert parent.push(STYLE) is None

    requests = [begun(pair) for _ in range(3)]

    for exchange in (*pushes, *requests, parent):
        assert not exchange.closed
        pair.answer(exchange, b"ok")
    pair.move()
    assert all(message.reset is None for message in pair.messages.values())
    assert pair.endpoint.running == 0


def test_a_client_may_refuse_all_pushes_for_ever() -> None:
    pair = ServerPair(max_resets=5)
    for _ in range(50):
        parent = begun(pair)
        promised = pushed(pair, parent)
        pair.move()
        pair.peer.reset_stream(promised.stream_id, ErrorCode.CANCEL)
        pair.move()
        assert promised.closed
        assert promised.error is not None
        pair.endpoint.finished(promised)
        pair.answer(parent, b"ok")
        pair.move()
        assert pair.messages[parent.stream_id].content == b"ok"

    assert not pair.endpoint.closed
    assert pair.endpoint.running == 0


def test_a_push_that_was_refused_before_it_was_taken_is_never_started() -> None:
    pair = ServerPair()
    parent = begun(pair)
    promised = parent.push(STYLE)
    assert promised is not None
    pair.receive(pair.output())
    pair.peer.reset_stream(promised.stream_id, ErrorCode.CANCEL)
    pair.endpoint.receive_data(pair.peer.data_to_send(), pair.now)

    assert pair.endpoint.take_accepted() == []


def test_a_promise_whose_request_is_gone_before_it_left_ends_with_it() -> None:
    pair = ServerPair()
    parent = begun(pair)
    promised = pushed(pair, parent)

    parent.abandon()
    pair.move()

    assert promised.closed
    assert promised.error is not None
    assert not pair.promises
    pair.endpoint.finished(promised)
    pair.endpoint.finished(parent)
    pair.move()
    assert not pair.endpoint.exchanges
    assert pair.endpoint.running == 0
