"""A WebSocket for asyncio; imported when the first is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import Self

from websockets.frames import CloseCode

from plait.client.async_client import AsyncClient
from plait.client.timeouts import finite
from plait.client.websocket_handshake import Handshake
from plait.client.websockets import AnyWebSocket, checked, fragments_of
from plait.drivers.alarm import Alarm
from plait.errors import LocalProtocolError, Timeout

__all__ = ["AsyncWebSocket"]


class AsyncWebSocket(AnyWebSocket):
    """A WebSocket; an asynchronous context manager, which opens and closes it.

    Several tasks may use one: what they send goes out message by message, and each message that comes is
    received by one of them. A task that is cancelled while it waits for a message loses none.

    Args:
        client: The client.
        handshake: What is asked for.
    """

    def __init__(self, client: AsyncClient, handshake: Handshake) -> None:
        super().__init__(client._core, handshake)
        self._client = client
        self._sending = asyncio.Lock()
        self._waiters: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> Self:
        self._client._start(self._call)
        self._opened = await self._client._finish(self._call)
        self._loop = asyncio.get_running_loop()
        self._session.on_change = self._changed
        self._alarm = Alarm(self._loop, self._session, monotonic)
        self._alarm.set()
        self._session.on_due = self._alarm.set
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self.close()
        elif issubclass(kind, Exception):
            await self.close(CloseCode.INTERNAL_ERROR)
        else:
            await self._leave()

    # -- messages --------------------------------------------------------------------------------

    async def recv(self, timeout: float | None = None) -> str | bytes:
        """Return the next message.

        Args:
            timeout: Seconds to wait; the message that comes after that is not lost.

        Raises:
            Timeout: None came in time.
            WebSocketClosed: None will come: the WebSocket has ended.
        """
        session = self._session
        if not session.ready and not await self._wait(lambda: session.ready, timeout):
            raise Timeout(f"no message within {timeout:g} seconds")
        message = session.receive()
        if message is None:
            raise session.failure()
        return message

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages until the WebSocket ends in good order, with 1000 or 1001.

        Raises:
            WebSocketClosed: It ended in another way.
        """
        session = self._session
        while True:
            if not session.ready:
                await self._wait(lambda: session.ready)
            message = session.receive()
            if message is None:
                if session.ended_well:
                    return
                raise session.failure()
            yield message

    async def send(self, message: str | bytes | Iterable[str | bytes] | AsyncIterable[str | bytes]) -> None:
        """Send a message; wait while the server takes nothing and much is on its way to it.

        Args:
            message: Text, or bytes; or an iterable of either, each sent as one fragment of the message.

        Raises:
            WebSocketClosed: The WebSocket has ended.
            WriteTimeout: The server took nothing for ``write_timeout``; the WebSocket is broken off.
            LocalProtocolError: It is nothing that can be sent.
        """
        session = self._session
        fragments = fragments_of(message)
        async with self._sending:
            if fragments is not None:
                await self._send_fragments(fragments)
                return
            session.check_open()
            session.send(checked(message))
            await self._make_room()

    async def _send_fragments(self, fragments: Iterable[str | bytes] | AsyncIterable[str | bytes]) -> None:
        first: type | None = None
        try:
            async for one in fragments if isinstance(fragments, AsyncIterable) else _as_async(fragments):
                fragment = checked(one)
                if first not in (None, type(fragment)):
                    raise LocalProtocolError("the fragments of one message are all text, or all bytes")
                await self._send_fragment(fragment, first=first is None, last=False)
                first = type(fragment)
        except BaseException:
            if first is not None:
                # Nothing can follow but the rest of the message, and there is none.
                self._begin_to_close(CloseCode.INTERNAL_ERROR)
            raise
        if first is not None:
            await self._send_fragment(first(), first=False, last=True)

    async def _send_fragment(self, fragment: str | bytes, *, first: bool, last: bool) -> None:
        session = self._session
        session.check_open()
        session.send_fragment(fragment, first=first, last=last)
        await self._make_room()

    async def _make_room(self) -> None:
        """Wait while too much waits for the server."""
        session = self._session
        while session.blocked and session.ended is None:
            before = session.waiting
            arrived = await self._wait(
                lambda: not session.blocked or session.ended is not None, finite(self._write_timeout)
            )
            if not arrived:
                session.check_progress(before, self._write_timeout)

    # -- control ---------------------------------------------------------------------------------

    async def ping(self, timeout: float | None = None) -> float:
        """Ask the server for a sign of life; return how many seconds it took.

        Args:
            timeout: Seconds to wait.

        Raises:
            Timeout: There was none in time.
            WebSocketClosed: The WebSocket has ended.
        """
        session = self._session
        session.check_open()
        began = monotonic()
        payload = session.ping()
        answered = await self._wait(
            lambda: payload not in session.pings or session.ended is not None, timeout
        )
        if payload in session.pings:
            if answered:
                raise session.failure()
            raise Timeout(f"no answer to a ping within {timeout:g} seconds")
        return monotonic() - began

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """End the WebSocket: send a Close frame, unless that was done, and wait for the server's end of it.

        Args:
            code: Why, from 1000 on (RFC 6455 §7.4).
            reason: A word on that, at most 123 bytes.

        Raises:
            LocalProtocolError: A WebSocket cannot be closed with these.
        """
        session = self._session
        self._begin_to_close(code, reason)
        await self._wait(lambda: session.gone)
        self._alarm.set()

    def _begin_to_close(self, code: int, reason: str = "") -> None:
        self._session.close(code, reason, monotonic())
        self._alarm.set()
        self._changed()

    async def _leave(self) -> None:
        """Say goodbye and wait for nothing: whoever cancels a task does not want it to."""
        self._begin_to_close(CloseCode.GOING_AWAY)
        await asyncio.sleep(0)  # for the Close frame to leave
        self._session.abandon()
        self._alarm.set()

    # -- waiting ---------------------------------------------------------------------------------

    async def _wait(self, arrived: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait; say whether it arrived in time."""
        if timeout is None:
            await self._until(arrived)
            return True
        try:
            async with asyncio.timeout(timeout):
                await self._until(arrived)
        except TimeoutError:
            return arrived()
        return True

    async def _until(self, arrived: Callable[[], bool]) -> None:
        while not arrived():
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def _changed(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


async def _as_async(fragments: Iterable[str | bytes]) -> AsyncIterator[str | bytes]:
    for fragment in fragments:
        yield fragment
