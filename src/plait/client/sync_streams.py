"""What a blocking client gives that lives longer than a call; imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from plait.client.goals import HEAD, PIECE
from plait.client.messages import Request, Response
from plait.client.streams import Numbered, StreamedResponse
from plait.client.sync_client import Client, Pending
from plait.errors import ClientClosed

if TYPE_CHECKING:
    from plait.client.server_sent_events import ServerSentEvent

__all__ = ["Connection", "ResponseStream", "Streams"]


class ResponseStream(StreamedResponse):
    """A response whose content is read while it arrives; a context manager.

    Leaving it before the end of the content resets the stream: the rest is neither sent nor paid for.
    """

    _call: Pending

    def __init__(self, client: Client, request: Request) -> None:
        super().__init__()
        self._client = client
        self._call = Pending(client, request, HEAD)

    def __enter__(self) -> Self:
        if not self._is_open:  # one of a map() is
            self._client._start(self._call)
            self._open()
        return self

    def _open(self) -> None:
        """Wait for the response, once the request was sent."""
        try:
            self._begin(self._client._finish(self._call), self._call)
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is GeneratorExit:
            self.abandon()  # the block may be a generator's, and its end that of a finalizer
        else:
            self.close()

    def iter_raw(self) -> Iterator[bytes]:
        """Yield the content in pieces, as it arrives, no content coding undone.

        Raises:
            PlaitError: The exchange ended before its content.
        """
        while piece := self._read():
            yield piece

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the content in pieces, as it arrives, its content codings undone.

        Raises:
            ContentDecodingError: It is not in the coding that it says.
            PlaitError: The exchange ended before its content.
        """
        while piece := self._read_decoded():
            yield piece

    def iter_text(self) -> Iterator[str]:
        """Yield the content as text, in the charset that ``encoding`` says, as it arrives.

        Raises:
            ContentDecodingError: It is not in the coding that it says.
            PlaitError: The exchange ended before its content.
        """
        from plait.client.texts import Text

        text = Text(self.encoding)
        for piece in self.iter_bytes():
            if characters := text.feed(piece):
                yield characters
        if characters := text.finish():
            yield characters

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines of the text, without their ends (LF, CR LF or CR), as they arrive.

        Raises:
            ContentDecodingError: It is not in the coding that it says, or a line is longer than
                ``max_decoded_size``.
            PlaitError: The exchange ended before its content.
        """
        from plait.client.texts import Lines

        lines = Lines(self._limit)
        for text in self.iter_text():
            yield from lines.feed(text)
        yield from lines.finish()

    def iter_events(self) -> Iterator[ServerSentEvent]:
        """Yield server-sent events, as they arrive.

        Raises:
            RemoteProtocolError: The content is not of the type ``text/event-stream``.
            ContentDecodingError: It is not in the coding that it says, or an event is longer than
                ``max_decoded_size``.
            PlaitError: The exchange ended before its content.
        """
        events = self._events()
        for piece in self.iter_bytes():
            yield from events.feed(piece)

    def read(self) -> bytes:
        """Return the content, or what is left of it, its content codings undone.

        Raises:
            ContentDecodingError: It is not in the coding that it says, or is larger than it may be.
            PlaitError: The exchange ended before its content.
        """
        whole = self._gather()
        for piece in self.iter_bytes():
            whole.add(piece)
        return whole.content

    def _read_decoded(self) -> bytes:
        decoder = self._decoder
        if decoder is None:
            return self._read()
        while not (piece := decoder.take()):
            if not (raw := self._read()):
                decoder.finish()
                break
            decoder.feed(raw)
        return piece

    def _read(self) -> bytes:
        self._check_open()
        client = self._client
        with client._driver.lock:
            if self._call.error is None:
                self._call.then(PIECE)
        piece: bytes = client._finish(self._call)
        if not piece:
            self._end(self._call)
        return piece

    def close(self) -> None:
        """End the exchange, if it has not ended."""
        self._is_open = False
        with self._client._driver.lock:
            self._end_call()
            self._client._driver.flush()

    def abandon(self) -> None:
        """End the exchange, if it has not ended, soon: a finalizer may call this, for it never waits."""
        self._is_open = False
        self._client._driver.do_soon(self._end_call)

    def _end_call(self) -> None:
        self._leave(self._call)
        self._call.give_up(ClientClosed("the response was closed"))


class Streams:
    """The responses of a ``map()`` that are streamed, those included that nobody has taken yet.

    Args:
        client: The client.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._streams: dict[Pending, ResponseStream] = {}

    def start(self, request: Request) -> Pending:
        """Send a request; what is returned is done with the head of its response."""
        stream = self._client.stream_request(request)
        self._client._start(stream._call)
        self._streams[stream._call] = stream
        return stream._call

    def take(self, pending: Pending) -> ResponseStream:
        """Return the response of a request that is done.

        Raises:
            PlaitError: There is none.
        """
        stream = self._streams[pending]
        stream._open()
        return stream

    def leave(self, pending: Pending) -> None:
        """Close a response."""
        stream = self._streams.pop(pending, None)
        if stream is not None:
            stream.close()

    def abandon(self) -> None:
        """Close all, soon: a finalizer may call this."""
        while self._streams:
            self._streams.popitem()[1].abandon()


class Connection(Numbered[Pending]):
    def get_response(self, stream_id: int) -> Response:
        """Wait for the response to a request, once.

        Args:
            stream_id: What :meth:`request` returned.

        Raises:
            LocalProtocolError: There is no such request, or its response was taken already.
            PlaitError: There is no response, and will not be.
        """
        return self._take(stream_id).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cancel_all()
