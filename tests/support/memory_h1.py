"""A server's endpoint over HTTP/1.1 in memory: bytes in, exchanges and bytes out."""

from __future__ import annotations

from plait.protocol.negotiation import ALPN_HTTP_1_1, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.protocol.server_exchange import ServerExchange
from plait.server_config import Limits

__all__ = ["H1Memory"]


class H1Memory:
    """plait serves HTTP/1.1; the client is the test.

    Args:
        limits: Fields of ``Limits`` that differ from the default.
    """

    def __init__(self, **limits: float) -> None:
        self.limits = Limits(**limits)  # type: ignore[arg-type]
        connection = server_connection(ALPN_HTTP_1_1, self.limits, "https")
        self.endpoint = ServerEndpoint(connection, self.limits, 0.0)

    def send(self, data: bytes) -> list[ServerExchange]:
        """Give plait bytes, and return the exchanges that began with them."""
        self.endpoint.receive_data(data, 0.0)
        return self.endpoint.take_accepted()

    def request(self, *lines: bytes, start: bytes = b"GET / HTTP/1.1") -> ServerExchange:
        """Send one request without content, and return its exchange."""
        (exchange,) = self.send(b"\r\n".join((start, b"host: a.example", *lines, b"", b"")))
        return exchange

    def output(self) -> bytes:
        """Take all that plait has to send."""
        taken = b""
        while data := self.endpoint.data_to_send():
            taken += data
        return taken
