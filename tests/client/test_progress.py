"""How far a request is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

import plait
from plait.errors import ConfigError
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer

Make = Callable[..., Face]

MIB = 1 << 20


@pytest.fixture(params=["auto", "1"])
def client(
    make_client: Make, hypercorn: RunningServer, certificate: Certificate, request: pytest.FixtureRequest
) -> Iterator[Face]:
    """Return a client for Hypercorn, of each kind and over each version of HTTP."""
    with make_client(hypercorn.url(), verify=certificate.ca, http=request.param) as client:
        yield client


def test_bytes_are_told_as_they_come(client: Face) -> None:
    seen: list[plait.Progress] = []
    client.get("/bytes", params={"n": 3 * MIB}, progress=seen.append)
    assert seen[-1] == plait.Progress(0, 0, 3 * MIB, 3 * MIB)
    assert len(seen) > 1
    assert [one.received for one in seen] == sorted(one.received for one in seen)


def test_bytes_are_told_as_they_leave(client: Face) -> None:
    for content in (bytes(3 * MIB), BytesIO(bytes(3 * MIB))):
        seen: list[plait.Progress] = []
        client.post("/echo", content=content, progress=seen.append)
        assert seen[-1] == plait.Progress(3 * MIB, 3 * MIB, 3 * MIB, None)
        assert len(seen) > 2
        assert [one.sent for one in seen] == sorted(one.sent for one in seen)


def test_what_is_not_announced_is_not_known_before_its_end(client: Face) -> None:
    seen: list[plait.Progress] = []
    client.post("/digest", content=iter([bytes(MIB)] * 2), progress=seen.append)
    assert seen[0].to_send is None
    assert seen[-1][:2] == (2 * MIB, 2 * MIB)


def test_a_stream_tells_what_has_come_whether_it_was_read_or_not(client: Face) -> None:
    seen: list[plait.Progress] = []
    with client.stream("GET", "/bytes", params={"n": MIB}, progress=seen.append) as response:
        assert response.read() == (bytes(range(256)) * 4096)
    assert seen[-1] == plait.Progress(0, 0, MIB, MIB)


def test_what_it_raises_at_the_end_of_a_small_response_the_caller_sees_too(make_client: Make) -> None:
    """All of it comes at once, so that the response is there before anybody was told."""

    def answering(peer: Peer) -> None:
        peer.start()
        peer.serve()

    def fail(progress: plait.Progress) -> None:
        raise ZeroDivisionError

    with raw_server(answering) as server, make_client(server.url, http="2") as client:
        for call in (
            lambda: client.get("/", progress=fail),
            lambda: client.submit("GET", "/", progress=fail).result(),
            lambda: list(client.map(["/"], progress=fail)),
            lambda: client.gather(client.build_request("GET", "/", progress=fail)),
        ):
            with pytest.raises(ZeroDivisionError):
                call()
        assert client.get("/").status == 200


def test_what_it_raises_the_caller_sees(client: Face) -> None:
    def fail(progress: plait.Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.get("/bytes", params={"n": MIB}, progress=fail)
    with pytest.raises(ConfigError, match="progress is a function, not int"):
        client.get("/", progress=7)
    assert client.get("/").status == 200


def test_it_may_use_the_client(nghttpd: RunningServer, certificate: Certificate) -> None:
    with plait.Client(nghttpd.url(""), verify=certificate.ca) as client:
        seen: list[int] = []
        content = client.get("/large", progress=lambda progress: seen.append(client.get("/small").status))
        assert len(content.content) == MIB
        assert set(seen) == {200}


async def test_it_may_be_a_coroutine_function(
    hypercorn: RunningServer, certificate: Certificate, tmp_path: Path
) -> None:
    seen: list[plait.Progress] = []

    async def take(progress: plait.Progress) -> None:
        seen.append(progress)

    async with plait.AsyncClient(hypercorn.url(), verify=certificate.ca) as client:
        await client.get("/bytes", params={"n": MIB}, progress=take)
    assert seen[-1].received == MIB
