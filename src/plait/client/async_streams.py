"""What an asynchronous client gives that lives longer than a call; imported when it is first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from plait.client.async_client import AsyncClient, AsyncPending
from plait.client.goals import HEAD, PIECE
from plait.client.messages import Request, Response
from plait.client.streams import Numbered, StreamedResponse
from plait.errors import ClientClosed

if TYPE_CHECKING:
    from plait.client.server_sent_events import ServerSentEvent

__all__ = ["AsyncConnection", "AsyncResponseStream", "AsyncStreams"]


class AsyncResponseStream(StreamedResponse):
    """A response whose content is read while it arrives; an asynchronous context manager.

    Leaving it before the end of the content resets the stream: the rest is neither sent nor paid for.
    """

    _call: AsyncPending

    def __init__(self, client: AsyncClient, request: Request) -> None:
        super().__init__()
        self._client = client
        self._call = AsyncPending(client, request, HEAD)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        if not self._is_open:  # one of a map() is
            self._start()
            await self._open()
        return self

    def _start(self) -> None:
        """Send the request."""
        self._loop = asyncio.get_running_loop()
        self._client._start(self._call)

    async def _open(self) -> None:
        """Wait for the response, once the request was sent."""
        try:
            self._begin(await self._client._finish(self._call), self._call)
        except BaseException:
            await self.aclose()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the exchange, if it has not ended."""
        self._is_open = False
        self._end_call()

    def abandon(self) -> None:
        """End the exchange, if it has not ended, soon: a finalizer may call this, in any thread."""
        self._is_open = False
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._end_call)
            except RuntimeError:
                pass  # the loop is closed, and with it every connection

    def _end_call(self) -> None:
        self._leave(self._call)
        self._call.give_up(ClientClosed("the response was closed"))

    async def iter_raw(self) -> AsyncIterator[bytes]:
        """Yield the content in pieces, as it arrives, no content coding undone.

        Raises:
            PlaitError: The exchange ended before its content.
        """
        while piece := await self._read():
            yield piece

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield the content in pieces, as it arrives, its content codings undone.

        Raises:
            ContentDecodingError: It is not in the coding that it says.
            PlaitError: The exchange ended before its content.
        """
        while piece := await self._read_decoded():
            yield piece

    async def iter_text(self) -> AsyncIterator[str]:
        """Yield the content as text, in the charset that ``encoding`` says, as it arrives.

        Raises:
            ContentDecodingError: It is not in the coding that it says.
            PlaitError: The exchange ended before its content.
        """
        from plait.client.texts import Text

        text = Text(self.encoding)
        async for piece in self.iter_bytes():
            if characters := text.feed(piece):
                yield characters
        if characters := text.finish():
            yield characters

    async def iter_lines(self) -> AsyncIterator[str]:
        """Yield the lines of the text, without their ends (LF, CR LF or CR), as they arrive.

        Raises:
            ContentDecodingError: It is not in the coding that it says, or a line is longer than
                ``max_decoded_size``.
            PlaitError: The exchange ended before its content.
        """
        from plait.client.texts import Lines

        lines = Lines(self._limit)
        async for text in self.iter_text():
            for one in lines.feed(text):
                yield one
        for line in lines.finish():
            yield line

    async def iter_events(self) -> AsyncIterator[ServerSentEvent]:
        """Yield server-sent events, as they arrive.

        Raises:
            RemoteProtocolError: The content is not of the type ``text/event-stream``.
            ContentDecodingError: It is not in the coding that it says, or an event is longer than
                ``max_decoded_size``.
            PlaitError: The exchange ended before its content.
        """
        events = self._events()
        async for piece in self.iter_bytes():
            for one in events.feed(piece):
                yield one

    async def read(self) -> bytes:
        """Return the content, or what is left of it, its content codings undone.

        Raises:
            ContentDecodingError: It is not in the coding that it says, or is larger than it may be.
            PlaitError: The exchange ended before its content.
        """
        whole = self._gather()
        async for piece in self.iter_bytes():
            whole.add(piece)
        return whole.content

    async def _read_decoded(self) -> bytes:
        decoder = self._decoder
        if decoder is None:
            return await self._read()
        while not (piece := decoder.take()):
            if not (raw := await self._read()):
                decoder.finish()
                break
            decoder.feed(raw)
        return piece

    async def _read(self) -> bytes:
        self._check_open()
        if self._call.error is None:
            self._call.then(PIECE)
        piece: bytes = await self._client._finish(self._call)
        if not piece:
            self._end(self._call)
        return piece


class AsyncStreams:
    """The responses of a ``map()`` that are streamed, those included that nobody has taken yet.

    Args:
        client: The client.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._streams: dict[AsyncPending, AsyncResponseStream] = {}

    def start(self, request: Request) -> AsyncPending:
        """Send a request; what is returned is done with the head of its response."""
        stream = self._client.stream_request(request)
        stream._start()
        self._streams[stream._call] = stream
        return stream._call

    async def take(self, pending: AsyncPending) -> AsyncResponseStream:
        """Return the response of a request that is done.

        Raises:
            PlaitError: There is none.
        """
        stream = self._streams[pending]
        await stream._open()
        return stream

    async def leave(self, pending: AsyncPending) -> None:
        """Close a response."""
        stream = self._streams.pop(pending, None)
        if stream is not None:
            await stream.aclose()

    async def aclose(self) -> None:
        """Close all."""
        while self._streams:
            await self._streams.popitem()[1].aclose()


class AsyncConnection(Numbered[AsyncPending]):
    async def get_response(self, stream_id: int) -> Response:
        """Wait for the response to a request, once.

        Args:
            stream_id: What :meth:`request` returned.

        Raises:
            LocalProtocolError: There is no such request, or its response was taken already.
            PlaitError: There is no response, and will not be.
        """
        return await self._take(stream_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cancel_all()
