"""The clients of plait talk to servers written elsewhere: nghttpd and Hypercorn."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

import plait
from plait.errors import ConnectFailed, ConnectionLost
from tests.support.servers import Certificate, RunningServer

CONTENT = b"0123456789abcdef" * 100_000  # 1.6 MB
DIGEST = {"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
MEBIBYTE = bytes(range(256)) * 4096

VERSIONS = pytest.mark.parametrize(("http", "version"), [("2", "HTTP/2"), ("1", "HTTP/1.1")])


def test_nghttpds_files_arrive_whole(nghttpd: RunningServer, certificate: Certificate) -> None:
    with plait.Client(nghttpd.url(""), verify=certificate.ca) as client:
        answers = [client.get(path) for path in ("/small.txt", "/empty.txt", "/large.bin", "/missing")]

    assert [answer.status for answer in answers] == [200, 200, 200, 404]
    assert [answer.content for answer in answers[:3]] == [b"small\n", b"", MEBIBYTE]
    assert {answer.http_version for answer in answers} == {"HTTP/2"}


def test_ten_thousand_exchanges_share_one_connection(
    nghttpd: RunningServer, certificate: Certificate
) -> None:
    with plait.Client(nghttpd.url(""), verify=certificate.ca) as client:
        pending = [client.submit("GET", "/small.txt") for _ in range(10_000)]
        answers = {one.result().content for one in pending}
        opened = client.statistics.connections_opened

    assert answers == {b"small\n"}
    assert opened == 1


def test_a_connection_works_after_two_hundred_early_closes(
    nghttpd: RunningServer, certificate: Certificate
) -> None:
    with plait.Client(nghttpd.url(""), verify=certificate.ca) as client:
        for _ in range(200):
            with client.stream("GET", "/large.bin") as answer:
                assert MEBIBYTE.startswith(next(answer.iter_bytes()))
        assert client.get("/large.bin").content == MEBIBYTE
        assert client.statistics.connections_opened == 1


async def test_the_asyncio_client_works_after_two_hundred_early_closes(
    nghttpd: RunningServer, certificate: Certificate
) -> None:
    async with plait.AsyncClient(nghttpd.url(""), verify=certificate.ca) as client:
        for _ in range(200):
            async with client.stream("GET", "/large.bin") as answer:
                assert MEBIBYTE.startswith(await anext(aiter(answer.iter_bytes())))
        assert (await client.get("/large.bin")).content == MEBIBYTE
        assert client.statistics.connections_opened == 1


def test_threads_share_the_connection(nghttpd: RunningServer, certificate: Certificate) -> None:
    with plait.Client(nghttpd.url(""), verify=certificate.ca) as client, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.get("/large.bin").content, range(100)))
        opened = client.statistics.connections_opened

    assert all(answer == MEBIBYTE for answer in answers)
    assert opened == 1


def test_nghttpd_has_nothing_in_common_with_a_client_of_http_1(
    nghttpd: RunningServer, certificate: Certificate
) -> None:
    # nghttpd speaks HTTP/2 alone, and ends the connection of whoever does not.
    with (
        plait.Client(nghttpd.url(""), verify=certificate.ca, http="1") as client,
        pytest.raises((ConnectFailed, ConnectionLost)),
    ):
        client.get("/small.txt")


def test_a_server_whose_authority_is_not_trusted_is_refused(hypercorn: RunningServer) -> None:
    with plait.Client(hypercorn.url("")) as client, pytest.raises(ConnectFailed, match="certificate"):
        client.get("/")


@VERSIONS
def test_hypercorn_sees_the_request_as_it_was_made(
    hypercorn: RunningServer, certificate: Certificate, http: str, version: str
) -> None:
    with plait.Client(hypercorn.url(""), verify=certificate.ca, http=http) as client:
        answer = client.get("/a", params={"b": "c d"}, headers={"x-one": "1"})

    request = answer.json()
    assert answer.http_version == version
    assert request["http_version"] == version.removeprefix("HTTP/")
    assert (request["path"], request["query"]) in {("/a", "b=c+d"), ("/a", "b=c%20d")}
    assert ["x-one", "1"] in request["headers"]
    assert ["host", f"localhost:{hypercorn.port}"] in request["headers"]


@VERSIONS
def test_uploads_reach_hypercorn_whole(
    hypercorn: RunningServer, certificate: Certificate, http: str, version: str
) -> None:
    with plait.Client(hypercorn.url(""), verify=certificate.ca, http=http) as client:
        of_known_length = client.post("/digest", content=CONTENT)
        pieces = (CONTENT[start : start + 10_000] for start in range(0, len(CONTENT), 10_000))
        in_pieces = client.post("/digest", content=pieces)
        head = client.head("/bytes?n=5")
        after = client.get("/bytes?n=5")

    assert of_known_length.json() == in_pieces.json() == DIGEST
    assert (head.headers["content-length"], head.content) == ("5", b"")
    assert after.content == MEBIBYTE[:5]


@VERSIONS
async def test_the_asyncio_client_multiplexes_on_hypercorn(
    hypercorn: RunningServer, certificate: Certificate, http: str, version: str
) -> None:
    async with plait.AsyncClient(hypercorn.url(""), verify=certificate.ca, http=http) as client:
        answers = await asyncio.gather(*(client.get(f"/?n={number}") for number in range(500)))
        upload = await client.post("/digest", content=CONTENT)
        opened = client.statistics.connections_opened

    assert [answer.json()["query"] for answer in answers] == [f"n={number}" for number in range(500)]
    assert {answer.http_version for answer in answers} == {version}
    assert upload.json() == DIGEST
    assert opened == 1 if http == "2" else opened <= 6
