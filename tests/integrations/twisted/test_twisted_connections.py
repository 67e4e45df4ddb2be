"""Connections of a Twisted site: how they begin, what clients may do on them, and how they end."""

from __future__ import annotations

from typing import Any

import pytest
from hyperframe.frame import DataFrame, PingFrame, RstStreamFrame, SettingsFrame
from twisted.internet.defer import Deferred
from twisted.web.server import NOT_DONE_YET

from plait.protocol.h2 import PREFACE
from plait.server_config import Limits
from tests.support.pairs import frames, serialized
from tests.support.twisted_site import Connection, Http2Client, make_site

ENHANCE_YOUR_CALM = 11


def held(**options: Any) -> tuple[Any, list[Any]]:
    """Return a site that keeps its requests, and the requests."""
    requests: list[Any] = []

    def render(request: Any) -> object:
        requests.append(request)
        return NOT_DONE_YET

    return make_site(render, **options), requests


def hello(request: Any) -> bytes:
    """Answer at once."""
    return b"hello"


def fire(site: Any) -> list[Deferred[None]]:
    """Do what the reactor does before it shuts down; return what it would wait for."""
    triggers = site.reactor.triggers["before"]["shutdown"]
    return [function(*arguments, **keywords) for function, arguments, keywords in triggers]


# -- the beginning -------------------------------------------------------------------------------


def test_settings_are_sent_as_soon_as_tls_is_up() -> None:
    connection = Connection(make_site(hello), b"h2")

    (first, *_) = frames(connection.received())

    assert isinstance(first, SettingsFrame)


def test_a_preface_in_pieces_is_recognised_without_tls() -> None:
    connection = Connection(make_site(hello))

    for byte in PREFACE:
        connection.send(bytes([byte]))

    assert isinstance(frames(connection.received())[0], SettingsFrame)


def test_a_connection_where_nothing_is_said_is_dropped() -> None:
    connection = Connection(make_site(hello, limits=Limits(handshake_timeout=3)))

    connection.wait(2)
    assert not connection.transport.disconnected
    connection.wait(2)

    assert connection.transport.disconnected


def test_what_is_not_http_2_after_alpn_says_h2_is_an_error_of_the_protocol() -> None:
    connection = Connection(make_site(hello), b"h2")
    connection.received()

    connection.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")

    assert connection.transport.disconnecting
    assert frames(connection.received())[-1].error_code == 1


def test_http_1_1_keeps_alive_and_times_out_by_twisteds_own_rules() -> None:
    connection = Connection(make_site(hello, timeout=5), b"http/1.1")
    for _ in range(2):
        connection.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert connection.received().endswith(b"hello")

    connection.wait(4)
    assert not connection.transport.disconnecting
    connection.wait(2)

    assert connection.transport.disconnecting


UPGRADE = (
    b"GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: %b\r\n\r\n"
)


def test_a_first_request_may_ask_for_http_2() -> None:
    site, requests = held()
    connection = Connection(site)

    connection.send(UPGRADE % b"AAMAAABkAAQAAP__" + PREFACE + serialized(SettingsFrame(0)))
    connection.send(serialized(SettingsFrame(0, flags=["ACK"])))
    requests[0].write(b"upgraded")
    requests[0].finish()
    connection.turn()

    head, _, rest = connection.received().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert [frame.data for frame in frames(rest) if isinstance(frame, DataFrame)] == [b"upgraded"]
    assert (requests[0].uri, requests[0].clientproto) == (b"/a", b"HTTP/2")


def test_a_request_that_asks_for_it_wrongly_stays_http_1_1() -> None:
    site, requests = held()

    Connection(site).send(UPGRADE % b"?")
    Connection(site, b"http/1.1").send(UPGRADE % b"AAMAAABkAAQAAP__")

    assert [request.clientproto for request in requests] == [b"HTTP/1.1"] * 2


# -- limits --------------------------------------------------------------------------------------


def test_an_idle_connection_is_closed_after_twisteds_timeout() -> None:
    client = Http2Client(make_site(hello, timeout=5))
    client.get()

    client.wait(4)
    client.move()
    assert client.goaways == []
    client.wait(4)
    client.move()

    assert client.goaways
    client.wait(20)
    client.move()
    assert client.transport.disconnecting


def test_without_a_timeout_a_connection_may_be_idle_for_ever() -> None:
    client = Http2Client(make_site(hello, timeout=None))
    client.get()

    client.wait(3600)
    client.move()

    assert client.goaways == []
    assert client.get().content == b"hello"


def test_a_flood_of_resets_ends_the_connection() -> None:
    site, requests = held(limits=Limits(max_resets=50))
    client = Http2Client(site)

    for _ in range(60):
        if client.goaways:
            break
        stream = client.request()
        client.protocol.dataReceived(serialized(RstStreamFrame(stream, error_code=8)))
        client.move()

    assert client.goaways[-1][1] == ENHANCE_YOUR_CALM
    assert client.transport.disconnecting
    assert len(requests) <= 51


def test_a_flood_of_pings_ends_the_connection() -> None:
    client = Http2Client(make_site(hello))

    client.protocol.dataReceived(serialized(*[PingFrame(0, opaque_data=b"12345678")] * 1100))
    client.move()

    assert client.goaways[-1][1] == ENHANCE_YOUR_CALM


def test_a_client_that_stalls_its_upload_loses_the_stream() -> None:
    client = Http2Client(make_site(hello, limits=Limits(read_timeout=5)))
    stream = client.request(b"POST", content=b"half", end_stream=False)

    client.wait(8)
    client.move()

    assert client.messages[stream].reset == 8
    assert client.get().content == b"hello"


def test_content_larger_than_the_limit_is_refused() -> None:
    client = Http2Client(make_site(hello, limits=Limits(max_content_size=1000)))

    said = client.request(b"POST", b"/", (b"content-length", b"1001"), end_stream=False)
    unsaid = client.request(b"POST", content=bytes(1001), end_stream=False)

    assert client.messages[said].status == client.messages[unsaid].status == 413
    assert b"more than 1000 bytes" in client.messages[unsaid].content
    assert client.get().content == b"hello"


def test_what_a_reset_client_left_running_makes_room_for_others() -> None:
    site, requests = held(limits=Limits(max_concurrent_streams=2))
    client = Http2Client(site)

    for _ in range(6):
        client.reset(client.request())

    assert len(requests) == 6


def test_a_method_without_a_resource_for_it_opens_no_tunnel() -> None:
    client = Http2Client(make_site(hello))
    stream: int = client.engine.get_next_available_stream_id()
    client.engine.send_headers(
        stream, [(b":method", b"CONNECT"), (b":authority", b"a.example:443")], end_stream=False
    )
    client.move()

    assert client.messages[stream].status == 501


# -- the end -------------------------------------------------------------------------------------


def test_a_site_that_stops_listening_lets_requests_finish_and_then_closes() -> None:
    site, requests = held()
    site.doStart()
    client = Http2Client(site)
    stream = client.request()
    idle = Http2Client(site)

    site.doStop()
    client.move()
    idle.move()

    assert [last for last, _ in client.goaways] == [2**31 - 1, stream]
    assert not client.transport.disconnecting
    requests[0].write(b"done")
    requests[0].finish()
    client.move()
    assert client.messages[stream].content == b"done"
    client.wait(2)
    assert client.transport.disconnecting
    idle.wait(2)
    assert idle.transport.disconnecting


def test_a_request_that_raced_the_notice_is_served() -> None:
    site, requests = held()
    site.doStart()
    client = Http2Client(site)
    client.request()
    stream: int = client.engine.get_next_available_stream_id()
    client.engine.send_headers(stream, frames_of_a_request(), end_stream=True)

    site.doStop()
    client.move()

    assert len(requests) == 2
    requests[1].finish()
    client.move()
    assert client.messages[stream].ended


def frames_of_a_request() -> list[tuple[bytes, bytes]]:
    """Return the field section of a request."""
    return [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]


def test_the_reactor_waits_for_requests_in_flight() -> None:
    site, requests = held()
    site.doStart()
    client = Http2Client(site)
    client.request()

    (waiting,) = fire(site)
    client.move()
    assert not waiting.called
    requests[0].finish()
    client.move()
    client.wait(2)
    assert client.transport.disconnecting
    client.lose()

    assert waiting.called
    site.doStop()


def test_a_connection_that_comes_while_the_reactor_waits_is_refused() -> None:
    site, requests = held()
    site.doStart()
    client = Http2Client(site)
    client.request()

    (waiting,) = fire(site)
    late = Connection(site)

    assert late.transport.disconnected
    assert late.received() == b""
    late.lose()
    requests[0].finish()
    client.wait(3)
    client.move()
    client.lose()
    assert waiting.called
    site.doStop()


def test_the_reactor_waits_no_longer_than_the_grace_period() -> None:
    site, _ = held(grace=3)
    site.doStart()
    client = Http2Client(site)
    client.request()

    (waiting,) = fire(site)
    client.wait(2)
    client.move()
    assert not waiting.called
    client.wait(2)
    client.move()
    assert client.transport.disconnecting
    client.wait(3)

    assert waiting.called
    site.doStop()


@pytest.mark.parametrize("busy", [False, True])
def test_http_1_1_connections_end_with_the_site(busy: bool) -> None:
    site, requests = held()
    site.doStart()
    connection = Connection(site, b"http/1.1")
    if busy:
        connection.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")

    site.doStop()

    assert connection.transport.disconnecting is not busy
    for request in requests:
        request.finish()
    assert connection.transport.disconnecting


def test_a_connection_that_a_resource_took_over_does_not_hold_up_the_end() -> None:
    site, requests = held()
    site.doStart()
    connection = Connection(site, b"http/1.1")
    connection.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    requests[0].channel.transport = None  # as Autobahn's WebSocketResource does

    (waiting,) = fire(site)
    connection.wait(1)

    assert waiting.called
    assert not connection.transport.disconnecting
    site.doStop()
    assert site.reactor.getDelayedCalls() == []


def test_requests_that_finish_after_the_site_stopped_are_logged(tmp_path: Any) -> None:
    path = tmp_path / "access.log"
    site, requests = held(logPath=str(path))
    site.doStart()
    client = Http2Client(site)
    client.request()

    site.doStop()
    requests[0].finish()
    client.lose()

    assert '"GET / HTTP/2" 200' in path.read_text()


def test_a_site_can_listen_again() -> None:
    site = make_site(hello)
    site.doStart()
    first = Http2Client(site)
    site.doStop()
    first.move()

    site.doStart()
    second = Http2Client(site)

    assert second.get().content == b"hello"
    second.wait(20)  # longer than the grace period of the first
    second.move()
    first.lose()
    assert second.get().content == b"hello"
    assert second.goaways == []
    second.lose()
    site.doStop()


def test_a_closed_connection_that_never_goes_is_aborted() -> None:
    client = Http2Client(make_site(hello), b"h2")
    client.protocol.dataReceived(b"\x00" * 9)
    client.turn()
    assert client.transport.disconnecting
    assert not client.transport.disconnected

    client.wait(16)

    assert client.transport.disconnected


def test_nothing_ticks_when_there_are_no_connections() -> None:
    site = make_site(hello)
    client = Http2Client(site)
    client.get()

    client.lose()

    assert site.reactor.getDelayedCalls() == []
