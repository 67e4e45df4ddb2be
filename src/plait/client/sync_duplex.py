"""Conversations for threads that wait; imported when the first is asked for."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from plait.client.duplex import AnyConversation, Until
from plait.client.messages import Request
from plait.client.sync_client import Client
from plait.client.sync_streams import ResponseStream

if TYPE_CHECKING:
    from plait.client.trailers import TrailerInput

__all__ = ["Conversation"]


class Conversation(AnyConversation[ResponseStream]):
    """A request that is written while its response is read; a context manager.

    What one side sends waits for what the other takes: a thread that sends much to a server that answers
    as it reads has to read in between, or leave the reading to another thread.

    Leaving it early resets the stream.
    """

    def __init__(self, client: Client, request: Request) -> None:
        super().__init__(ResponseStream(client, request))
        self._client = client

    def __enter__(self) -> Self:
        self._client._start(self._call)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()

    def send(self, data: bytes) -> bool:
        """Send content, as fast as the server takes it.

        Args:
            data: The content.

        Returns:
            Whether the server still wants content. It does not once it has answered with a status of 400
            or above, or has ended the stream: then nothing is sent any more, and its response is to be read.

        Raises:
            WriteTimeout: It took nothing for too long.
            LocalProtocolError: The content has ended, or is longer than its content-length.
            PlaitError: There is no exchange any more.
        """
        return all(self._write(piece) for piece in self._pieces(data))

    def end(self, trailers: TrailerInput | None = None) -> None:
        """End the content.

        Args:
            trailers: Fields to send behind it (RFC 9110 §6.5).

        Raises:
            LocalProtocolError: It has ended already, or is shorter than its content-length, or a field is
                none that can be a trailer.
            PlaitError: There is no exchange any more.
        """
        self._write(self._ending(trailers))
        self._has_ended = True

    def _write(self, piece: Any) -> bool:
        client, call = self._client, self._call
        until: Any = Until(call, self._may_write)
        client._wait(until, None)
        with client._driver.lock:
            if call.exchange is not None:
                # Nobody has looked while there was room: the server may have said that it wants no more.
                call.link.transport.receive()
            if self._is_wanted:
                call.give(piece)
                client._driver.flush()
                client._driver.rouse()
            return self._is_wanted

    def response(self) -> ResponseStream:
        """Wait for the head of the response; its content is read from what is returned.

        Raises:
            PlaitError: There is no response, and will not be.
        """
        stream = self._stream
        if not self._has_head:
            stream._begin(self._client._finish(self._call), self._call)
            self._has_head = True
        return stream

    def receive(self) -> bytes:
        """Return the next piece of the response's content, its content codings undone; ``b""`` at its end.

        Raises:
            PlaitError: The exchange ended before its content.
        """
        return self.response()._read_decoded()

    def read(self) -> bytes:
        """Return the content of the response, or what is left of it.

        Raises:
            PlaitError: The exchange ended before its content.
        """
        return self.response().read()
