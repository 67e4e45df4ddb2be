"""Conversations for asyncio; imported when the first is asked for."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from plait.client.async_client import AsyncClient
from plait.client.async_streams import AsyncResponseStream
from plait.client.duplex import AnyConversation, Until
from plait.client.messages import Request

if TYPE_CHECKING:
    from plait.client.trailers import TrailerInput

__all__ = ["AsyncConversation"]


class AsyncConversation(AnyConversation[AsyncResponseStream]):
    """A request that is written while its response is read; an asynchronous context manager.

    What one side sends waits for what the other takes: a task that sends much to a server that answers as
    it reads has to read in between, or leave the reading to another task.

    Leaving it early resets the stream.
    """

    def __init__(self, client: AsyncClient, request: Request) -> None:
        super().__init__(AsyncResponseStream(client, request))
        self._client = client

    async def __aenter__(self) -> Self:
        self._client._start(self._call)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stream.aclose()

    async def send(self, data: bytes) -> bool:
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
        for piece in self._pieces(data):
            if not await self._write(piece):
                return False
        return True

    async def end(self, trailers: TrailerInput | None = None) -> None:
        """End the content.

        Args:
            trailers: Fields to send behind it (RFC 9110 §6.5).

        Raises:
            LocalProtocolError: It has ended already, or is shorter than its content-length, or a field is
                none that can be a trailer.
            PlaitError: There is no exchange any more.
        """
        await self._write(self._ending(trailers))
        self._has_ended = True

    async def _write(self, piece: Any) -> bool:
        call = self._call
        until: Any = Until(call, self._may_write)
        if not until.done:
            await self._client._wait(until)
        if self._is_wanted:
            call.give(piece)
        return self._is_wanted

    async def response(self) -> AsyncResponseStream:
        """Wait for the head of the response; its content is read from what is returned.

        Raises:
            PlaitError: There is no response, and will not be.
        """
        stream = self._stream
        if not self._has_head:
            stream._begin(await self._client._finish(stream._call), self._call)
            self._has_head = True
        return stream

    async def receive(self) -> bytes:
        """Return the next piece of the response's content, its content codings undone; ``b""`` at its end.

        Raises:
            PlaitError: The exchange ended before its content.
        """
        return await (await self.response())._read_decoded()

    async def read(self) -> bytes:
        """Return the content of the response, or what is left of it.

        Raises:
            PlaitError: The exchange ended before its content.
        """
        return await (await self.response()).read()
