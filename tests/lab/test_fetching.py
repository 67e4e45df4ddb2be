from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plait.errors import ConnectFailed, PlaitError
from plait.lab import fetching
from plait.lab.addresses import Address, locate, resolve
from plait.lab.fetching import Answer, fetcher
from plait.lab.target import Target
from tests.support.servers import serve_app
from tests.support.small_server import small_server


@contextmanager
def answering(*answers: bytes) -> Iterator[Target]:
    """Serve one connection for each answer: read a request, say the words, and close."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    for part in answer.split(b"|"):
                        connection.recv(65536)
                        connection.sendall(part)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Target(scheme="http", host="127.0.0.1", port=listener.getsockname()[1])
        thread.join()


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_path_is_fetched_once_and_again_when_asked_to(version: str) -> None:
    with serve_app("two_faced_app:app", certificate=None) as server:
        target = Target(scheme="http", host="localhost", port=server.port)
        with fetcher(target, version, ()) as ask:
            sizes = [len(one("/counter").content) for one in (ask.get, ask.get, ask.again)]
            coded = ask.get("/coded.css")
            moved = ask.get("/elsewhere")
    assert sizes == [1, 1, 2]
    assert coded.coding == "gzip"
    assert coded.media_type == "text/css"
    assert coded.decoded(100) == b"a" * 100
    assert (moved.status, moved.location) == (302, "/same")


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew() -> None:
    one = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n"
    with answering(one + b"1", one + b"2") as target, fetcher(target, "1", ()) as ask:
        assert ask.get("/1").content == b"1"
        assert ask.get("/2").content == b"2"


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhalf",
        b"",
    ],
)
def test_a_server_that_breaks_off_is_named_with_the_path(half: bytes) -> None:
    with (
        answering(half) as target,
        fetcher(target, "1", ()) as ask,
        pytest.raises(ConnectFailed, match=r"broke off while /a was fetched over HTTP/1.1: "),
    ):
        ask.get("/a")


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_site_that_sends_too_much_is_left(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TOTAL_LIMIT", 2**20)
    with serve_app("plait.lab.site:app", certificate=None) as server:
        target = Target(scheme="http", host="localhost", port=server.port)
        with fetcher(target, version, ()) as ask:
            ask.get("/few-large/image-000.png")
            with pytest.raises(
                PlaitError, match=r"has sent more than 1 MiB, the last of it for /few-large/im"
            ):
                ask.get("/few-large/image-001.png")


def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ANSWER_SECONDS", 0.0)
    with (
        small_server({"/events": b"data: 1"}) as server,
        fetcher(server.target, "1", ()) as ask,
        pytest.raises(PlaitError, match=r"/events is still being sent after 0 seconds"),
    ):
        ask.get("/events")


def test_a_small_answer_that_is_coded_large_is_cut_off() -> None:
    bomb = Answer(status=200, content=gzip.compress(bytes(10_000_000)), coding="gzip")
    assert len(bomb.decoded(1000)) == 1000


def test_urls_are_taken_apart_as_targets_are_spelled() -> None:
    assert locate("https://Site.Example/a?b#c") == Address("https://site.example:443", "/a?b")
    assert locate("https://b\u00fccher.example/") == Address("https://xn--bcher-kva.example:443", "/")
    assert locate("http://[::1]:8000") == Address("http://[::1]:8000", "/")
    assert locate(" https://site.example/a b\u00e9\"?q='\u00e9{}\n") == Address(
        "https://site.example:443", "/a%20b%C3%A9%22?q=%27%C3%A9{}"
    )


@pytest.mark.parametrize(
    "url",
    ["", "/a", "//a/b", "data:,", "ftp://a/", "https://", "https://a:b/", "https://a:99999/", "https://[a/",
     "https://a//b", "https://a/\ud800", "javascript:void(0)"],
)  # fmt: skip
def test_what_is_not_fetched_by_http_has_no_address(url: str) -> None:
    assert locate(url) is None


def test_references_are_resolved() -> None:
    assert resolve("https://a/b/c", " ../d ") == "https://a/d"
    assert resolve("https://a/b/c", "//e/f") == "https://e/f"
    assert resolve("https://a/", "https://[") is None
