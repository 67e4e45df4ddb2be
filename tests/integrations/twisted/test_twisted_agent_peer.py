"""What servers do to the agent, done by a scripted peer on another engine, over TLS."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any

import h2.events
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame, HeadersFrame, RstStreamFrame
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults
from twisted.internet.error import TimeoutError as TwistedTimeoutError
from twisted.internet.task import deferLater
from twisted.web.client import (
    FileBodyProducer,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
    readBody,
)
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from plait.errors import ExchangeReset
from plait.integrations.twisted import Agent
from tests.support.raw_h2 import Peer, RawServer, Script, raw_server
from tests.support.reactor import Reader, in_reactor, policy_for, reactor
from tests.support.servers import Certificate
from tests.support.twisted_site import failures

pytestmark = pytest.mark.usefixtures("reactor_thread")

REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 7, 8, 11
MEBIBYTE = 1 << 20


class Peering:
    """An agent and a scripted server.

    Attributes:
        agent: The agent.
        pool: Its pool.
        server: The server.
    """

    def __init__(self, server: RawServer, certificate: Certificate, persistent: bool) -> None:
        self.server = server
        self.pool = HTTPConnectionPool(reactor, persistent)
        self.agent = Agent(reactor, policy_for(certificate.ca), pool=self.pool)

    async def close(self) -> None:
        """Close every connection, so that the scripts end."""
        for link in self.agent.core.pool.links:
            link.endpoint.terminate()
        await self.pool.closeCachedConnections()

    def request(self, method: bytes = b"GET", path: str = "/", body: Any = None) -> Deferred[Any]:
        """Send a request."""
        return self.agent.request(method, f"{self.server.url}{path}".encode(), None, body)

    async def get(self, path: str = "/") -> bytes:
        """Fetch what is whole."""
        return await readBody(await self.request(path=path))


@pytest.fixture
def peering(certificate: Certificate) -> Callable[..., Any]:
    """Return what runs scripts as a server, and gives an agent for it."""

    @contextmanager
    def run(*scripts: Script, persistent: bool = True) -> Iterator[Peering]:
        with raw_server(*scripts, certificate=certificate) as server:
            peering = Peering(server, certificate, persistent)
            try:
                yield peering
            finally:
                in_reactor(peering.close)

    return run


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


class Halting(Reader):
    """Takes one piece, then pauses."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.pauseProducing()


@implementer(IBodyProducer)
class Endless:
    """Produces content until it is told to stop."""

    length = UNKNOWN_LENGTH

    def __init__(self) -> None:
        self.written = 0
        self.paused = self.stopped = False

    def startProducing(self, consumer: Any) -> Deferred[None]:
        self._consumer = consumer
        self.resumeProducing()
        return Deferred()

    def resumeProducing(self) -> None:
        self.paused = False
        while not self.paused and not self.stopped:
            self._consumer.write(b"x" * 16_384)
            self.written += 16_384

    def pauseProducing(self) -> None:
        self.paused = True

    def stopProducing(self) -> None:
        self.stopped = True


async def failure_of(deferred: Any, kind: type[Exception]) -> Any:
    with pytest.raises(kind) as caught:
        await deferred
    return caught.value


# -- connections ---------------------------------------------------------------------------------


def test_many_requests_at_once_share_one_connection(peering: Any) -> None:
    with peering(ordinary) as run:

        async def calls() -> list[bytes]:
            return await gatherResults([Deferred.fromCoroutine(run.get(f"/{n}")) for n in range(50)])

        assert in_reactor(calls) == [b"ok"] * 50
        assert run.server.connections == 1


def test_a_server_that_allows_three_streams_gets_three_at_a_time_on_one_connection(peering: Any) -> None:
    most = 0

    def narrow(peer: Peer) -> None:
        nonlocal most
        peer.start({SettingCodes.MAX_CONCURRENT_STREAMS: 3})
        peer.serve(limit=1)
        for _ in range(5):
            streams = peer.requests(3)
            most = max(most, peer.engine.open_inbound_streams)
            peer.respond(*streams)
        peer.drain()

    with peering(narrow) as run:

        async def calls() -> list[bytes]:
            await run.get()  # the server's limit comes with its first answer
            return await gatherResults([Deferred.fromCoroutine(run.get()) for _ in range(15)])

        assert in_reactor(calls) == [b"ok"] * 15
        assert run.server.connections == 1
        assert most == 3


def test_a_connection_of_a_pool_that_keeps_none_ends_with_its_last_request(peering: Any) -> None:
    left = threading.Event()

    def watched(peer: Peer) -> None:
        ordinary(peer)
        left.set()

    with peering(watched, persistent=False) as run:
        assert in_reactor(run.get) == b"ok"
        assert left.wait(20)
        assert in_reactor(run.get) == b"ok"
        assert run.server.connections == 2


def test_requests_one_after_the_other_share_a_connection_even_without_a_persistent_pool(
    peering: Any,
) -> None:
    with peering(ordinary, persistent=False) as run:

        async def calls() -> list[bytes]:
            return [await run.get() for _ in range(10)]

        assert in_reactor(calls) == [b"ok"] * 10
        assert run.server.connections == 1


def test_an_idle_connection_closes_after_the_pools_timeout_with_a_goaway(peering: Any) -> None:
    goodbye: list[Any] = []

    def watched(peer: Peer) -> None:
        ordinary(peer)
        goodbye.extend(event for event in peer.events if isinstance(event, h2.events.ConnectionTerminated))

    with peering(watched) as run:
        run.pool.cachedConnectionTimeout = 0.05
        assert in_reactor(run.get) == b"ok"

        async def later() -> None:
            await deferLater(reactor, 0.1, lambda: None)

        in_reactor(later)
        assert in_reactor(run.get) == b"ok"
        assert run.server.connections == 2
    assert len(goodbye) == 2


def test_the_pool_closes_idle_connections_when_told_to(peering: Any) -> None:
    with peering(ordinary) as run:

        async def calls() -> None:
            await run.get()
            await run.pool.closeCachedConnections()
            await run.get()

        in_reactor(calls)
        assert run.server.connections == 2
        assert not run.pool._timeouts or len(run.pool._timeouts) == 1


def test_a_cached_connection_that_the_server_closes_leaves_the_pool(peering: Any) -> None:
    gone = threading.Event()

    def leaving(peer: Peer) -> None:
        peer.start()
        peer.serve(limit=1)
        peer.send(GoAwayFrame(0, last_stream_id=1))
        gone.set()

    with peering(leaving, ordinary) as run:
        assert in_reactor(run.get) == b"ok"
        assert gone.wait(20)
        assert in_reactor(run.get) == b"ok"
        assert run.server.connections == 2


# -- what is sent again --------------------------------------------------------------------------


def test_requests_above_the_last_one_of_a_goaway_are_sent_again_on_a_new_connection(peering: Any) -> None:
    def leaving(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(4)
        peer.send(GoAwayFrame(0, last_stream_id=streams[1], error_code=0))
        peer.respond(*streams[:2], content=b"first connection")
        peer.drain()

    def second(peer: Peer) -> None:
        peer.start()
        peer.serve(content=b"second connection")

    with peering(leaving, second) as run:

        async def calls() -> list[bytes]:
            return await gatherResults([Deferred.fromCoroutine(run.get(f"/{n}")) for n in range(4)])

        assert in_reactor(calls) == [b"first connection"] * 2 + [b"second connection"] * 2
        assert run.server.connections == 2


def test_refused_stream_is_sent_again_once_and_then_told(peering: Any) -> None:
    def refusing(peer: Peer) -> None:
        peer.start()
        for _ in range(2):
            peer.send(RstStreamFrame(peer.requests()[0], error_code=REFUSED_STREAM))
        peer.serve()

    with peering(refusing) as run:
        error = in_reactor(lambda: failure_of(run.request(b"POST"), ResponseNeverReceived))
        assert error.reasons[0].check(ExchangeReset)
        assert "REFUSED_STREAM" in str(error)


def test_a_refused_request_whose_content_is_gone_is_not_sent_again(peering: Any) -> None:
    def refusing(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.wait_for(h2.events.StreamEnded)
        peer.send(RstStreamFrame(stream, error_code=REFUSED_STREAM))
        peer.serve()

    with peering(refusing) as run:
        body = FileBodyProducer(BytesIO(b"x"))
        error = in_reactor(lambda: failure_of(run.request(b"POST", body=body), ResponseNeverReceived))
        assert "REFUSED_STREAM" in str(error)


@pytest.mark.parametrize("retries", [True, False])
def test_a_get_on_a_used_connection_that_is_lost_is_sent_again_if_the_pool_retries(
    peering: Any, retries: bool
) -> None:
    def closing(peer: Peer) -> None:
        peer.start()
        peer.serve(limit=1)
        peer.requests()

    with peering(closing, ordinary) as run:
        run.pool.retryAutomatically = retries
        assert in_reactor(run.get) == b"ok"
        if retries:
            assert in_reactor(run.get) == b"ok"
        else:
            in_reactor(lambda: failure_of(run.request(), ResponseNeverReceived))


def test_a_post_on_a_used_connection_that_is_lost_fails(peering: Any) -> None:
    def closing(peer: Peer) -> None:
        peer.start()
        peer.serve(limit=1)
        peer.requests()

    with peering(closing) as run:
        assert in_reactor(run.get) == b"ok"
        in_reactor(lambda: failure_of(run.request(b"POST"), ResponseNeverReceived))


# -- how it fails --------------------------------------------------------------------------------


def test_a_reset_before_the_response_fails_the_request_and_names_the_code(peering: Any) -> None:
    def resetting(peer: Peer) -> None:
        peer.start()
        first, second = peer.requests(2)
        peer.send(RstStreamFrame(first, error_code=ENHANCE_YOUR_CALM))
        peer.respond(second)
        peer.drain()

    with peering(resetting) as run:

        async def calls() -> Any:
            return await DeferredList([run.request(), run.request()], consumeErrors=True)

        (failed, failure), (succeeded, response) = in_reactor(calls)
        assert (failed, succeeded, response.code) == (False, True, 200)
        assert failure.check(ResponseNeverReceived)
        assert "ENHANCE_YOUR_CALM" in str(failure.value)


def test_a_reset_within_the_content_fails_the_response_after_what_came(peering: Any) -> None:
    def resetting(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200"), ("content-length", "10")])
        peer.engine.send_data(stream, b"half")
        peer.send(RstStreamFrame(stream, error_code=ENHANCE_YOUR_CALM))
        peer.drain()

    with peering(resetting) as run:

        async def call() -> tuple[Any, Reader]:
            response = await run.request()
            reader = Reader()
            response.deliverBody(reader)
            await reader.ended
            return response, reader

        response, reader = in_reactor(call)
        assert response.length == 10
        assert reader.content == b"half"
        error = reader.reason.value
        assert isinstance(error, ResponseFailed)
        assert error.response is response
        assert "ENHANCE_YOUR_CALM" in str(error)


def test_a_goaway_with_an_error_fails_what_is_open_and_names_the_code(peering: Any) -> None:
    def angry(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.send(GoAwayFrame(0, last_stream_id=stream, error_code=ENHANCE_YOUR_CALM))

    with peering(angry) as run:
        in_reactor(lambda: failure_of(run.request(b"POST"), ResponseNeverReceived))


def test_a_connection_that_breaks_rules_fails_with_what_was_wrong(peering: Any) -> None:
    def broken(peer: Peer) -> None:
        peer.start()
        peer.requests()
        peer.flush()
        peer.socket.sendall(bytes([0, 0, 1, 0, 0, 0, 0, 0, 0]) + b"x")  # DATA on stream 0
        peer.drain()

    with peering(broken) as run:
        error = in_reactor(lambda: failure_of(run.request(b"POST"), ResponseNeverReceived))
        assert "PROTOCOL_ERROR" in str(error)


# -- cancelling ----------------------------------------------------------------------------------


def reset_code(peer: Peer) -> Any:
    (event,) = peer.wait_for(h2.events.StreamReset)
    return event.error_code


def test_to_cancel_a_request_resets_its_stream_and_no_other(peering: Any) -> None:
    codes = []
    asked = threading.Event()

    def patient(peer: Peer) -> None:
        peer.start()
        second = peer.requests(2)[1]
        asked.set()
        codes.append(reset_code(peer))
        peer.respond(second)
        peer.drain()

    with peering(patient) as run:

        async def calls() -> Any:
            first, second = run.request(), run.request()
            while not asked.is_set():
                await deferLater(reactor, 0.005, lambda: None)
            first.cancel()
            error = await failure_of(first, ResponseNeverReceived)
            return error, await second

        error, response = in_reactor(calls)
        assert error.reasons[0].check(CancelledError)
        assert response.code == 200
    assert codes == [CANCEL]


def test_a_cancelled_request_that_waits_for_its_turn_is_never_sent(peering: Any) -> None:
    def narrow(peer: Peer) -> None:
        peer.start({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        peer.serve()

    with peering(narrow) as run:

        async def calls() -> Any:
            await run.get()
            first, second, third = run.request(), run.request(), run.request()
            second.cancel()
            await failure_of(second, CancelledError)
            return [await readBody(await one) for one in (first, third)]

        assert in_reactor(calls) == [b"ok", b"ok"]


def test_to_cancel_reading_resets_the_stream(peering: Any) -> None:
    codes = []

    def sending(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.engine.send_data(stream, b"some")
        peer.flush()
        codes.append(reset_code(peer))
        peer.serve()

    with peering(sending) as run:

        async def calls() -> Any:
            reading = readBody(await run.request())
            reading.cancel()
            await failure_of(reading, CancelledError)
            return await run.get()

        with failures() as logged:
            assert in_reactor(calls) == b"ok"
        assert logged == []
        assert run.server.connections == 1
    assert codes == [CANCEL]


def test_the_last_request_to_be_cancelled_takes_its_connection_attempt_with_it(
    certificate: Certificate,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def calls() -> Any:
            agent = Agent(reactor, policy_for(certificate.ca))
            url = f"https://127.0.0.1:{listener.getsockname()[1]}/".encode()
            first, second = agent.request(b"GET", url), agent.request(b"GET", url)
            while not agent._connecting:
                await deferLater(reactor, 0, lambda: None)
            sock = None
            while sock is None:
                await deferLater(reactor, 0.005, lambda: None)
                listener.setblocking(False)
                try:
                    sock, _ = listener.accept()
                except BlockingIOError:
                    pass
            first.cancel()
            await failure_of(first, CancelledError)
            assert agent._connecting
            second.cancel()
            await failure_of(second, CancelledError)
            await deferLater(reactor, 0.02, lambda: None)
            assert not agent._connecting
            sock.settimeout(10)
            return sock

        with in_reactor(calls) as sock:
            try:
                while sock.recv(65536):
                    pass
            except ConnectionResetError:
                pass


def test_a_tls_handshake_that_takes_too_long_fails_every_request_that_waits(
    certificate: Certificate,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def calls() -> Any:
            agent = Agent(reactor, policy_for(certificate.ca), connectTimeout=0.2)
            url = f"https://127.0.0.1:{listener.getsockname()[1]}/".encode()
            return await DeferredList([agent.request(b"GET", url) for _ in range(3)], consumeErrors=True)

        for failed, failure in in_reactor(calls):
            assert not failed
            assert failure.check(TwistedTimeoutError)


# -- content, both ways --------------------------------------------------------------------------


def test_a_paused_body_holds_back_its_own_stream_and_no_other(peering: Any) -> None:
    """The server can send no more than the stream's window of it, and all of another."""
    sent = []

    def sending(peer: Peer) -> None:
        peer.start()
        first, second = peer.requests(2)
        for stream in (first, second):
            peer.engine.send_headers(stream, [(":status", "200")])
        total = 0
        while room := min(peer.engine.local_flow_control_window(first), 16_384):
            peer.engine.send_data(first, b"p" * room)
            peer.flush()
            total += room
        sent.append(total)
        left = 4 * MEBIBYTE
        while left:
            room = min(peer.engine.local_flow_control_window(second), 16_384, left)
            if not room:
                assert peer.receive()
                continue
            peer.engine.send_data(second, b"q" * room, end_stream=room == left)
            left -= room
            peer.flush()
        while not (room := peer.engine.local_flow_control_window(first)):
            assert peer.receive()
        peer.engine.send_data(first, b"", end_stream=True)
        peer.flush()
        peer.drain()

    with peering(sending) as run:

        async def calls() -> Any:
            first, second = run.request(), run.request()
            halting = Halting()
            (await first).deliverBody(halting)
            whole = await readBody(await second)
            before = len(halting.content)
            halting.dataReceived = lambda data: Reader.dataReceived(halting, data)  # type: ignore[method-assign]
            halting.transport.resumeProducing()
            await halting.ended
            return before, len(halting.content), len(whole), halting.reason

        before, after, whole, reason = in_reactor(calls)
        assert whole == 4 * MEBIBYTE
        assert before < sent[0] == after
        assert reason.check(ResponseDone)


def test_a_response_that_nobody_holds_any_more_is_reset(peering: Any) -> None:
    codes = []

    def sending(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.engine.send_data(stream, b"some")
        peer.flush()
        codes.append(reset_code(peer))
        peer.serve()

    with peering(sending) as run:

        async def calls() -> bytes:
            response = await run.request()
            assert response.code == 200
            del response
            gc.collect()
            return bytes(await run.get())

        assert in_reactor(calls) == b"ok"
    assert codes == [CANCEL]


def test_responses_that_are_never_read_cost_the_connection_no_window(peering: Any) -> None:
    """A redirect's content, for one: Twisted's RedirectAgent does not read it."""

    def sending(peer: Peer) -> None:
        peer.start()
        peer.serve(content=b"x" * 16_000)

    with peering(sending) as run:
        # Twenty of them are more than the connection's window.
        core = run.agent.core
        core.config = replace(core.config, stream_window=65_535, connection_window=65_535)

        async def calls() -> list[int]:
            kept = [await run.request() for _ in range(20)]
            return [one.code for one in kept]

        assert in_reactor(calls) == [200] * 20


def test_a_producer_is_slowed_down_by_the_servers_window_and_stopped_by_its_reset(peering: Any) -> None:
    def unwilling(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        while sum(len(e.data) for e in peer.events if isinstance(e, h2.events.DataReceived)) < 65_535:
            assert peer.receive()
        peer.send(RstStreamFrame(stream, error_code=ENHANCE_YOUR_CALM))
        peer.drain()

    with peering(unwilling) as run:
        endless = Endless()
        request = run.request
        error = in_reactor(lambda: failure_of(request(b"POST", body=endless), RequestTransmissionFailed))
        assert "ENHANCE_YOUR_CALM" in str(error)
        assert endless.paused
        assert endless.stopped
        assert endless.written <= 65_535 + 2 * 16_384


def test_a_server_that_answers_early_and_wants_no_more_stops_the_producer(peering: Any) -> None:
    def brief(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.send(
            HeadersFrame(
                stream, peer.engine.encoder.encode([(":status", "413")]), flags=["END_HEADERS", "END_STREAM"]
            )
        )
        peer.send(RstStreamFrame(stream, error_code=0))
        peer.drain()

    with peering(brief) as run:
        endless = Endless()
        response = in_reactor(lambda: run.request(b"POST", body=endless))
        assert response.code == 413

        async def until_stopped() -> None:
            while not endless.stopped:
                await deferLater(reactor, 0.005, lambda: None)

        in_reactor(until_stopped)


def test_to_cancel_a_request_whose_content_is_being_sent_cancels_its_producer(peering: Any) -> None:
    codes = []
    asked = threading.Event()

    def patient(peer: Peer) -> None:
        peer.start()
        peer.requests()
        asked.set()
        codes.append(reset_code(peer))
        peer.drain()

    with peering(patient) as run:

        async def calls() -> Any:
            endless = Endless()
            request = run.request(b"POST", body=endless)
            while not asked.is_set():
                await deferLater(reactor, 0.005, lambda: None)
            request.cancel()
            return await failure_of(request, RequestGenerationFailed)

        error = in_reactor(calls)
        assert error.reasons[0].check(CancelledError)
    assert codes == [CANCEL]


def test_a_protocol_that_raises_fails_its_own_response_only(peering: Any) -> None:
    class Failing(Reader):
        def dataReceived(self, data: bytes) -> None:
            raise ValueError("not what I wanted")

    with peering(ordinary) as run:

        async def calls() -> Any:
            first, second = run.request(), run.request()
            failing = Failing()
            (await first).deliverBody(failing)
            await failing.ended
            return failing.reason, await readBody(await second)

        reason, content = in_reactor(calls)
        assert reason.check(ResponseFailed)
        assert "not what I wanted" in str(reason.value)
        assert content == b"ok"
