"""A scripted HTTP/1.1 server: it does with each connection what a script says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["OK", "Script", "h1_server", "read_until", "request"]

Script = Callable[[socket.socket], None]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """Read until what was read ends in something, or the client leaves."""
    data = b""
    while not data.endswith(end):
        piece = sock.recv(65536)
        if not piece:
            break
        data += piece
    return data


def request(sock: socket.socket) -> bytes:
    """Read one request without content, or what there is of it."""
    return read_until(sock, b"\r\n\r\n")


@contextmanager
def h1_server(*scripts: Script) -> Iterator[str]:
    """Handle one connection after another, each by its script; every client must be closed before the end."""
    failures: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)

        def serve() -> None:
            try:
                for script in scripts:
                    sock, _ = listening.accept()
                    with sock:
                        sock.settimeout(20)
                        script(sock)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(20)
    assert not failures, failures
