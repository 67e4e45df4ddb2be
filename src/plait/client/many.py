"""What making many requests at once is to both clients: only the waiting differs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import UnionType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from plait.client.messages import Request, check_request
from plait.errors import ConfigError, LocalProtocolError

if TYPE_CHECKING:
    from plait.client.options import RequestOptions

__all__ = ["Arrivals", "Feed", "Starter", "Unsent", "check_requests", "check_window"]

P = TypeVar("P")


class Unsent:
    """A request that could not be made, in the place of one that is done.

    Args:
        error: Why.
    """

    __slots__ = ("error",)

    done = True

    def __init__(self, error: LocalProtocolError) -> None:
        self.error = error

    def result(self) -> Any:
        """Raise what is wrong with it; to be awaited or not, that makes no difference."""
        raise self.error


class Arrivals(Generic[P]):
    """Requests that are done and were not given back yet.

    Args:
        ordered: Whether they are given back in the order in which they were expected, and not in that in
            which they came.

    Attributes:
        ready: Those to give back now, the next first.
    """

    __slots__ = ("_line", "ready")

    def __init__(self, *, ordered: bool) -> None:
        self.ready: deque[P] = deque()
        #: Those that are not to be given back yet, in order.
        self._line: deque[P] | None = deque() if ordered else None

    def expect(self, one: P) -> None:
        """Take note of the next."""
        if self._line is not None:
            self._line.append(one)

    def came(self, one: Any) -> None:
        """Take note that one that was expected is done; its ``done`` is true."""
        line = self._line
        if line is None:
            self.ready.append(one)
            return
        while line and line[0].done:  # type: ignore[attr-defined]
            self.ready.append(line.popleft())


class Starter(Generic[P]):
    """Starts what a caller names: URLs, and requests that are made already.

    Args:
        make: Makes a request of a method, a URL and options.
        start: Sends it.
        method: The method of those that are given as URLs.
        options: What else they have in common.

    Raises:
        ConfigError: They have content in common that can be sent once only.
    """

    __slots__ = ("_make", "_method", "_options", "_start")

    def __init__(
        self,
        make: Callable[..., Request],
        start: Callable[[Request], P],
        method: str,
        options: RequestOptions,
    ) -> None:
        content = options.get("content")
        if options.get("files") is not None or not isinstance(
            content, bytes | bytearray | memoryview | str | None
        ):
            raise ConfigError(
                "content for many requests is bytes, str, json or a form; what is read while it is sent needs"
                " a request of its own, from build_request"
            )
        self._make = make
        self._start = start
        self._method = method
        self._options = options

    def start(self, what: str | Request) -> P | Unsent:
        """Start a request.

        Returns:
            It; or why there is none.

        Raises:
            ConfigError: It is neither a URL nor a request, or an option is wrong.
            ClientClosed: The client was closed.
        """
        try:
            if isinstance(what, str):
                return self._start(self._make(self._method, what, **self._options))
            return self._start(check_request(what))
        except LocalProtocolError as error:
            return Unsent(error)


class Feed(Generic[P]):
    """Takes requests from an iterable and starts them, as there is room.

    Args:
        starter: Starts them.
        enter: Called with each one.
        window: How many there is room for.

    Attributes:
        room: How many more there is room for.
        failure: What the iterable raised, or what is wrong with what it gave; None while nothing is.
    """

    __slots__ = ("_ended", "_enter", "_start", "failure", "room")

    def __init__(self, starter: Starter[P], enter: Callable[[P | Unsent], None], window: int) -> None:
        self._start = starter.start
        self._enter = enter
        self._ended = False
        self.room = window
        self.failure: Exception | None = None

    def take(self, what: str | Request) -> None:
        """Start one."""
        self._enter(self._start(what))
        self.room -= 1

    def fill(self, source: Iterator[str | Request]) -> None:
        """Start as many as there is room for."""
        while self.room and not self._ended:
            try:
                self.take(next(source))
            except StopIteration:
                self._ended = True
            except Exception as error:
                self._ended = True
                self.failure = error

    def end(self) -> None:
        """Raise what is wrong, now that all the others are through."""
        failure, self.failure = self.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback holds this frame


def check_window(window: int) -> None:
    """Refuse a window through which nothing goes.

    Raises:
        ConfigError: It is less than one.
    """
    if not isinstance(window, int) or window < 1:
        raise ConfigError(f"window must be a whole number of requests, 1 at least, not {window!r}")


def check_requests(requests: Any, kinds: type | UnionType) -> None:
    """Refuse what is one request, and not many.

    Args:
        requests: What was given.
        kinds: What many requests may be.

    Raises:
        ConfigError: It is something else.
    """
    if isinstance(requests, str | bytes) or not isinstance(requests, kinds):
        kind = type(requests).__name__
        raise ConfigError(f"many requests are an iterable of URLs and of requests, not {kind}")
