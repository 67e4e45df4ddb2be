"""The client for threads that wait: runs calls on the blocking driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from math import inf
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from plait.client.calls import Call
from plait.client.core import ClientCore
from plait.client.forks import survive_forks
from plait.client.goals import WHOLE, Goal
from plait.client.messages import Request, Response, check_request
from plait.client.routes import Verify
from plait.client.sync_many import ManyAtOnce
from plait.client.sync_opener import Opener
from plait.client.uploads import END
from plait.config import ClientConfig
from plait.drivers.blocking import BlockingDriver
from plait.errors import (
    ClientClosed,
    ConfigError,
    LocalProtocolError,
    Timeout,
)
from plait.urls import Params

if TYPE_CHECKING:
    from plait.client.auth import AuthInput
    from plait.client.cookies import CookieInput
    from plait.client.in_process import InProcess
    from plait.client.options import HeaderInput, Hooks, RequestOptions
    from plait.client.statistics import Statistics
    from plait.client.sync_duplex import Conversation
    from plait.client.sync_streams import Connection, ResponseStream
    from plait.client.sync_websocket import WebSocket
    from plait.client.timeouts import Timeouts
    from plait.client.websocket_handshake import WebSocketOptions
    from plait.drivers.carrier import Carrier
    from plait.protocol.priorities import Priority

__all__ = ["Client", "Pending"]

#: Requests submitted one after another before they are written although nobody waits yet.
_BATCH = 32


class Pending(Call):
    """A request on its way; its result is there when the response is.

    Attributes:
        done: Whether there is a response or an error.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client, request: Request, goal: Goal) -> None:
        Call.__init__(self, client._core, request, goal)
        self._client = client

    def result(self, timeout: float | None = None) -> Response:
        """Wait for the response.

        Args:
            timeout: Seconds to wait; the request goes on after that, and can be waited for again.

        Raises:
            Timeout: It did not come in time.
            PlaitError: There is no response, and will not be.
        """
        if not self.done:
            self._client._wait(self, timeout)
        if self.reporter is not None:
            self.reporter.report()
        if self.error is not None:
            raise self.error
        response: Response = self.value
        if response.codings:
            response.decode()
        return response

    def reprioritize(self, priority: Priority | str) -> None:
        with self._client._driver.lock:
            Call.reprioritize(self, priority)
            self._client._driver.flush()
            self._client._driver.rouse()

    def cancel(self) -> None:
        """Give the request up, if it is not done."""
        with self._client._driver.lock:
            if not self.done:
                self.give_up(ClientClosed("the request was cancelled"))
                self._client._driver.write()
                self._client._driver.rouse()


class Client(ManyAtOnce):
    """An HTTP client for programs that wait: HTTP/2 multiplexed, HTTP/1.1 where that is all there is.

    A client may be used by many threads at once. It has no threads of its own: requests travel while
    somebody waits for one.

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

    #: What moves bytes and waits.
    _driver_type: ClassVar[type[BlockingDriver]] = BlockingDriver

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
        self._begin()
        survive_forks(self)
        self._unwritten = 0

    def _begin(self) -> None:
        core = self._core
        self._driver = self._driver_type(self._on_change, self._on_closed, core.config.local_address)
        self._opener = Opener(core, self._driver)
        core.needs_connection = self._opener.look_at
        core.new_call = partial(Pending, self, goal=WHOLE)
        core.lock = self._driver.lock

    # -- requests --------------------------------------------------------------------------------

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        return self._submit(self._core.maker.make(method, url, **options)).result()

    def send(self, request: Request) -> Response:
        return self._submit(check_request(request)).result()

    def submit(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Pending:
        """Send a request without waiting; as many as you like, they share the connection.

        As many travel at once as the server and ``max_in_flight`` allow, the others wait in order.
        They travel while somebody waits for one. Arguments are those of :meth:`request`.

        Raises:
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
        """
        request = self._core.maker.make(method, url, **options)
        pending = self._submit(request)
        self._unwritten += 1
        if self._unwritten >= _BATCH or request.content:
            self._unwritten = 0
            with self._driver.lock:
                self._driver.flush()
        return pending

    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> ResponseStream:
        """Return a context manager that sends a request and reads its response piece by piece.

        Arguments are those of :meth:`request`, and so are the errors, which entering it and reading raise.

        Raises:
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
        """
        return self.stream_request(self._core.maker.make(method, url, **options))

    def stream_request(self, request: Request) -> ResponseStream:
        """Return what :meth:`stream` does, for a request that is made already; see :meth:`send`."""
        from plait.client.sync_streams import ResponseStream

        _check_content(check_request(request))
        return ResponseStream(self, request)

    def duplex(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Conversation:
        """Return a context manager that sends a request whose content is written while the response is read.

        Arguments are those of :meth:`request`, but for those that are content.

        Raises:
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
        """
        from plait.client.duplex import conversation_request
        from plait.client.sync_duplex import Conversation

        return Conversation(self, conversation_request(self._core.maker, method, url, **options))

    def websocket(self, url: str, **options: Unpack[WebSocketOptions]) -> WebSocket:
        """Return a context manager that opens a WebSocket and closes it.

        Args:
            url: A ws, wss, http or https URL, or one that continues the base URL.
            options: See :class:`~plait.client.websocket_handshake.WebSocketOptions`.

        Raises:
            ConfigError: An option is wrong.
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
        """
        from plait.client.sync_websocket import WebSocket
        from plait.client.websocket_handshake import Handshake

        return WebSocket(self, Handshake(self._core.maker, url, **options))

    def connection(self) -> Connection:
        """Return an object that sends requests and gives responses by number."""
        from plait.client.sync_streams import Connection

        return Connection(self.submit)

    @property
    def statistics(self) -> Statistics:
        """What this client has done so far."""
        driver = self._driver
        with driver.lock:
            return self._core.journal.statistics(driver.bytes_sent, driver.bytes_received)

    def close(self) -> None:
        """End every request that is not done, and close every connection."""
        with self._driver.lock:
            if not self._core.closed:
                self._core.close()
                self._driver.close()
        for application in self._core.mounts.all if self._core.mounts is not None else ():
            application.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def forked(self) -> None:
        """Begin anew in the child of a fork (called there)."""
        if not self._core.closed:
            self._driver.abandon()
            self._begin()
            self._core.forked()

    # -- running calls ---------------------------------------------------------------------------

    def _submit(self, request: Request) -> Pending:
        if type(request.content) is not bytes:
            _check_content(request)
        pending = Pending(self, request, WHOLE)
        self._start(pending)
        return pending

    def _start(self, call: Call) -> None:
        core = self._core
        with self._driver.lock:
            try:
                for link in core.pool.idle_links(call.request.origin):
                    # Nobody has looked since: the server may have closed it, or said that it will.
                    link.transport.receive()
                core.begin(call)
            except Exception:
                raise
            except BaseException:
                self._driver.interrupted()
                raise

    def _finish(self, call: Call) -> Any:
        """Wait for a call to be done and return what came of it."""
        if not call.done:
            self._wait(call, None)
        if call.reporter is not None:
            call.reporter.report()
        if call.error is not None:
            raise call.error
        return call.value

    def _wait(self, call: Call, seconds: float | None) -> None:
        """Wait until a call is done; see to it that it gets there.

        Raises:
            Timeout: So many seconds have passed.
        """
        core, driver, opener = self._core, self._driver, self._opener
        began = monotonic()
        patience = inf if seconds is None else began + seconds

        def arrived() -> bool:
            # The last: what was written may have told that a connection is gone, and another is wanted.
            return (
                call.done
                or call.wants_owner
                or (bool(opener.waiting) and call.request.origin in opener.waiting)
            )

        with driver.lock:
            try:
                while not call.done:
                    if call.wants_owner:
                        self._work(call)
                        continue
                    if call.request.origin in opener.waiting:
                        opener.connect(call.request.origin)
                    driver.turn(min(call.expires(began), patience, core.due), arrived, call)
                    if not call.done:
                        now = monotonic()
                        if now >= core.due:
                            core.look()
                        if now >= call.expires(began):
                            call.expire(now)
                            driver.flush()
                        elif now >= patience:
                            late = Timeout(f"no response within {seconds:g} seconds; it is still on its way")
                            raise late.about(call.request)
            except Exception:
                raise
            except BaseException:
                driver.interrupted()
                raise
            finally:
                driver.hand_over()

    def _work(self, call: Call) -> None:
        """Do what a call wants of its owner, which may take its time."""
        chore = call.take_chore()
        reporter = call.reporter
        if chore is None and (reporter is None or not reporter.due):
            self._pull(call)
            return
        driver = self._driver
        value: Any = None
        failure: BaseException | None = None
        try:
            try:
                driver.lock.release()
                value = chore() if chore is not None else reporter and reporter.report()
                if hasattr(value, "__await__"):
                    if hasattr(value, "close"):
                        value.close()
                    raise ConfigError("a coroutine function needs an AsyncClient")
            finally:
                driver.lock.acquire()
        except BaseException as error:
            failure = error
        if chore is not None and (failure is None or isinstance(failure, Exception)):
            call.carry_on(value, failure)
        elif failure is not None:
            self._give_up(call, failure)
        driver.flush()
        driver.rouse()  # another thread may wait for the same call

    def _pull(self, call: Call) -> None:
        """Take the next piece of a request's content."""
        # Whoever only sends does not see that the server answers, or wants no more.
        call.link.transport.receive()
        upload = call.upload
        if upload is None or not upload.wants_piece or call.done:
            return
        upload.wants_piece = False
        # Nobody else may pull in the meantime.
        source: Any = upload.source
        upload.source = None
        lock = self._driver.lock
        failure: BaseException | None = None
        try:
            try:
                lock.release()
                piece = next(source, END)
            finally:
                lock.acquire()
        except BaseException as error:
            failure = error
        if failure is not None:
            self._give_up(call, failure)
            return
        try:
            upload.source = source
            call.give(piece)
        except Exception as error:
            call.give_up(error)

    def _give_up(self, call: Call, failure: BaseException) -> None:
        """End a call by what its owner came to; something like KeyboardInterrupt goes on."""
        if isinstance(failure, Exception):
            call.give_up(failure)
        else:
            call.give_up(ClientClosed("the request was interrupted"))
            self._driver.at_rest = True
            raise failure

    def _on_change(self, transport: Carrier) -> None:
        self._core.settle(transport.context)

    def _on_closed(self, transport: Carrier) -> None:
        if transport.context is not None:
            self._core.ended(transport.context)


def _check_content(request: Request) -> None:
    """Refuse what only a loop can read.

    Raises:
        LocalProtocolError: The content is an asynchronous iterable.
    """
    if not isinstance(request.content, Iterable):
        raise LocalProtocolError("content from an asynchronous iterable needs an AsyncClient")
