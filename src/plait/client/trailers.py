"""Fields behind the content of a request (RFC 9110 §6.5), said at once or when the content has ended."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from plait.client.contents import add_content
from plait.client.messages import Request
from plait.client.uploads import PIECE, TrailerSection
from plait.errors import ConfigError, LocalProtocolError
from plait.fields import FieldSection, trailer_fields

__all__ = ["TrailerInput", "add_trailed_content", "trailer_section"]

TrailerInput = Mapping[str, str] | Iterable[tuple[str, str]] | Callable[[], Any]


def trailer_section(trailers: Any) -> TrailerSection:
    """Return trailer fields as they are sent.

    Args:
        trailers: A mapping or pairs of str.

    Raises:
        LocalProtocolError: HTTP cannot carry one, or it has no place there (RFC 9110 §6.5.1).
    """
    if isinstance(trailers, TrailerSection):
        return trailers
    pairs = trailers.items() if isinstance(trailers, Mapping) else trailers
    try:
        encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in pairs]
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"{error.object!r} is not text that a field can carry") from None
    except (AttributeError, TypeError, ValueError):
        raise LocalProtocolError("trailers must be pairs of name and value, both str") from None
    section = trailer_fields(encoded)
    if len(section) < len(encoded):
        # What is about the connection is left out of a head without a word; here somebody relies on it.
        names = {name for name, _ in section}
        lost = next(name for name, _ in encoded if name.lower() not in names)
        raise LocalProtocolError(f"the field {lost.decode()!r} has no place in a trailer section")
    return TrailerSection(section)


def add_trailed_content(
    request: Request, given: FieldSection, content: Any, json: Any, trailers: TrailerInput
) -> None:
    """Give a request content with trailers behind it.

    Args:
        request: The request.
        given: Its fields, to which those about the content are added, and ``trailer`` where the names are
            known, as RFC 9110 §6.6.2 asks for.
        content: The content, or None.
        json: The same as JSON.
        trailers: The fields, or what returns them when the content has ended; a coroutine function may
            where content may come from an asynchronous iterable.

    Raises:
        LocalProtocolError: One of the trailers is not one, or the content is not one HTTP can carry.
    """
    if any(name == b"content-length" for name, _ in given):
        # Over HTTP/1.1 only chunked content has room for them (RFC 9112 §7.1.2).
        raise LocalProtocolError("content with trailers goes without content-length")
    add_content(request, given, content, json)
    given[:] = [field for field in given if field[0] != b"content-length"]
    request.length = None
    if callable(trailers):
        function = trailers
    else:
        section = trailer_section(trailers)
        function = partial(TrailerSection, section)
        if not any(name == b"trailer" for name, _ in given):
            given.append((b"trailer", b", ".join(dict.fromkeys(name for name, _ in section))))
    waits = isinstance(request.content, AsyncIterable) or iscoroutinefunction(function)
    request.content = (AsyncTrailed if waits else Trailed)(request.content, function)


def _pieces(content: Any) -> Iterable[bytes]:
    if isinstance(content, bytes):
        return (content[at : at + PIECE] for at in range(0, len(content), PIECE))
    pieces: Iterable[bytes] = content
    return pieces


class _Both:
    """Content and the function that gives its trailers."""

    def __init__(self, content: Any, trailers: Callable[[], Any]) -> None:
        self._content = content
        self._trailers = trailers

    @property
    def replayable(self) -> bool:
        """Whether the content can be sent again."""
        return isinstance(self._content, bytes) or getattr(self._content, "replayable", False)


class Trailed(_Both):
    """Content, and trailers as its last piece."""

    def __iter__(self) -> Iterator[Any]:
        yield from _pieces(self._content)
        trailers = self._trailers()
        if hasattr(trailers, "__await__"):
            raise ConfigError("trailers from a coroutine need a coroutine function")
        yield trailer_section(trailers)


class AsyncTrailed(_Both):
    """The same, where either may wait."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        if isinstance(self._content, AsyncIterable):
            async for piece in self._content:
                yield piece
        else:
            for piece in _pieces(self._content):
                yield piece
        trailers = self._trailers()
        yield trailer_section(await trailers if hasattr(trailers, "__await__") else trailers)
