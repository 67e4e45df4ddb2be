"""The client for threads that wait: runs calls on the blocking driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from socket import socket
from ssl import SSLObject
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from plait.client.calls import Call
from plait.client.core import ClientCore, Methods, Verify
from plait.client.forks import survive_forks
from plait.client.goals import HEAD, PIECE, WHOLE, Goal
from plait.client.making import HeaderInput, Hooks, RequestOptions
from plait.client.messages import Request, Response
from plait.client.pool import Link
from plait.client.streams import Numbered, StreamedResponse
from plait.config import ClientConfig
from plait.drivers.addresses import Address, resolve
from plait.drivers.blocking import BlockingDriver
from plait.drivers.transport import Transport
from plait.errors import (
    ClientClosed,
    ConfigError,
    LocalProtocolError,
    PlaitError,
    Timeout,
)
from plait.urls import Origin, Params

if TYPE_CHECKING:
    from plait.client.auth import AuthInput
    from plait.client.completions import Completions
    from plait.client.cookies import CookieInput
    from plait.client.in_process import InProcess, Mounts
    from plait.client.server_sent_events import ServerSentEvent
    from plait.client.statistics import Statistics
    from plait.drivers.blocking import Carrier
    from plait.drivers.memory import MemoryTransport

__all__ = ["Client", "Connection", "Pending", "ResponseStream"]

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

    def cancel(self) -> None:
        """Give the request up, if it is not done."""
        with self._client._driver.lock:
            if not self.done:
                self.give_up(ClientClosed("the request was cancelled"))
                self._client._driver.flush()
                self._client._driver.rouse()


class ResponseStream(StreamedResponse):
    """A response whose content is read while it arrives; a context manager.

    Leaving it before the end of the content resets the stream: the rest is neither sent nor paid for.
    """

    def __init__(self, client: Client, request: Request) -> None:
        super().__init__()
        self._client = client
        self._call = Pending(client, request, HEAD)

    def __enter__(self) -> Self:
        self._client._start(self._call)
        try:
            self._begin(self._client._finish(self._call), self._call)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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
            self._call.give_up(ClientClosed("the response was closed"))
            self._client._driver.flush()


class Connection(Numbered[Pending]):
    def get_response(self, stream_id: int) -> Response:
        """Wait for the response to a request, once.

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


class Client(Methods[Response]):
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
        transport: InProcess | None = None,
        mounts: Mapping[str, InProcess] | None = None,
        verify: Verify = True,
        config: ClientConfig | None = None,
        **options: Any,
    ) -> None:
        applications: Mounts | None = None
        if transport is not None or mounts is not None:
            from plait.client.in_process import Mounts

            applications = Mounts(transport, mounts)
        self._core = ClientCore(
            base_url,
            verify,
            config,
            options,
            monotonic,
            applications,
            headers=headers,
            params=params,
            cookies=cookies,
            auth=auth,
            event_hooks=event_hooks,
        )
        self._core.needs_connection = self._needs_connection
        self._driver = BlockingDriver(self._on_change, self._on_closed)
        survive_forks(self)
        #: Origins to look up and connect to, by the next thread that waits for one of them.
        self._to_connect: set[Origin] = set()
        self._unwritten = 0

    # -- requests --------------------------------------------------------------------------------

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        return self._submit(self._make(method, url, options)).result()

    def send(self, request: Request) -> Response:
        _check_content(request)
        return self._submit(request).result()

    def submit(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Pending:
        """Send a request without waiting; as many as you like, they share the connection.

        As many travel at once as the server and ``max_in_flight`` allow, the others wait in order.
        They travel while somebody waits for one. Arguments are those of :meth:`request`.

        Raises:
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
        """
        request = self._make(method, url, options)
        pending = self._submit(request)
        self._unwritten += 1
        if self._unwritten >= _BATCH or request.content:
            self._unwritten = 0
            with self._driver.lock:
                self._driver.flush()
        return pending

    def as_completed(self, pendings: Iterable[Pending] = ()) -> Completions:
        """Iterate over requests as they are done; more can be added meanwhile."""
        from plait.client.completions import Completions

        return Completions(self, pendings)

    def wait(self, pendings: Iterable[Pending], timeout: float | None = None) -> list[Pending]:
        """Wait until at least one of some requests is done.

        It looks at each of them; for thousands, :meth:`as_completed` does not.

        Args:
            pendings: Requests of this client.
            timeout: Seconds to wait; the requests go on after that, and can be waited for again.

        Returns:
            Those that are done; none of them when the time is over.
        """
        waited_for = list(pendings)
        if not any(one.done for one in waited_for):
            completions = self.as_completed(waited_for)
            try:
                completions.wait(timeout)
            finally:
                completions.forget()
        return [one for one in waited_for if one.done]

    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> ResponseStream:
        """Return a context manager that sends a request and reads its response piece by piece.

        Arguments are those of :meth:`request`.
        """
        return ResponseStream(self, self._make(method, url, options))

    def connection(self) -> Connection:
        """Return an object that sends requests and gives responses by number."""
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
            self._driver = BlockingDriver(self._on_change, self._on_closed)
            self._to_connect.clear()
            self._core.forked()

    # -- running calls ---------------------------------------------------------------------------

    def _make(self, method: str, url: str, options: RequestOptions) -> Request:
        request = self._core.maker.make(method, url, **options)
        if type(request.content) is not bytes:
            _check_content(request)
        return request

    def _submit(self, request: Request) -> Pending:
        pending = Pending(self, request, WHOLE)
        self._start(pending)
        return pending

    def _start(self, call: Pending) -> None:
        core = self._core
        with self._driver.lock:
            for link in core.pool.idle_links(call.request.origin):
                # Nobody has looked since: the server may have closed it, or said that it will.
                link.transport.receive()
            core.begin(call)

    def _finish(self, call: Pending) -> Any:
        """Wait for a call to be done and return what came of it."""
        if not call.done:
            self._wait(call, None)
        if call.reporter is not None:
            call.reporter.report()
        if call.error is not None:
            raise call.error
        return call.value

    def _wait(self, call: Pending, seconds: float | None) -> None:
        """Wait until a call is done; see to it that it gets there.

        Raises:
            Timeout: So many seconds have passed.
        """
        core, driver = self._core, self._driver
        began = monotonic()
        patience = inf if seconds is None else began + seconds

        def arrived() -> bool:
            return call.done or call.wants_owner

        with driver.lock:
            try:
                while not call.done:
                    if call.wants_owner:
                        self._work(call)
                        continue
                    if call.request.origin in self._to_connect:
                        self._connect(call.request.origin)
                    driver.turn(min(call.expires(began), patience, core.due), arrived, call)
                    if not call.done:
                        now = monotonic()
                        if now >= core.due:
                            core.look()
                        if now >= call.expires(began):
                            call.expire(now)
                            driver.flush()
                        elif now >= patience:
                            raise Timeout(f"no response within {seconds:g} seconds; it is still on its way")
            finally:
                driver.hand_over()

    def _work(self, call: Pending) -> None:
        """Do what a call wants of its owner, which may take its time."""
        chore = call.take_chore()
        reporter = call.reporter
        if chore is None and (reporter is None or not reporter.due):
            self._pull(call)
            return
        driver = self._driver
        value: Any = None
        failure: Exception | None = None
        driver.lock.release()
        try:
            value = chore() if chore is not None else reporter and reporter.report()
            if hasattr(value, "__await__"):
                if hasattr(value, "close"):
                    value.close()
                raise ConfigError("a coroutine function needs an AsyncClient")
        except Exception as error:
            failure = error
        finally:
            driver.lock.acquire()
        if chore is not None:
            call.carry_on(value, failure)
        elif failure is not None:
            call.give_up(failure)
        driver.flush()
        driver.rouse()  # another thread may wait for the same call

    def _pull(self, call: Pending) -> None:
        """Take the next piece of a request's content."""
        upload = call.upload
        assert upload is not None
        upload.wants_piece = False
        # Nobody else may pull in the meantime.
        source: Any = upload.source
        upload.source = None
        lock = self._driver.lock
        failure: Exception | None = None
        lock.release()
        try:
            piece = next(source, None)
        except Exception as error:
            failure = error
        finally:
            lock.acquire()
        try:
            if failure is not None:
                raise failure
            upload.source = source
            call.give(piece)
        except Exception as error:
            call.give_up(error)

    # -- connections -----------------------------------------------------------------------------

    def _needs_connection(self, origin: Origin) -> None:
        if self._core.pool.wanted(origin):
            self._to_connect.add(origin)

    def _connect(self, origin: Origin) -> None:
        """Begin to open the connections that an origin wants."""
        core, driver = self._core, self._driver
        self._to_connect.discard(origin)
        if core.mounts is not None and (application := core.mounts.at(origin)) is not None:
            self._connect_in_memory(origin, application)
            return
        limits = core.limits_to_connect(origin)
        deadline = monotonic() + limits.connect
        driver.flush()
        failure: PlaitError | None = None
        where: list[Sequence[Address] | socket] = []
        addresses: Sequence[Address] = ()
        peer = (origin.host, origin.port)
        count = core.pool.wanted(origin)
        if core.try_share(origin, None):
            return
        driver.lock.release()
        try:
            tls = core.context_for(origin)
            proxy = core.proxy_for(origin)
            if proxy is not None and core.tunnels(origin, proxy):
                from plait.drivers.proxies import open_tunnel

                where.extend(open_tunnel(proxy, *peer, deadline - monotonic()) for _ in range(count))
            else:
                if proxy is not None:
                    peer = (proxy.host, proxy.port)
                addresses = resolve(*peer, limits.connect)
                where = [addresses] * count
        except PlaitError as error:
            failure = error
        except BaseException:
            self._to_connect.add(origin)  # for the next thread
            _close(where)
            raise
        finally:
            driver.lock.acquire()

        def failed(error: PlaitError) -> None:
            core.failed(origin, error)

        def opened(transport: Transport, tls: SSLObject | None) -> None:
            protocol = None if tls is None else tls.selected_alpn_protocol()
            address = transport.peer_address if tls is not None and core.config.coalesce else ""
            endpoint = core.make_endpoint(origin, protocol, tls)
            transport.context = link = Link(origin, endpoint, transport, monotonic())
            transport.adopt(endpoint)
            core.opened(link, tls, address)

        if core.try_share(origin, addresses):
            return
        for _ in range(core.pool.wanted(origin)):
            if where:
                core.pool.opening(origin)
                driver.open(peer, where.pop(), tls, deadline, limits.tls, opened, failed)
            elif failure is not None:
                core.pool.opening(origin)
                failed(failure)
            else:
                self._to_connect.add(origin)  # more are wanted than were a moment ago
        _close(where)

    def _connect_in_memory(self, origin: Origin, application: InProcess) -> None:
        """Open the connections that an origin wants, to an application in this process."""
        core, driver = self._core, self._driver
        failure: PlaitError | None = None
        seconds = core.limits_to_connect(origin).connect

        def failed(error: PlaitError) -> None:
            core.failed(origin, error)

        def opened(transport: MemoryTransport) -> None:
            try:
                endpoint = core.make_endpoint(origin, application.protocol)
            except PlaitError as error:
                transport.drop()
                failed(error)
                return
            transport.context = link = Link(origin, endpoint, transport, monotonic())
            transport.adopt(endpoint)
            core.opened(link)

        driver.lock.release()
        try:
            application.start(seconds)
        except PlaitError as error:
            failure = error
        finally:
            driver.lock.acquire()
        for _ in range(core.pool.wanted(origin)):
            core.pool.opening(origin)
            if failure is not None:
                failed(failure)
                continue
            driver.lock.release()
            try:
                application.connect_blocking(origin, driver, opened, failed)
            finally:
                driver.lock.acquire()

    def _on_change(self, transport: Carrier) -> None:
        self._core.settle(transport.context)

    def _on_closed(self, transport: Carrier) -> None:
        if transport.context is not None:
            self._core.journal.end(transport.context)


def _check_content(request: Request) -> None:
    """Refuse what only a loop can read.

    Raises:
        LocalProtocolError: The content is an asynchronous iterable.
    """
    if not isinstance(request.content, Iterable):
        raise LocalProtocolError("content from an asynchronous iterable needs an AsyncClient")


def _close(where: list[Sequence[Address] | socket]) -> None:
    """Close the sockets of which nobody has a use."""
    for one in where:
        if isinstance(one, socket):
            one.close()
