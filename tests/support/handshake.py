"""One TLS handshake over a pair of connected sockets, and what both sides agreed on."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

__all__ = ["Agreed", "handshake"]


class Agreed(NamedTuple):
    """What a handshake came to, as the client sees it."""

    alpn: str | None
    tls: str | None
    cipher: str
    chain_length: int


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, hostname: str = "localhost") -> Agreed:
    """Shake hands; the client's failure is raised.

    Args:
        server: The context of the accepting side.
        client: The context of the connecting side.
        hostname: The name the client asks for and checks.
    """
    ours, theirs = socket.socketpair()

    def accept() -> None:
        with theirs, server.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False) as accepted:
            try:
                accepted.do_handshake()
                accepted.send(b"x")  # TLS 1.3: the client is done before the server has judged
            except OSError:
                pass

    with ThreadPoolExecutor(1) as pool:
        accepting = pool.submit(accept)
        try:
            with ours, client.wrap_socket(ours, server_hostname=hostname) as connected:
                assert connected.recv(1) == b"x"
                cipher = connected.cipher()
                assert cipher is not None
                chain = connected._sslobj.get_unverified_chain()  # public from Python 3.13 on
                return Agreed(
                    connected.selected_alpn_protocol(), connected.version(), cipher[0], len(chain or ())
                )
        finally:
            accepting.result()
