"""A client that is interrupted, by Ctrl-C say, can be used on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import h2.events
import pytest

import plait
from plait.errors import ClientClosed
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


def interrupted_after(seconds: float, work: Callable[[], object]) -> None:
    """Raise KeyboardInterrupt wherever this thread is in its work by then; nothing of it gets out of here."""
    armed = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        if armed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            work()
        finally:
            armed = False
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_wait_that_is_interrupted_can_be_taken_up_again() -> None:
    released = threading.Event()

    def late(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(2)
        time.sleep(0.3)  # until the client has nothing more to do than to wait
        os.kill(os.getpid(), signal.SIGINT)
        assert released.wait(20)
        peer.respond(*streams)
        peer.serve()

    with raw_server(late) as server, plait.Client(server.url, http="2") as client:
        one, other = (client.submit("GET", "/") for _ in range(2))
        with pytest.raises(KeyboardInterrupt):
            one.result()
        released.set()
        assert one.result().status == other.result().status == client.get("/").status == 200
        assert client.statistics.connections_opened == 1


# Python drops what is raised in a finalizer, and tells of it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_client_that_is_interrupted_anywhere_works_on(
    plait_server: RunningServer, certificate: Certificate
) -> None:
    with plait.Client(plait_server.url(""), verify=certificate.ca, read_timeout=20) as client:
        assert [one.status for one in client.map(["/"])] == [200]  # and all is imported
        for number in range(12):
            seconds = 0.002 + 0.004 * number
            interrupted_after(seconds, lambda: all(client.map("/" for _ in range(3000))))
            assert client.get("/").status == 200
            interrupted_after(seconds, lambda: client.gather(*["/"] * 500))
            assert client.get("/").status == 200


def test_an_interrupted_hook_ends_its_request_alone() -> None:
    def hook(request: plait.Request) -> None:
        if request.url.endswith("/stop"):
            raise KeyboardInterrupt

    with (
        raw_server(ordinary) as server,
        plait.Client(server.url, http="2", event_hooks={"request": [hook]}) as client,
    ):
        other = client.submit("GET", "/")
        stopped = client.submit("GET", "/stop")
        with pytest.raises(KeyboardInterrupt):
            stopped.result()
        with pytest.raises(ClientClosed, match="interrupted"):
            stopped.result()
        assert other.result().status == client.get("/").status == 200


def test_interrupted_content_ends_its_request_alone() -> None:
    def content() -> Iterator[bytes]:
        yield b"one"
        raise KeyboardInterrupt

    def cut_short(peer: Peer) -> None:
        peer.start()
        other, _ = peer.requests(2)
        peer.wait_for(h2.events.StreamReset)
        peer.respond(other)
        peer.serve()

    with raw_server(cut_short) as server, plait.Client(server.url, http="2") as client:
        other = client.submit("GET", "/")
        with pytest.raises(KeyboardInterrupt):
            client.post("/", content=content())
        assert other.result().status == client.get("/").status == 200
        assert client.statistics.connections[0].resets_sent == 1


def test_an_interrupted_connect_is_followed_by_another(
    plait_server: RunningServer, certificate: Certificate
) -> None:
    asked = []

    def check(host: str, chain: object) -> bool:
        asked.append(host)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return True

    with plait.Client(plait_server.url(""), verify=certificate.ca, check_certificate=check) as client:
        with pytest.raises(KeyboardInterrupt):
            client.get("/")
        assert client.get("/").status == 200
