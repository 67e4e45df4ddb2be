"""WebSocket clients nobody here wrote: a browser over HTTP/2 and HTTP/1.1, and the ``websockets`` library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.chromium import Chromium, trust
from tests.support.servers import Certificate, RunningServer, serve_app

TALK = """
    const socket = new WebSocket(`wss://${location.host}/chat`, ["one", "two"]);
    socket.binaryType = "arraybuffer";
    const received = [];
    const closed = new Promise(done => socket.onclose = event => done([event.code, event.reason]));
    const heard = count => new Promise(done => {
        const look = () => received.length >= count ? done() : setTimeout(look, 5);
        look();
    });
    socket.onmessage = event => received.push(event.data);
    await heard(1);
    socket.send("h\\u00e9llo");
    socket.send("x".repeat(300000));
    socket.send(new Uint8Array(100000).fill(7));
    await heard(4);
    socket.send("close");
    return {
        how: JSON.parse(received[0]),
        text: received[1],
        long: received[2].length,
        bytes: [received[3].byteLength, new Uint8Array(received[3])[99999]],
        protocol: socket.protocol,
        extensions: socket.extensions,
        closed: await closed,
        page: performance.getEntriesByType("navigation")[0].nextHopProtocol,
    };
"""

DENIED = """
    const socket = new WebSocket(`wss://${location.host}/denied`);
    return await new Promise(done => socket.onclose = event => done(event.code));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Chromium]:
    home = tmp_path_factory.mktemp("home")
    trust(home, certificate.ca)
    with Chromium.start(home) as running:
        yield running


@pytest.fixture(scope="module", params=["auto", "1"])
def sockets(request: pytest.FixtureRequest, certificate: Certificate) -> Iterator[RunningServer]:
    """Run plait with the application of tests/support/websocket_app.py, with HTTP/2 and without."""
    options = () if request.param == "auto" else ("--http", "1")
    with serve_app("websocket_app:app", *options, certificate=certificate) as running:
        yield running
        assert "Traceback" not in running.output(), running.output()


def test_a_browser_talks_over_the_connection_that_its_page_came_on(
    browser: Chromium, sockets: RunningServer
) -> None:
    browser.open(sockets.url())
    said: dict[str, Any] = browser.evaluate(TALK)
    version = {"h2": "2", "http/1.1": "1.1"}[said["page"]]
    assert said["how"]["version"] == version
    assert said["how"]["scheme"] == "wss"
    assert said["text"] == "héllo"
    assert said["long"] == 300_000
    assert said["bytes"] == [100_000, 7]
    assert said["protocol"] == "two"
    assert said["extensions"].startswith("permessage-deflate")
    assert said["closed"] == [4000, "as you wish"]
    assert browser.evaluate(DENIED) == 1006


def _connect(server: RunningServer, certificate: Certificate, path: str, **options: Any) -> ClientConnection:
    url = server.url(path).replace("http", "ws", 1)
    return connect(url, ssl=certificate.context(), proxy=None, **options)


def test_the_websockets_library_talks(sockets: RunningServer, certificate: Certificate) -> None:
    with _connect(sockets, certificate, "/chat", subprotocols=["one", "two"]) as client:
        assert client.subprotocol == "two"
        assert json.loads(client.recv())["version"] == "1.1"
        for message in ("héllo", "x" * 300_000, bytes(100_000)):
            client.send(message)
            assert client.recv() == message
        client.send(["a", "b", "c"])
        assert client.recv() == "abc"
        assert client.ping().wait(20)
        client.send("close")
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "as you wish")


def test_the_websockets_library_is_denied(sockets: RunningServer, certificate: Certificate) -> None:
    with pytest.raises(InvalidStatus) as caught, _connect(sockets, certificate, "/denied"):
        pass
    assert caught.value.response.status_code == 403
