"""A server of both versions whose HTTP/2 opens no tunnels, as many are."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.raw_h2 import Peer
from tests.support.servers import Certificate

__all__ = ["both_versions"]

SECONDS = 20.0


@contextmanager
def both_versions(port: int, certificate: Certificate) -> Iterator[str]:
    """Serve TLS: ``ok`` over HTTP/2, and what another server on this machine says over HTTP/1.1.

    Every client must be closed before the end.

    Args:
        port: Where the other server listens.
        certificate: What to serve TLS with.

    Yields:
        The URL.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def handle(sock: socket.socket) -> None:
        try:
            with context.wrap_socket(sock, server_side=True) as carrier:
                if carrier.selected_alpn_protocol() == "h2":
                    peer = Peer(carrier)
                    peer.start()
                    peer.serve()
                else:
                    with socket.create_connection(("127.0.0.1", port), SECONDS) as target:
                        _relay(carrier, target)
        except OSError:
            pass  # the client has gone

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(SECONDS)
            threads.append(threading.Thread(target=handle, args=(sock,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join(SECONDS)
            assert not thread.is_alive()


def _relay(one: socket.socket, other: socket.socket) -> None:
    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    back = threading.Thread(target=pump, args=(other, one))
    back.start()
    pump(one, other)
    back.join(SECONDS)
