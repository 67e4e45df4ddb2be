"""Pushed responses, as a caller is offered them (RFC 9113 §8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plait.errors import ClientClosed, LocalProtocolError
from plait.protocol.pushed import Promise, Pushes

if TYPE_CHECKING:
    from plait.client.core import ClientCore
    from plait.client.messages import Request
    from plait.client.sites import Link
    from plait.urls import Origin

__all__ = ["Home", "Pushed", "expect_pushes"]


class Home:
    """Where pushed responses come from and who takes them.

    Attributes:
        link: Their connection.
    """

    __slots__ = ("_core", "link")

    def __init__(self, core: ClientCore, link: Link) -> None:
        self._core = core
        self.link = link

    def request(self, promise: Promise) -> Request:
        """Return the request that was promised an answer."""
        return self._core.maker.promised(self.link.origin, promise.fields)

    def accept(self, request: Request, promise: Promise) -> Any:
        """Return a call that takes the response, under the lock that covers its connection."""
        core = self._core
        if core.closed:
            raise ClientClosed("the client was closed")
        with core.lock:
            if not promise.pushes.take(promise.exchange):
                raise LocalProtocolError(f"{request.url} was pushed, and taken already, or dropped")
            call = core.new_call(request)
            call.adopt(promise.exchange, self.link)
        return call


class Pushed:
    """A response that the server has pushed beside another, or is about to.

    It is taken by :meth:`accept`, or by the next request for the same; each once. Until then it waits with
    its connection, as long as there are not too many; it may be dropped, but costs the server no more
    than a window's worth of content.

    Attributes:
        request: The request that it answers, which nobody has sent.
    """

    __slots__ = ("_home", "_promise", "request")

    def __init__(self, promise: Promise) -> None:
        home = promise.pushes.home
        assert isinstance(home, Home)
        self._home = home
        self._promise = promise
        self.request = home.request(promise)

    def accept(self) -> Any:
        """Take the response.

        Returns:
            What ``submit`` returns: a :class:`plait.Pending`, or what an ``AsyncClient`` has in its place;
            its result is the response, and ``cancel`` resets the stream.

        Raises:
            LocalProtocolError: It was taken before, or dropped.
            ClientClosed: The client was closed.
        """
        return self._home.accept(self.request, self._promise)

    def cancel(self) -> None:
        """Have the server send no more of it.

        Raises:
            LocalProtocolError: It was taken before, or dropped.
            ClientClosed: The client was closed.
        """
        self.accept().cancel()

    def __repr__(self) -> str:
        return f"<Pushed {self.request.method} {self.request.url}>"


def expect_pushes(origin: Origin, max_count: int, max_size: int) -> Pushes:
    """Return what takes the pushes of a connection.

    Args:
        origin: What the server speaks for.
        max_count: How many may wait for somebody to take them.
        max_size: Bytes that may wait for somebody to take them.
    """
    from plait.urls import parse

    def is_own(scheme: bytes, authority: bytes) -> bool:
        try:
            return parse(f"{scheme.decode()}://{authority.decode()}/").origin == origin
        except UnicodeDecodeError as error:
            raise LocalProtocolError("an authority is ASCII") from error

    return Pushes(is_own, max_count, max_size)
