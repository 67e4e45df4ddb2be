"""A scripted HTTP/2 server on an engine that plait does not use: it does what a script says, rules or not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import h2.config
import h2.connection
import h2.events
import h2.settings
from hyperframe.frame import Frame

from tests.support.servers import Certificate

__all__ = ["Peer", "RawServer", "Script", "raw_server"]

E = TypeVar("E", bound=h2.events.Event)

SECONDS = 20.0


class Peer:
    """The server's end of one connection.

    Attributes:
        socket: The connection's socket.
        engine: The engine, for what the methods here do not cover.
        events: What has been received and not been asked for.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.engine = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding="utf-8", validate_outbound_headers=False
            )
        )
        self.events: list[h2.events.Event] = []

    def start(self, settings: dict[int, int] | None = None) -> None:
        """Send the first SETTINGS."""
        if settings:
            self.engine.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.engine.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Write what the engine has."""
        self.socket.sendall(self.engine.data_to_send())

    def send(self, *frames: Frame) -> None:
        """Write frames as they are, past the engine."""
        self.flush()
        self.socket.sendall(b"".join(frame.serialize() for frame in frames))

    def receive(self) -> bool:
        """Read once; say whether the client is still there."""
        try:
            data = self.socket.recv(65536)
            if data:
                self.events += self.engine.receive_data(data)
                self.flush()
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return False
        return bool(data)

    def wait_for(self, kind: type[E], count: int = 1) -> list[E]:
        """Read until so many events of a kind have come, and take them."""
        while True:
            found = [event for event in self.events if isinstance(event, kind)]
            if len(found) >= count:
                self._forget(found[:count])
                return found[:count]
            assert self.receive(), f"the client left before {count} {kind.__name__}; it sent {self.events}"

    def _forget(self, events: Sequence[h2.events.Event]) -> None:
        # By identity: events with the same content are equal.
        taken = {id(event) for event in events}
        self.events = [event for event in self.events if id(event) not in taken]

    def requests(self, count: int = 1) -> list[int]:
        """Wait for so many requests, and return their stream ids."""
        return [event.stream_id for event in self.wait_for(h2.events.RequestReceived, count)]

    def respond(
        self,
        *stream_ids: int,
        status: int = 200,
        content: bytes = b"ok",
        fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Answer requests."""
        for stream_id in stream_ids:
            self.engine.send_headers(stream_id, [(":status", str(status)), *fields])
            self.engine.send_data(stream_id, content, end_stream=True)
        self.flush()

    def serve(self, limit: int | None = None, content: bytes = b"ok") -> None:
        """Answer requests as they come, until the client leaves or so many are answered."""
        answered = 0
        while limit is None or answered < limit:
            requests = [event for event in self.events if isinstance(event, h2.events.RequestReceived)]
            self._forget(requests)
            for request in requests:
                self.respond(request.stream_id, content=content)
                answered += 1
            if (limit is None or answered < limit) and not self.receive():
                return

    def drain(self) -> None:
        """Read until the client leaves."""
        while self.receive():
            pass


Script = Callable[[Peer], None]


class RawServer:
    """A listening socket whose connections are handled by scripts.

    Attributes:
        url: Where it listens: for HTTP/2 with prior knowledge, or over TLS.
        connections: Connections accepted so far.
    """

    def __init__(self, scripts: tuple[Script, ...], certificate: Certificate | None) -> None:
        self._scripts = scripts
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(certificate.chain, certificate.key)
            self._tls.set_alpn_protocols(["h2"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self._sockets: list[socket.socket] = []
        self.connections = 0
        self.url = f"http{'s' * bool(certificate)}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(script, sock), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, script: Script, sock: socket.socket) -> None:
        try:
            with sock if self._tls is None else self._tls.wrap_socket(sock, server_side=True) as carrier:
                script(Peer(carrier))
        except BaseException as error:
            self._failures.append(error)

    def close(self) -> None:
        """Stop, and fail if a script did."""
        # close() alone would leave accept() waiting.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._accepting.join(SECONDS)
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "a script did not end"
        if self._failures:
            raise AssertionError("a script failed") from self._failures[0]


@contextmanager
def raw_server(*scripts: Script, certificate: Certificate | None = None) -> Iterator[RawServer]:
    """Run a server whose first connection is handled by the first script, and so on, the last one repeated.

    Every client must be closed before the end.

    Args:
        scripts: What its connections do.
        certificate: What to serve TLS with; None serves without.
    """
    server = RawServer(scripts, certificate)
    try:
        yield server
    finally:
        server.close()
