"""What conversations of both clients have in common: exchanges whose request is written to while it is read.

The request's content is an :class:`~plait.client.uploads.Outgoing`, which leaves the pieces to whoever has
the conversation; everything else is a call like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

from plait.client.uploads import END, PIECE, Outgoing
from plait.errors import LocalProtocolError

if TYPE_CHECKING:
    from plait.client.calls import Call
    from plait.client.making import RequestMaker
    from plait.client.messages import Request
    from plait.client.options import RequestOptions
    from plait.client.streams import StreamedResponse
    from plait.protocol.priorities import Priority

__all__ = ["AnyConversation", "Until", "conversation_request"]

S = TypeVar("S", bound="StreamedResponse")


def conversation_request(
    maker: RequestMaker, method: str, url: str, **options: Unpack[RequestOptions]
) -> Request:
    """Return a request whose content is to be written.

    Raises:
        LocalProtocolError: HTTP cannot carry this, or there is content already.
    """
    for name in ("content", "json", "data", "files", "trailers"):
        if options.get(name) is not None:
            raise LocalProtocolError(f"what a conversation sends is written to it, and not given as {name}")
    options["content"] = Outgoing()
    return maker.make(method, url, **options)


class Until:
    """A call, as one sees it who waits for something else than its goal.

    Args:
        call: The call.
        condition: Whether that is there; asked again whenever something happened to the call.
    """

    def __init__(self, call: Call, condition: Callable[[], bool]) -> None:
        self._call = call
        self._condition = condition

    @property
    def done(self) -> bool:
        """Whether it is there, or never will be."""
        return self._call.error is not None or self._condition()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class AnyConversation(Generic[S]):
    """What conversations of both clients have in common.

    Args:
        stream: The response, which is not asked for yet.
    """

    def __init__(self, stream: S) -> None:
        self._stream = stream
        self._call: Call = stream._call
        self._has_head = False
        self._has_ended = False

    @property
    def request(self) -> Request:
        """The request."""
        return self._call.request

    def reprioritize(self, priority: Priority | str) -> None:
        """Ask for the response by another priority than so far (RFC 9218 §7).

        Args:
            priority: A :class:`plait.Priority`, or the text of a ``priority`` field.

        Raises:
            LocalProtocolError: It is none.
        """
        self._call.reprioritize(priority)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """Return content in pieces that are handed to the connection one by one."""
        if self._has_ended:
            raise LocalProtocolError("the content has ended")
        if not isinstance(data, bytes | bytearray | memoryview):
            raise LocalProtocolError(f"content must come in pieces of bytes, not {type(data).__name__}")
        view = memoryview(data).cast("B")
        return (bytes(view[at : at + PIECE]) for at in range(0, len(view), PIECE))

    def _ending(self, trailers: Any) -> Any:
        """Return what the content ends with."""
        if self._has_ended:
            raise LocalProtocolError("the content has ended")
        if trailers is None:
            return END
        from plait.client.trailers import trailer_section

        return trailer_section(trailers)

    def _may_write(self) -> bool:
        """Whether the next piece can be handed over, or none ever can."""
        call = self._call
        exchange, upload = call.exchange, call.upload
        if exchange is None or exchange.closed or upload is None:
            return exchange is not None
        return not upload.held and not exchange.queued

    @property
    def _is_wanted(self) -> bool:
        """Whether the server takes content.

        Raises:
            PlaitError: There is no exchange any more, and it did not end well.
        """
        call = self._call
        exchange = call.exchange
        error = call.error or (exchange and exchange.error)
        if error:
            raise error
        return call.upload is not None and exchange is not None and not exchange.closed
