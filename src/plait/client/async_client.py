"""The client for asyncio: runs calls on the asyncio driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Generator, Mapping
from functools import partial
from math import inf
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from plait.client.async_many import ManyAtOnce
from plait.client.async_opener import connect
from plait.client.calls import Call
from plait.client.core import ClientCore
from plait.client.forks import survive_forks
from plait.client.goals import WHOLE, Goal
from plait.client.messages import Request, Response, check_request
from plait.client.routes import Verify
from plait.client.uploads import END, Upload
from plait.client.waiting import Waiting
from plait.config import ClientConfig
from plait.errors import ClientClosed, ConfigError, Timeout
from plait.urls import Origin, Params

if TYPE_CHECKING:
    from plait.client.async_driver import LinkDriver
    from plait.client.async_duplex import AsyncConversation
    from plait.client.async_streams import AsyncConnection, AsyncResponseStream
    from plait.client.async_websocket import AsyncWebSocket
    from plait.client.auth import AuthInput
    from plait.client.cookies import CookieInput
    from plait.client.in_process import InProcess
    from plait.client.options import HeaderInput, Hooks, RequestOptions
    from plait.client.statistics import Statistics
    from plait.client.timeouts import Timeouts
    from plait.client.websocket_handshake import WebSocketOptions

#: What clients had when their process was forked, in the child.
_abandoned: list[Any] = []

__all__ = ["AsyncClient", "AsyncPending"]

#: Seconds that connections have to write their last bytes when a client closes.
_LINGER = 0.25


class AsyncPending(Call):
    """A request on its way; awaiting it gives the response.

    Cancelling the task that awaits it gives the request up, as with an ``asyncio.Task``.

    Attributes:
        done: Whether there is a response or an error.
    """

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient, request: Request, goal: Goal) -> None:
        Call.__init__(self, client._core, request, goal)
        self._client = client

    def __await__(self) -> Generator[Any, None, Response]:
        return self._client._finish(self).__await__()

    async def result(self, timeout: float | None = None) -> Response:
        """Wait for the response.

        Args:
            timeout: Seconds to wait; the request goes on after that, and can be waited for again.

        Raises:
            Timeout: It did not come in time.
            PlaitError: There is no response, and will not be.
        """
        if timeout is None or self.done:
            return await self
        try:
            async with asyncio.timeout(timeout):
                await self._client._wait(self, keep=True)
        except TimeoutError:
            late = Timeout(f"no response within {timeout:g} seconds; it is still on its way")
            raise late.about(self.request) from None
        return await self

    def cancel(self) -> None:
        """Give the request up, if it is not done."""
        if not self.done:
            self.give_up(ClientClosed("the request was cancelled"))


class AsyncClient(ManyAtOnce):
    """An HTTP client for asyncio: HTTP/2 multiplexed, HTTP/1.1 where that is all there is.

    It belongs to the event loop in which it is first used.

    Args:
        base_url: The URL that relative ones continue.
        headers: Fields that every request has, unless it has others of the same names.
        params: Parameters that every query has, unless it has others of the same names.
        cookies: Cookies to begin with; names and values go to the host of the base URL.
        auth: Who asks: a pair of name and password, an :class:`~plait.Auth`, or a callable that is given
            each request, and may change it.
        event_hooks: ``{"request": [functions], "response": [functions]}``, called with each.
        timeout: Seconds that a request may take in all, or a :class:`plait.Timeouts`, step by step; before
            what ``options`` say.
        transport: An application in this process that answers everything, :class:`plait.AppTransport`; it
            is stopped when the client closes.
        mounts: The same by origin, such as ``{"https://shop.example": …}``.
        verify: True checks certificates against the system's authorities, a path against those in
            that PEM file, False checks nothing; an ``ssl.SSLContext`` is used as it is.
        config: Options; ``options`` override them.
        options: Fields of :class:`plait.config.ClientConfig`; ``http`` may be ``"auto"``, ``"1"`` or
            ``"2"``. Over plain ``http://`` URLs, ``"2"`` means HTTP/2 with prior knowledge.

    Raises:
        ConfigError: An option is wrong.
        LocalProtocolError: The base URL is no http or https URL, or a field, parameter or cookie is not
            one HTTP can carry.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        headers: HeaderInput | None = None,
        params: Params | None = None,
        cookies: CookieInput | None = None,
        auth: AuthInput = None,
        event_hooks: Hooks | None = None,
        timeout: float | Timeouts | None = None,
        transport: InProcess | None = None,
        mounts: Mapping[str, InProcess] | None = None,
        verify: Verify = True,
        config: ClientConfig | None = None,
        **options: Any,
    ) -> None:
        self._core = ClientCore(
            base_url,
            verify,
            config,
            options,
            monotonic,
            timeout=timeout,
            transport=transport,
            mounts=mounts,
            headers=headers,
            params=params,
            cookies=cookies,
            auth=auth,
            event_hooks=event_hooks,
        )
        self._core.needs_connection = self._needs_connection
        self._core.needs_content = self._needs_content
        self._core.needs_owner = self._needs_owner
        self._core.needs_pause = self._needs_pause
        self._core.new_call = partial(AsyncPending, self, goal=WHOLE)
        survive_forks(self)
        self._drivers: set[LinkDriver] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = Waiting()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticking = False
        self._bytes: tuple[int, int] | None = (0, 0)

    # -- requests --------------------------------------------------------------------------------

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        response: Response = await self._finish(self.submit(method, url, **options))
        return response

    async def send(self, request: Request) -> Response:
        response: Response = await self._finish(self._submit(check_request(request)))
        return response

    def submit(self, method: str, url: str, **options: Unpack[RequestOptions]) -> AsyncPending:
        """Send a request without waiting; as many as you like, they share the connection.

        As many travel at once as the server and ``max_in_flight`` allow, the others wait in order.
        Arguments are those of :meth:`request`.

        Raises:
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
        """
        return self._submit(self._core.maker.make(method, url, **options))

    def _submit(self, request: Request) -> AsyncPending:
        pending = AsyncPending(self, request, WHOLE)
        self._start(pending)
        return pending

    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> AsyncResponseStream:
        """Return a context manager that sends a request and reads its response piece by piece.

        Arguments are those of :meth:`request`, and so are the errors, which entering it and reading raise.

        Raises:
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
        """
        from plait.client.async_streams import AsyncResponseStream

        return AsyncResponseStream(self, self._core.maker.make(method, url, **options))

    def stream_request(self, request: Request) -> AsyncResponseStream:
        """Return what :meth:`stream` does, for a request that is made already; see :meth:`send`."""
        from plait.client.async_streams import AsyncResponseStream

        return AsyncResponseStream(self, check_request(request))

    def duplex(self, method: str, url: str, **options: Unpack[RequestOptions]) -> AsyncConversation:
        """Return a context manager that sends a request whose content is written while the response is read.

        Arguments are those of :meth:`request`, but for those that are content.

        Raises:
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
        """
        from plait.client.async_duplex import AsyncConversation
        from plait.client.duplex import conversation_request

        return AsyncConversation(self, conversation_request(self._core.maker, method, url, **options))

    def websocket(self, url: str, **options: Unpack[WebSocketOptions]) -> AsyncWebSocket:
        """Return an asynchronous context manager that opens a WebSocket and closes it.

        Args:
            url: A ws, wss, http or https URL, or one that continues the base URL.
            options: See :class:`~plait.client.websocket_handshake.WebSocketOptions`.

        Raises:
            ConfigError: An option is wrong.
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
        """
        from plait.client.async_websocket import AsyncWebSocket
        from plait.client.websocket_handshake import Handshake

        return AsyncWebSocket(self, Handshake(self._core.maker, url, **options))

    def connection(self) -> AsyncConnection:
        """Return an object that sends requests and gives responses by number."""
        from plait.client.async_streams import AsyncConnection

        return AsyncConnection(self.submit)

    @property
    def statistics(self) -> Statistics:
        """What this client has done so far."""
        total = self._bytes
        for driver in self._drivers:
            total = _add(total, driver.moved())
        sent, received = total if total is not None else (None, None)
        return self._core.journal.statistics(sent, received)

    async def aclose(self) -> None:
        """End every request that is not done, and close every connection."""
        if self._core.closed:
            return
        self._core.close()
        self._waiting.stop()
        for task in self._tasks:
            task.cancel()
        drivers = list(self._drivers)
        for driver in drivers:
            driver.flush()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if drivers:
            await asyncio.wait([driver.lost for driver in drivers], timeout=_LINGER)
        for driver in list(self._drivers):
            driver.transport.abort()
            await driver.lost
        for application in self._core.mounts.all if self._core.mounts is not None else ():
            await application.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def forked(self) -> None:
        """Begin anew in the child of a fork (called there), for an event loop of the child's own."""
        if self._core.closed:
            return
        # Kept, so that nothing of the parent's loop is tidied up here: it polls what both processes share.
        _abandoned.append((self._drivers, self._tasks, self._waiting))
        for driver in self._drivers:
            driver.abandon()
        self._drivers, self._tasks, self._waiting, self._loop = set(), set(), Waiting(), None
        self._ticking = False
        self._bytes = (0, 0)
        self._core.forked()

    # -- running calls ---------------------------------------------------------------------------

    def _start(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None:
                raise ConfigError(
                    "an AsyncClient belongs to the event loop that used it first: make another one"
                )
            self._loop = loop
        self._core.begin(call)

    async def _finish(self, call: Call) -> Any:
        """Wait for a call to be done and return what came of it."""
        if not call.done:
            await self._wait(call)
        if call.reporter is not None and hasattr(told := call.reporter.report(), "__await__"):
            await told
        if call.error is not None:
            raise call.error
        value = call.value
        if type(value) is Response and value.codings:
            value.decode()
        return value

    async def _wait(self, call: Call, *, keep: bool = False) -> None:
        """Wait until a call is done.

        Args:
            call: The call.
            keep: Whether it goes on when this task is cancelled.
        """
        try:
            await self._waiting.until_done(call)
        except asyncio.CancelledError:
            if not keep:
                call.give_up(ClientClosed("the request was cancelled"))
            raise

    def _needs_pause(self, call: Call) -> None:
        # Also when nobody awaits it, as everything else goes on.
        if call.resumes == inf:
            return
        asyncio.get_running_loop().call_later(max(0.0, call.resumes - monotonic()), call.wake, call.resumes)

    def _needs_owner(self, call: Call) -> None:
        self._spawn(self._work(call))

    async def _work(self, call: Call) -> None:
        """Do what a call wants of its owner, which may take its time."""
        chore = call.take_chore()
        if chore is None and call.has_ended:
            return  # who awaits the response reports, and is the one to see what that raises
        value: Any = None
        failure: Exception | None = None
        try:
            value = chore() if chore is not None else call.reporter and call.reporter.report()
            if hasattr(value, "__await__"):
                value = await value
        except Exception as error:
            failure = error
        if chore is not None:
            call.carry_on(value, failure)
        elif failure is not None:
            call.give_up(failure)

    def _needs_content(self, call: Call, upload: Upload) -> None:
        self._spawn(self._feed(call, upload))

    async def _feed(self, call: Call, upload: Upload) -> None:
        """Pull a request's content from its iterable, as fast as the server takes it."""
        changed = asyncio.Event()
        feeder = asyncio.current_task()
        source = upload.source
        assert feeder is not None
        assert source is not None

        def look() -> None:
            changed.set()
            if call.upload is not upload and asyncio.current_task() is not feeder:
                feeder.cancel()  # nobody wants the rest, whatever its source waits for

        call.watch(look)
        try:
            async for piece in source if isinstance(source, AsyncIterable) else _as_async(source):
                while call.upload is upload and not upload.wants_piece:
                    changed.clear()
                    await changed.wait()
                    if call.exchange is not None and call.exchange.closed:
                        return
                if call.upload is not upload:
                    return  # nobody wants the rest of it
                call.give(piece)
            call.give(END)
        except Exception as error:
            call.give_up(error)
        finally:
            call.unwatch(look)

    # -- connections -----------------------------------------------------------------------------

    def _needs_connection(self, origin: Origin) -> None:
        for _ in range(self._core.pool.wanted(origin)):
            self._core.pool.opening(origin)
            self._spawn(connect(self, origin))

    def _connected(self) -> None:
        """See to it that idle connections are looked for, while there is any connection."""
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(self._core.tick, self._tick)

    def _tick(self) -> None:
        """Look for connections that have been idle for too long."""
        self._core.look()
        self._ticking = bool(self._drivers)
        if self._ticking:
            asyncio.get_running_loop().call_later(self._core.tick, self._tick)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget(self, driver: LinkDriver) -> None:
        self._drivers.discard(driver)
        self._bytes = _add(self._bytes, driver.moved())


async def _as_async(source: Any) -> AsyncIterator[bytes]:
    for piece in source:
        yield piece


def _add(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    return None if one is None or other is None else (one[0] + other[0], one[1] + other[1])
