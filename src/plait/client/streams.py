"""What the objects of both clients have in common that live longer than a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, Unpack

from plait.client.goals import VERSIONS
from plait.client.messages import Headers, RequestOptions
from plait.errors import LocalProtocolError
from plait.protocol.exchange import Exchange

if TYPE_CHECKING:
    from plait.client.calls import Call
    from plait.client.statistics import Timing

__all__ = ["Numbered", "StreamedResponse"]


class StreamedResponse:
    """A response whose content is read while it arrives.

    Attributes:
        status: The status code.
        headers: The field section.
        http_version: ``"HTTP/2"`` or ``"HTTP/1.1"``.
        timing: When everything happened; None until the content was read to its end.
    """

    def __init__(self) -> None:
        self._is_open = False
        self.status = 0
        self.headers = Headers(())
        self.http_version = ""
        self.timing: Timing | None = None

    def _begin(self, exchange: Exchange) -> None:
        self._is_open = True
        self.status = exchange.status
        self.headers = Headers(exchange.fields)
        self.http_version = VERSIONS[exchange.endpoint.connection.http_version]

    def _end(self, call: Call) -> None:
        """Take note that the content was read to its end."""
        if self.timing is None:
            from plait.client.statistics import Timing

            self.timing = Timing(*call.times)

    def _check_open(self) -> None:
        if not self._is_open:
            raise LocalProtocolError("a response is read inside its with block")


class _Cancellable(Protocol):
    def cancel(self) -> None:
        """Give the request up."""


P = TypeVar("P", bound=_Cancellable)


class Numbered(Generic[P]):
    """Requests by number, as the old ``hyper`` library had them.

    All requests can be sent before the first response is read; numbers count 1, 3, 5 … as the streams
    of a connection do.

    Args:
        submit: Sends a request; ``submit`` of a client that has a base URL.
    """

    def __init__(self, submit: Callable[..., P]) -> None:
        self._submit = submit
        self._pending: dict[int, P] = {}
        self._next = 1

    def request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> int:
        """Send a request, and return the number by which to ask for its response."""
        number = self._next
        self._pending[number] = self._submit(method, path, **options)
        self._next += 2
        return number

    def _take(self, stream_id: int) -> P:
        try:
            return self._pending.pop(stream_id)
        except KeyError:
            raise LocalProtocolError(f"no response is awaited on stream {stream_id}") from None

    def _cancel_all(self) -> None:
        while self._pending:
            self._pending.popitem()[1].cancel()
