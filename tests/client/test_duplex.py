"""Requests that are written while their responses are read."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import h2.events
import pytest
from hyperframe.frame import RstStreamFrame

import plait
from plait.errors import (
    ConnectFailed,
    ConnectionLost,
    ExchangeReset,
    LocalProtocolError,
    ReadTimeout,
    WriteTimeout,
)
from tests.support.faces import AsyncFace, Face
from tests.support.h1_peer import h1_server, read_until, request
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer

Make = Callable[..., Face]

NO_ERROR, CANCEL = 0, 8


def echo(peer: Peer) -> None:
    """Answer the first request at once, and send its content back as it comes."""
    peer.start()
    (stream,) = peer.requests()
    peer.engine.send_headers(stream, [(":status", "200"), ("x-early", "yes")])
    peer.flush()
    while True:
        if not any(isinstance(event, h2.events.DataReceived) for event in peer.events):
            if not peer.receive():
                return
            continue
        (event,) = peer.wait_for(h2.events.DataReceived)
        peer.engine.acknowledge_received_data(event.flow_controlled_length, stream)
        peer.engine.send_data(stream, event.data, end_stream=event.stream_ended is not None)
        peer.flush()
        if event.stream_ended:
            break
    peer.serve()


def keep_sending(conversation: Any, piece: bytes = b"piece", taken: list[int] | None = None) -> None:
    """Send until the server wants no more, and note how much was taken each time."""
    while conversation.send(piece):
        if taken is not None:
            taken.append(len(piece))


@pytest.mark.parametrize("http", ["1", "2"])
def test_each_side_answers_the_other(
    make_client: Make, http: str, plait_server: RunningServer, certificate: Certificate
) -> None:
    with make_client(plait_server.url(), verify=certificate.ca, http=http) as client:
        with client.duplex("POST", "/echo") as conversation:
            for n in range(5):
                assert conversation.send(b"%d" % n)
                assert conversation.receive() == b"%d" % n
            conversation.end()
            assert conversation.receive() == b""
            response = conversation.response()
            assert (response.status, response.http_version) == (200, f"HTTP/{'2' if http == '2' else '1.1'}")
            assert response.timing is not None
        assert client.get("/").status == 200
        assert client.statistics.connections_opened == 1


def test_the_head_may_come_before_any_content(make_client: Make) -> None:
    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        with client.duplex("POST", "/") as conversation:
            response = conversation.response()
            assert (response.status, response.headers["x-early"]) == (200, "yes")
            assert conversation.send(b"one")
            assert conversation.receive() == b"one"
            conversation.end()
            assert list(response.iter_bytes()) == []
        assert client.get("/").status == 200


@pytest.mark.parametrize("http", ["1", "2"])
def test_much_goes_both_ways_when_somebody_reads(
    make_client: Make, http: str, plait_server: RunningServer, certificate: Certificate
) -> None:
    """More than all windows and buffers have room for."""
    piece, count = bytes(range(256)) * 1024, 64
    url, received = plait_server.url(), 0
    with make_client(url, verify=certificate.ca, http=http, stream_window=65_536) as client:
        if isinstance(client, AsyncFace):

            async def talk(client: plait.AsyncClient) -> int:
                async with client.duplex("POST", "/echo") as conversation:

                    async def send() -> None:
                        for _ in range(count):
                            await conversation.send(piece)
                        await conversation.end()

                    sending = asyncio.create_task(send())
                    content = await conversation.read()
                    await sending
                    return len(content)

            received = client.run(talk(client.client))
        else:
            with client.duplex("POST", "/echo") as conversation:

                def send() -> None:
                    for _ in range(count):
                        conversation.send(piece)
                    conversation.end()

                thread = threading.Thread(target=send)
                thread.start()
                received = len(conversation.read())
                thread.join()
    assert received == count * len(piece)


def test_who_sends_to_a_server_that_takes_nothing_waits_and_no_longer_than_that(make_client: Make) -> None:
    def refusing(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.wait_for(h2.events.StreamReset)
        peer.serve()

    with (
        raw_server(refusing) as server,
        make_client(server.url, http="2", write_timeout=0.2) as client,
    ):
        with client.duplex("POST", "/") as conversation:
            taken: list[int] = []
            with pytest.raises(WriteTimeout):
                keep_sending(conversation, bytes(10_000), taken)
            # The window, what was given last, and nothing more.
            assert sum(taken) <= 65_535 + 10_000
        assert client.get("/").status == 200


def test_who_reads_from_a_silent_server_gives_up_in_time(make_client: Make) -> None:
    with (
        raw_server(echo) as server,
        make_client(server.url, http="2", read_timeout=0.2, write_timeout=60) as client,
        client.duplex("POST", "/") as conversation,
    ):
        conversation.send(b"one")
        assert conversation.receive() == b"one"
        with pytest.raises(ReadTimeout):
            conversation.receive()


@pytest.mark.parametrize("http", ["1", "2"])
def test_content_may_end_in_trailers(make_client: Make, http: str) -> None:
    received: list[Any] = []

    def taking(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        (trailers,) = peer.wait_for(h2.events.TrailersReceived)
        received.append(dict(trailers.headers))
        peer.respond(stream)
        peer.drain()

    def taking_1(sock: socket.socket) -> None:
        received.append(read_until(sock, b"x-sum: 7\r\n\r\n"))
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    def talk(client: Face) -> None:
        with client.duplex("POST", "/") as conversation:
            conversation.send(b"some")
            conversation.send(b" content")
            with pytest.raises(LocalProtocolError, match="no place"):
                conversation.end({"host": "a.example"})
            conversation.end({"x-sum": "7"})
            assert conversation.read() == b"ok"
            for action in (conversation.end, lambda: conversation.send(b"more")):
                with pytest.raises(LocalProtocolError, match="the content has ended"):
                    action()

    if http == "2":
        with raw_server(taking) as server, make_client(server.url, http="2") as client:
            talk(client)
        assert received == [{"x-sum": "7"}]
    else:
        with h1_server(taking_1) as url, make_client(url) as client:
            talk(client)
        assert received[0].endswith(b"\r\n\r\n4\r\nsome\r\n8\r\n content\r\n0\r\nx-sum: 7\r\n\r\n")


def test_over_http1_the_response_may_come_first_as_well(make_client: Make) -> None:
    def early(sock: socket.socket) -> None:
        assert b"transfer-encoding: chunked" in request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        assert read_until(sock, b"two\r\n") == b"3\r\ntwo\r\n"
        sock.sendall(b"5\r\nthree\r\n")
        assert read_until(sock, b"0\r\n\r\n") == b"0\r\n\r\n"
        sock.sendall(b"0\r\n\r\n")

    with (
        h1_server(early) as url,
        make_client(url) as client,
        client.duplex("POST", "/") as conversation,
    ):
        assert conversation.receive() == b"one"
        assert conversation.send(b"two")
        assert conversation.receive() == b"three"
        conversation.end()
        assert conversation.receive() == b""


@pytest.mark.parametrize("ends", ["status", "reset"])
def test_a_server_that_wants_no_more_says_so_and_its_response_counts(make_client: Make, ends: str) -> None:
    def hasty(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.respond(stream, status=403 if ends == "status" else 200, content=b"enough")
        if ends == "reset":
            # RFC 9113 §8.1
            peer.send(RstStreamFrame(stream, error_code=NO_ERROR))
        peer.drain()

    with raw_server(hasty) as server, make_client(server.url, http="2") as client:
        with client.duplex("POST", "/") as conversation:
            keep_sending(conversation)
            assert not conversation.send(b"piece")
            conversation.end()
            assert conversation.response().status == (403 if ends == "status" else 200)
            assert conversation.read() == b"enough"
        assert client.statistics.connections_opened == 1


def test_a_stream_that_is_reset_ends_the_writing_with_its_error(make_client: Make) -> None:
    def resetting(peer: Peer) -> None:
        peer.start()
        for answered in (False, True):
            (stream,) = peer.requests()
            if answered:
                peer.engine.send_headers(stream, [(":status", "200")])
                peer.flush()
            peer.send(RstStreamFrame(stream, error_code=CANCEL))
        peer.drain()

    with raw_server(resetting) as server, make_client(server.url, http="2") as client:
        for _ in range(2):
            with client.duplex("POST", "/") as conversation, pytest.raises(ExchangeReset) as caught:
                keep_sending(conversation)
            assert caught.value.error_code == CANCEL


def test_who_is_not_reached_cannot_be_written_to(make_client: Make) -> None:
    with make_client("http://127.0.0.1:1") as client, client.duplex("POST", "/") as conversation:
        with pytest.raises(ConnectFailed):
            conversation.send(b"x")
        with pytest.raises(ConnectFailed):
            conversation.receive()


def test_a_server_that_leaves_ends_the_conversation(make_client: Make) -> None:
    def leaving(peer: Peer) -> None:
        peer.start()
        peer.requests()

    with (
        raw_server(leaving) as server,
        make_client(server.url, http="2") as client,
        client.duplex("POST", "/") as conversation,
        pytest.raises(ConnectionLost),
    ):
        keep_sending(conversation)


def test_leaving_a_conversation_resets_its_stream_alone(make_client: Make) -> None:
    def watching(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.wait_for(h2.events.DataReceived)
        (reset,) = peer.wait_for(h2.events.StreamReset)
        assert (reset.stream_id, reset.error_code) == (stream, CANCEL)
        peer.serve()

    with raw_server(watching) as server, make_client(server.url, http="2") as client:
        with client.duplex("POST", "/") as conversation:
            conversation.send(b"one")
        assert client.get("/").status == 200
        assert client.statistics.connections_opened == 1


def test_a_length_that_was_announced_is_held_to(make_client: Make) -> None:
    with (
        raw_server(echo) as server,
        make_client(server.url, http="2") as client,
        client.duplex("POST", "/", headers={"content-length": "5"}) as conversation,
    ):
        conversation.send(b"one")
        assert conversation.receive() == b"one"
        with pytest.raises(LocalProtocolError, match="longer than its content-length, 5"):
            conversation.send(b"four")
        with pytest.raises(LocalProtocolError, match="bytes short of its content-length"):
            conversation.end()


def test_what_is_written_is_bytes_and_not_given_with_the_request(make_client: Make) -> None:
    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        for options in ({"content": b"x"}, {"json": 1}, {"data": {"a": "b"}}, {"trailers": {"a": "b"}}):
            with pytest.raises(LocalProtocolError, match="is written to it"):
                client.duplex("POST", "/", **options)  # type: ignore[arg-type]
        with client.duplex("POST", "/") as conversation:
            with pytest.raises(LocalProtocolError, match="bytes, not str"):
                conversation.send("text")  # type: ignore[arg-type]
            conversation.end()
            assert conversation.read() == b""


def test_a_conversation_may_wait_for_100_and_hear_of_it(make_client: Make) -> None:
    told: list[int] = []

    def asking(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "100")])
        peer.flush()
        peer.wait_for(h2.events.DataReceived)
        peer.wait_for(h2.events.StreamEnded)
        peer.respond(stream)
        peer.drain()

    with (
        raw_server(asking) as server,
        make_client(server.url, http="2", expect_timeout=60) as client,
        client.duplex(
            "POST", "/", headers={"expect": "100-continue"}, on_interim=lambda one: told.append(one.status)
        ) as conversation,
    ):
        assert conversation.send(b"content")
        conversation.end()
        assert conversation.read() == b"ok"
    assert told == [100]


# -- iterators -------------------------------------------------------------------------------------


@pytest.mark.parametrize("http", ["1", "2"])
def test_a_response_is_read_while_an_iterator_is_still_sent(
    make_client: Make, http: str, plait_server: RunningServer, certificate: Certificate
) -> None:
    order: list[str] = []
    came_back = asyncio.Event()
    piece, count = bytes(65_536), 100

    def pieces() -> Iterator[bytes]:
        for _ in range(count):
            order.append("sent")
            yield piece

    async def asynchronous() -> AsyncIterator[bytes]:
        for one in pieces():
            yield one
            await came_back.wait()  # the next is made of it
            came_back.clear()

    size = 0
    with make_client(plait_server.url(), verify=certificate.ca, http=http) as client:
        content = asynchronous() if isinstance(client, AsyncFace) else pieces()
        with client.stream("POST", "/echo", content=content) as response:
            for one in response.iter_bytes():
                order.append("read")
                size += len(one)
                came_back.set()
    assert size == count * len(piece)
    assert "sent" in order[order.index("read") :]


def test_an_error_of_the_iterator_is_what_the_reader_gets(
    make_client: Make, plait_server: RunningServer, certificate: Certificate
) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("the source broke")

    with (
        make_client(plait_server.url(), verify=certificate.ca) as client,
        pytest.raises(RuntimeError, match="the source broke"),
        client.stream("POST", "/echo", content=breaking()) as response,
    ):
        response.read()
