"""What servers do to clients, done by a scripted peer on another engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import h2.events
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from plait.errors import (
    ClientClosed,
    ConfigError,
    ConnectionLost,
    ExchangeReset,
    LocalProtocolError,
    PoolTimeout,
    ReadTimeout,
    WriteTimeout,
)
from tests.support.faces import AsyncFace, Face
from tests.support.raw_h2 import Peer, raw_server

Make = Callable[..., Face]

PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 1, 2, 7, 8, 11


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


def test_exchanges_up_to_the_last_one_of_a_goaway_finish_and_later_ones_are_sent_again(
    make_client: Make,
) -> None:
    def leaving(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(4)
        peer.send(GoAwayFrame(0, last_stream_id=streams[1], error_code=0))
        peer.respond(*streams[:2], content=b"first connection")
        peer.drain()

    def second(peer: Peer) -> None:
        peer.start()
        peer.serve(content=b"second connection")

    with raw_server(leaving, second) as server:
        with make_client(server.url, http="2") as client:
            pending = [client.submit("POST", f"/{n}", content=b"x") for n in range(4)]
            contents = [one.result().content for one in pending]
        assert contents == [b"first connection"] * 2 + [b"second connection"] * 2
        assert server.connections == 2


def test_a_server_that_leaves_after_every_30_requests_loses_none_of_300(make_client: Make) -> None:
    def leaving(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(30)
        peer.send(GoAwayFrame(0, last_stream_id=streams[-1], error_code=0))
        peer.respond(*streams)
        peer.drain()

    with raw_server(leaving) as server, make_client(server.url, http="2", max_in_flight=50) as client:
        pending = [client.submit("POST", f"/{n}", content=b"x") for n in range(300)]
        assert [one.result().status for one in pending] == [200] * 300
        assert client.statistics.connections_opened == 10


@pytest.mark.parametrize("retries", [0, 1])
def test_who_is_left_behind_by_many_connections_that_each_served_others_is_served_in_the_end(
    make_client: Make, retries: int
) -> None:
    """As nginx does it, which takes so many requests and ignores what else is on its way."""

    def leaving(peer: Peer) -> None:
        peer.start()
        first, *_ = peer.requests(1)
        peer.send(GoAwayFrame(0, last_stream_id=first, error_code=0))
        peer.respond(first)
        peer.drain()

    options = {"max_in_flight": 50, "retries": retries}
    with raw_server(leaving) as server, make_client(server.url, http="2", **options) as client:
        pending = [client.submit("POST", f"/{n}", content=b"x") for n in range(12)]
        assert [one.result().status for one in pending] == [200] * 12
        assert client.statistics.connections_opened == 12


@pytest.mark.parametrize(
    ("served", "code"), [(0, 0), (1, ENHANCE_YOUR_CALM)], ids=["nothing served", "ENHANCE_YOUR_CALM"]
)
def test_a_connection_that_serves_nothing_or_ends_in_error_is_followed_by_one_more(
    make_client: Make, served: int, code: int
) -> None:
    coming = iter([3, 3 - served])

    def leaving(peer: Peer) -> None:
        peer.start()
        taken = peer.requests(next(coming))[:served]
        peer.wait_for(h2.events.SettingsAcknowledged)
        peer.send(GoAwayFrame(0, last_stream_id=max(taken, default=0), error_code=code))
        peer.respond(*taken)
        peer.drain()

    with raw_server(leaving) as server, make_client(server.url, http="2") as client:
        pending = [client.submit("POST", f"/{n}", content=b"x") for n in range(3)]
        failed = []
        for one in pending:
            try:
                assert one.result().status == 200
            except ConnectionLost as error:
                failed.append(error.unprocessed)
        assert failed == [True] * (3 - 2 * served)
        assert server.connections == 2


@pytest.mark.parametrize("code", [0, INTERNAL_ERROR, ENHANCE_YOUR_CALM])
def test_content_that_is_gone_when_the_connection_ends_before_it_is_an_error_that_says_so(
    make_client: Make, code: int
) -> None:
    def leaving(peer: Peer) -> None:
        peer.start()
        peer.requests(4)
        peer.send(GoAwayFrame(0, last_stream_id=3, error_code=code))
        peer.respond(1, 3)
        peer.drain()

    with raw_server(leaving, ordinary) as server, make_client(server.url, http="2") as client:
        pending = [client.submit("POST", "/", content=iter([b"once"])) for _ in range(4)]
        assert [one.result().status for one in pending[:2]] == [200, 200]
        for one in pending[2:]:
            with pytest.raises(ConnectionLost, match="before it came to this stream") as caught:
                one.result()
            assert caught.value.unprocessed
            assert caught.value.error_code == code
        assert client.get("/").status == 200


def test_refused_stream_is_sent_again_once(make_client: Make) -> None:
    def refusing(peer: Peer) -> None:
        peer.start()
        for _ in range(2):
            peer.send(RstStreamFrame(peer.requests()[0], error_code=REFUSED_STREAM))
        peer.drain()

    with raw_server(refusing) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ExchangeReset) as caught:
            client.post("/", content=b"x")
        assert caught.value.unprocessed
        assert caught.value.error_code == REFUSED_STREAM
        assert client.statistics.exchanges == 2


def test_refused_stream_with_content_that_is_gone_is_not_sent_again(make_client: Make) -> None:
    def refusing(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.wait_for(h2.events.StreamEnded)
        peer.send(RstStreamFrame(stream, error_code=REFUSED_STREAM))
        peer.drain()

    with raw_server(refusing) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ExchangeReset) as caught:
            client.post("/", content=iter([b"x"]))
        assert caught.value.unprocessed
        assert client.statistics.exchanges == 1


def test_a_lower_stream_limit_holds_and_a_higher_one_is_used(make_client: Make) -> None:
    most = []

    def limiting(peer: Peer) -> None:
        peer.start({SettingCodes.MAX_CONCURRENT_STREAMS: 50})
        streams = peer.requests(3)
        peer.engine.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        peer.flush()
        peer.wait_for(h2.events.SettingsAcknowledged, 2)
        peer.respond(*streams)
        for _ in range(3):
            peer.respond(*peer.requests())
            most.append(sum(isinstance(event, h2.events.RequestReceived) for event in peer.events))
        (stream,) = peer.requests()
        peer.engine.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 50})
        peer.flush()
        peer.respond(stream, *peer.requests(13))
        peer.drain()

    with raw_server(limiting) as server, make_client(server.url, http="2", max_h2_connections=1) as client:
        first = [client.submit("GET", "/") for _ in range(3)]
        assert [one.result().status for one in first] == [200] * 3
        later = [client.submit("GET", "/") for _ in range(17)]
        assert [one.result().status for one in later] == [200] * 17
        assert client.statistics.connections_opened == 1
    assert most == [0, 0, 0]


def test_a_limit_of_ours_holds_below_the_servers(make_client: Make) -> None:
    def counting(peer: Peer) -> None:
        peer.start()
        for _ in range(3):
            streams = peer.requests(2)
            assert not [event for event in peer.events if isinstance(event, h2.events.RequestReceived)]
            peer.respond(*streams)
        peer.drain()

    with raw_server(counting) as server, make_client(server.url, http="2", max_in_flight=2) as client:
        pending = [client.submit("GET", f"/{n}") for n in range(6)]
        assert [one.result().status for one in pending] == [200] * 6


def test_a_peer_that_answers_without_settings_is_a_connection_error(make_client: Make) -> None:
    def rude(peer: Peer) -> None:
        peer.receive()
        peer.send(HeadersFrame(1, data=b"\x88", flags=["END_HEADERS", "END_STREAM"]))
        peer.drain()

    with (
        raw_server(rude) as server,
        make_client(server.url, http="2") as client,
        pytest.raises(ConnectionLost),
    ):
        client.post("/")


def test_a_silent_peer_ends_in_a_read_timeout(make_client: Make) -> None:
    def silent(peer: Peer) -> None:
        while peer.socket.recv(65536):
            pass

    with (
        raw_server(silent) as server,
        make_client(server.url, http="2", read_timeout=0.2) as client,
        pytest.raises(ReadTimeout, match=r"the server sent nothing for 0\.2 seconds"),
    ):
        client.get("/")


def test_a_timeout_spares_the_siblings(make_client: Make) -> None:
    cancelled = threading.Event()

    def slow(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(3)
        (reset,) = peer.wait_for(h2.events.StreamReset)
        assert (reset.stream_id, reset.error_code) == (streams[1], CANCEL)
        cancelled.set()
        peer.respond(streams[0], streams[2])
        peer.serve()

    with raw_server(slow) as server, make_client(server.url, http="2") as client:
        before = client.submit("GET", "/")
        stuck = client.submit("GET", "/", timeout=0.2)
        after = client.submit("GET", "/")
        with pytest.raises(ReadTimeout, match=r"no complete response within 0\.2 seconds"):
            stuck.result()
        assert before.result().status == after.result().status == 200
        assert cancelled.is_set()
        assert client.get("/").status == 200
        assert client.statistics.connections_opened == 1


def test_waiting_for_a_result_can_end_without_ending_the_request(make_client: Make) -> None:
    released = threading.Event()

    def late(peer: Peer) -> None:
        peer.start()
        streams = peer.requests()
        assert released.wait(20)
        peer.respond(*streams)
        peer.drain()

    with raw_server(late) as server, make_client(server.url, http="2") as client:
        pending = client.submit("GET", "/")
        with pytest.raises(TimeoutError):
            pending.result(timeout=0.1)
        released.set()
        assert pending.result().status == 200


def test_requests_that_find_no_room_in_time_say_so(make_client: Make) -> None:
    def full(peer: Peer) -> None:
        peer.start({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        peer.drain()

    with (
        raw_server(full) as server,
        make_client(server.url, http="2", max_in_flight=1, pool_timeout=0.2) as client,
    ):
        client.submit("GET", "/")
        queued = client.submit("GET", "/")
        with pytest.raises(PoolTimeout):
            queued.result()


def test_content_length_that_lies_is_an_error(make_client: Make) -> None:
    def lying(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200"), ("content-length", "10")])
        peer.send(DataFrame(stream, data=b"short", flags=["END_STREAM"]))
        peer.serve()

    with raw_server(lying) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ExchangeReset, match="breaks a rule of HTTP"):
            client.get("/")
        assert client.get("/").status == 200


def test_who_resets_a_stream_is_told_by_the_error(make_client: Make) -> None:
    def resetting(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.send(RstStreamFrame(stream, error_code=PROTOCOL_ERROR))
        peer.serve()

    with raw_server(resetting) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ExchangeReset, match="the stream was reset: PROTOCOL_ERROR") as caught:
            client.get("/")
        assert caught.value.error_code == PROTOCOL_ERROR
        assert client.get("/").status == 200


def test_a_response_that_breaks_off_is_an_error(make_client: Make) -> None:
    def breaking(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.engine.send_data(stream, b"half")
        peer.flush()

    with raw_server(breaking) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ConnectionLost) as caught:
            client.get("/")
        assert not caught.value.unprocessed


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_a_response_may_come_before_the_request_is_complete(make_client: Make, size: int) -> None:
    def hasty(peer: Peer) -> None:
        peer.start()
        streams = peer.requests()
        peer.respond(*streams, status=413, content=b"too much")
        peer.wait_for(h2.events.StreamReset)
        peer.serve()

    with raw_server(hasty) as server, make_client(server.url, http="2") as client:
        response = client.post("/", content=bytes(size))
        assert (response.status, response.content) == (413, b"too much")
        assert client.get("/").status == 200


def test_content_of_a_request_arrives_whole_through_a_small_window(make_client: Make) -> None:
    received = []

    def reading(peer: Peer) -> None:
        peer.start({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        peer.serve(1)
        peer.wait_for(h2.events.SettingsAcknowledged)
        for _ in range(2):
            (stream,) = peer.requests()
            content = b""
            while True:
                (event,) = peer.wait_for(h2.events.DataReceived)
                content += event.data
                if event.stream_ended:
                    break
                peer.engine.acknowledge_received_data(event.flow_controlled_length, stream)
                peer.flush()
            received.append(content)
            peer.respond(stream)
        peer.drain()

    def pieces() -> Iterator[bytes]:
        for n in range(300):
            yield b"%d," % n * 100

    with raw_server(reading) as server, make_client(server.url, http="2") as client:
        assert client.get("/").status == 200  # from now on the client knows the window
        assert client.post("/", content=bytes(range(256)) * 1500).status == 200
        assert client.post("/", content=pieces()).status == 200
    assert received == [bytes(range(256)) * 1500, b"".join(pieces())]


def test_a_server_that_takes_no_content_ends_in_a_write_timeout(make_client: Make) -> None:
    def refusing(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.drain()

    with (
        raw_server(refusing) as server,
        make_client(server.url, http="2", read_timeout=0.3) as client,
        pytest.raises(WriteTimeout),
    ):
        client.post("/", content=bytes(1 << 20))


def test_content_that_fails_half_way_resets_the_request(make_client: Make) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the source broke")

    def expecting(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.wait_for(h2.events.StreamReset)
        peer.serve()

    with raw_server(expecting) as server, make_client(server.url, http="2") as client:
        with pytest.raises(RuntimeError, match="the source broke"):
            client.post("/", content=pieces())
        assert client.get("/").status == 200


@pytest.mark.parametrize("wrong", [None, "text", 1])
def test_a_piece_of_content_that_is_none_resets_the_request_and_is_not_its_end(
    make_client: Make, wrong: Any
) -> None:
    def expecting(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.wait_for(h2.events.StreamReset)
        peer.serve()

    with raw_server(expecting) as server, make_client(server.url, http="2") as client:
        with pytest.raises(LocalProtocolError, match="pieces of bytes"):
            client.post("/", content=iter([b"some", wrong, b"more"]))
        assert client.get("/").status == 200


def test_what_is_no_request_is_not_sent(make_client: Make) -> None:
    with make_client("http://127.0.0.1:9") as client:
        wrong: Any
        for wrong in ("/", None, b"/"):
            with pytest.raises(ConfigError, match="build_request"):
                client.send(wrong)


def test_a_connection_that_died_while_idle_is_not_used_again(make_client: Make) -> None:
    gone = threading.Event()

    def leaving(peer: Peer) -> None:
        peer.start()
        peer.serve(1)
        peer.socket.close()
        gone.set()

    with raw_server(leaving, ordinary) as server, make_client(server.url, http="2") as client:
        assert client.get("/").status == 200
        assert gone.wait(20)
        if isinstance(client, AsyncFace):
            client.look()
        # Content that can be sent only once: nothing but looking first can save it.
        assert client.post("/", content=iter([b"x"])).status == 200
        assert server.connections == 2


def test_an_idle_connection_is_closed_in_time(make_client: Make) -> None:
    with raw_server(ordinary) as server, make_client(server.url, http="2", keep_alive=0.01) as client:
        client.get("/")
        threading.Event().wait(0.05)  # time is what is tested
        client.get("/")
        assert server.connections == 2


def test_interim_responses_are_passed_over_and_a_storm_of_them_ends_the_exchange(make_client: Make) -> None:
    def stormy(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "103"), ("link", "</style.css>")])
        peer.respond(stream)
        (stream,) = peer.requests()
        for _ in range(200):
            peer.engine.send_headers(stream, [(":status", "103")])
        peer.flush()
        peer.drain()

    with raw_server(stormy) as server, make_client(server.url, http="2") as client:
        assert client.get("/").content == b"ok"
        with pytest.raises(ExchangeReset):
            client.get("/")


def test_closing_a_client_ends_what_is_under_way(make_client: Make) -> None:
    def waiting(peer: Peer) -> None:
        peer.start()
        peer.drain()

    with raw_server(waiting) as server:
        with make_client(server.url, http="2") as client:
            pending = client.submit("GET", "/")
            with pytest.raises(TimeoutError):
                pending.result(timeout=0.1)
        assert isinstance(pending.error, ClientClosed)


def test_settings_that_shrink_the_window_below_zero_only_make_the_client_wait(make_client: Make) -> None:
    content = bytes(200_000)

    def shrinking(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.wait_for(h2.events.DataReceived)
        peer.send(SettingsFrame(0, settings={SettingCodes.INITIAL_WINDOW_SIZE: 0}))
        taken = 65535
        while taken < len(content):
            peer.engine.increment_flow_control_window(100_000)
            peer.engine.increment_flow_control_window(100_000, stream)
            peer.flush()
            taken += 100_000 if taken > 65535 else 100_000 - 65535
        peer.wait_for(h2.events.StreamEnded)
        peer.respond(stream)
        peer.drain()

    with raw_server(shrinking) as server, make_client(server.url, http="2") as client:
        assert client.post("/", content=content).status == 200
