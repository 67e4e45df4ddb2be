"""Producers of responses: each stalls with its own stream, and with the connection."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from plait.server_config import Limits
from tests.support.twisted_site import Http2Client, failures, make_site

LIMITS = Limits(write_buffer=50_000)


@implementer(IPushProducer)
class Pusher:
    """Writes when it is told to, and notes what it is told."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.told: list[str] = []
        request.registerProducer(self, True)

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


@implementer(IPullProducer)
class Puller:
    """Writes a piece whenever it is asked, and finishes after some."""

    def __init__(self, request: Any, pieces: int, size: int = 20_000) -> None:
        self.request = request
        self.left = pieces
        self.size = size
        self.stopped = False
        request.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.request.write(bytes(self.size))
        self.left -= 1
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        self.stopped = True


def serve(kind: Any, *arguments: Any, **options: Any) -> tuple[Any, list[Any]]:
    """Return a site whose requests get a producer each, and the producers."""
    made: list[Any] = []

    def render(request: Any) -> object:
        if request.path == b"/small":
            return b"small"
        made.append(kind(request, *arguments))
        return NOT_DONE_YET

    return make_site(render, limits=LIMITS, **options), made


def test_a_push_producer_is_paused_when_its_own_stream_is_full_and_resumed_when_it_has_drained() -> None:
    site, made = serve(Pusher)
    client = Http2Client(site)
    client.credits = False
    stream = client.request()
    (pusher,) = made

    pusher.request.write(bytes(50_000))
    client.move()
    pusher.request.write(bytes(20_000))
    client.move()
    assert pusher.told == []
    pusher.request.write(bytes(80_000))
    assert pusher.told == ["pause"]
    client.move()
    assert client.get(b"/small").content == b""  # the window of the connection is used up, too
    client.engine.acknowledge_received_data(65_535, stream)
    client.move()
    assert pusher.told == ["pause"]
    client.credits = True
    client.engine.acknowledge_received_data(65_535, stream)
    client.move()

    assert pusher.told == ["pause", "resume"]
    assert len(client.messages[stream].content) == 150_000


def test_a_stalled_stream_does_not_stall_its_siblings() -> None:
    site, made = serve(Pusher)
    client = Http2Client(site, initial_window_size=1000)
    client.credits = False
    stalled = client.request()
    made[0].request.write(bytes(60_000))

    assert client.get(b"/small").content == b"small"
    other = client.request()
    made[1].request.write(bytes(900))
    client.move()

    assert made[0].told == ["pause"]
    assert made[1].told == []
    assert len(client.messages[stalled].content) == 1000
    assert len(client.messages[other].content) == 900


def test_a_pull_producer_is_asked_while_there_is_room() -> None:
    site, made = serve(Puller, 10)
    client = Http2Client(site)
    client.credits = False
    stream = client.request()

    assert made[0].left == 10 - 6  # the window of 65,535 bytes, and 50,000 more that wait
    client.credits = True
    client.engine.acknowledge_received_data(65_535, stream)
    client.move()

    assert len(client.messages[stream].content) == 200_000
    assert client.messages[stream].ended


def test_a_client_that_goes_away_stops_its_producer_only() -> None:
    site, made = serve(Puller, 100)
    client = Http2Client(site)
    client.credits = False
    gone, there = client.request(), client.request()

    client.reset(gone)

    assert made[0].stopped
    assert not made[1].stopped
    assert not client.messages[there].ended
    client.lose()
    assert made[1].stopped


def test_a_pull_producer_is_not_asked_once_the_connection_is_being_lost() -> None:
    site, made = serve(Puller, 100)
    client = Http2Client(site)
    client.credits = False
    client.request()
    made[0].request.loseConnection()
    left = made[0].left

    client.credits = True
    client.engine.acknowledge_received_data(65_535, 1)
    client.move()

    assert made[0].left == left
    assert made[0].stopped
    assert client.messages[1].reset == 8


def test_a_connection_that_takes_no_bytes_pauses_producers_and_reads_nothing() -> None:
    site, made = serve(Pusher)
    client = Http2Client(site, initial_window_size=1 << 20)
    client.engine.increment_flow_control_window(1 << 20)
    stream = client.request()

    client.transport.producer.pauseProducing()  # the socket is full
    made[0].request.write(bytes(60_000))
    client.turn()
    assert made[0].told == ["pause"]
    assert client.transport.producerState == "paused"
    assert client.received() == b""

    client.transport.producer.resumeProducing()
    client.move()
    assert made[0].told == ["pause", "resume"]
    assert client.transport.producerState == "producing"
    assert len(client.messages[stream].content) == 60_000


def test_a_connection_that_takes_no_bytes_for_long_is_closed() -> None:
    site, made = serve(Pusher)
    client = Http2Client(site)
    client.request()
    client.transport.producer.pauseProducing()
    made[0].request.write(bytes(60_000))

    client.wait(LIMITS.write_timeout + 2)

    assert client.transport.disconnected


def test_a_client_that_opens_no_window_loses_its_stream_and_its_producer_is_stopped() -> None:
    site, made = serve(Pusher)
    client = Http2Client(site, initial_window_size=0)
    stream = client.request()
    made[0].request.write(bytes(60_000))

    client.wait(LIMITS.write_timeout + 3)
    client.move()

    assert client.messages[stream].reset == 8
    assert made[0].told == ["pause", "stop"]


def test_a_second_producer_is_refused_and_unregistering_makes_room_for_one() -> None:
    site, made = serve(Pusher)
    client = Http2Client(site)
    client.request()
    request = made[0].request

    with pytest.raises((RuntimeError, ValueError), match="unregistered"):
        request.registerProducer(made[0], True)
    request.unregisterProducer()
    request.registerProducer(made[0], True)


def test_a_producer_that_fails_is_logged_and_its_response_never_looks_complete() -> None:
    class Broken(Puller):
        def resumeProducing(self) -> None:
            if self.left == 1:
                raise ZeroDivisionError
            super().resumeProducing()

    site, _ = serve(Broken, 2)
    client = Http2Client(site)

    with failures() as logged:
        stream = client.request()

    assert [one.type for one in logged if one.type is ZeroDivisionError] == [ZeroDivisionError]
    assert not client.messages[stream].ended
    assert client.messages[stream].reset == 2
    assert client.get(b"/small").content == b"small"


@pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe:DeprecationWarning")
def test_files_and_their_ranges_are_served_whole(tmp_path: Any) -> None:
    from twisted.web.static import File  # which uses what Twisted itself deprecates

    content = bytes(range(256)) * 2000
    (tmp_path / "data.bin").write_bytes(content)
    client = Http2Client(make_site(File(str(tmp_path))))

    whole = client.get(b"/data.bin")
    part = client.get(b"/data.bin", (b"range", b"bytes=100-299"))
    head = client.get(b"/data.bin", method=b"HEAD")
    known = client.get(b"/data.bin", (b"if-modified-since", dict(whole.fields)[b"last-modified"]))

    assert whole.content == content
    assert (part.status, part.content) == (206, content[100:300])
    assert dict(part.fields)[b"content-range"] == b"bytes 100-299/512000"
    assert (head.content, dict(head.fields)[b"content-length"]) == (b"", b"512000")
    assert (known.status, known.content) == (304, b"")
