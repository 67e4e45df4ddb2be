"""What comes beside a head and content: trailers both ways, interim responses, 100 (Continue)."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import h2.events
import pytest

import plait
from plait.errors import ConfigError, ExchangeReset, LocalProtocolError
from plait.protocol.endpoint import ClientEndpoint
from tests.support.faces import AsyncFace, Face
from tests.support.h1_peer import OK, h1_server, read_until, request
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer

Make = Callable[..., Face]


# -- trailers of responses -------------------------------------------------------------------------


def test_trailers_of_a_response_are_there_over_http2(make_client: Make) -> None:
    def trailing(peer: Peer) -> None:
        peer.start()
        for _ in range(2):
            (stream,) = peer.requests()
            peer.engine.send_headers(stream, [(":status", "200"), ("trailer", "x-sum")])
            peer.engine.send_data(stream, b"content")
            peer.engine.send_headers(stream, [("x-sum", "7"), ("grpc-status", "0")], end_stream=True)
            peer.flush()
        peer.serve()

    with raw_server(trailing) as server, make_client(server.url, http="2") as client:
        response = client.get("/", headers={"te": "trailers"})
        assert response.content == b"content"
        assert dict(response.trailers) == {"x-sum": "7", "grpc-status": "0"}
        with client.stream("GET", "/") as stream:
            assert len(stream.trailers) == 0 or stream.trailers["x-sum"] == "7"  # it may have come already
            assert stream.read() == b"content"
            assert stream.trailers["X-Sum"] == "7"
        assert len(client.get("/").trailers) == 0


def test_trailers_of_a_response_are_there_over_http1(make_client: Make) -> None:
    heads = []

    def trailing(sock: socket.socket) -> None:
        while head := request(sock):
            heads.append(head)
            sock.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\ncontent\r\n")
            sock.sendall(b"0\r\nX-Sum: 7\r\n\r\n")

    with h1_server(trailing) as url, make_client(url) as client:
        response = client.get("/", headers={"te": "trailers"})
        assert (response.content, dict(response.trailers)) == (b"content", {"x-sum": "7"})
        with client.stream("GET", "/") as stream:
            assert stream.read() == b"content"
            assert stream.trailers["x-sum"] == "7"
    # RFC 9110 §10.1.4: it is about this connection.
    assert b"te: trailers\r\n" in heads[0]
    assert b"connection: te\r\n" in heads[0]
    assert b"connection" not in heads[1]


# -- trailers of requests --------------------------------------------------------------------------


def each_content(make_client: Any, content: str) -> Any:
    """Return b"some content" in one of the forms a request takes it."""
    pieces = [b"some", b" content"]

    async def asynchronous() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    if content == "asynchronous":
        return asynchronous()
    return {"bytes": b"some content", "iterator": iter(pieces), "list": pieces, "none": None}[content]


CONTENTS = ["bytes", "iterator", "list", "none", "asynchronous"]


def taking(received: list[Any]) -> Callable[[Peer], None]:
    """Return a script that takes requests apart."""

    def script(peer: Peer) -> None:
        peer.start()
        while True:
            kinds = {type(event) for event in peer.events}
            if h2.events.StreamEnded in kinds:
                (ended,) = peer.wait_for(h2.events.StreamEnded)
                heads = [one for one in peer.events if isinstance(one, h2.events.RequestReceived)]
                data = [one.data for one in peer.events if isinstance(one, h2.events.DataReceived)]
                trailers = [one.headers for one in peer.events if isinstance(one, h2.events.TrailersReceived)]
                peer.events.clear()
                received.append((dict(heads[0].headers), b"".join(data), dict(*trailers)))
                peer.respond(ended.stream_id)
            elif not peer.receive():
                return

    return script


@pytest.mark.parametrize("content", CONTENTS)
def test_trailers_follow_the_content_over_http2(make_client: Make, content: str) -> None:
    received: list[Any] = []
    with raw_server(taking(received)) as server, make_client(server.url, http="2") as client:
        if content == "asynchronous" and not isinstance(client, AsyncFace):
            with pytest.raises(LocalProtocolError, match="needs an AsyncClient"):
                client.post("/", content=each_content(client, content), trailers={"x-sum": "7"})
            return
        options = {"content": each_content(client, content), "trailers": {"X-Sum": "7", "x-b": "c"}}
        assert client.post("/", **options).status == 200
    head, data, trailers = received[0]
    assert data == (b"" if content == "none" else b"some content")
    assert trailers == {"x-sum": "7", "x-b": "c"}
    assert head["trailer"] == "x-sum, x-b"
    assert "content-length" not in head


def test_trailers_follow_the_content_over_http1(make_client: Make) -> None:
    received = []

    def taking(sock: socket.socket) -> None:
        received.append(read_until(sock, b"x-sum: 7\r\n\r\n"))
        sock.sendall(OK)

    with h1_server(taking) as url, make_client(url) as client:
        assert client.post("/", content=b"some content", trailers={"x-sum": "7"}).content == b"ok"
    assert b"trailer: x-sum\r\n" in received[0]
    assert b"content-length" not in received[0]
    assert received[0].endswith(b"\r\n\r\nc\r\nsome content\r\n0\r\nx-sum: 7\r\n\r\n")


def test_trailers_may_be_made_when_the_content_has_ended(make_client: Make) -> None:
    received: list[Any] = []
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for n in range(30):
            piece = b"%d" % n * 1000
            digest.update(piece)
            yield piece

    async def waiting() -> list[tuple[str, str]]:
        return [("x-sum", "waited")]

    with raw_server(taking(received)) as server, make_client(server.url, http="2") as client:
        client.post("/", content=pieces(), trailers=lambda: {"x-sha256": digest.hexdigest()})
        assert received[0][2] == {"x-sha256": hashlib.sha256(received[0][1]).hexdigest()}
        if isinstance(client, AsyncFace):
            client.post("/", content=b"x", trailers=waiting)
            assert received[1][2] == {"x-sum": "waited"}
        else:
            with pytest.raises(LocalProtocolError, match="needs an AsyncClient"):
                client.post("/", content=b"x", trailers=waiting)


@pytest.mark.parametrize(
    ("trailers", "sentence"),
    [
        ({"content-length": "4"}, "no place in a trailer section"),
        ({"transfer-encoding": "chunked"}, "no place in a trailer section"),
        ({"host": "a.example"}, "no place in a trailer section"),
        ({":path": "/"}, "not a field name"),
        ({"x-a": "b\nc"}, "control character"),
        ({"x-a": 7}, "must be pairs of name and value"),
        ({"x-a": "€"}, "not text that a field can carry"),
    ],
)
def test_fields_that_are_no_trailers_are_refused_before_a_byte_is_sent(trailers: Any, sentence: str) -> None:
    with plait.Client("http://127.0.0.1:1") as client, pytest.raises(LocalProtocolError, match=sentence):
        client.post("/", content=b"x", trailers=trailers)


def test_trailers_go_without_content_length() -> None:
    with plait.Client("http://127.0.0.1:1") as client, pytest.raises(LocalProtocolError, match="without"):
        client.post("/", content=b"x", headers={"content-length": "1"}, trailers={"x-a": "b"})


def test_trailers_that_turn_out_to_be_none_end_their_exchange_alone(make_client: Make) -> None:
    received: list[Any] = []
    with raw_server(taking(received)) as server, make_client(server.url, http="2") as client:
        with pytest.raises(LocalProtocolError, match="no place"):
            client.post("/", content=b"x", trailers=lambda: {"host": "a.example"})
        received.clear()
        assert client.get("/").status == 200
        assert client.statistics.connections_opened == 1


@pytest.mark.parametrize("http", ["1", "2"])
def test_trailers_reach_plaits_own_server_and_come_back(
    make_client: Make, http: str, plait_server: RunningServer, certificate: Certificate
) -> None:
    with make_client(plait_server.url(), verify=certificate.ca, http=http) as client:
        response = client.post("/echo", content=b"some content", trailers={"x-sum": "7"})
        assert response.content == b"some content"


# -- interim responses -----------------------------------------------------------------------------


def hinting(peer: Peer) -> None:
    peer.start()
    while True:
        if not any(isinstance(event, h2.events.RequestReceived) for event in peer.events):
            if not peer.receive():
                return
            continue
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "102")])
        peer.engine.send_headers(stream, [(":status", "103"), ("link", "</a.css>; rel=preload; as=style")])
        peer.respond(stream)


def test_interim_responses_are_told_before_the_response_and_are_with_it(make_client: Make) -> None:
    told: list[Any] = []

    async def tell(interim: plait.Interim) -> None:
        told.append(interim.status)

    with raw_server(hinting) as server, make_client(server.url, http="2") as client:
        response = client.get("/", on_interim=told.append)
        assert [interim.status for interim in told] == [102, 103]
        assert told[1].links == {"preload": {"url": "/a.css", "rel": "preload", "as": "style"}}
        assert [(one.status, one.headers.get("link") is None) for one in response.interim] == [
            (102, True),
            (103, False),
        ]
        with client.stream("GET", "/", on_interim=told.append) as stream:
            assert [interim.status for interim in stream.interim] == [102, 103]
            assert len(told) == 4
        if isinstance(client, AsyncFace):
            told.clear()
            client.get("/", on_interim=tell)
            assert told == [102, 103]
        else:
            with pytest.raises(ConfigError, match="coroutine function needs an AsyncClient"):
                client.get("/", on_interim=tell)
        assert client.get("/", progress=lambda progress: None, on_interim=lambda one: None).status == 200


def test_an_interim_response_is_told_while_the_final_one_is_not_there(make_client: Make) -> None:
    told: list[plait.Interim] = []

    def waiting(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "103"), ("link", "</a>")])
        peer.flush()
        (second,) = peer.requests()  # it is sent by what is called with the interim response
        peer.respond(second, content=b"second")
        peer.respond(stream, content=b"first")
        peer.drain()

    with raw_server(waiting) as server, make_client(server.url, http="2") as client:
        fetched = []

        def fetch(interim: plait.Interim) -> Any:
            told.append(interim)
            if isinstance(client, AsyncFace):
                return fetch_waiting()
            fetched.append(client.get("/second").content)

        async def fetch_waiting() -> None:
            assert isinstance(client, AsyncFace)
            fetched.append((await client.client.get("/second")).content)

        assert client.get("/first", on_interim=fetch).content == b"first"
        assert fetched == [b"second"]
    assert [one.status for one in told] == [103]


def test_interim_responses_over_http1_are_told_as_well(make_client: Make) -> None:
    def early(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + OK)

    told: list[plait.Interim] = []
    with h1_server(early) as url, make_client(url) as client:
        response = client.get("/", on_interim=told.append)
        assert [one.status for one in told] == [one.status for one in response.interim] == [103]
        assert response.content == b"ok"


def test_what_is_called_with_an_interim_response_may_raise(make_client: Make) -> None:
    def refuse(interim: plait.Interim) -> None:
        raise RuntimeError("not this one")

    with raw_server(hinting) as server, make_client(server.url, http="2") as client:
        with pytest.raises(RuntimeError, match="not this one"):
            client.get("/", on_interim=refuse)
        assert client.get("/").status == 200
        with pytest.raises(ConfigError, match="on_interim is a function"):
            client.get("/", on_interim=7)


def test_interim_responses_that_are_too_large_together_end_the_exchange(
    make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClientEndpoint, "max_interim_size", 10_000)

    def stormy(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        for _ in range(20):
            peer.engine.send_headers(stream, [(":status", "103"), ("link", "x" * 800)])
        peer.flush()
        peer.serve()

    with raw_server(stormy) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ExchangeReset, match="too many interim responses") as caught:
            client.get("/")
        assert caught.value.error_code == 11
        assert client.get("/").status == 200


# -- 100 (Continue) --------------------------------------------------------------------------------

EXPECT = {"expect": "100-continue"}


@pytest.mark.parametrize("content", ["bytes", "iterator", "large"])
def test_content_waits_for_100_over_http2(make_client: Make, content: str) -> None:
    large = bytes(1 << 20)
    given: dict[str, Any] = {"bytes": b"content", "iterator": iter([b"con", b"tent"]), "large": large}
    seen = []

    def asking(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.ping(b"in order")
        peer.flush()
        peer.wait_for(h2.events.PingAckReceived)
        seen.append(any(isinstance(event, h2.events.DataReceived) for event in peer.events))
        peer.engine.send_headers(stream, [(":status", "100")])
        peer.flush()
        size = 0
        while size < (len(large) if content == "large" else 7):
            (event,) = peer.wait_for(h2.events.DataReceived)
            size += len(event.data)
            peer.engine.acknowledge_received_data(event.flow_controlled_length, stream)
            peer.flush()
        peer.respond(stream)
        peer.drain()

    # A timeout that nothing but a 100 can end in the time that a test has.
    options: dict[str, Any] = {"http": "2", "expect_timeout": 60}
    with raw_server(asking) as server, make_client(server.url, **options) as client:
        response = client.post("/", content=given[content], headers=EXPECT)
        assert response.content == b"ok"
        assert [one.status for one in response.interim] == [100]
    assert seen == [False]


def test_content_waits_for_100_over_http1(make_client: Make) -> None:
    seen = []

    def asking(sock: socket.socket) -> None:
        seen.append(request(sock))
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        seen.append(read_until(sock, b"content"))
        sock.sendall(OK)

    with h1_server(asking) as url, make_client(url, expect_timeout=60) as client:
        assert client.post("/", content=b"content", headers=EXPECT).content == b"ok"
    assert seen[0].endswith(b"\r\n\r\n")
    assert seen[1] == b"content"


def test_content_goes_out_when_nobody_says_100_in_time(make_client: Make) -> None:
    def silent(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.wait_for(h2.events.StreamEnded)
        peer.respond(stream)
        peer.drain()

    with (
        raw_server(silent) as server,
        make_client(server.url, http="2", expect_timeout=0.05) as client,
    ):
        began = time.monotonic()
        assert client.post("/", content=b"content", headers=EXPECT).status == 200
        assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize("http", ["1", "2"])
def test_a_refusal_instead_of_100_is_the_response_and_no_content_is_sent(
    make_client: Make, http: str
) -> None:
    pulled = []

    def pieces() -> Iterator[bytes]:
        pulled.append(1)
        yield b"content"

    def refusing(peer: Peer) -> None:
        peer.start()
        peer.respond(*peer.requests(), status=413)
        peer.wait_for(h2.events.StreamReset)
        assert not any(isinstance(event, h2.events.DataReceived) for event in peer.events)
        peer.serve()

    def refusing_1(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nok")
        assert sock.recv(100) == b""  # neither content nor another request

    def check(client: Face) -> None:
        response = client.post("/", content=pieces(), headers=EXPECT)
        assert (response.status, response.content) == (413, b"ok")
        assert not pulled

    if http == "2":
        with raw_server(refusing) as server, make_client(server.url, http="2", expect_timeout=60) as client:
            check(client)
            assert client.get("/").status == 200
    else:
        with h1_server(refusing_1) as url, make_client(url, expect_timeout=60) as client:
            check(client)


def test_417_is_followed_by_the_request_without_the_expectation(make_client: Make) -> None:
    heads = []

    def ignorant(peer: Peer) -> None:
        peer.start()
        while True:
            if not any(isinstance(event, h2.events.RequestReceived) for event in peer.events):
                if not peer.receive():
                    return
                continue
            (head,) = peer.wait_for(h2.events.RequestReceived)
            heads.append(dict(head.headers))
            if "expect" in heads[-1]:
                peer.respond(head.stream_id, status=417)
            else:
                peer.wait_for(h2.events.StreamEnded)
                peer.respond(head.stream_id)

    with raw_server(ignorant) as server, make_client(server.url, http="2", expect_timeout=60) as client:
        for content in (b"content", iter([b"content"])):
            heads.clear()
            assert client.post("/", content=content, headers=EXPECT).status == 200
            assert ["expect" in head for head in heads] == [True, False]


def test_an_expectation_without_content_is_refused() -> None:
    with plait.Client("http://127.0.0.1:1") as client:
        for headers in (EXPECT, tuple(EXPECT.items())):
            with pytest.raises(LocalProtocolError, match="for requests with content"):
                client.get("/", headers=headers)


@pytest.mark.parametrize("http", ["1", "2"])
def test_plaits_own_server_says_100(
    make_client: Make, http: str, plait_server: RunningServer, certificate: Certificate
) -> None:
    options: dict[str, Any] = {"verify": certificate.ca, "http": http, "expect_timeout": 60}
    with make_client(plait_server.url(), **options) as client:
        response = client.post("/digest", content=bytes(100_000), headers=EXPECT)
        assert response.json()["size"] == 100_000
        assert [one.status for one in response.interim] == [100]


# -- refusals while content is sent ----------------------------------------------------------------


def test_an_early_status_of_400_or_above_ends_the_sending(make_client: Make) -> None:
    pulled = 0

    def endless() -> Iterator[bytes]:
        nonlocal pulled
        while True:
            pulled += 1
            yield bytes(1000)

    def refusing(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.wait_for(h2.events.DataReceived)
        peer.engine.send_headers(stream, [(":status", "403")])
        peer.flush()
        peer.engine.ping(b"in order")
        peer.flush()
        peer.wait_for(h2.events.PingAckReceived)
        sent = sum(isinstance(event, h2.events.DataReceived) for event in peer.events)
        peer.engine.ping(b"and then")
        peer.flush()
        peer.wait_for(h2.events.PingAckReceived)
        assert sum(isinstance(event, h2.events.DataReceived) for event in peer.events) <= sent + 1
        peer.engine.send_data(stream, b"no", end_stream=True)
        peer.flush()
        peer.wait_for(h2.events.StreamReset)
        peer.serve()

    with raw_server(refusing) as server, make_client(server.url, http="2") as client:
        response = client.post("/", content=endless())
        assert (response.status, response.content) == (403, b"no")
        assert client.get("/").status == 200


def test_over_http1_an_early_refusal_ends_the_sending_and_the_connection(make_client: Make) -> None:
    def refusing(sock: socket.socket) -> None:
        read_until(sock, b"\r\n")
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
        while sock.recv(65536):
            pass

    def second(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(OK)

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1000)

    with h1_server(refusing, second) as url, make_client(url) as client:
        response = client.post("/", content=endless())
        assert (response.status, response.content) == (403, b"no")
        assert client.get("/").content == b"ok"
