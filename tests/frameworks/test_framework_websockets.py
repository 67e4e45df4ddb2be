"""WebSockets of real frameworks: the ``websockets`` library over HTTP/1.1, and RFC 8441 over HTTP/2."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.sites import Site, only, unique
from tests.support.websocket_peer import COMPRESSION, connected, wire

MESSAGES: tuple[str | bytes, ...] = ("h\xe9llo", "", "x" * 300_000, bytes(100_000))


def connect_to(site: Site, path: str, **options: Any) -> ClientConnection:
    """Connect with the ``websockets`` library."""
    url = site.server.url(path).replace("https", "wss", 1)
    return connect(url, ssl=site.certificate.context(), proxy=None, **options)


@only("starlette", "fastapi", "django")
def test_the_websockets_library_talks_with_the_framework(site: Site) -> None:
    with connect_to(site, "/socket", subprotocols=["one", "two"]) as client:
        assert client.subprotocol == "two"
        assert client.response is not None
        assert client.response.headers["x-from"] == "app"
        how = json.loads(client.recv())
        assert (how["version"], how["url"]) == ("1.1", "/socket")
        for message in MESSAGES:
            client.send(message)
            assert client.recv() == message
        client.send("close")
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "as you wish")


@only("starlette", "fastapi", "django")
async def test_the_framework_talks_over_either_version(site: Site, version: str) -> None:
    protocols = (b"sec-websocket-protocol", b"one, two")
    async with connected(site, version, b"/socket", protocols, compression=COMPRESSION) as peer:
        assert peer.wire.fields[b"sec-websocket-protocol"] == b"two"
        assert peer.wire.fields[b"x-from"] == b"app"
        how = json.loads(await peer.receive())
        assert (how["version"], how["url"]) == (version, "/socket")
        for message in MESSAGES:
            await peer.send(message)
            assert await peer.receive() == message
        await peer.send("close")
        assert await peer.ended() == (4000, "as you wish")


@only("starlette", "fastapi")
async def test_the_framework_sees_what_it_was_asked_with_and_how_it_ended(site: Site, version: str) -> None:
    name = unique("socket")
    path = b"/socket?name=%b&q=%%E2%%82%%AC" % name.encode()
    async with connected(site, version, path, (b"cookie", b"a=1; b=2")) as peer:
        how = json.loads(await peer.receive())
        assert how["query"] == [["name", name], ["q", "\u20ac"]]
        assert how["cookies"] == {"a": "1", "b": "2"}
        await peer.close(3001, "enough")
    await asyncio.to_thread(site.until_noted, name, "disconnected 3001")


@only("starlette", "fastapi")
async def test_the_framework_denies_with_a_response_of_its_own(site: Site, version: str) -> None:
    async with wire(site, version, b"/denied") as denied:
        assert denied.status == 402
        assert json.loads(await denied.read()) == {"denied": True}


@only("starlette", "fastapi")
def test_a_path_that_is_none_is_denied(site: Site) -> None:
    with pytest.raises(InvalidStatus) as caught, connect_to(site, "/nowhere"):
        pass
    assert caught.value.response.status_code == 403


@only("django", "django-wsgi", "flask")
def test_where_the_framework_knows_no_websockets_one_is_refused(site: Site) -> None:
    with pytest.raises(InvalidStatus) as caught, connect_to(site, "/text"):
        pass
    # Django says so itself as ASGI, Flask's routes as WSGI; to Django as WSGI it is a request as any other.
    statuses = {"django": 500, "django-wsgi": 200, "flask": 400}
    assert caught.value.response.status_code == statuses[site.name]
