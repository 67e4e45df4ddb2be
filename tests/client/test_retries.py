"""Trying again: what is safe, as often as was said, and no more."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from email.utils import formatdate
from time import monotonic, time

import h2.events
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, RstStreamFrame

import plait
from plait.errors import ConfigError, ConnectFailed, ConnectionLost, ExchangeReset
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, Script, raw_server
from tests.support.servers import free_port

Make = Callable[..., Face]

NO_WAIT = plait.Retries(attempts=3, backoff=0)
INTERNAL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED = 2, 7, 11, 13


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


def vanishing(peer: Peer) -> None:
    peer.start()
    peer.requests()


def resetting(error_code: int, count: int) -> Script:
    def script(peer: Peer) -> None:
        peer.start()
        for _ in range(count):
            (stream,) = peer.requests()
            peer.send(RstStreamFrame(stream, error_code=error_code))
        peer.serve()

    return script


def answering(*statuses: tuple[int, tuple[tuple[str, str], ...]]) -> Script:
    def script(peer: Peer) -> None:
        peer.start()
        for status, fields in statuses:
            peer.respond(*peer.requests(), status=status, fields=fields)
        peer.serve()

    return script


def test_nothing_but_what_is_unprocessed_is_sent_again_unasked(make_client: Make) -> None:
    with raw_server(vanishing, ordinary) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ConnectionLost):
            client.get("/")
        assert client.statistics.exchanges == 1


def test_a_lost_request_that_does_no_harm_is_sent_again(make_client: Make) -> None:
    with (
        raw_server(vanishing, vanishing, ordinary) as server,
        make_client(server.url, http="2", retries=NO_WAIT) as client,
    ):
        assert client.get("/").content == b"ok"
        assert server.connections == 3


def test_a_request_may_be_told_otherwise_than_its_client(make_client: Make) -> None:
    with raw_server(vanishing) as server, make_client(server.url, http="2", retries=NO_WAIT) as client:
        with pytest.raises(ConnectionLost):
            client.get("/", retries=0)
        assert server.connections == 1
        with pytest.raises(ConnectionLost):
            client.get("/", retries=plait.Retries(attempts=1, backoff=0))
        assert server.connections == 3
        with pytest.raises(ConfigError, match="retries must be"):
            client.get("/", retries=-1)


def test_attempts_come_to_an_end(make_client: Make) -> None:
    with raw_server(vanishing) as server, make_client(server.url, http="2", retries=NO_WAIT) as client:
        with pytest.raises(ConnectionLost):
            client.get("/")
        assert server.connections == 4


def test_a_lost_request_that_may_have_had_an_effect_is_not_sent_again(make_client: Make) -> None:
    with raw_server(vanishing) as server, make_client(server.url, http="2", retries=NO_WAIT) as client:
        with pytest.raises(ConnectionLost) as caught:
            client.post("/", content=b"x")
        assert not caught.value.unprocessed
        assert server.connections == 1


def test_what_was_not_processed_is_sent_again_whatever_its_method(make_client: Make) -> None:
    with (
        raw_server(resetting(REFUSED_STREAM, 4)) as server,
        make_client(server.url, http="2", retries=NO_WAIT) as client,
    ):
        assert client.post("/", content=b"x").status == 200
        assert client.statistics.exchanges == 5  # one is free


def test_content_that_is_gone_is_not_sent_again(make_client: Make) -> None:
    with (
        raw_server(resetting(REFUSED_STREAM, 1)) as server,
        make_client(server.url, http="2", retries=NO_WAIT) as client,
    ):
        with pytest.raises(ExchangeReset):
            client.request("PUT", "/", content=iter([b"x"]))
        assert client.statistics.exchanges == 1


@pytest.mark.parametrize(("error_code", "attempts"), [(INTERNAL_ERROR, 4), (HTTP_1_1_REQUIRED, 1)])
def test_only_what_may_pass_is_worth_another_attempt(
    make_client: Make, error_code: int, attempts: int
) -> None:
    with (
        raw_server(resetting(error_code, attempts)) as server,
        make_client(server.url, http="2", retries=NO_WAIT) as client,
    ):
        with pytest.raises(ExchangeReset) as caught:
            client.get("/")
        assert caught.value.error_code == error_code
        assert client.statistics.exchanges == attempts


def test_a_server_that_is_still_starting_is_waited_for(make_client: Make) -> None:
    # Bound, so that the port is nobody else's, not even one of the client's own ends.
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))

        def start() -> None:
            listening.listen()
            sock, _ = listening.accept()
            with sock:
                sock.settimeout(20)
                ordinary(Peer(sock))

        timer = threading.Timer(0.2, start)
        timer.start()
        retries = plait.Retries(attempts=200, backoff=0.05, max_backoff=0.05)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with make_client(url, http="2", retries=retries) as client:
            pending = [client.submit("POST", "/", content=b"x") for _ in range(3)]
            assert [one.result().status for one in pending] == [200] * 3
        timer.join(20)


def test_who_refuses_connections_is_asked_as_often_as_was_said(make_client: Make) -> None:
    with make_client(f"http://127.0.0.1:{free_port()}", retries=NO_WAIT) as client:
        with pytest.raises(ConnectFailed) as caught:
            client.post("/", content=b"x")
        assert caught.value.unprocessed


def test_a_request_that_timed_out_is_tried_again(make_client: Make) -> None:
    def slow(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.wait_for(h2.events.StreamReset)
        peer.serve()

    with (
        raw_server(slow) as server,
        make_client(server.url, http="2", read_timeout=0.3, retries=1) as client,
    ):
        assert client.get("/").status == 200
        assert client.statistics.connections_opened == 1


def test_a_pause_that_would_outlast_the_request_is_not_made(make_client: Make) -> None:
    retries = plait.Retries(attempts=5, backoff=60, max_backoff=60)
    with (
        raw_server(vanishing) as server,
        make_client(server.url, http="2", retries=retries, total_timeout=10) as client,
    ):
        began = monotonic()
        with pytest.raises(ConnectionLost):
            client.get("/")
        assert monotonic() - began < 9


def test_a_pause_ends_with_the_request(make_client: Make) -> None:
    retries = plait.Retries(backoff=60, max_backoff=60)
    with raw_server(vanishing) as server, make_client(server.url, http="2", retries=retries) as client:
        pending = client.submit("GET", "/")
        with pytest.raises(TimeoutError):
            pending.result(timeout=0.1)
        assert pending.error is None


@pytest.mark.parametrize("retry_after", ["0", "date"])
def test_a_server_that_says_when_is_asked_again_then(make_client: Make, retry_after: str) -> None:
    if retry_after == "date":
        retry_after = formatdate(time(), usegmt=True)
    busy = (("retry-after", retry_after),)
    with (
        raw_server(answering((503, busy), (429, busy))) as server,
        make_client(server.url, http="2", retries=NO_WAIT) as client,
    ):
        assert client.get("/").status == 200
        with client.stream("GET", "/") as response:
            assert response.status == 200
        assert client.statistics.exchanges == 4


@pytest.mark.parametrize(
    ("status", "fields", "method"),
    [
        (503, (), "GET"),
        (503, (("retry-after", "3600"),), "GET"),
        (503, (("retry-after", "soon"),), "GET"),
        (503, (("retry-after", "0"),), "POST"),
        (500, (("retry-after", "0"),), "GET"),
    ],
)
def test_a_response_that_does_not_say_when_is_the_result(
    make_client: Make, status: int, fields: tuple[tuple[str, str], ...], method: str
) -> None:
    with (
        raw_server(answering((status, fields))) as server,
        make_client(server.url, http="2", retries=NO_WAIT) as client,
    ):
        assert client.request(method, "/").status == status
        assert client.statistics.exchanges == 1


def test_a_streamed_response_is_tried_again_before_its_head_and_not_after(make_client: Make) -> None:
    def breaking(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.send(RstStreamFrame(stream, error_code=INTERNAL_ERROR))
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.engine.send_data(stream, b"half")
        peer.flush()
        peer.send(RstStreamFrame(stream, error_code=INTERNAL_ERROR))
        peer.drain()

    with raw_server(breaking) as server, make_client(server.url, http="2", retries=NO_WAIT) as client:
        with client.stream("GET", "/") as response, pytest.raises(ExchangeReset):
            response.read()
        assert client.statistics.exchanges == 2


@pytest.mark.parametrize(("retries", "most"), [(0, 2), (NO_WAIT, 5)])
def test_a_server_that_wants_calm_is_not_asked_for_ever(
    make_client: Make, retries: int | plait.Retries, most: int
) -> None:
    def overwhelmed(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.send(GoAwayFrame(0, last_stream_id=0, error_code=ENHANCE_YOUR_CALM))

    with raw_server(overwhelmed) as server, make_client(server.url, http="2", retries=retries) as client:
        with pytest.raises((ExchangeReset, ConnectionLost)) as caught:
            client.get("/")
        assert caught.value.unprocessed
        assert server.connections == most


def test_an_error_says_what_the_server_gave_as_the_reason(make_client: Make) -> None:
    def overwhelmed(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.wait_for(h2.events.SettingsAcknowledged)  # or closing would take the last words with it
        peer.send(GoAwayFrame(0, last_stream_id=1, error_code=ENHANCE_YOUR_CALM))

    with raw_server(overwhelmed) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ConnectionLost, match="ENHANCE_YOUR_CALM") as caught:
            client.get("/")
        assert caught.value.error_code == ENHANCE_YOUR_CALM
        assert not caught.value.unprocessed
        assert server.connections == 1


def test_a_misdirected_request_goes_over_another_connection(make_client: Make) -> None:
    def wrong(peer: Peer) -> None:
        peer.start({SettingCodes.MAX_CONCURRENT_STREAMS: 10})
        first, second = peer.requests(2)
        peer.respond(first, status=421)
        peer.wait_for(h2.events.ConnectionTerminated)
        # The engine says nothing more after a GOAWAY.
        peer.send(
            HeadersFrame(second, data=b"\x88", flags=["END_HEADERS"]),
            DataFrame(second, data=b"in flight", flags=["END_STREAM"]),
        )
        while peer.socket.recv(65536):
            pass

    with raw_server(wrong, ordinary) as server, make_client(server.url, http="2") as client:
        pending = [client.submit("POST", "/", content=b"x") for _ in range(2)]
        assert [one.result().content for one in pending] == [b"ok", b"in flight"]
        assert server.connections == 2


def test_a_request_misdirected_twice_is_what_it_is(make_client: Make) -> None:
    with (
        raw_server(answering((421, ()))) as server,
        make_client(server.url, http="2") as client,
    ):
        assert client.get("/").status == 421
        assert client.statistics.exchanges == 2


@pytest.mark.parametrize("retries", [-1, 1.5, "2", plait.Retries(backoff=-1)])
def test_retries_that_cannot_be_are_refused(retries: object) -> None:
    with pytest.raises(ConfigError, match="retries must be a number of attempts"):
        plait.Client(retries=retries)
