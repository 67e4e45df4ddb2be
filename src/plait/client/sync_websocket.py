"""A WebSocket for threads that wait; imported when the first is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf
from threading import Lock
from time import monotonic
from types import TracebackType
from typing import Self

from websockets.frames import CloseCode

from plait.client.sync_client import Client
from plait.client.websocket_handshake import Handshake
from plait.client.websockets import AnyWebSocket, checked, fragments_of
from plait.errors import ClientClosed, LocalProtocolError, Timeout

__all__ = ["WebSocket"]


class WebSocket(AnyWebSocket):
    """A WebSocket; a context manager, which opens and closes it.

    Several threads may use one: what they send goes out message by message, and each message that comes is
    received by one of them. Like its client it has no thread of its own: pings are answered, and sent,
    while somebody waits for something of the client's.

    Args:
        client: The client.
        handshake: What is asked for.
    """

    def __init__(self, client: Client, handshake: Handshake) -> None:
        super().__init__(client._core, handshake)
        self._client = client
        self._driver = client._driver
        self._sending = Lock()
        self._watchers: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        call = self._call
        try:
            self._client._start(call)
            self._opened = self._client._finish(call)
        except BaseException:
            with self._driver.lock:
                call.give_up(ClientClosed("the WebSocket was given up"))
                self._driver.flush()
            raise
        self._session.on_change = self._changed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif issubclass(kind, Exception):
            self.close(CloseCode.INTERNAL_ERROR)
        else:
            self._leave()

    # -- messages --------------------------------------------------------------------------------

    def recv(self, timeout: float | None = None) -> str | bytes:
        """Return the next message.

        Args:
            timeout: Seconds to wait; the message that comes after that is not lost.

        Raises:
            Timeout: None came in time.
            WebSocketClosed: None will come: the WebSocket has ended.
        """
        deadline = inf if timeout is None else monotonic() + timeout
        with self._driver.lock:
            session = self._session
            if not self._wait(lambda: session.ready, deadline):
                raise Timeout(f"no message within {timeout:g} seconds")
            message = session.receive()
            self._driver.flush()
        if message is None:
            raise session.failure()
        return message

    def __iter__(self) -> Iterator[str | bytes]:
        """Yield messages until the WebSocket ends in good order, with 1000 or 1001.

        Raises:
            WebSocketClosed: It ended in another way.
        """
        while (message := self._next()) is not None:
            yield message

    def _next(self) -> str | bytes | None:
        with self._driver.lock:
            session = self._session
            self._wait(lambda: session.ready)
            message = session.receive()
            self._driver.flush()
        if message is None and not session.ended_well:
            raise session.failure()
        return message

    def send(self, message: str | bytes | Iterable[str | bytes]) -> None:
        """Send a message; wait while the server takes nothing and much is on its way to it.

        Args:
            message: Text, or bytes; or an iterable of either, each sent as one fragment of the message.

        Raises:
            WebSocketClosed: The WebSocket has ended.
            WriteTimeout: The server took nothing for ``write_timeout``; the WebSocket is broken off.
            LocalProtocolError: It is nothing that can be sent.
        """
        fragments = fragments_of(message)
        with self._sending:
            if fragments is not None:
                self._send_fragments(fragments)
                return
            whole = checked(message)
            with self._driver.lock:
                session = self._session
                session.check_open()
                session.send(whole)
                self._make_room()

    def _send_fragments(self, fragments: Iterable[str | bytes]) -> None:
        first: type | None = None
        try:
            for one in fragments:
                fragment = checked(one)
                if first not in (None, type(fragment)):
                    raise LocalProtocolError("the fragments of one message are all text, or all bytes")
                self._send_fragment(fragment, first=first is None, last=False)
                first = type(fragment)
        except Exception:
            if first is not None:
                # Nothing can follow but the rest of the message, and there is none.
                self._begin_to_close(CloseCode.INTERNAL_ERROR)
            raise
        if first is not None:
            self._send_fragment(first(), first=False, last=True)

    def _send_fragment(self, fragment: str | bytes, *, first: bool, last: bool) -> None:
        with self._driver.lock:
            session = self._session
            session.check_open()
            session.send_fragment(fragment, first=first, last=last)
            self._make_room()

    def _make_room(self) -> None:
        """Write what there is; wait while too much waits for the server."""
        session = self._session
        self._driver.flush()
        while session.blocked and session.ended is None:
            before = session.waiting
            if not self._wait(
                lambda: not session.blocked or session.ended is not None, monotonic() + self._write_timeout
            ):
                session.check_progress(before, self._write_timeout)
        self._driver.rouse()

    # -- control ---------------------------------------------------------------------------------

    def ping(self, timeout: float | None = None) -> float:
        """Ask the server for a sign of life; return how many seconds it took.

        Args:
            timeout: Seconds to wait.

        Raises:
            Timeout: There was none in time.
            WebSocketClosed: The WebSocket has ended.
        """
        began = monotonic()
        with self._driver.lock:
            session = self._session
            session.check_open()
            payload = session.ping()
            answered = self._wait(
                lambda: payload not in session.pings or session.ended is not None,
                inf if timeout is None else began + timeout,
            )
            if payload in session.pings:
                if answered:
                    raise session.failure()
                raise Timeout(f"no answer to a ping within {timeout:g} seconds")
        return monotonic() - began

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """End the WebSocket: send a Close frame, unless that was done, and wait for the server's end of it.

        Args:
            code: Why, from 1000 on (RFC 6455 §7.4).
            reason: A word on that, at most 123 bytes.

        Raises:
            LocalProtocolError: A WebSocket cannot be closed with these.
        """
        self._begin_to_close(code, reason)
        with self._driver.lock:
            session = self._session
            self._wait(lambda: session.gone)

    def _begin_to_close(self, code: int, reason: str = "") -> None:
        with self._driver.lock:
            self._session.close(code, reason, monotonic())
            self._driver.flush()
            self._changed()
            self._driver.rouse()

    def _leave(self) -> None:
        """Say goodbye and wait for nothing: whoever interrupts a program does not want it to."""
        self._begin_to_close(CloseCode.GOING_AWAY)
        with self._driver.lock:
            self._session.abandon()
            self._driver.flush()
            self._driver.rouse()

    # -- waiting ---------------------------------------------------------------------------------

    def _wait(self, arrived: Callable[[], bool], deadline: float = inf) -> bool:
        """Wait, under the driver's lock, and see to what is due meanwhile; say whether it arrived in time."""
        if arrived():
            return True
        core, driver, session = self._core, self._driver, self._session
        session.resume(monotonic())
        try:
            while True:
                driver.turn(min(deadline, session.due, core.due), arrived, self)
                if arrived():
                    return True
                now = monotonic()
                if now >= core.due:
                    core.look()
                session.look(now)
                if now >= deadline:
                    driver.flush()
                    return arrived()
        finally:
            driver.hand_over()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call somebody when something has changed (for the driver)."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call this one no more."""
        self._watchers.remove(watcher)

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher()
