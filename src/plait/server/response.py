"""One exchange's response, whatever kind of application gives it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from plait.errors import ExchangeError, LocalProtocolError, PlaitError
from plait.fields import FieldSection
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Half
from plait.protocol.server_exchange import ServerExchange

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver
    from plait.server.application_gateway import ApplicationGateway

__all__ = ["OVER", "ClientDisconnected", "Response", "Stage"]


class ClientDisconnected(PlaitError, OSError):
    """What an application gets that writes to a client that is gone (ASGI www specification 2.4)."""


class Stage(Enum):
    """What an application owes next."""

    START = "start"  # the status and the field section
    CONTENT = "content"
    TRAILERS = "trailers"
    ENDED = "ended"  # nothing
    FAILED = "failed"  # nothing: the server has ended the exchange


OVER = (Stage.ENDED, Stage.FAILED)


class Response:
    """What one exchange is answered with.

    The head is held back until content follows it, so that a response sent in one piece gets its length
    and an application that fails in between can still be answered for.

    Args:
        gateway: The application's gateway.
        exchange: The exchange.
        driver: Its connection's driver.

    Attributes:
        exchange: The exchange.
        driver: Its connection's driver.
        fields: The field section the application gave; there is none before.
        stage: What the application owes next.
        status: The status code the application gave, 0 before.
    """

    __slots__ = ("driver", "exchange", "fields", "gateway", "stage", "status")

    fields: FieldSection

    def __init__(self, gateway: ApplicationGateway, exchange: ServerExchange, driver: ServerDriver) -> None:
        self.gateway = gateway
        self.exchange = exchange
        self.driver = driver
        self.status = 0
        self.stage = Stage.START

    def ask_for_content(self) -> None:
        """Tell a client that waits for it to go on: the application wants the content."""
        exchange = self.exchange
        request = exchange.request
        if request.expects_continue and exchange.received is Half.CONTENT and not exchange.content:
            # RFC 9110 §10.1.1: only now is it known that the content is wanted.
            request.expects_continue = False
            try:
                exchange.send_informational_response(100, [])
            except ExchangeError:
                pass  # the client is gone, as whoever reads is told

    def begin(self) -> tuple[FieldSection, int | None]:
        """Complete the field section; return it and the content-length it has."""
        fields = self.fields
        dated = False
        length: int | None = None
        for name, value in fields:
            if name == b"date":
                dated = True
            elif name == b"content-length":
                if not value.isdigit() or (length is not None and length != int(value)):
                    raise RuntimeError(f"content-length {value!r} is not the one length of the content")
                length = int(value)
        if not dated:
            fields.append((b"date", self.gateway.date))
        return fields, length

    def send_head(self) -> None:
        """Send the head; content follows."""
        fields, length = self.begin()
        self.exchange.send_response(self.status, fields, content_length=length)

    def send_whole(self, content: bytes) -> None:
        """Send the head and all of the content."""
        fields, length = self.begin()
        if length is None:
            if content or not self.exchange.sends_no_content(self.status):
                # All of the content is known, so the client may as well be told its length. An
                # application that answers HEAD without content has not said what GET would get.
                fields.append((b"content-length", b"%d" % len(content)))
        elif length != len(content) and not self.exchange.sends_no_content(self.status):
            raise LocalProtocolError(f"content of {len(content)} bytes, and a content-length of {length}")
        self.exchange.send_whole_response(self.status, fields, content)

    def answer(self, status: int, sentence: str, *more: tuple[bytes, bytes]) -> None:
        """Answer with an error of the server's own.

        Args:
            status: From 400 to 599.
            sentence: For whoever reads the content.
            more: Further fields.
        """
        self.fields = [(b"content-type", b"text/plain; charset=utf-8"), *more]
        self.status = status
        self.stage = Stage.FAILED
        try:
            self.send_whole(sentence.encode() + b"\n")
        except (ExchangeError, LocalProtocolError):
            pass  # the client is gone

    def fail(self, status: int = 500, sentence: str = "Internal Server Error") -> None:
        """End the exchange after the application failed.

        Before its response began this is an error status; after it, nothing that could look complete:
        the stream is reset, and HTTP/1.1 closes the connection.
        """
        exchange = self.exchange
        self.stage = Stage.FAILED
        if not exchange.closed:
            if exchange.sent is Half.HEAD:
                self.answer(status, sentence)
            elif exchange.sent is Half.CONTENT:
                exchange.abandon(ErrorCode.INTERNAL_ERROR)
