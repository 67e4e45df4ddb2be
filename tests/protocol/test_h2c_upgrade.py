"""HTTP/2 in cleartext by Upgrade (RFC 7540 §3.2): what asks for it right gets it, all else HTTP/1.1."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from struct import pack

import pytest

from plait.errors import ContentTooLarge
from plait.protocol.exchange import Half
from plait.protocol.negotiation import ALPN_HTTP_1_1, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.protocol.server_exchange import ServerExchange
from plait.server_config import Limits
from tests.support.pairs import Engine, ServerPair

SETTINGS = b"AAMAAABkAAQAoAAAAAIAAAAA"  # what curl sends
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n"


def encoded(settings: dict[int, int]) -> bytes:
    """Return settings as HTTP2-Settings has them."""
    return urlsafe_b64encode(b"".join(pack(">HI", *entry) for entry in settings.items()))


def ask(
    *lines: bytes, start: bytes = b"GET /page HTTP/1.1", settings: bytes = SETTINGS, content: bytes = b""
) -> bytes:
    """Return a request that asks for HTTP/2."""
    head = (
        start, b"Host: a.example", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
        b"HTTP2-Settings: " + settings, *lines,
    )  # fmt: skip
    return b"\r\n".join((*head, b"", content))


def endpoint(*, upgrades: bool = True, **limits: float) -> ServerEndpoint:
    """Return a server's end of a connection that begins as HTTP/1.1."""
    made = Limits(**limits)  # type: ignore[arg-type]
    connection = server_connection(ALPN_HTTP_1_1, made, "http", upgrades=upgrades)
    return ServerEndpoint(connection, made, 0.0)


def output(end: ServerEndpoint) -> bytes:
    """Take all there is to send."""
    taken = b""
    while data := end.data_to_send():
        taken += data
    return taken


def answer(end: ServerEndpoint, exchange: ServerExchange, content: bytes) -> None:
    """Complete an exchange."""
    exchange.send_whole_response(200, [(b"content-length", b"%d" % len(content))], content)
    end.finished(exchange)


class Client(ServerPair):
    """``h2`` at the client's end of a connection that was upgraded."""

    def __init__(self, end: ServerEndpoint, first: bytes) -> None:
        super(ServerPair, self).__init__(peer_is_client=True)  # a pair whose beginning is another
        self.endpoint, self.limits = end, end.limits
        self.accepted, self.serve = [], None
        self.peer.initiate_upgrade_connection()
        assert first.startswith(SWITCHING)
        self.receive(first.removeprefix(SWITCHING))
        self.move()


def test_a_request_that_asks_for_http_2_is_stream_one_of_it() -> None:
    end = endpoint()
    end.receive_data(ask(b"X-Field: 1"), 0.0)
    client = Client(end, output(end))
    exchange = client.exchange_of(1)

    assert exchange.stream_id == 1
    assert exchange.received is Half.ENDED
    assert exchange.read() == b""
    assert end.connection.http_version == "2"
    assert (exchange.request.method, exchange.request.target) == (b"GET", b"/page")
    assert exchange.request.fields == [(b"host", b"a.example"), (b"x-field", b"1")]
    answer(end, exchange, b"hello")
    client.move()
    assert client.messages[1].content == b"hello"
    assert client.messages[1].ended
    other = client.request(path=b"/next")
    answer(end, client.exchange_of(other), b"more")
    client.move()
    assert client.messages[other].content == b"more"


def test_no_answer_leaves_before_the_client_has_acknowledged_the_settings() -> None:
    end = endpoint()
    end.receive_data(ask(), 0.0)
    first = output(end)

    assert end.take_accepted() == []
    assert len(first) < 1000

    client = Client(end, first)
    answer(end, client.exchange_of(1), b"hello")
    client.move()
    assert client.messages[1].content == b"hello"


@pytest.mark.parametrize("size", [1, 9, 100_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_content_is_read_before_the_switch(size: int, chunked: bool) -> None:
    content = b"x" * size
    if chunked:
        message = ask(
            b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1",
            content=b"%x\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n" % (size, content),
        )  # fmt: skip
    else:
        message = ask(b"Content-Length: %d" % size, start=b"POST / HTTP/1.1", content=content)
    end = endpoint()
    for start in range(0, len(message), 7000):
        end.receive_data(message[start : start + 7000], 0.0)
        assert end.take_accepted() == []
    client = Client(end, output(end))
    exchange = client.exchange_of(1)

    assert exchange.read() == content
    assert exchange.read() == b""
    assert exchange.trailers == ([(b"x-sum", b"1")] if chunked else None)
    answer(end, exchange, b"done")
    client.move()
    assert client.messages[1].content == b"done"


def test_what_came_behind_the_request_is_http_2() -> None:
    peer = Engine(client=True)
    peer.initiate_upgrade_connection()
    end = endpoint()
    end.receive_data(ask() + peer.data_to_send(), 0.0)

    assert end.connection.http_version == "2"
    assert not end.closed


def test_the_settings_in_the_request_hold() -> None:
    end = endpoint()
    no_push = encoded({2: 0})
    end.receive_data(ask(settings=no_push), 0.0)

    assert not end.connection.push_allowed


def test_head_gets_no_content() -> None:
    end = endpoint()
    end.receive_data(ask(start=b"HEAD / HTTP/1.1"), 0.0)
    client = Client(end, output(end))
    client.exchange_of(1).send_response(200, [(b"content-length", b"5")], content_length=5)
    client.move()

    assert client.messages[1].ended


@pytest.mark.parametrize(
    "message",
    [
        ask(start=b"GET / HTTP/1.0"),
        ask(settings=b"AAMAAABkAAQAoAAAAAIAAAA"),
        ask(settings=b"A+MAAABk"),
        ask(settings=b"AAMAAABk="),
        ask(settings=encoded({2: 2})),
        ask(settings=encoded({4: 2**31})),
        ask(settings=encoded({5: 1})),
        ask(settings=encoded({100 + n: 1 for n in range(33)})),
        ask(b"HTTP2-Settings: " + SETTINGS),
        ask().replace(b"Upgrade, HTTP2-Settings", b"Upgrade"),
        ask().replace(b"Upgrade, HTTP2-Settings", b"HTTP2-Settings"),
        ask().replace(b"Upgrade: h2c", b"Upgrade: h2"),
        ask().replace(b"HTTP2-Settings: " + SETTINGS + b"\r\n", b""),
    ],
)
def test_what_does_not_ask_right_is_answered_over_http_1(message: bytes) -> None:
    end = endpoint()
    end.receive_data(message, 0.0)
    (exchange,) = end.take_accepted()
    answer(end, exchange, b"hello")

    sent = output(end)
    assert sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert sent.endswith(b"\r\n\r\nhello")


def test_content_over_the_window_is_answered_over_http_1() -> None:
    for lines, content in (
        ([b"Content-Length: 2000"], b"x" * 2000),
        ([b"Transfer-Encoding: chunked"], b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n"),
    ):
        end = endpoint(stream_window=1000)
        message = ask(*lines, start=b"POST / HTTP/1.1", content=content)
        for start in range(0, len(message), 100):
            end.receive_data(message[start : start + 100], 0.0)
            for exchange in end.take_accepted():
                first = exchange
        read = b""
        while piece := first.read():
            read += piece
        assert read == b"x" * 2000
        answer(end, first, b"hello")
        assert output(end).startswith(b"HTTP/1.1 200 OK\r\n")


def test_content_over_the_limit_is_over_the_limit_in_an_upgrade_too() -> None:
    for lines, content in (
        ([b"Content-Length: 2000"], b"x" * 2000),
        ([b"Transfer-Encoding: chunked"], b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n"),
    ):
        end = endpoint(max_content_size=1000)
        end.receive_data(ask(*lines, start=b"POST / HTTP/1.1", content=content), 0.0)
        (exchange,) = end.take_accepted() or Client(end, output(end)).accepted
        if exchange.request.refusal is None:
            with pytest.raises(ContentTooLarge):
                exchange.read()
        else:
            assert exchange.request.refusal[0] == 413


def test_nothing_pipelined_is_lost_to_an_upgrade() -> None:
    end = endpoint()
    end.receive_data(ask() + b"GET /second HTTP/1.1\r\nhost: a.example\r\n\r\n", 0.0)
    (first,) = end.take_accepted()
    answer(end, first, b"one")
    output(end)
    (second,) = end.take_accepted()
    answer(end, second, b"two")

    assert second.request.target == b"/second"
    assert output(end).startswith(b"HTTP/1.1 200 OK\r\n")


def test_only_the_first_request_can_ask() -> None:
    end = endpoint()
    end.receive_data(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n", 0.0)
    answer(end, end.take_accepted()[0], b"one")
    output(end)
    end.receive_data(ask(), 0.0)
    answer(end, end.take_accepted()[0], b"two")

    assert output(end).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_waits_for_a_100_is_answered_over_http_1() -> None:
    end = endpoint()
    end.receive_data(ask(b"Expect: 100-continue", b"Content-Length: 5", start=b"PUT / HTTP/1.1"), 0.0)

    assert end.take_accepted()[0].request.expects_continue
    assert end.connection.http_version == "1.1"


def test_nothing_is_upgraded_where_it_is_not_offered() -> None:
    end = endpoint(upgrades=False)
    end.receive_data(ask(), 0.0)
    answer(end, end.take_accepted()[0], b"hello")

    assert output(end).startswith(b"HTTP/1.1 200 OK\r\n")


def test_malformed_content_is_refused_before_the_switch() -> None:
    end = endpoint()
    end.receive_data(ask(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1", content=b"zz\r\n"), 0.0)

    assert end.take_accepted() == []
    assert output(end).startswith(b"HTTP/1.1 400 ")
    assert end.closed
