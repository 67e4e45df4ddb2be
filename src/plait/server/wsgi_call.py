"""One call of a WSGI application (PEP 3333): a thread on one side, the event loop on the other.

Methods of the two sides stand apart below. A side hands over values and wakes the other; none touches
what is the other's: the loop alone knows the exchange's state, the thread alone the application's.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterable, Sized
from types import TracebackType
from typing import TYPE_CHECKING

from plait.errors import ContentTooLarge, ExchangeError
from plait.fields import FieldSection, outbound_fields
from plait.protocol.exchange import Half
from plait.protocol.server_exchange import ServerExchange
from plait.server.response import OVER, ClientDisconnected, Response, Stage
from plait.server.wsgi_environ import make_environ

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver
    from plait.server.wsgi import WsgiGateway

__all__ = ["WsgiCall"]

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType]


class WsgiCall(Response):
    """One call of the application.

    Attributes:
        timer: Ends the call when the application takes too long, or None.
    """

    __slots__ = (
        "_arrived",
        "_changed",
        "_failure",
        "_given",
        "_gone",
        "_head",
        "_head_only",
        "_length",
        "_owed",
        "_reading",
        "_taken",
        "_through",
        "_whole_content",
        "timer",
    )

    gateway: WsgiGateway

    def __init__(self, gateway: WsgiGateway, exchange: ServerExchange, driver: ServerDriver) -> None:
        Response.__init__(self, gateway, exchange, driver)
        self.timer: asyncio.TimerHandle | None = None
        # Both sides', under the condition's lock.
        self._changed = threading.Condition(threading.Lock())
        self._gone = False
        self._failure: Exception | None = None
        self._arrived: bytes | None = None
        self._through = 0  # bytes of content that have left for the client
        # The loop's.
        self._reading = False
        self._taken = 0
        exchange.on_progress = self._progress
        self._whole_content: bytes | None = None
        if exchange.received is Half.ENDED:
            self._whole_content = exchange.read()
        # The thread's: what the application owes, as the thread sees it, and the head until it is sent.
        self._owed = Stage.START
        self._head: tuple[int, FieldSection] | None = None
        self._length: int | None = None
        self._given = 0
        self._head_only = False

    # -- the loop's side -------------------------------------------------------------------------

    def lose(self) -> None:
        """Tell the thread that nobody waits for the response any more."""
        with self._changed:
            self._gone = True
            self._changed.notify()

    def _progress(self) -> None:
        """Look at what has changed about the exchange."""
        if self.exchange.closed:
            self.lose()
            return
        if self._reading:
            self._feed()
        self._tell_room()

    def _feed(self) -> None:
        """Hand the thread content of the request, now or when it comes."""
        exchange = self.exchange
        self._reading = False
        exchange.waiting_since = None
        self.ask_for_content()
        try:
            content = exchange.read()
        except ContentTooLarge as error:
            self.fail(413, str(error))
            self.lose()
        except ExchangeError:
            self.lose()
        else:
            if content is None:
                self._reading = True
                exchange.waiting_since = exchange.endpoint.now
                return
            with self._changed:
                self._arrived = content
                self._changed.notify()

    def _begin(self, head: tuple[int, FieldSection], content: bytes, last: bool) -> None:
        """Take the head and the first content."""
        if self.stage is Stage.START:
            self.status, self.fields = head
            self.stage = Stage.ENDED if last else Stage.CONTENT
            self._attempt(self._send_first, content, last)

    def _send_first(self, content: bytes, last: bool) -> None:
        if last:
            self.send_whole(content)
        else:
            self.send_head()
            self._send_more(content, False)

    def _take(self, content: bytes, last: bool) -> None:
        """Take further content."""
        if self.stage is Stage.CONTENT:
            if last:
                self.stage = Stage.ENDED
            self._attempt(self._send_more, content, last)

    def _send_more(self, content: bytes, last: bool) -> None:
        exchange = self.exchange
        self._taken += len(content)
        if exchange.sent is Half.CONTENT:  # not so when the head was all there is to send
            exchange.send_data(content, end_stream=last)
            if exchange.queued:
                exchange.endpoint.waiting_to_write.add(exchange)
        self._tell_room()

    def _attempt(self, send: Callable[[bytes, bool], None], content: bytes, last: bool) -> None:
        try:
            send(content, last)
        except ExchangeError:
            self.lose()
        except Exception as error:
            # The application's mistake, and where its thread is by now nobody knows.
            self.fail()
            with self._changed:
                self._failure = error
            self.lose()

    def _tell_room(self) -> None:
        with self._changed:
            self._through = self._taken - self.exchange.queued
            self._changed.notify()

    def _end(self, error: BaseException | None) -> None:
        """Take note that the thread is done."""
        if self.timer is not None:
            self.timer.cancel()
        failure = self._failure or error
        if failure is not None:
            self.gateway.note_failure(self.exchange, failure)
        if self.stage not in OVER:
            self.fail()
        self.gateway.ended(self)

    # -- the thread's side -----------------------------------------------------------------------

    def run(self) -> None:
        """Call the application and send what it returns."""
        failure: BaseException | None = None
        try:
            self._call()
        except BaseException as error:  # SystemExit too: the thread has other requests to serve
            failure = error
        try:
            self.gateway.loop.call_soon_threadsafe(self._end, failure)
        except RuntimeError:
            pass  # the loop is closed, and nobody is left to be told

    def _call(self) -> None:
        if self._gone:
            raise self._lost()
        content = self._whole_content
        source = io.BufferedReader(_Input(self._read), 65536) if content is None else io.BytesIO(content)
        chunks = self.gateway.app(make_environ(self, source), self._start_response)
        try:
            self._send_all(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    def _send_all(self, chunks: Iterable[bytes]) -> None:
        # PEP 3333: the length of content that is one piece is known.
        single = isinstance(chunks, Sized) and len(chunks) == 1
        for chunk in chunks:
            if chunk:
                self._write(chunk, last=single)
                if self._head_only:
                    break
        if self._owed is Stage.START:
            raise RuntimeError("the application returned without calling start_response")
        if self._owed is Stage.CONTENT:
            self._hand_over(b"", last=True)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self._owed is not Stage.START and self._head is None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # a cycle, as PEP 3333 warns
        elif self._owed is not Stage.START:
            raise RuntimeError("start_response was called twice, without exc_info")
        self._head = _status(status), _fields(headers)
        self._head_only = self.exchange.sends_no_content(self._head[0])
        lengths = [value for name, value in self._head[1] if name == b"content-length"]
        self._length = int(lengths[0]) if lengths and lengths[0].isdigit() else None
        self._owed = Stage.CONTENT
        return self._write

    def _write(self, content: bytes, last: bool = False) -> None:
        """Send content; what ``start_response`` returns."""
        if not isinstance(content, bytes):
            raise RuntimeError(f"the content must be bytes, not {type(content).__name__}")
        if self._owed is Stage.START:
            raise RuntimeError("content came before start_response was called")
        if not content:
            return
        if self._length is not None:
            left = self._length - self._given - len(content)
            if left < 0:
                raise RuntimeError(f"there is more content than the content-length, {self._length}")
            last = last or left == 0
        self._hand_over(content, last)

    def _hand_over(self, content: bytes, last: bool) -> None:
        """Give content to the loop, once there is room for it."""
        with self._changed:
            while self._given - self._through > self.gateway.write_buffer and not self._gone:
                self._changed.wait()
            if self._gone:
                raise self._lost()
        self._given += len(content)
        if last:
            self._owed = Stage.ENDED
        head, self._head = self._head, None
        if head is None:
            self._post(self._take, content, last)
        else:
            self._post(self._begin, head, content, last)

    def _read(self) -> bytes:
        """Wait for content of the request; return ``b""`` at its end."""
        self._post(self._feed)
        with self._changed:
            while self._arrived is None and not self._gone:
                self._changed.wait()
            content, self._arrived = self._arrived, None
        if content is None:
            raise self._lost()
        return content

    def _post(self, method: Callable[..., None], *arguments: object) -> None:
        try:
            self.gateway.loop.call_soon_threadsafe(method, *arguments)
        except RuntimeError:
            raise ClientDisconnected("the server has stopped") from None

    def _lost(self) -> Exception:
        return self._failure or ClientDisconnected("the client is gone")


class _Input(io.RawIOBase):
    """``wsgi.input`` of content that is still arriving."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(self._read())
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _status(status: str) -> int:
    """Take the code of a status such as ``"404 Not Found"``."""
    code = status[:3] if isinstance(status, str) and status[3:4] in ("", " ") else ""
    if not (code.isascii() and code.isdigit() and 200 <= int(code) <= 599):
        raise RuntimeError(f"{status!r} is not the status of a final response")
    return int(code)


def _fields(headers: list[tuple[str, str]]) -> FieldSection:
    try:
        return outbound_fields([(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers])
    except (AttributeError, TypeError, ValueError):
        raise RuntimeError(f"headers must be pairs of strings of latin-1, not {headers!r}") from None
