"""What a client tells of its exchanges and its connections."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from time import monotonic

import h2.events
import pytest
from hyperframe.frame import GoAwayFrame

from plait.client.journal import Journal
from plait.client.sites import Link
from plait.client.statistics import TcpInfo, Timing
from plait.drivers.addresses import NOBODY
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.h1_client import H1Client
from plait.urls import Origin
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer

Make = Callable[..., Face]


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


def in_order(*times: float) -> bool:
    return all(one <= other for one, other in pairwise(times))


# -- exchanges -----------------------------------------------------------------------------------


def test_the_moments_of_an_exchange_are_in_order_on_the_monotonic_clock(make_client: Make) -> None:
    with raw_server(ordinary) as server, make_client(server.url, http="2") as client:
        before = monotonic()
        response = client.get("/")
        after = monotonic()
        submitted, sent, answered, done, connection, *_ = response.timing
        assert in_order(before, submitted, sent, answered, done, after)
        assert connection == 1
        assert response.elapsed == done - sent


def test_a_response_is_answered_when_its_header_section_is_there_and_done_with_its_content(
    make_client: Make,
) -> None:
    head_is_read = threading.Event()

    def slow(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "103")])
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.flush()
        assert head_is_read.wait(20)
        peer.engine.send_data(stream, b"content", end_stream=True)
        peer.flush()
        peer.drain()

    with (
        raw_server(slow) as server,
        make_client(server.url, http="2") as client,
        client.stream("GET", "/") as response,
    ):
        assert response.timing is None
        between = monotonic()
        head_is_read.set()
        assert response.read() == b"content"
        timing = response.timing
        assert timing is not None
        assert timing.answered <= between <= timing.done


def test_a_request_that_waited_for_room_was_submitted_long_before_it_was_sent(make_client: Make) -> None:
    with raw_server(ordinary) as server, make_client(server.url, http="2", max_in_flight=1) as client:
        first, second = (client.submit("GET", "/") for _ in range(2))
        first_timing, second_timing = first.result().timing, second.result().timing
        assert second_timing.submitted <= first_timing.done <= second_timing.sent


def test_a_request_that_was_sent_again_tells_of_the_second_time(make_client: Make) -> None:
    def leaving(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.send(GoAwayFrame(0, last_stream_id=0, error_code=0))
        peer.drain()

    with raw_server(leaving, ordinary) as server, make_client(server.url, http="2") as client:
        timing = client.get("/").timing
        assert isinstance(timing, Timing)
        assert timing.connection == 2
        first, second = client.statistics.connections
        assert in_order(timing.submitted, first.started, second.started, second.connected, timing.sent)


# -- connections ---------------------------------------------------------------------------------


def test_a_connection_tells_its_times_its_port_and_what_it_carried(
    make_client: Make, nghttpd: RunningServer, certificate: Certificate
) -> None:
    with make_client(nghttpd.url(""), verify=certificate.ca) as client:
        before = monotonic()
        responses = [client.get("/small") for _ in range(3)]
        (one,) = client.statistics.connections
        assert in_order(before, one.started, one.connected, one.secured, responses[0].timing.sent)
        assert one.connected < one.secured
        assert one.number == responses[0].timing.connection == 1
        assert one.http_version == "HTTP/2"
        assert one.exchanges == 3
        assert 1024 < one.port < 65536
        assert one.fields is None
        assert (one.resets_sent, one.resets_received) == (0, 0)


def test_over_http_1_every_connection_tells_of_its_own_exchanges(
    make_client: Make, hypercorn: RunningServer, certificate: Certificate
) -> None:
    with make_client(hypercorn.url(""), verify=certificate.ca, http="1", count_fields=True) as client:
        pending = [client.submit("GET", f"/{n}") for n in range(20)]
        timings = [one.result().timing for one in pending]
        connections = client.statistics.connections
        assert [one.number for one in connections] == list(range(1, len(connections) + 1))
        assert len({one.port for one in connections}) == len(connections) <= 6
        for one in connections:
            assert one.http_version == "HTTP/1.1"
            assert one.exchanges == sum(timing.connection == one.number for timing in timings)
            if one.exchanges:
                assert one.fields is not None
                assert one.fields.request == one.fields.request_wire > 0
                assert one.fields.response == one.fields.response_wire > 0


def test_without_tls_a_connection_is_secured_when_it_is_connected(make_client: Make) -> None:
    ports: list[int] = []

    def noting(peer: Peer) -> None:
        ports.append(peer.socket.getpeername()[1])
        ordinary(peer)

    with raw_server(noting) as server, make_client(server.url, http="2") as client:
        client.get("/")
        (one,) = client.statistics.connections
        assert one.secured == one.connected
        assert [one.port] == ports


def test_a_connection_that_is_gone_is_still_told_of(make_client: Make) -> None:
    def leaving(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.send(GoAwayFrame(0, last_stream_id=stream, error_code=0))
        peer.respond(stream)
        peer.drain()

    with raw_server(leaving) as server, make_client(server.url, http="2", count_fields=True) as client:
        for _ in range(3):
            client.get("/")
        statistics = client.statistics
        assert [one.exchanges for one in statistics.connections] == [1, 1, 1]
        assert statistics.exchanges == 3
        for one in statistics.connections:
            assert one.fields is not None
            assert one.fields.request_wire > 20
            assert one.fields.response_wire > 9


def test_the_connections_together_moved_what_the_client_moved(
    make_client: Make, hypercorn: RunningServer, certificate: Certificate
) -> None:
    with make_client(hypercorn.url(""), verify=certificate.ca, http="1") as client:
        for one in [client.submit("GET", "/bytes?n=1048576") for _ in range(6)]:
            one.result()
        statistics = client.statistics
        assert statistics.bytes_received is not None
        assert sum(one.bytes_received or 0 for one in statistics.connections) == statistics.bytes_received
        assert statistics.bytes_received > 6 * 2**20
        assert sum(one.exchanges for one in statistics.connections) == statistics.exchanges == 6


def test_resets_are_told_of(make_client: Make) -> None:
    def resetting(peer: Peer) -> None:
        peer.start()
        first, second = peer.requests(2)
        peer.engine.reset_stream(first, error_code=8)
        peer.engine.send_headers(second, [(":status", "200")])
        peer.flush()
        peer.wait_for(h2.events.StreamReset)
        peer.drain()

    with raw_server(resetting) as server, make_client(server.url, http="2") as client:
        refused = client.submit("GET", "/")
        with client.stream("GET", "/") as response:
            assert response.status == 200
        with pytest.raises(Exception, match="reset"):
            refused.result()
        (one,) = client.statistics.connections
        assert (one.resets_sent, one.resets_received) == (1, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO as it is read here is Linux's")
def test_the_kernel_counts_segments_and_bytes(make_client: Make) -> None:
    with raw_server(ordinary) as server:
        with make_client(server.url, http="2") as client:
            for _ in range(10):
                client.get("/")
            (one,) = client.statistics.connections
        (closed,) = client.statistics.connections
    for tcp in (one.tcp, closed.tcp):
        assert isinstance(tcp, TcpInfo)
        # Ten requests, ten answers, and both sides' SYN.
        assert 11 <= tcp.segments_sent < 100
        assert 11 <= tcp.segments_received < 100
        # A busy machine may take so long to acknowledge that a segment leaves once more.
        assert 0 <= tcp.retransmitted < 10
        assert 0 <= (tcp.out_of_order or 0) < 10
        assert 0 < tcp.rtt < 10


class _Carrier:
    """Moves nothing."""

    port = 1
    peer = NOBODY
    started = connected = secured = 0.0

    def moved(self) -> tuple[int, int] | None:
        return None

    def tcp_info(self) -> bytes | None:
        return None


def test_of_very_many_connections_the_most_recent_thousand_are_told_of() -> None:
    journal = Journal()
    links = []
    for _ in range(1500):
        connection = H1Client(max_header_fields=1, max_header_size=1, stream_window=1)
        links.append(Link(Origin("https", "a.example", 443), ClientEndpoint(connection), _Carrier(), 0.0))
        journal.begin(links[-1])
    for link in links[:-10]:
        journal.end(link)
    statistics = journal.statistics(None, None)
    assert [one.number for one in statistics.connections] == list(range(491, 1501))
    assert statistics.connections_opened == 1500


# -- what the lab asks for -----------------------------------------------------------------------


def test_requests_are_spread_over_several_http2_connections(make_client: Make) -> None:
    all_have_their_share = threading.Barrier(3)

    def patient(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(10)
        all_have_their_share.wait(20)
        peer.respond(*streams)
        peer.serve()

    with (
        raw_server(patient) as server,
        make_client(server.url, http="2", h2_connections=3, max_in_flight=10) as client,
    ):
        pending = [client.submit("GET", "/") for _ in range(30)]
        assert {one.result().status for one in pending} == {200}
        assert [one.exchanges for one in client.statistics.connections] == [10, 10, 10]


def test_a_priority_arrives_as_it_was_given(make_client: Make) -> None:
    """RFC 9218 §5: a field like any other, to this client."""
    seen: list[object] = []

    def noting(peer: Peer) -> None:
        peer.start()
        (request,) = peer.wait_for(h2.events.RequestReceived)
        seen.extend(request.headers)
        peer.respond(request.stream_id)
        peer.drain()

    with raw_server(noting) as server, make_client(server.url, http="2") as client:
        client.get("/", headers={"Priority": "u=1, i"})
    assert ("priority", "u=1, i") in seen
