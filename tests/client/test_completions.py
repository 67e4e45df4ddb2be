"""Responses in the order in which they come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import h2.events
import pytest

import plait
from plait.errors import ClientClosed, ReadTimeout
from tests.support.raw_h2 import Peer, raw_server


def backwards(peer: Peer) -> None:
    """Answer three requests at a time, the last one first."""
    peer.start()
    while True:
        try:
            streams = peer.requests(3)
        except AssertionError:
            return  # the client left
        for stream in reversed(streams):
            peer.respond(stream, content=b"%d" % stream)


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


def silent(peer: Peer) -> None:
    peer.start()
    peer.drain()


def one_of_two(peer: Peer) -> None:
    """Answer the second of two requests only."""
    peer.start()
    peer.respond(peer.requests(2)[1])
    peer.drain()


# -- threads that wait ---------------------------------------------------------------------------


def test_requests_are_given_back_in_the_order_in_which_they_are_done() -> None:
    with raw_server(backwards) as server, plait.Client(server.url, http="2") as client:
        pending = [client.submit("GET", "/") for _ in range(3)]
        assert list(client.as_completed(pending)) == pending[::-1]


def test_requests_are_added_while_others_are_given_back() -> None:
    with raw_server(ordinary) as server, plait.Client(server.url, http="2") as client:
        completions = client.as_completed([client.submit("GET", "/")])
        seen = []
        for pending in completions:
            seen.append(pending)
            if len(seen) < 20:
                for _ in range(2):
                    completions.add(client.submit("GET", "/"))
        assert [one.result().status for one in seen] == [200] * 39
        assert client.statistics.exchanges == len(set(seen)) == 39


def test_each_request_is_given_back_once_also_when_it_was_done_before() -> None:
    with raw_server(ordinary) as server, plait.Client(server.url, http="2") as client:
        done = client.submit("GET", "/")
        done.result()
        on_its_way = client.submit("GET", "/")
        completions = client.as_completed([done, on_its_way, on_its_way])
        assert list(completions) == [done, on_its_way]
        assert completions.wait() is None


def test_a_request_that_failed_is_given_back_too() -> None:
    with raw_server(silent) as server, plait.Client(server.url, http="2") as client:
        pending = client.submit("GET", "/", timeout=0.05)
        (given_back,) = client.as_completed([pending])
        with pytest.raises(ReadTimeout, match=r"no complete response within 0\.05 seconds"):
            given_back.result()


def test_a_request_cancelled_by_another_thread_is_given_back() -> None:
    asked = threading.Event()

    def noting(peer: Peer) -> None:
        peer.start()
        peer.requests()
        asked.set()
        peer.drain()

    with raw_server(noting) as server, plait.Client(server.url, http="2") as client:
        pending = client.submit("GET", "/")

        def cancel() -> None:
            assert asked.wait(20)
            pending.cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        assert list(client.as_completed([pending])) == [pending]
        canceller.join()
        with pytest.raises(ClientClosed):
            pending.result()


def test_waiting_ends_in_time_and_the_requests_go_on() -> None:
    released = threading.Event()

    def late(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(2)
        assert released.wait(20)
        peer.respond(*streams)
        peer.drain()

    with raw_server(late) as server, plait.Client(server.url, http="2") as client:
        pending = [client.submit("GET", "/") for _ in range(2)]
        completions = client.as_completed(pending)
        assert completions.wait(0.01) is None
        assert client.wait(pending, 0.01) == []
        released.set()
        assert set(completions) == set(pending)


def test_waiting_for_any_of_some_tells_which_are_done() -> None:
    with raw_server(one_of_two) as server, plait.Client(server.url, http="2") as client:
        stuck, answered = (client.submit("GET", "/") for _ in range(2))
        assert client.wait([stuck, answered]) == [answered]
        assert client.wait([stuck, answered]) == [answered]
        assert not stuck.done
        assert client.wait([]) == []


def test_content_from_an_iterable_is_sent_while_others_are_waited_for() -> None:
    received: list[bytes] = []

    def collecting(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(2)
        peer.wait_for(h2.events.StreamEnded, 2)
        received.extend(event.data for event in peer.events if isinstance(event, h2.events.DataReceived))
        peer.respond(*streams)
        peer.drain()

    def pieces() -> Iterator[bytes]:
        yield b"one "
        yield b"two "
        yield b"three"

    with raw_server(collecting) as server, plait.Client(server.url, http="2") as client:
        pending = [client.submit("POST", "/", content=pieces()), client.submit("GET", "/")]
        assert len(list(client.as_completed(pending))) == 2
        assert b"".join(received) == b"one two three"


def test_many_threads_take_from_one_and_each_request_is_taken_once() -> None:
    with raw_server(ordinary) as server, plait.Client(server.url, http="2") as client:
        completions = client.as_completed(client.submit("GET", "/") for _ in range(200))
        with ThreadPoolExecutor(4) as threads:
            shares = list(threads.map(lambda _: list(completions), range(4)))
        taken = [pending for share in shares for pending in share]
        assert len(taken) == len(set(taken)) == 200


def test_one_thread_waits_for_a_result_while_another_takes_what_is_done() -> None:
    with raw_server(ordinary) as server, plait.Client(server.url, http="2") as client:
        pending = [client.submit("GET", "/") for _ in range(200)]
        with ThreadPoolExecutor(2) as threads:
            results = threads.submit(lambda: [one.result().status for one in reversed(pending)])
            assert set(client.as_completed(pending)) == set(pending)
            assert results.result(20) == [200] * 200


def test_several_origins_are_connected_to_by_whoever_waits() -> None:
    with raw_server(ordinary) as one, raw_server(ordinary) as other, plait.Client(http="2") as client:
        pending = [client.submit("GET", f"{server.url}/") for server in (one, other)]
        assert {each.result().status for each in client.as_completed(pending)} == {200}


# -- asyncio -------------------------------------------------------------------------------------


async def test_asyncio_gives_requests_back_in_the_order_in_which_they_are_done() -> None:
    with raw_server(backwards) as server:
        async with plait.AsyncClient(server.url, http="2") as client:
            pending = [client.submit("GET", "/") for _ in range(3)]
            assert [one async for one in client.as_completed(pending)] == pending[::-1]


async def test_asyncio_takes_more_requests_while_others_are_given_back() -> None:
    with raw_server(ordinary) as server:
        async with plait.AsyncClient(server.url, http="2") as client:
            completions = client.as_completed([client.submit("GET", "/")])
            seen = set()
            async for pending in completions:
                assert (await pending).status == 200
                seen.add(pending)
                if len(seen) < 20:
                    completions.add(client.submit("GET", "/"))
            assert len(seen) == 20


async def test_asyncio_waits_for_any_of_some_and_no_longer_than_told() -> None:
    with raw_server(one_of_two) as server:
        async with plait.AsyncClient(server.url, http="2") as client:
            stuck, answered = (client.submit("GET", "/") for _ in range(2))
            assert await client.wait([stuck, answered]) == [answered]
            assert await client.wait([stuck], 0.01) == []
            assert await client.as_completed([stuck]).wait(0.01) is None
            assert not stuck.done


async def test_asyncio_gives_back_a_request_whose_time_is_over() -> None:
    with raw_server(silent) as server:
        async with plait.AsyncClient(server.url, http="2") as client:
            pending = client.submit("GET", "/", timeout=0.05)
            assert [one async for one in client.as_completed([pending])] == [pending]
            with pytest.raises(ReadTimeout):
                await pending
