"""Twisted's request, and what HTTP/2 adds to it.

Over HTTP/1.1, which is Twisted's own here, the same calls do what that version can: early hints and
trailers are written, a push is declined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from twisted.python.reflect import qual
from twisted.web import server
from twisted.web.http_headers import Headers

from plait.fields import FieldSection, interim_fields, trailer_fields
from plait.integrations.twisted.channel import Stream, field_section
from plait.protocol.priorities import DEFAULT_PRIORITY, Priority

__all__ = ["Request", "RequestMixin"]


class RequestMixin:
    """What HTTP/2 adds to a request; inherit from it before Twisted's ``Request``.

    Attributes:
        trailers: The trailer section that came after the request's content, or None.
        responseTrailers: The trailer section to send after the response's content, or None.
    """

    if TYPE_CHECKING:
        channel: Any
        chunked: int
        clientproto: bytes
        finished: int
        requestHeaders: Headers
        responseHeaders: Headers
        startedWriting: int
        write: Any
        _disconnected: bool

    trailers: Headers | None = None
    responseTrailers: Headers | None = None

    def _stream(self) -> Stream | None:
        """Return the stream, while there is one."""
        channel = getattr(self, "channel", None)
        return channel if isinstance(channel, Stream) else None

    def push(
        self,
        path: bytes,
        headers: Headers | Mapping[bytes, Sequence[bytes]] | None = None,
        method: bytes = b"GET",
    ) -> bool:
        """Push a resource of this site ahead of the client's asking (RFC 9113 §8.4).

        The promise goes out before anything written after it; the resource tree answers it as if
        the client had asked.

        Args:
            path: Path and query, from the root: ``b"/style.css"``.
            headers: Fields of the promised request.
            method: ``GET`` or ``HEAD``.

        Returns:
            Whether it is pushed: not over HTTP/1.1, nor to a client that wants none, as browsers say.

        Raises:
            LocalProtocolError: The path, the method or a header may not be promised.
        """
        stream = self._stream()
        return stream is not None and stream.push(method, path, _section(headers))

    def earlyHints(self, links: Iterable[bytes]) -> None:
        """Tell the client what to fetch while the response is being made (103, RFC 8297).

        Args:
            links: Values of ``Link``: ``b"</style.css>; rel=preload; as=style"``.

        Raises:
            TypeError: It is one value, and not several.
        """
        if isinstance(links, bytes | str):
            raise TypeError(f"links={links!r} is {type(links)}, but must be a list of them")
        self.sendInformational(103, Headers({b"Link": list(links)}))

    def sendInformational(
        self, code: int, headers: Headers | Mapping[bytes, Sequence[bytes]] | None = None
    ) -> None:
        """Send an interim response (RFC 9110 §15.2); nothing once the response has begun.

        Clients of HTTP/1.0 get none.

        Args:
            code: From 100 to 199, but not 101.
            headers: Its field section.

        Raises:
            LocalProtocolError: The code is that of no interim response, or a header is not one HTTP can
                carry.
        """
        fields = interim_fields(code, _section(headers))
        stream = self._stream()
        if stream is not None:
            stream.send_informational(code, fields)
        elif self.clientproto == b"HTTP/1.1" and not self.startedWriting and not self._disconnected:
            section = Headers()
            for name, value in fields:
                section.addRawHeader(name, value)
            self.channel.writeHeaders(self.clientproto, b"%d" % code, _phrase(code), section)

    def setTrailer(self, name: bytes, value: bytes) -> None:
        """Set a field of the trailer section, which is sent when the response is finished (RFC 9110 §6.5).

        Before the response has begun it is also announced, in ``Trailer``. Over HTTP/1.1 trailers are
        sent to clients that say ``TE: trailers``, after a response without ``Content-Length``.

        Args:
            name: The field's name.
            value: Its value, in place of an earlier one.

        Raises:
            LocalProtocolError: The field has no place in trailers (RFC 9110 §6.5.1).
        """
        trailer_fields([(name, value)])
        if self.responseTrailers is None:
            self.responseTrailers = Headers()
        if not self.startedWriting and not self.responseTrailers.hasHeader(name):
            self.responseHeaders.addRawHeader(b"Trailer", name)
        self.responseTrailers.setRawHeaders(name, [value])

    @property
    def priority(self) -> Priority:
        """Urgency, from 0 to 7, and whether parts are of use by themselves (RFC 9218 §4).

        It is what the client asks for; set it to decide otherwise. Over HTTP/1.1 it means nothing.
        """
        stream = self._stream()
        return DEFAULT_PRIORITY if stream is None else stream.priority

    @priority.setter
    def priority(self, priority: tuple[int, bool]) -> None:
        stream = self._stream()
        if stream is not None:
            stream.priority = priority

    def finish(self) -> None:
        """End the response, with its trailers."""
        if self.responseTrailers is not None and not self.finished and not self._disconnected:
            self._write_trailers(self.responseTrailers)
        super().finish()  # type: ignore[misc]

    def _write_trailers(self, trailers: Headers) -> None:
        """Write the last chunk over HTTP/1.1; HTTP/2's channel looks for them itself."""
        encoder = getattr(self, "_encoder", None)
        if encoder is not None:
            self._encoder = None
            self.write(encoder.finish())
        elif not self.startedWriting:
            self.write(b"")
        if self.chunked and _takes_trailers(self.requestHeaders):
            lines = [b"%b: %b\r\n" % field for field in field_section(trailers)]
            self.channel.writeSequence([b"0\r\n", *lines, b"\r\n"])
            self.chunked = 0  # Twisted has no last chunk to write any more


class Request(RequestMixin, server.Request):
    """Twisted's request, with what HTTP/2 adds."""

    def getTypeToCopy(self) -> bytes:
        """Return what ``twisted.web.distrib`` calls it: the other end knows Twisted's request only."""
        return qual(server.Request).encode("ascii")

    def getStateToCopyFor(self, issuer: Any) -> dict[str, Any]:
        """Return what ``twisted.web.distrib`` sends of it: what Twisted's request has."""
        state: dict[str, Any] = super().getStateToCopyFor(issuer)
        for name in ("trailers", "responseTrailers"):
            state.pop(name, None)
        return state


def _section(headers: Headers | Mapping[bytes, Sequence[bytes]] | None) -> FieldSection:
    """Validate headers as a field section."""
    if headers is None:
        return []
    return field_section(headers if isinstance(headers, Headers) else Headers(headers))


def _phrase(code: int) -> bytes:
    """Return the reason phrase of a status, of which HTTP/1.1 has one in every response."""
    try:
        return HTTPStatus(code).phrase.encode("ascii")
    except ValueError:
        return b""


def _takes_trailers(headers: Headers) -> bool:
    """Whether a client of HTTP/1.1 says that it reads trailers (RFC 9110 §10.1.4)."""
    values = headers.getRawHeaders(b"te", [])
    return any(one.strip(b" \t").lower() == b"trailers" for value in values for one in value.split(b","))
