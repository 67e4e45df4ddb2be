"""What a client measures: what the time went into, bytes before and after HPACK, what held content up."""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic

import h2.events
import pytest
from hyperframe.frame import GoAwayFrame

import plait
from plait.client.statistics import Timing, WindowStalls
from plait.errors import ExchangeError
from tests.support.faces import Face
from tests.support.h1_peer import OK, h1_server, read_until
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer

Make = Callable[..., Face]


def timing(**moments: float) -> Timing:
    """Return a timing whose connection was there long before; moments are seconds after 100."""
    usual = {
        "submitted": 0.0, "sent": 0.0, "answered": 5.0, "done": 6.0, "queued": 0.0, "uploaded": 0.0,
        "began": -9.0, "started": -8.0, "connected": -7.0, "secured": -6.0,
    }  # fmt: skip
    return Timing(connection=1, **{name: 100 + at for name, at in {**usual, **moments}.items()})


# -- what the time went into ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moments", "phases"),
    [
        ({}, (0, 0, 0, 0, 0, 5, 1)),
        ({"sent": 2, "uploaded": 2}, (2, 0, 0, 0, 0, 3, 1)),
        # It waited for its connection from the look-up on, and then for others before it.
        (
            {"began": 0.5, "started": 1, "connected": 2, "secured": 2.25, "sent": 4, "uploaded": 4},
            (2.25, 0.5, 1, 0.25, 0, 1, 1),
        ),
        # The connection was being secured already.
        ({"connected": -1, "secured": 2, "sent": 2, "uploaded": 2}, (0, 0, 0, 2, 0, 3, 1)),
        ({"uploaded": 3}, (0, 0, 0, 0, 3, 2, 1)),
        # The response was there before the content had left.
        ({"uploaded": 5.5}, (0, 0, 0, 0, 5, 0, 1)),
        # The first attempt failed: it is not told of here.
        ({"queued": 3, "sent": 4, "uploaded": 4}, (1, 0, 0, 0, 0, 1, 1)),
    ],
)
def test_the_time_of_an_exchange_is_split_without_remainder(
    moments: dict[str, float], phases: tuple[float, ...]
) -> None:
    one = timing(**moments)
    assert one.phases() == phases
    assert sum(one.phases()) == one.done - one.queued


def test_the_first_exchange_waited_for_the_connection_and_the_second_did_not(
    make_client: Make, plait_server: RunningServer, certificate: Certificate
) -> None:
    with make_client(plait_server.url(""), verify=certificate.ca) as client:
        first, second = (client.get("/").timing for _ in range(2))
        (one,) = client.statistics.connections
    assert (first.began, first.started) == (one.began, one.started)
    assert (first.connected, first.secured) == (one.connected, one.secured)
    phases = first.phases()
    assert min(phases) >= 0
    assert min(phases.dns, phases.connect, phases.tls, phases.wait) > 0
    assert sum(phases) == pytest.approx(first.done - first.submitted)
    assert second.phases()[1:4] == (0, 0, 0)


def test_of_a_redirect_each_step_has_times_of_its_own(make_client: Make) -> None:
    def redirecting(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.respond(stream, status=302, fields=(("location", "/there"),))
        peer.serve()

    with (
        raw_server(redirecting) as server,
        make_client(server.url, follow_redirects=True, http="2") as client,
    ):
        response = client.get("/")
    (before,) = response.history
    assert response.timing.submitted == before.timing.submitted
    assert before.timing.submitted <= before.timing.queued <= before.timing.sent
    assert before.timing.done <= response.timing.queued <= response.timing.sent


def test_of_a_request_that_is_sent_again_the_last_attempt_counts(make_client: Make) -> None:
    def leaving(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.send(GoAwayFrame(0, last_stream_id=0, error_code=0))
        peer.drain()

    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(leaving, ordinary) as server, make_client(server.url, http="2") as client:
        one = client.get("/").timing
        first, second = client.statistics.connections
    assert first.secured <= one.queued <= second.began
    assert sum(one.phases()) == pytest.approx(one.done - one.queued)


def test_content_that_the_server_takes_late_is_sending_and_not_waiting(make_client: Make) -> None:
    taken: list[float] = []

    def slow(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        while sum(event.flow_controlled_length for event in data(peer)) < 65_535:
            peer.receive()
        taken.append(monotonic())
        peer.engine.acknowledge_received_data(65_535, stream)
        peer.flush()
        peer.wait_for(h2.events.StreamEnded)
        peer.respond(stream)
        peer.drain()

    with raw_server(slow) as server, make_client(server.url, http="2", measure=True) as client:
        one = client.post("/", content=bytes(100_000)).timing
    assert one.sent < taken[0] <= one.uploaded <= one.answered


def data(peer: Peer) -> list[h2.events.DataReceived]:
    return [event for event in peer.events if isinstance(event, h2.events.DataReceived)]


# -- bytes ---------------------------------------------------------------------------------------


def test_an_exchange_tells_its_bytes_before_and_after_hpack(make_client: Make) -> None:
    def counting(peer: Peer) -> None:
        peer.start()
        for _ in range(2):
            (stream,) = peer.requests()
            peer.engine.send_headers(stream, [(":status", "103"), ("link", "</style.css>")])
            peer.flush()
            peer.respond(stream, content=b"twelve bytes", fields=(("x-name", "value"),))
        peer.drain()

    with raw_server(counting) as server, make_client(server.url, http="2", measure=True) as client:
        first, second = (client.post("/", content=b"hello") for _ in range(2))
        (one,) = client.statistics.connections
    for response in (first, second):
        counted = response.statistics
        assert counted is not None
        assert (counted.content_sent, counted.content_received, counted.interim) == (5, 12, 1)
        # As HTTP/1.1 writes them: three heads, of which one is the request's.
        names_and_values = sum(
            len(name) + len(value) + 4 for name, value in response.request.fields if name[:1] != b":"
        )
        authority = len(response.request.fields[2][1])
        assert (
            counted.fields.request == len(b"POST / HTTP/1.1\r\nhost: \r\n\r\n") + authority + names_and_values
        )
        interim = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"
        final = b"HTTP/1.1 200 OK\r\nx-name: value\r\n\r\n"
        assert counted.fields.response == len(interim) + len(final)
    # What came once already takes a byte a field.
    assert first.statistics.fields.request_wire > second.statistics.fields.request_wire
    assert second.statistics.fields.response_wire == 2 * 9 + 2 + 2
    assert one.fields == tuple(
        a + b for a, b in zip(first.statistics.fields, second.statistics.fields, strict=True)
    )
    assert (one.measures.content_sent, one.measures.content_received, one.measures.interim) == (10, 24, 2)


def test_what_was_pushed_tells_its_bytes_too(make_client: Make) -> None:
    def pushing(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        authority = "{}:{}".format(*peer.socket.getsockname())
        request = [(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", "/style")]
        peer.engine.push_stream(stream, 2, request)
        peer.respond(stream)
        peer.respond(2, content=b"pushed")
        peer.drain()

    options = {"http": "2", "measure": True, "push": True}
    with raw_server(pushing) as server, make_client(server.url, **options) as client:
        client.get("/")
        counted = client.get("/style").statistics
    assert counted is not None
    assert (counted.content_sent, counted.content_received) == (0, 6)
    assert counted.fields.request == len(b"GET /style HTTP/1.1\r\nhost: \r\n\r\n") + len(server.url) - 7
    assert 9 < counted.fields.request_wire < counted.fields.request
    assert counted.fields.response == len(b"HTTP/1.1 200 OK\r\n\r\n")
    assert counted.fields.response_wire == 9 + 1


def test_over_http_1_fields_take_what_they_are(make_client: Make) -> None:
    def answer(sock: socket.socket) -> None:
        read_until(sock, b"hello")
        sock.sendall(OK)

    with h1_server(answer) as url, make_client(url, http="1", measure=True) as client:
        response = client.post("/", content=b"hello")
        (one,) = client.statistics.connections
    counted = response.statistics
    assert counted is not None
    assert counted.fields.request == counted.fields.request_wire > 50
    assert counted.fields.response == counted.fields.response_wire == len(OK) - 2
    assert (counted.content_sent, counted.content_received) == (5, 2)
    assert response.timing.sent <= response.timing.uploaded <= response.timing.answered
    assert (one.measures.content_sent, one.measures.content_received) == (5, 2)


def test_a_streamed_response_tells_what_it_took_once_it_is_read(
    make_client: Make, plait_server: RunningServer, certificate: Certificate
) -> None:
    with (
        make_client(plait_server.url(""), verify=certificate.ca, measure=True) as client,
        client.stream("GET", "/bytes?n=1048576") as response,
    ):
        assert response.statistics is None
        assert len(response.read()) == 2**20
        assert response.statistics.content_received == 2**20


def test_one_who_did_not_ask_is_told_nothing(make_client: Make) -> None:
    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(ordinary) as server, make_client(server.url, http="2") as client:
        assert client.get("/").statistics is None
        (one,) = client.statistics.connections
        assert one.measures is None
    assert plait.Response(200, [], b"", "HTTP/2").statistics is None


# -- what holds content up -----------------------------------------------------------------------


def stalls(make_client: Make, *, stream_window: int, connection_window: int) -> WindowStalls:
    """Send 100,000 bytes to a server that opens the narrower window late, in two steps."""
    narrow = min(stream_window, connection_window)
    waited: list[float] = []

    def withholding(peer: Peer) -> None:
        peer.start({4: stream_window})
        if connection_window > 65_535:
            peer.engine.increment_flow_control_window(connection_window - 65_535)
            peer.flush()
        peer.serve(limit=1)  # by the next request the client knows the windows
        peer.wait_for(h2.events.StreamEnded)
        (stream,) = peer.requests()
        received, until = 0, narrow
        for step in (10_000, 100_000):
            while received < until:
                (event,) = peer.wait_for(h2.events.DataReceived)
                received += event.flow_controlled_length
            assert received == until
            began = monotonic()
            peer.socket.settimeout(0.05)
            with pytest.raises(TimeoutError):
                peer.socket.recv(1)  # nothing comes while the window is shut
            peer.socket.settimeout(20)
            waited.append(monotonic() - began)
            peer.engine.increment_flow_control_window(step, stream if narrow == stream_window else None)
            peer.flush()
            until += step
            if step == 100_000:
                break
        peer.wait_for(h2.events.StreamEnded)
        peer.respond(stream)
        peer.drain()

    with raw_server(withholding) as server, make_client(server.url, http="2", measure=True) as client:
        client.get("/")
        response = client.post("/", content=bytes(100_000))
        (one,) = client.statistics.connections
    found: WindowStalls = response.statistics.stalls
    assert one.measures.stalls == found
    assert found.stream_seconds + found.connection_seconds >= 0.9 * sum(waited)
    return found


def test_content_waits_for_the_window_of_its_stream(make_client: Make) -> None:
    found = stalls(make_client, stream_window=20_000, connection_window=1_000_000)
    assert (found.stream, found.connection) == (2, 0)
    assert found.connection_seconds == 0


def test_content_waits_for_the_window_of_the_connection(make_client: Make) -> None:
    found = stalls(make_client, stream_window=1_000_000, connection_window=65_535)
    assert (found.stream, found.connection) == (0, 2)
    assert found.stream_seconds == 0


def test_content_that_finds_room_waits_for_nothing(make_client: Make) -> None:
    def taking(peer: Peer) -> None:
        peer.start()
        peer.wait_for(h2.events.StreamEnded)
        peer.respond(1)
        peer.drain()

    with raw_server(taking) as server, make_client(server.url, http="2", measure=True) as client:
        response = client.post("/", content=bytes(60_000))
    assert response.statistics.stalls == (0, 0, 0, 0)


# -- connections ---------------------------------------------------------------------------------


def test_a_connection_tells_what_ended_streams_and_itself(make_client: Make) -> None:
    def refusing(peer: Peer) -> None:
        peer.start({3: 50})
        first, second, third = peer.requests(3)
        peer.engine.reset_stream(first, error_code=2)
        peer.engine.reset_stream(second, error_code=2)
        peer.engine.send_headers(third, [(":status", "200")])
        peer.flush()
        peer.wait_for(h2.events.StreamReset)
        peer.send(GoAwayFrame(0, last_stream_id=third, error_code=11))
        peer.drain()

    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(refusing, ordinary) as server, make_client(server.url, http="2", measure=True) as client:
        pending = [client.submit("POST", "/") for _ in range(2)]
        with client.stream("GET", "/") as response:
            assert response.status == 200
        for one in pending:
            with pytest.raises(ExchangeError):
                one.result()
        client.get("/")  # by then the server has said that it leaves
        measured = client.statistics.connections[0].measures
    assert measured.resets_received == {"INTERNAL_ERROR": 2}
    assert measured.resets_sent == {"CANCEL": 1}
    assert measured.goaway_received == "ENHANCE_YOUR_CALM"
    assert measured.settings["MAX_CONCURRENT_STREAMS"] == 50
    assert measured.max_in_flight == 3


def test_a_connection_tells_how_long_pings_take(make_client: Make) -> None:
    def patient(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.wait_for(h2.events.PingReceived)
        peer.respond(stream)
        peer.drain()

    options = {"http": "2", "ping_interval": 0.05, "measure": True}
    with raw_server(patient) as server, make_client(server.url, **options) as client:
        client.get("/")
        (one,) = client.statistics.connections
    assert len(one.measures.round_trips) >= 1
    assert all(0 < seconds < 20 for seconds in one.measures.round_trips)


def test_a_connection_that_is_gone_keeps_what_was_measured(make_client: Make) -> None:
    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(ordinary) as server:
        with make_client(server.url, http="2", measure=True) as client:
            client.post("/", content=b"hello")
        (one,) = client.statistics.connections
    assert (one.measures.content_sent, one.measures.goaway_sent) == (5, "NO_ERROR")
