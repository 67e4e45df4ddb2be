"""Errors say which request they came of."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

import plait
from plait.errors import ConnectFailed, ExchangeReset, PlaitError, ReadTimeout, TooManyRedirects
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, raw_server

Make = Callable[..., Face]


def ordinary(peer: Peer) -> None:
    peer.start()
    peer.serve()


def test_what_ends_many_requests_is_an_error_of_its_own_for_each(make_client: Make) -> None:
    def lost(peer: Peer) -> None:
        peer.start()
        peer.requests(3)

    with raw_server(lost) as server, make_client(server.url, http="2") as client:
        pending = [client.submit("POST", f"/{number}", content=b"x") for number in range(3)]
        errors = []
        for one in pending:
            with pytest.raises(PlaitError) as caught:
                one.result()
            errors.append(caught.value)
        assert [error.request.url for error in errors] == [f"{server.url}/{number}" for number in range(3)]
        assert len({type(error) for error in errors}) == len({str(error) for error in errors}) == 1


def test_connections_that_do_not_come_to_be_name_each_request(make_client: Make) -> None:
    with make_client("http://127.0.0.1:1", http="2") as client:
        pending = [client.submit("GET", f"/{number}") for number in range(2)]
        errors = []
        for one in pending:
            with pytest.raises(ConnectFailed) as caught:
                one.result()
            errors.append(caught.value)
        assert [error.request.url for error in errors] == [f"http://127.0.0.1:1/{n}" for n in range(2)]
        assert {error.errno for error in errors} == {errors[0].errno}


def test_an_error_after_redirects_names_the_request_that_the_caller_made(make_client: Make) -> None:
    def circling(peer: Peer) -> None:
        peer.start()
        for number in range(3):
            (stream,) = peer.requests()
            peer.respond(stream, status=302, fields=(("location", f"/{number}"),))
        peer.drain()

    options = {"follow_redirects": True, "max_redirects": 2}
    with raw_server(circling) as server, make_client(server.url, http="2", **options) as client:
        request = client.build_request("GET", "/start")
        with pytest.raises(TooManyRedirects) as caught:
            client.send(request)
        assert caught.value.request is request


def test_a_time_that_is_over_and_a_status_name_their_request(make_client: Make) -> None:
    def silent(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.respond(stream, status=404)
        peer.drain()

    with raw_server(silent) as server, make_client(server.url, http="2") as client:
        with pytest.raises(plait.StatusError) as refused:
            client.get("/missing").raise_for_status()
        assert refused.value.request.url == f"{server.url}/missing"
        with pytest.raises(ReadTimeout) as late:
            client.get("/late", timeout=0.05)
        assert late.value.request.url == f"{server.url}/late"


def test_content_that_cannot_be_decoded_names_its_request(make_client: Make) -> None:
    def broken(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.respond(stream, fields=(("content-encoding", "gzip"),), content=b"no gzip")
        peer.drain()

    with raw_server(broken) as server, make_client(server.url, http="2") as client:
        with pytest.raises(plait.errors.ContentDecodingError) as caught:
            client.get("/broken")
        assert caught.value.request.url == f"{server.url}/broken"


@pytest.mark.parametrize(
    "error",
    [
        ExchangeReset("reset", error_code=8, unprocessed=True),
        ReadTimeout("late"),
        plait.errors.ConnectionLost("lost", error_code=2),
        plait.errors.CertificateRefused("bad"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_copy_for_another_request_says_the_same(error: PlaitError) -> None:
    attributes = copy.copy(error.__dict__)
    one, other = object(), object()
    assert error.about(one) is error
    copied = error.about(other)
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert copied.__dict__ == {**attributes, "request": other}
    assert error.request is one
