"""An exchange at the server's end, and what only a server does with one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plait.errors import ContentTooLarge, LocalProtocolError
from plait.fields import Field, FieldSection, RequestHead, too_large
from plait.protocol.events import Fields
from plait.protocol.exchange import Exchange
from plait.protocol.priorities import DEFAULT_PRIORITY, Priority, parse_priority
from plait.protocol.push import promised_request

if TYPE_CHECKING:
    from plait.protocol.server_endpoint import ServerEndpoint

__all__ = ["ServerExchange"]

#: Bytes of content that fit into any window.
_SMALL_CONTENT = 65_536


class ServerExchange(Exchange):
    """An exchange at the server's end, where there is always a request."""

    # Nothing is made beside what both ends have: there is an exchange for every request.
    __slots__ = ()

    endpoint: ServerEndpoint
    request: RequestHead

    def receive_content(self, data: bytes, end_stream: bool) -> None:
        """Take content from the connection, as far as the limit; ``read`` says so beyond it."""
        self.received_bytes += len(data)
        limits = self.endpoint.limits
        if 0 < limits.max_content_size < self.received_bytes and not self.request.protocol:
            if self.error is None:
                self.error = ContentTooLarge(too_large(limits)[1])
                self.release()
            self._credit(len(data))
            return
        Exchange.receive_content(self, data, end_stream)

    def end_received(self) -> None:
        # What is cut short at the limit has no end, or it would look complete.
        if not isinstance(self.error, ContentTooLarge):
            Exchange.end_received(self)

    def _credit(self, amount: int) -> None:
        Exchange._credit(self, amount)
        if self.credited_bytes > _SMALL_CONTENT:
            self.endpoint.note_reading(self)

    def adopt(self, content: bytes, trailers: Fields) -> None:
        """Take a whole message that came before the connection was what it is (RFC 7540 §3.2)."""
        self._gathers = len(content)  # what flow control never saw needs no credit
        self.content = content
        if trailers:
            self.beside().trailers = list(trailers)

    def push(self, request_fields: Iterable[Field]) -> ServerExchange | None:
        """Promise the client the response to a request that it has not sent (RFC 9113 §8.4).

        The promise leaves before any content sent from now on, so push before sending what refers to
        it. The promised exchange comes out of ``endpoint.take_accepted`` like any request.

        Args:
            request_fields: ``:method``, ``:scheme``, ``:authority`` and ``:path`` first. Only GET and
                HEAD can be promised, and only for the authority of this request.

        Returns:
            The promised exchange, or None where the client takes none: over HTTP/1.1, with push
            disabled, with as many open as it allows, when the connection is closing, when this
            exchange is pushed itself or has sent its end.

        Raises:
            LocalProtocolError: The request may not be promised.
        """
        return self.endpoint.push(self, promised_request(request_fields, self.request.authority))

    @property
    def priority(self) -> Priority:
        """How urgent the response is: what was said last, by the client or by :meth:`prioritize`."""
        scheduled = self.endpoint.connection.priority_of(self.stream_id)
        if scheduled is not None:
            return Priority(*scheduled)
        return parse_priority(self.request.priority) or DEFAULT_PRIORITY

    def prioritize(self, urgency: int, incremental: bool) -> None:
        """Send the response by this priority, whatever the client said so far (RFC 9218 §8).

        Args:
            urgency: From 0, the most urgent, to 7.
            incremental: Whether it shares the connection with others of its urgency, instead of
                being sent after those that came first.

        Raises:
            LocalProtocolError: The urgency is out of range.
        """
        if not 0 <= urgency <= 7:
            raise LocalProtocolError(f"an urgency is from 0 to 7, not {urgency}")
        self.endpoint.prioritized = True
        self.endpoint.connection.prioritize(self.stream_id, Priority(urgency, incremental))

    def _take_priority_of(self, fields: FieldSection) -> None:
        for name, value in fields:
            if name == b"priority":
                # RFC 9218 §8: what it does not say stays as the client said it.
                said = parse_priority(value, self.priority)
                if said is not None:
                    self.prioritize(*said)
