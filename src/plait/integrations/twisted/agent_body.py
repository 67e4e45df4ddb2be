"""What a request of the agent sends: its field section, and what its producer writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web._newclient import BadHeaders, ExcessWrite, WrongBodyLength
from twisted.web.iweb import UNKNOWN_LENGTH

from plait.client.uploads import END
from plait.errors import LocalProtocolError
from plait.fields import outbound_fields

if TYPE_CHECKING:
    from twisted.web._newclient import Request
    from twisted.web.http_headers import Headers

    from plait.fields import FieldSection
    from plait.integrations.twisted.agent_fetch import Fetch

__all__ = ["Body", "request_fields"]

_log = Logger()


def request_fields(request: Request, headers: Headers) -> FieldSection:
    """Return a request's field section, pseudo-fields first (RFC 9113 §8.3.1).

    Args:
        request: The request.
        headers: Its headers, with one Host.

    Raises:
        BadHeaders: There is more than one Host.
        LocalProtocolError: A name or a value is not one that HTTP can carry, or the method is CONNECT, which
            has no path (RFC 9113 §8.5) and whose tunnel nobody could use.
    """
    if request.method == b"CONNECT":
        raise LocalProtocolError("an agent opens no tunnels: CONNECT is not for its requests")
    hosts = headers.getRawHeaders(b"host", [])
    if len(hosts) != 1:
        raise BadHeaders("Exactly one Host header required")
    fields = [
        (b":method", request.method),
        (b":scheme", b"https"),
        (b":authority", hosts[0]),
        (b":path", request.uri),
    ]
    producer = request.bodyProducer
    if producer is None:
        # RFC 9110 §8.6: what has no content where content is expected says so, as Twisted does.
        length = 0 if request.method in (b"PUT", b"POST") else None
    else:
        length = None if producer.length is UNKNOWN_LENGTH else producer.length
    if length is not None:
        fields.append((b"content-length", b"%d" % length))
    given = outbound_fields((name, value) for name, values in headers.getAllRawHeaders() for value in values)
    fields += [field for field in given if field[0] not in (b"host", b"content-length")]
    return fields


class Body:
    """A request's content: takes what its producer writes, and slows it down as the server wishes.

    Args:
        producer: The request's ``IBodyProducer``.

    Attributes:
        producing: Whether the producer may still write.
    """

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._left: int | None = None if producer.length is UNKNOWN_LENGTH else producer.length
        self._fetch: Fetch | None = None
        self._produced: Deferred[None] | None = None
        self._paused = False
        self.producing = False

    def start(self, fetch: Fetch) -> None:
        """Let the producer begin."""
        self._fetch = fetch
        self.producing = True
        self._produced = maybeDeferred(self._producer.startProducing, self)
        self._produced.addCallbacks(self._finished, self._failed)
        self._produced.addErrback(lambda failure: _log.failure("while sending a request", failure))

    def write(self, data: bytes) -> None:
        """Take a piece of content (called by the producer).

        Raises:
            ExcessWrite: The producer had said that it was done, or was told to stop.
        """
        fetch = self._fetch
        if not self.producing or fetch is None:
            self._producer.stopProducing()
            raise ExcessWrite()
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self.stop()
                fetch.generation_failed(Failure(WrongBodyLength("too many bytes written")))
                return
        fetch.give(data)
        if not fetch.wants_piece and not self._paused:
            self._paused = True
            self._producer.pauseProducing()

    def resume(self) -> None:
        """Let the producer go on, if it was slowed down."""
        if self._paused and self.producing:
            self._paused = False
            self._producer.resumeProducing()

    def stop(self) -> None:
        """Tell the producer that nobody wants the rest."""
        if self.producing:
            self.producing = False
            try:
                self._producer.stopProducing()
            except Exception:
                _log.failure("while stopping the producer of a request's content")

    def cancel(self) -> None:
        """Cancel what the producer is doing."""
        if self.producing and self._produced is not None:
            self.producing = False
            self._produced.cancel()

    def _finished(self, _: object) -> None:
        fetch = self._fetch
        if not self.producing or fetch is None:
            return
        self.producing = False
        if self._left:
            fetch.generation_failed(Failure(WrongBodyLength("too few bytes written")))
        else:
            fetch.give(END)

    def _failed(self, failure: Failure) -> None:
        fetch = self._fetch
        if not self.producing or fetch is None:
            # It was told to stop, and says that it did.
            if not failure.check(CancelledError, ConnectionLost):
                _log.failure("while stopping the producer of a request's content", failure)
            return
        self.producing = False
        fetch.generation_failed(failure)
