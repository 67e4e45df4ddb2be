"""WebSockets of an application in this process, for a client of each kind and over both versions of HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import plait
from plait.errors import WebSocketClosed, WebSocketRefused
from tests.support.faces import AsyncFace, Face
from tests.support.websocket_app import app as echo

KINDS = [pytest.param(plait.Client, id="Client"), pytest.param(AsyncFace, id="AsyncClient")]
Make = Callable[..., Face]


class Oops(Exception):
    pass


async def failing(scope: Any, receive: Any, send: Any) -> None:
    """Raise before the WebSocket is open, or behind the first message."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await receive()
    if scope["path"] == "/late":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        await receive()
    raise Oops("the application")


@pytest.mark.parametrize("make_client", KINDS)
@pytest.mark.parametrize("http", ["auto", "1"])
def test_an_application_echoes_as_over_a_network(make_client: Make, http: str) -> None:
    with make_client("https://app.example", transport=plait.AppTransport(echo, http=http)) as client:
        version = "HTTP/1.1" if http == "1" else "HTTP/2"
        with client.websocket("/", subprotocols=["a", "b"]) as websocket:
            how = json.loads(websocket.recv())
            assert (websocket.http_version, how["scheme"], websocket.subprotocol) == (version, "wss", "b")
            for message in ("", "x" * 300_000, bytes(300_000)):
                websocket.send(message)
                assert websocket.recv() == message
            assert websocket.ping() < 60
        assert websocket.close_code == 1000
        with pytest.raises(WebSocketRefused, match="403"):
            client.websocket("ws://elsewhere.example/denied").__enter__()
        assert client.get("/").status == 200


@pytest.mark.parametrize("make_client", KINDS)
def test_what_the_application_raises_the_client_raises(make_client: Make) -> None:
    with make_client("http://app.example", transport=plait.AppTransport(failing)) as client:
        with pytest.raises(Oops, match="the application"):
            client.websocket("/").__enter__()
        with client.websocket("/late") as websocket:
            websocket.send("first")
            assert websocket.recv() == "first"
            websocket.send("second")
            with pytest.raises(Oops, match="the application"):
                websocket.recv()


@pytest.mark.parametrize("make_client", KINDS)
def test_or_else_it_is_closed_with_1011_as_over_a_network(make_client: Make) -> None:
    transport = plait.AppTransport(failing, raise_app_errors=False)
    with make_client("http://app.example", transport=transport) as client:
        with pytest.raises(WebSocketRefused, match="500"):
            client.websocket("/").__enter__()
        with client.websocket("/late") as websocket:
            websocket.send("first")
            assert websocket.recv() == "first"
            websocket.send("second")
            with pytest.raises(WebSocketClosed) as caught:
                websocket.recv()
            assert caught.value.code == 1011
