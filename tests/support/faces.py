"""Both clients behind one interface that blocks, so that one test holds both to the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any

import plait
from plait.client.async_client import AsyncPending
from plait.client.async_completions import AsyncCompletions
from plait.client.async_duplex import AsyncConversation
from plait.client.async_streams import AsyncResponseStream
from plait.client.async_websocket import AsyncWebSocket

__all__ = ["AsyncFace", "Face"]


class AsyncFace:
    """An AsyncClient with an event loop of its own, called as a Client is."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self.run = self._runner.run
        self.client = plait.AsyncClient(*args, **options)

    def request(self, method: str, url: str, **options: Any) -> plait.Response:
        return self.run(self.client.request(method, url, **options))

    def get(self, url: str, **options: Any) -> plait.Response:
        return self.run(self.client.get(url, **options))

    def post(self, url: str, **options: Any) -> plait.Response:
        return self.run(self.client.post(url, **options))

    def send(self, request: plait.Request) -> plait.Response:
        return self.run(self.client.send(request))

    def submit(self, method: str, url: str, **options: Any) -> _Pending:
        async def submit() -> AsyncPending:
            return self.client.submit(method, url, **options)

        return _Pending(self, self.run(submit()))

    def map(self, requests: Any, **options: Any) -> _Results:
        return _Results(self, self.client.map(requests, **options))

    def as_completed(self, pendings: Any = (), timeout: float | None = None) -> _Completions:
        return _Completions(self, pendings, timeout)

    def gather(self, *requests: Any, **options: Any) -> list[Any]:
        mine = [one._pending if isinstance(one, _Pending) else one for one in requests]

        async def gather() -> list[Any]:
            return await self.client.gather(*mine, **options)

        return self.run(gather())

    def stream(self, method: str, url: str, **options: Any) -> _Stream:
        return _Stream(self, self.client.stream(method, url, **options))

    def stream_request(self, request: plait.Request) -> _Stream:
        return _Stream(self, self.client.stream_request(request))

    def websocket(self, url: str, **options: Any) -> _WebSocket:
        return _WebSocket(self, self.client.websocket(url, **options))

    def duplex(self, method: str, url: str, **options: Any) -> _Conversation:
        return _Conversation(self, self.client.duplex(method, url, **options))

    def look(self) -> None:
        """Let the loop take note of what has arrived, as a loop that runs all the time does."""

        async def turns() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        self.run(turns())

    def __getattr__(self, name: str) -> Any:
        # What neither waits nor sends is the same on both.
        return getattr(self.client, name)

    @property
    def statistics(self) -> plait.Statistics:
        return self.client.statistics

    def close(self) -> None:
        self.run(self.client.aclose())

    def __enter__(self) -> AsyncFace:
        return self

    def __exit__(self, *exception: object) -> None:
        self.run(self.client.aclose())
        self._runner.close()


class _Pending:
    def __init__(self, face: AsyncFace, pending: AsyncPending) -> None:
        self._face = face
        self._pending = pending

    @property
    def error(self) -> Exception | None:
        return self._pending.error

    def cancel(self) -> None:
        async def cancel() -> None:
            self._pending.cancel()

        self._face.run(cancel())

    def reprioritize(self, priority: plait.Priority | str) -> None:
        self._pending.reprioritize(priority)

    def result(self, timeout: float | None = None) -> plait.Response:
        return self._face.run(self._pending.result(timeout))


class _Results:
    def __init__(self, face: AsyncFace, results: AsyncGenerator[Any, None]) -> None:
        self._face = face
        self._results = results

    def __iter__(self) -> _Results:
        return self

    def __next__(self) -> Any:
        async def next_result() -> Any:
            return await anext(self._results)

        try:
            result = self._face.run(next_result())
            return _Stream(self._face, result) if isinstance(result, AsyncResponseStream) else result
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        self._face.run(self._results.aclose())


class _Completions:
    def __init__(self, face: AsyncFace, pendings: Iterable[_Pending], timeout: float | None) -> None:
        self._face = face
        self._faces = {one._pending: one for one in pendings}

        async def begin() -> AsyncCompletions:
            return face.client.as_completed(self._faces, timeout)

        self._completions = face.run(begin())

    def __iter__(self) -> _Completions:
        return self

    def __next__(self) -> _Pending:
        async def next_one() -> AsyncPending:
            return await anext(self._completions)

        try:
            return self._faces[self._face.run(next_one())]
        except StopAsyncIteration:
            raise StopIteration from None


class _Stream:
    def __init__(self, face: AsyncFace, stream: AsyncResponseStream) -> None:
        self._face = face
        self._stream = stream

    def __enter__(self) -> _Stream:
        self._face.run(self._stream.__aenter__())
        return self

    def __exit__(self, *exception: Any) -> None:
        self._face.run(self._stream.__aexit__(*exception))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self) -> bytes:
        return self._face.run(self._stream.read())

    def _each(self, name: str) -> Iterator[Any]:
        pieces = getattr(self._stream, name)()

        async def next_piece() -> Any:
            return await anext(pieces, None)

        while (piece := self._face.run(next_piece())) is not None:
            yield piece

    def iter_bytes(self) -> Iterator[bytes]:
        return self._each("iter_bytes")

    def iter_text(self) -> Iterator[str]:
        return self._each("iter_text")

    def iter_lines(self) -> Iterator[str]:
        return self._each("iter_lines")

    def iter_events(self) -> Iterator[plait.ServerSentEvent]:
        return self._each("iter_events")


class _WebSocket:
    def __init__(self, face: AsyncFace, websocket: AsyncWebSocket) -> None:
        self._face = face
        self._websocket = websocket

    def __enter__(self) -> _WebSocket:
        self._face.run(self._websocket.__aenter__())
        return self

    def __exit__(self, *exception: Any) -> None:
        self._face.run(self._websocket.__aexit__(*exception))

    def __iter__(self) -> Iterator[str | bytes]:
        messages = aiter(self._websocket)

        async def next_message() -> Any:
            return await anext(messages, None)

        while (message := self._face.run(next_message())) is not None:
            yield message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)

    def recv(self, timeout: float | None = None) -> str | bytes:
        return self._face.run(self._websocket.recv(timeout))

    def send(self, message: Any) -> None:
        self._face.run(self._websocket.send(message))

    def ping(self, timeout: float | None = None) -> float:
        return self._face.run(self._websocket.ping(timeout))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._face.run(self._websocket.close(code, reason))


class _Conversation:
    def __init__(self, face: AsyncFace, conversation: AsyncConversation) -> None:
        self._face = face
        self._conversation = conversation

    def __enter__(self) -> _Conversation:
        self._face.run(self._conversation.__aenter__())
        return self

    def __exit__(self, *exception: Any) -> None:
        self._face.run(self._conversation.__aexit__(*exception))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conversation, name)

    def send(self, data: bytes) -> bool:
        return self._face.run(self._conversation.send(data))

    def end(self, trailers: Any = None) -> None:
        self._face.run(self._conversation.end(trailers))

    def response(self) -> _Stream:
        return _Stream(self._face, self._face.run(self._conversation.response()))

    def receive(self) -> bytes:
        return self._face.run(self._conversation.receive())

    def read(self) -> bytes:
        return self._face.run(self._conversation.read())


Face = plait.Client | AsyncFace
