"""Requests of which the caller has decided everything: what a client would add or undo, it does not."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import plait
from plait.errors import LocalProtocolError
from plait.urls import Origin, Url
from tests.support.faces import Face
from tests.support.servers import Certificate, RunningServer, serve_app

Make = Callable[..., Face]

FIELDS = [
    (b"Host", b"other.example"),
    (b"X-B", b"1"),
    (b"x-a", b"\xe4"),
    (b"X-b", b"2"),
    (b"Connection", b"close"),
]


def test_its_fields_are_sent_as_they_are_in_their_order_and_no_others() -> None:
    with plait.Client(headers={"x-client": "1"}, cookies={"a": "b"}, auth=("me", "secret")) as client:
        request = client.exact_request(
            "get", Url(Origin("https", "a.example", 443), b"a.example", '/"|{}'), FIELDS
        )
    assert request.fields == [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"other.example"),
        (b":path", b'/"|{}'),
        (b"x-b", b"1"),
        (b"x-a", b"\xe4"),
        (b"x-b", b"2"),
    ]
    assert request.replayable


@pytest.mark.parametrize(
    ("target", "fields", "content"),
    [
        ("/a b", [], None),
        ("/\r\n", [], None),
        ("", [], None),
        ("/\xe4", [], None),
        ("/", [(b"a b", b"1")], None),
        ("/", [(b"a", b"1\r\nb: 2")], None),
        ("/", [(b"content-length", b"3")], b"four"),
        ("/", [(b"content-length", b"3")], None),
    ],
)
def test_what_http_cannot_carry_is_refused(
    target: str, fields: list[tuple[bytes, bytes]], content: bytes | None
) -> None:
    where = Url(Origin("https", "a.example", 443), b"a.example", target)
    with plait.Client() as client, pytest.raises(LocalProtocolError):
        client.exact_request("POST", where, fields, content)


def test_its_response_comes_as_it_is(make_client: Make, certificate: Certificate) -> None:
    with (
        serve_app("session_app:app", certificate=certificate) as site,
        make_client(verify=certificate.ca, follow_redirects=True) as client,
    ):

        def send(path: str) -> plait.Response:
            return client.send(client.exact_request("GET", site.url(path), [(b"user-agent", b"mine")]))

        coded = send("/coded?as=gzip")
        assert coded.content[:2] == b"\x1f\x8b"
        assert (b"content-encoding", b"gzip") in coded.fields
        assert send("/to?status=302&location=/").status == 302
        send("/set?cookie=a%3Db")
        assert not client.cookies
        assert set(json.loads(send("/").content)["headers"]) == {"host", "user-agent"}


def test_one_can_be_streamed(
    make_client: Make, plait_server: RunningServer, certificate: Certificate
) -> None:
    with make_client(verify=certificate.ca) as client:
        request = client.exact_request("GET", plait_server.url("/bytes?n=100000"), [])
        with client.stream_request(request) as response:
            assert (response.status, response.stream_id) == (200, 1)
            assert (b"content-length", b"100000") in response.fields
            assert len(response.read()) == 100_000
