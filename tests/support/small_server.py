"""A small HTTP/1.1 server in a thread, whose answers a test may change while it runs."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from plait.lab.target import Target

__all__ = ["SmallServer", "small_server"]


class SmallServer(http.server.ThreadingHTTPServer):
    """Serves ``contents`` by path, 404 for anything else.

    Attributes:
        contents: What each path answers.
        asked: Every path asked for, in order.
        before_answering: Called with each path in the thread that answers it.
    """

    daemon_threads = True

    def __init__(self, contents: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents = contents
        self.asked: list[str] = []
        self.before_answering: Callable[[str], object] = lambda path: None

    @property
    def target(self) -> Target:
        """Where it is, without TLS."""
        return Target(scheme="http", host="127.0.0.1", port=self.server_port)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that were killed."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SmallServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.before_answering(self.path)
        content = self.server.contents.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def small_server(
    contents: dict[str, bytes], *, certificate: tuple[Path, Path] | None = None
) -> Iterator[SmallServer]:
    """Serve while the block runs.

    Args:
        contents: What each path answers.
        certificate: Chain and key, PEM, to serve TLS with, without ALPN; None serves without TLS.
    """
    server = SmallServer(contents)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
