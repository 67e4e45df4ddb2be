"""One table: what people do with a client, and every server they may do it with.

Each server speaks HTTP/2 over TLS, and as far as it can HTTP/1.1, and both without TLS.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import plait
from tests.support.faces import AsyncFace, Face
from tests.support.peer_app import COMPRESSED, LARGE, SMALL
from tests.support.peers import PEERS, WAYS, Peer, nginx
from tests.support.servers import Certificate

Connect = Callable[..., Face]

#: nghttpd serves files, and has no more of the site than those.
_ONLY_FILES = {"nghttpd"}


def table(*without: str, faces: bool = False) -> pytest.MarkDecorator:
    """Run a test with every server but some, in every way that the server can be spoken to.

    Args:
        without: Names of the servers to leave out.
        faces: Whether to use the asynchronous client, too, where the versions make a difference to it.
    """
    ways = [(name, way, plait.Client) for name in PEERS if name not in without for way in WAYS[name]]
    names = ["name", "way"]
    if faces:
        names.append("face")
        ways += [(name, way, AsyncFace) for name, way, _ in ways if way in ("2", "1")]  # type: ignore[misc]
    ids = [" ".join([name, way, "async" if face is AsyncFace else ""]).strip() for name, way, face in ways]
    return pytest.mark.parametrize(names, [one[: len(names)] for one in ways], ids=ids)


FACES = pytest.mark.parametrize(
    ("way", "face"),
    [("2", plait.Client), ("2", AsyncFace), ("1", plait.Client)],
    ids=["2", "2 async", "1"],
)
EVERY = table()
EVERY_FACE = table(faces=True)
WHOLE_SITES = table(*_ONLY_FILES)


@pytest.fixture(scope="module")
def run(
    certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Peer]]:
    """Return what gives a server by its name; it is started once."""
    running: dict[str, Peer] = {}
    with ExitStack() as stack:

        def get(name: str) -> Peer:
            if name not in running:
                running[name] = stack.enter_context(PEERS[name](tmp_path_factory.mktemp(name), certificate))
            return running[name]

        yield get


@pytest.fixture
def connect(run: Callable[[str], Peer], certificate: Certificate) -> Connect:
    """Return what makes a client of a server."""

    def make(name: str, way: str, face: Callable[..., Face] = plait.Client, **options: Any) -> Face:
        return face(run(name).url(way), verify=certificate.ca, http=way[0], max_h2_connections=1, **options)

    return make


def opened(client: Face) -> int:
    return client.statistics.connections_opened


@EVERY
def test_files_come_and_what_is_not_there_is_said(connect: Connect, name: str, way: str) -> None:
    with connect(name, way) as client:
        small = client.get("/small.txt")
        head = client.request("HEAD", "/large.bin")
        missing = client.get("/missing")
        large = client.get("/large.bin")

        assert small.http_version == {"2": "HTTP/2", "1": "HTTP/1.1"}[way[0]]
        assert (small.status, small.content) == (200, SMALL)
        assert (head.status, head.content) == (200, b"")
        assert head.headers.get("content-length") in (str(len(LARGE)), None)
        assert missing.status == 404
        assert large.content == LARGE
        assert opened(client) == 1


@WHOLE_SITES
def test_responses_without_content_end_with_their_fields(connect: Connect, name: str, way: str) -> None:
    with connect(name, way) as client:
        for status in (204, 304):
            answer = client.get(f"/{status}")
            assert (answer.status, answer.content) == (status, b"")
            assert client.get("/small.txt").content == SMALL
        assert opened(client) == 1


def pieces() -> Iterator[bytes]:
    for at in range(0, len(LARGE), 10_000):
        yield LARGE[at : at + 10_000]


async def async_pieces() -> AsyncIterator[bytes]:
    for piece in pieces():
        yield piece


@pytest.mark.parametrize("kind", ["bytes", "iterator"])
@EVERY_FACE
def test_a_mebibyte_is_sent_whole(
    connect: Connect, run: Callable[[str], Peer], name: str, way: str, kind: str, face: Callable[..., Face]
) -> None:
    content: Any = LARGE
    if kind == "iterator":
        content = async_pieces() if face is AsyncFace else pieces()
    method = run(name).method
    with connect(name, way, face) as client:
        answer = client.request(method, "/echo", content=content)
        assert answer.status in (200, 201, 204)
        if method == "PUT":
            answer = client.get("/echo")
        assert answer.content == LARGE
        assert opened(client) == 1


@EVERY_FACE
def test_300_requests_at_once_are_multiplexed(
    connect: Connect, name: str, way: str, face: Callable[..., Face]
) -> None:
    with connect(name, way, face) as client:
        pending = [client.submit("GET", f"/small.txt?n={n}") for n in range(300)]
        answers = [one.result() for one in pending]
        assert {(one.status, one.content) for one in answers} == {(200, SMALL)}
        assert [one.url.rpartition("=")[2] for one in answers] == [str(n) for n in range(300)]
        assert opened(client) == 1 if way[0] == "2" else opened(client) > 1


@EVERY_FACE
def test_a_response_left_early_costs_the_next_nothing(
    connect: Connect, name: str, way: str, face: Callable[..., Face]
) -> None:
    with connect(name, way, face, stream_window=65_536, connection_window=131_072) as client:
        for _ in range(5):
            with client.stream("GET", "/large.bin") as answer:
                assert LARGE.startswith(next(answer.iter_bytes()))
        assert client.get("/large.bin").content == LARGE
        if way[0] == "2":
            assert opened(client) == 1


@WHOLE_SITES
def test_fields_that_come_twice_are_both_there(connect: Connect, name: str, way: str) -> None:
    with connect(name, way) as client:
        answer = client.get("/repeated")
        assert answer.headers.get_all("x-repeated") == ["one", "two"]
        assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
        assert client.get("/told").content.split(b"\n")[0] == b"a=1; b=2"


@WHOLE_SITES
def test_gzip_is_asked_for_and_undone(connect: Connect, name: str, way: str) -> None:
    with connect(name, way) as client:
        answer = client.get("/compressed.txt")
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content == COMPRESSED
        with client.stream("GET", "/compressed.txt") as stream:
            assert b"".join(stream.iter_bytes()) == COMPRESSED


@WHOLE_SITES
def test_many_cookies_and_a_large_field_arrive(connect: Connect, name: str, way: str) -> None:
    cookies = {f"cookie{n}": f"value{n}" for n in range(50)}
    large = "x" * 6000
    with connect(name, way, cookies=cookies) as client:
        for _ in range(3):  # once they are in HPACK's table
            cookie, x_large = client.get("/told", headers={"x-large": large}).text.split("\n")
            assert sorted(cookie.split("; ")) == sorted(f"{one}={value}" for one, value in cookies.items())
            assert x_large == large
        assert opened(client) == 1


# -- what nginx does to connections that are in use ---------------------------------------------------


@FACES
def test_nginx_that_closes_after_37_requests_loses_none_of_1500(
    certificate: Certificate, tmp_path: Path, face: Callable[..., Face], way: str
) -> None:
    with (
        nginx(tmp_path, certificate, {"keepalive_requests": 37}) as peer,
        face(peer.url(way), verify=certificate.ca, http=way) as client,
    ):
        pending = [client.submit("GET", "/small.txt") for _ in range(1500)]
        assert [one.result().content for one in pending] == [SMALL] * 1500
        assert opened(client) >= 1500 // 37


@FACES
def test_a_connection_that_nginx_closed_while_it_was_idle_is_not_missed(
    certificate: Certificate, tmp_path: Path, face: Callable[..., Face], way: str
) -> None:
    with (
        nginx(tmp_path, certificate, {"keepalive_timeout": "100ms"}) as peer,
        face(peer.url(way), verify=certificate.ca, http=way) as client,
    ):
        assert client.get("/small.txt").content == SMALL
        # Nothing runs here meanwhile, and so the end of the connection is not seen before it is used.
        signal.sigtimedwait([], 0.5)
        assert [client.get("/small.txt").content for _ in range(3)] == [SMALL] * 3
        assert opened(client) == 2


@FACES
def test_nginx_that_is_reloaded_again_and_again_loses_none_of_4000(
    certificate: Certificate, tmp_path: Path, face: Callable[..., Face], way: str
) -> None:
    # Over HTTP/1.1 a request and the end of an idle connection can meet, and several times.
    retries = 0 if way == "2" else 3
    with (
        nginx(tmp_path, certificate) as peer,
        face(peer.url(way), verify=certificate.ca, http=way, retries=retries) as client,
    ):
        contents = []
        for _ in range(4):
            pending = [client.submit("GET", "/small.txt") for _ in range(1000)]
            contents += [one.result().content for one in pending[:300]]
            peer.server.process.send_signal(signal.SIGHUP)
            contents += [one.result().content for one in pending[300:]]
        assert contents == [SMALL] * 4000
