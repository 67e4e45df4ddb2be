"""What test_scrapy_calls.py downloads: an ASGI application, and a server that breaks off."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

__all__ = ["LARGE", "app", "breaking_off"]

Send = Callable[[dict[str, Any]], Awaitable[None]]

LARGE = bytes(range(256)) * 200
_TEXT = (b"content-type", b"text/plain")
#: How HTTP/1.1 answers, and then closes the connection, by path.
_BROKEN = {
    "/short": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nonly this",
    "/broken-chunks": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    ),
    "/until-close": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\neverything",
    "/no-http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "/nothing": b"",
}


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
    """Serve what the calls ask for."""
    if scope["type"] != "http":
        raise NotImplementedError
    content = b""
    while (message := await receive()).get("more_body"):
        content += message["body"]
    content += message.get("body", b"")
    path, query = scope["path"], parse_qs(scope["query_string"].decode())
    if path == "/stall":
        await _answer(send, 200, [_TEXT, (b"content-length", b"100")], b"some", more=True)
        await asyncio.sleep(60)
    elif path == "/silence":
        await asyncio.sleep(60)
    elif path == "/reset":
        await _answer(send, 200, [_TEXT, (b"content-length", b"100")], b"some", more=True)
        await asyncio.sleep(0.1)  # or nothing of it would have left
        raise ConnectionAbortedError("which ends the stream, or the connection")
    elif path == "/chunked":
        await _answer(send, 200, [_TEXT], b"chunked ", more=True)
        await send({"type": "http.response.body", "body": b"content"})
    elif path == "/chunked-large":
        await _answer(send, 200, [_TEXT], LARGE, more=True)
        await send({"type": "http.response.body", "body": LARGE})
    else:
        await _answer(send, *_plain(scope, path, query, content))


def _plain(
    scope: dict[str, Any], path: str, query: dict[str, list[str]], content: bytes
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    if path == "/echo":
        # The connection is for the handler to keep; some announce no content by its length.
        heads = sorted(
            (name.decode(), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name != b"connection" and (name, value) != (b"content-length", b"0")
        )
        told = {"method": scope["method"], "headers": heads, "size": len(content), "sum": sum(content)}
        return 200, [(b"content-type", b"application/json")], json.dumps(told).encode()
    if path == "/port":
        return 200, [_TEXT], str(scope["client"][1]).encode()
    if path == "/address":
        return 200, [_TEXT], scope["client"][0].encode()
    if path == "/status":
        return int(query["code"][0]), [_TEXT], b"as asked for"
    if path == "/redirect":
        return 302, [(b"location", b"/echo")], b""
    if path == "/set-cookie":
        return 302, [(b"location", b"/echo"), (b"set-cookie", b"basket=42"), (b"set-cookie", b"lang=en")], b""
    if path == "/gzip":
        return 200, [_TEXT, (b"content-encoding", b"gzip")], gzip.compress(b"once pressed", mtime=0)
    if path == "/large":
        return 200, [(b"content-type", b"application/octet-stream")], LARGE
    if path == "/twice":
        return 200, [_TEXT, (b"x-two", b"one"), (b"x-two", b"other"), (b"x-latin", b"caf\xe9")], b"twice"
    if path == "/empty":
        return 204, [], b""
    return 404, [_TEXT], b"nothing here"


async def _answer(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], content: bytes, *, more: bool = False
) -> None:
    if not more and status != 204:
        headers = [*headers, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": more})


@contextmanager
def breaking_off() -> Iterator[int]:
    """Serve HTTP/1.1 that is not complete, without TLS, and return the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_break_off, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]


def _break_off(listening: socket.socket) -> None:
    while True:
        try:
            sock, _ = listening.accept()
        except OSError:
            return
        with sock:
            sock.settimeout(20)
            try:
                head = b""
                while b"\r\n\r\n" not in head and (data := sock.recv(65536)):
                    head += data
                sock.sendall(_BROKEN.get(head.split(b" ")[1].decode() if head else "", b""))
            except OSError:
                pass
