"""What is given up: its stream is reset, its credit given back, and nobody else notices."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import h2.events
import h2.exceptions
import pytest

import plait
from plait.errors import ClientClosed, ConfigError, ReadTimeout, Timeout
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, raw_server

Make = Callable[..., Face]

MEBIBYTE = 1 << 20


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


def forgiving(peer: Peer) -> None:
    """Answer, but for what was reset meanwhile."""
    peer.start()
    while True:
        try:
            (request,) = peer.wait_for(h2.events.RequestReceived)
            peer.respond(request.stream_id)
        except (h2.exceptions.StreamClosedError, h2.exceptions.StreamIDTooLowError):
            continue
        except (AssertionError, OSError, h2.exceptions.ProtocolError):
            return


def silent(peer: Peer) -> None:
    peer.start()
    peer.drain()


def resetting(count: int) -> Callable[[Peer], None]:
    """Wait until so many requests were reset, then answer."""

    def script(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(count)
        resets = peer.wait_for(h2.events.StreamReset, count)
        assert {(one.stream_id, one.error_code) for one in resets} == {(stream, 8) for stream in streams}
        peer.serve()

    return script


# -- both clients --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_what_is_given_up_costs_the_connection_no_window(make_client: Make, how: str) -> None:
    """Each has half of the connection's window in content that nobody takes."""
    sent = threading.Event()

    def half_sent(peer: Peer) -> None:
        peer.start()
        for _ in range(3):
            (stream,) = peer.requests()
            peer.engine.send_headers(stream, [(":status", "200")])
            for _ in range(32):
                peer.engine.send_data(stream, bytes(16384))
            peer.flush()
            sent.set()
            (reset,) = peer.wait_for(h2.events.StreamReset)
            assert (reset.stream_id, reset.error_code) == (stream, 8)
        peer.serve()

    options = {"connection_window": MEBIBYTE, "stream_window": MEBIBYTE // 2}
    with raw_server(half_sent) as server, make_client(server.url, http="2", **options) as client:
        for _ in range(3):
            if how == "timeout":
                with pytest.raises(ReadTimeout):
                    client.get("/", timeout=0.5)
            else:
                sent.clear()
                pending = client.submit("GET", "/")
                while not sent.is_set():
                    with pytest.raises(Timeout, match="still on its way"):
                        pending.result(timeout=0.05)
                pending.cancel()
                with pytest.raises(ClientClosed, match="the request was cancelled"):
                    pending.result()
        assert client.get("/").content == b"ok"
        assert client.statistics.connections_opened == 1


def test_cancelling_what_is_done_does_nothing(make_client: Make) -> None:
    with raw_server(ordinary) as server, make_client(server.url, http="2") as client:
        pending = client.submit("GET", "/")
        assert pending.result().status == 200
        pending.cancel()
        assert pending.result().status == 200


def test_the_time_for_all_of_some_requests_can_be_limited(make_client: Make) -> None:
    def one_of_two(peer: Peer) -> None:
        peer.start()
        peer.respond(peer.requests(2)[0])
        peer.drain()

    with raw_server(one_of_two) as server, make_client(server.url, http="2") as client:
        pending = [client.submit("GET", "/") for _ in range(2)]
        completions = client.as_completed(pending, timeout=0.2)
        assert next(completions) is pending[0]
        with pytest.raises(Timeout, match="1 requests were not done in time"):
            next(completions)
        pending[1].cancel()
        assert next(completions) is pending[1]


# -- threads that wait ---------------------------------------------------------------------------


def test_of_many_that_are_cancelled_one_by_one_those_that_wait_are_never_sent() -> None:
    with (
        raw_server(resetting(1)) as server,
        plait.Client(server.url, http="2", max_in_flight=1, max_h2_connections=1) as client,
    ):
        pending = [client.submit("GET", "/") for _ in range(1000)]
        with pytest.raises(Timeout):
            pending[0].result(timeout=0.1)
        for one in pending:
            one.cancel()
        assert client.get("/").status == 200
        assert client.statistics.exchanges == 2


def test_a_wait_of_no_time_looks_once_and_returns() -> None:
    with raw_server(ordinary) as server, plait.Client(server.url, http="2") as client:
        pending = client.submit("GET", "/")
        for _ in range(10_000):
            try:
                response = pending.result(timeout=0)
                break
            except Timeout:
                pass
        assert response.status == 200
        assert client.as_completed().wait(0) is None


def test_a_hundred_threads_cancel_and_leave_early_on_one_client() -> None:
    with (
        raw_server(forgiving) as server,
        plait.Client(server.url, http="2", max_h2_connections=1) as client,
    ):

        def work(number: int) -> int:
            for _ in range(3):
                client.submit("GET", "/").cancel()
                for response in client.map(["/"] * 4, ordered=bool(number % 2)):
                    assert response.status == 200
                    break
                with client.stream("GET", "/") as stream:
                    assert stream.status == 200
            return client.get("/").status

        with ThreadPoolExecutor(100) as threads:
            assert set(threads.map(work, range(100))) == {200}
        assert client.get("/").status == 200
        assert client.statistics.connections_opened == 1


def test_a_finalizer_gives_up_what_is_left_also_in_a_thread_that_holds_the_lock() -> None:
    with raw_server(forgiving) as server, plait.Client(server.url, http="2") as client:

        def leave_in_a_cycle() -> None:
            def reads() -> Iterator[None]:
                with client.stream("GET", "/"):
                    yield

            for left in (client.map("/" for _ in itertools.count()), reads()):
                next(left)
                cycle: list[object] = [left]
                cycle.append(cycle)

        gc.collect()
        gc.disable()
        try:
            leave_in_a_cycle()
            with client._driver.lock:  # as where anything is allocated under it
                gc.collect()
        finally:
            gc.enable()
        assert client.get("/").status == 200
        (endpoint,) = [link.endpoint for link in client._core.pool.links]
        assert endpoint.exchanges == {}


# -- asyncio -------------------------------------------------------------------------------------


async def test_asyncio_never_sends_what_is_cancelled_while_it_waits() -> None:
    with raw_server(resetting(1)) as server:
        options = {"max_in_flight": 1, "max_h2_connections": 1}
        async with plait.AsyncClient(server.url, http="2", **options) as client:
            pending = [client.submit("GET", "/") for _ in range(1000)]
            with pytest.raises(Timeout):
                await pending[0].result(timeout=0.1)
            for one in pending:
                one.cancel()
            assert (await client.get("/")).status == 200
            assert client.statistics.exchanges == 2


async def test_a_timeout_around_an_await_resets_the_stream() -> None:
    with raw_server(resetting(2)) as server:
        async with plait.AsyncClient(server.url, http="2") as client:
            for waiting in (client.get("/"), client.submit("GET", "/")):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await waiting
            assert (await client.get("/")).status == 200


async def test_a_task_group_that_fails_resets_the_streams_of_all_its_tasks() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.1)
        raise ZeroDivisionError

    with raw_server(resetting(20)) as server:
        async with plait.AsyncClient(server.url, http="2") as client:

            async def fetch_together() -> None:
                async with asyncio.TaskGroup() as group:
                    for _ in range(20):
                        group.create_task(client.get("/"))
                    group.create_task(fail())

            with pytest.raises(ExceptionGroup) as caught:
                await fetch_together()
            assert caught.value.subgroup(ZeroDivisionError) is not None
            assert (await client.get("/")).status == 200


async def test_a_task_that_is_cancelled_cancels_what_it_gathers_and_maps() -> None:
    with raw_server(resetting(6)) as server:
        async with plait.AsyncClient(server.url, http="2") as client:

            async def take_all() -> None:
                async for _ in client.map(["/"] * 3):
                    raise AssertionError

            async def gather_all() -> None:
                await client.gather(*["/"] * 3)

            tasks = [asyncio.create_task(one) for one in (take_all(), gather_all())]
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert all(task.cancelled() for task in tasks)
            assert (await client.get("/")).status == 200


async def test_a_loop_that_is_left_without_a_word_leaves_nothing_behind() -> None:
    def two_more(peer: Peer) -> None:
        peer.start()
        peer.respond(peer.requests(3)[0])
        peer.wait_for(h2.events.StreamReset, 2)
        peer.serve()

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    with raw_server(two_more) as server:
        async with plait.AsyncClient(server.url, http="2") as client:
            async for response in client.map(["/"] * 3):
                assert response.status == 200
                break
            await asyncio.sleep(0)
            gc.collect()
            assert (await client.get("/")).status == 200
    assert told == []


async def test_an_asynchronous_iterable_is_taken_from_while_others_are_given_back() -> None:
    more = asyncio.Event()

    async def urls() -> AsyncIterator[str]:
        yield "/"
        await more.wait()
        yield "/"

    for ordered in (True, False):
        more.clear()
        with raw_server(ordinary) as server:
            async with plait.AsyncClient(server.url, http="2") as client:
                statuses = []
                async for response in client.map(urls(), ordered=ordered):
                    statuses.append(response.status)
                    more.set()
                assert statuses == [200, 200]


async def test_an_asynchronous_iterable_is_cancelled_when_the_loop_is_left() -> None:
    ended = False

    async def urls() -> AsyncIterator[str]:
        nonlocal ended
        try:
            yield "/"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended = True

    with raw_server(ordinary) as server:
        async with (
            plait.AsyncClient(server.url, http="2") as client,
            aclosing(client.map(urls())) as responses,
        ):
            async for response in responses:
                assert response.status == 200
                break
        assert ended


async def test_what_an_asynchronous_iterable_raises_comes_after_the_responses_before_it() -> None:
    async def urls() -> AsyncIterator[str]:
        yield "/"
        raise ZeroDivisionError

    with raw_server(ordinary) as server:
        async with plait.AsyncClient(server.url, http="2") as client:
            responses = client.map(urls())
            assert (await anext(responses)).status == 200
            with pytest.raises(ZeroDivisionError):
                await anext(responses)


async def test_an_asynchronous_iterable_is_taken_from_no_further_than_the_window() -> None:
    taken = 0

    async def urls() -> AsyncIterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "/"

    with raw_server(forgiving) as server:
        async with plait.AsyncClient(server.url, http="2") as client:
            responses = client.map(urls(), window=5)
            for given in range(20):
                await anext(responses)
                await asyncio.sleep(0)
                assert given < taken <= given + 5
            await responses.aclose()


async def test_a_client_that_is_closed_ends_a_wait_for_its_iterable() -> None:
    async def urls() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield "/"

    client = plait.AsyncClient("http://127.0.0.1:1")
    waiting = asyncio.ensure_future(anext(client.map(urls())))
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(ClientClosed):
        await waiting


async def test_content_that_nobody_wants_any_more_is_waited_for_no_longer() -> None:
    ended = asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            ended.set()

    with raw_server(silent) as server:
        async with plait.AsyncClient(server.url, http="2") as client:
            with pytest.raises(ReadTimeout):
                await client.post("/", content=content(), timeout=0.1)
            async with asyncio.timeout(20):
                await ended.wait()


def test_a_client_of_one_event_loop_refuses_another() -> None:
    async def get(client: plait.AsyncClient, url: str) -> int:
        return (await client.get(url)).status

    with raw_server(ordinary) as server:
        client = plait.AsyncClient(server.url, http="2")
        with asyncio.Runner() as runner:
            assert runner.run(get(client, "/")) == 200
            with pytest.raises(ConfigError, match="belongs to the event loop"):
                asyncio.run(get(client, "/"))
            runner.run(client.aclose())


def test_threads_do_not_wait_for_requests_of_another_client() -> None:
    with raw_server(silent) as server, plait.Client(server.url, http="2") as client, plait.Client() as other:
        pending = client.submit("GET", "/")
        with pytest.raises(ConfigError, match="requests of another client"):
            other.as_completed([pending])
