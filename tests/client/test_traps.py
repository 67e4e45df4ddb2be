"""What other clients fell into: each a peer that does it, and what a program should see instead.

Some are with what they belong to: refused streams, windows that shrink below zero, peers without SETTINGS,
lies about the length, early responses and storms of 1xx in ``test_raw_peer.py``; ENHANCE_YOUR_CALM in
``test_retries.py``; floods of PING in ``test_pool_sharing.py``; a hundred threads in ``test_peers.py``;
``test_forks.py``; certificates in ``test_trust.py``.
"""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import brotli
import h2.events
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame, HeadersFrame

from plait.errors import ConnectionLost, ContentDecodingError, ContentTooLarge, ExchangeError, ExchangeReset
from tests.support.faces import Face
from tests.support.peer_app import SMALL
from tests.support.peers import nginx
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate
from tests.support.trap_scripts import WINDOWS, answer_two, generous, leave_behind_stream_3

Make = Callable[..., Face]

MEBIBYTE = 1 << 20
ENHANCE_YOUR_CALM = 11

zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


def test_40_responses_of_a_mebibyte_that_are_left_early_cost_no_window(make_client: Make) -> None:
    """Their bytes fill the connection's window ten times, and none of them was read."""

    with raw_server(generous(40)) as server, make_client(server.url, http="2", **WINDOWS) as client:
        for _ in range(40):
            with client.stream("GET", "/") as response:
                assert response.status == 200
        assert client.get("/").content == b"ok"
        assert client.statistics.connections_opened == 1
        assert client.statistics.connections[0].resets_sent == 40


def test_a_goaway_for_stream_3_spares_1_and_3_and_has_5_and_7_sent_again(make_client: Make) -> None:
    with raw_server(leave_behind_stream_3, answer_two) as server, make_client(server.url, http="2") as client:
        pending = [client.submit("POST", "/", content=b"x") for _ in range(4)]
        assert [one.result().content for one in pending] == [b"old", b"old", b"new", b"new"]


def test_a_stream_limit_that_falls_to_one_and_to_none_and_rises_again_only_makes_the_client_wait(
    make_client: Make,
) -> None:
    def limiting(peer: Peer) -> None:
        peer.start({SettingCodes.MAX_CONCURRENT_STREAMS: 10})
        streams = peer.requests(5)
        for limit in (1, 0):
            peer.engine.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: limit})
            peer.flush()
        peer.wait_for(h2.events.SettingsAcknowledged, 3)
        peer.respond(*streams)
        peer.socket.settimeout(0.2)
        try:
            while peer.receive():
                pass
        except TimeoutError:
            pass
        assert not [event for event in peer.events if isinstance(event, h2.events.RequestReceived)]
        peer.socket.settimeout(20)
        peer.engine.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 3})
        peer.flush()
        peer.serve()

    options = {"max_h2_connections": 1, "max_in_flight": 5}
    with raw_server(limiting) as server, make_client(server.url, http="2", **options) as client:
        pending = [client.submit("POST", "/", content=b"x") for _ in range(20)]
        assert [one.result().status for one in pending] == [200] * 20
        assert client.statistics.connections_opened == 1


def test_nginx_which_closes_after_1000_requests_loses_none_of_10_000(
    make_client: Make, certificate: Certificate, tmp_path: Path
) -> None:
    with (
        nginx(tmp_path, certificate) as peer,
        make_client(peer.url("2"), verify=certificate.ca, max_h2_connections=1) as client,
    ):
        for _ in range(5):
            pending = [client.submit("GET", "/small.txt") for _ in range(2000)]
            assert all(one.result().content == SMALL for one in pending)
        assert 10 <= client.statistics.connections_opened <= 11


def test_fields_beyond_the_limit_end_one_exchange_or_the_connection_and_never_grow(make_client: Make) -> None:
    def verbose(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.max_outbound_frame_size = 16384
        peer.engine.send_headers(stream, [(":status", "200"), *((f"x-{n}", "y" * 8000) for n in range(60))])
        peer.engine.end_stream(stream)
        peer.flush()
        peer.serve()

    with (
        raw_server(verbose, ordinary) as server,
        make_client(server.url, http="2", max_header_size=65536) as client,
    ):
        with pytest.raises(ExchangeError):
            client.get("/")
        assert client.get("/").status == 200


@pytest.mark.parametrize("count", [(10, 10_000), (101, 1), (1, 70_000)], ids=["bytes", "fields", "one field"])
@pytest.mark.parametrize("where", ["head", "head and content", "trailers"])
def test_a_field_section_that_is_a_little_too_large_ends_its_exchange_alone(
    make_client: Make, count: tuple[int, int], where: str
) -> None:
    fields = [(f"x-{n}", "y" * count[1]) for n in range(count[0])]

    def verbose(peer: Peer) -> None:
        peer.start()
        large, small = peer.requests(2)
        in_head = where != "trailers"
        head = [(":status", "200"), *(fields if in_head else [])]
        peer.engine.send_headers(large, head, end_stream=where == "head")
        if in_head and where != "head":
            peer.engine.send_data(large, b"content", end_stream=True)
        elif not in_head:
            peer.engine.send_headers(large, fields, end_stream=True)
        peer.flush()
        peer.respond(small)
        peer.serve()

    options: dict[str, Any] = {"max_header_size": 65536, "max_header_fields": 100}
    with raw_server(verbose) as server, make_client(server.url, http="2", **options) as client:
        pending = [client.submit("GET", "/") for _ in range(2)]
        with pytest.raises(ExchangeReset, match="the field section") as caught:
            pending[0].result()
        assert caught.value.error_code == ENHANCE_YOUR_CALM
        assert pending[1].result().status == 200
        assert client.get("/").status == 200
        assert server.connections == 1


def test_as_many_fields_as_are_allowed_are_taken(make_client: Make) -> None:
    def verbose(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.respond(stream, fields=tuple((f"x-{n}", "y") for n in range(100)))
        peer.drain()

    with raw_server(verbose) as server, make_client(server.url, http="2", max_header_fields=100) as client:
        assert len(client.get("/").headers) == 100


def test_a_field_section_without_an_end_ends_the_connection(make_client: Make) -> None:
    def endless(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        # Literal fields without indexing, each name "x" and each value 100 bytes.
        block = (b"\x00\x01x\x64" + b"y" * 100) * 150
        try:
            peer.send(HeadersFrame(stream, data=b"\x88"))
            for _ in range(2000):
                peer.send(ContinuationFrame(stream, data=block))
        except OSError:
            return
        raise AssertionError("the client took 30 MB of fields")

    with (
        raw_server(endless) as server,
        make_client(server.url, http="2", read_timeout=20) as client,
        pytest.raises(ConnectionLost),
    ):
        client.get("/")


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress,
}  # fmt: skip
#: Names of codings in the order in which they are applied; each makes 12 MiB of zeros of 13 KB or less.
BOMBS = [["gzip"], ["deflate"], ["br"], ["zstd"], ["gzip", "gzip"], ["zstd", "gzip", "br"]]


def test_a_response_without_an_end_has_one_at_the_limit(make_client: Make) -> None:
    """And its siblings notice nothing."""

    def endless(peer: Peer) -> None:
        peer.start()
        for _ in range(2):
            (stream,) = peer.requests()
            peer.engine.send_headers(stream, [(":status", "200")])
            while not any(isinstance(event, h2.events.StreamReset) for event in peer.events):
                if size := min(peer.engine.local_flow_control_window(stream), 16384):
                    peer.engine.send_data(stream, bytes(size))
                    peer.flush()
                elif not peer.receive():
                    return
            peer.wait_for(h2.events.StreamReset)
        peer.serve()

    options = {"max_content_size": 4 * MEBIBYTE}
    with raw_server(endless) as server, make_client(server.url, http="2", **options) as client:
        with pytest.raises(ContentTooLarge, match="the content is more than 4194304 bytes"):
            client.get("/")
        with pytest.raises(ContentTooLarge), client.stream("GET", "/") as response:
            response.read()
        assert client.get("/").content == b"ok"
        assert client.statistics.connections[0].resets_sent == 2


@contextmanager
def bomber(codings: list[str]) -> Iterator[str]:
    """Run a server of bombs, and give its URL."""
    bomb = reduce(lambda content, coding: ENCODERS[coding](content), codings, bytes(12 * MEBIBYTE))
    fields = (("content-encoding", ", ".join(codings)), ("content-type", "text/event-stream"))

    def bombing(peer: Peer) -> None:
        peer.start()
        while peer.receive():
            while any(isinstance(event, h2.events.RequestReceived) for event in peer.events):
                peer.respond(*peer.requests(), content=bomb, fields=fields)

    with raw_server(bombing) as server:
        yield server.url


@contextmanager
def little_memory() -> Iterator[None]:
    """Fail when the block has more than 4 MiB at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 4 * MEBIBYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codings", BOMBS, ids="+".join)
def test_a_bomb_is_never_larger_than_was_allowed(make_client: Make, codings: list[str]) -> None:
    with bomber(codings) as url, make_client(url, http="2", max_decoded_size=MEBIBYTE) as client:
        with little_memory(), pytest.raises(ContentDecodingError, match="more than 1048576 once decoded"):
            client.get("/")
        for read in ("read", "iter_lines", "iter_events"):
            with (
                little_memory(),
                client.stream("GET", "/") as response,
                pytest.raises(ContentDecodingError),
            ):
                list(getattr(response, read)())
        for read in ("iter_bytes", "iter_text"):  # who reads piece by piece may have it all
            with little_memory(), client.stream("GET", "/") as response:
                sizes = [len(piece) for piece in getattr(response, read)()]
            assert sum(sizes) == 12 * MEBIBYTE
        assert client.statistics.connections_opened == 1


def test_ten_codings_one_upon_the_other_are_not_begun_with(make_client: Make) -> None:
    with bomber(["gzip"] * 10) as url, make_client(url, http="2") as client, little_memory():
        with pytest.raises(ContentDecodingError, match="coded 10 times"):
            client.get("/")
        with pytest.raises(ContentDecodingError, match="coded 10 times"), client.stream("GET", "/"):
            pass
