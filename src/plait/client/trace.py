"""Tells what a client's connections send and receive, frame by frame.

Only a client that was asked to tell imports this.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from plait.client.secrets import hide
from plait.protocol.events import (
    DataReceived,
    Event,
    Fields,
    InformationalResponseReceived,
    ResponseReceived,
    TrailersReceived,
)
from plait.protocol.frame_details import Narrator, flag_names, type_name
from plait.protocol.frames import Frame, FrameReader
from plait.protocol.h2 import PREFACE

if TYPE_CHECKING:
    from plait.client.sites import Link
    from plait.client.telling import Teller
    from plait.protocol.exchange import Exchange
    from plait.urls import Origin

__all__ = ["Direction", "FrameEvent", "H1Trace", "H2Trace", "Trace", "tell_failure"]

_HEADS: dict[type[Event], str] = {
    InformationalResponseReceived: "INTERIM",
    ResponseReceived: "RESPONSE",
    TrailersReceived: "TRAILERS",
}


class Direction(Enum):
    """Which way something went; the values are curl's."""

    SENT = ">"
    RECEIVED = "<"
    NEITHER = "*"


class FrameEvent(NamedTuple):
    """A frame, or something about the connection itself.

    Attributes:
        time: When, in seconds of ``time.monotonic()``.
        connection: The number of the connection, see :class:`plait.ConnectionStatistics`; 0 for one that
            never came to be.
        direction: Which way it went.
        type: Of frames the name that HTTP/2 has for it (RFC 9113 §6), or ``PREFACE``; of HTTP/1.1
            ``REQUEST``, ``INTERIM``, ``RESPONSE``, ``CONTENT`` or ``TRAILERS``; of the connection itself
            ``RESOLVED``, ``CONNECTED``, ``SECURED``, ``CERTIFICATE``, ``CLOSED`` or ``FAILED``.
        stream_id: The stream, 0 for the connection; HTTP/1.1 counts 1, 3, 5 … in the same way.
        flags: The names of the flags.
        length: Bytes of the frame's payload; of HTTP/1.1 bytes of a request's head, or of content.
        detail: What is in it, in a few words.
        fields: The field section that it completes, values as they are, or nothing.
    """

    time: float
    connection: int
    direction: Direction
    type: str
    stream_id: int = 0
    flags: tuple[str, ...] = ()
    length: int = 0
    detail: str = ""
    fields: Fields = ()

    def __str__(self) -> str:
        stream = f" stream {self.stream_id}" if self.stream_id else ""
        flags = f" {'+'.join(self.flags)}" if self.flags else ""
        detail = f": {self.detail}" if self.detail else ""
        return f"#{self.connection} {self.direction.value} {self.type}{stream}{flags}{detail}"

    def describe(self, *, secrets: bool = False) -> str:
        """Return it in a line, and one more for each field, indented.

        Args:
            secrets: Whether to show credentials and cookies as well.
        """
        lines = [str(self)]
        for name, value in self.fields:
            shown = _text(value) if secrets else hide(name, _text(value))
            lines.append(f"    {_text(name)}: {shown}")
        return "\n".join(lines)


def _text(value: bytes) -> str:
    """Return what a terminal can show: no controls among it."""
    return "".join(
        one if one.isprintable() else ascii(one)[1:-1] for one in value.decode("utf-8", "backslashreplace")
    )


class Trace:
    """What both versions of HTTP have in common: the connection itself.

    Args:
        tell: Called with every event.
        clock: Tells the time, in seconds.
    """

    def __init__(self, tell: Teller[FrameEvent], clock: Callable[[], float]) -> None:
        self._tell = tell
        self._clock = clock
        self._number = 0

    def on_event(self, event: Event) -> None:
        """Take note of what bytes mean; see :class:`plait.protocol.observed.Observer`."""

    def on_request(self, exchange: Exchange, fields: Fields) -> None:
        """Take note of a request."""

    def on_sent(self, data: bytes) -> None:
        """Take note of bytes that are written next."""

    def on_received(self, data: bytes) -> None:
        """Take note of bytes that the connection takes next."""

    def opened(self, link: Link, tls: ssl.SSLObject | None) -> None:
        """Tell how the connection came to be.

        Args:
            link: The connection.
            tls: Its TLS, if it has any.
        """
        self._number = link.number
        carrier, host = link.transport, link.origin.host
        address, port = carrier.peer[:2]
        if not address:
            self._note(carrier.connected, "CONNECTED", "to an application in this process")
            return
        if link.began < carrier.started and host not in (address, f"[{address}]"):
            took = _milliseconds(link.began, carrier.started)
            self._note(carrier.started, "RESOLVED", f"{host} is {address}, {took}")
        took = _milliseconds(carrier.started, carrier.connected)
        self._note(
            carrier.connected, "CONNECTED", f"to {address} port {port} from port {carrier.port}, {took}"
        )
        if tls is not None:
            cipher = tls.cipher()
            parts = [tls.version() or "TLS", cipher[0] if cipher else "no cipher"]
            parts.append(f"ALPN {tls.selected_alpn_protocol() or 'says nothing'}")
            parts.append(_milliseconds(carrier.connected, carrier.secured))
            self._note(carrier.secured, "SECURED", ", ".join(parts))
            if (certificate := tls.getpeercert(binary_form=True)) is not None:
                self._note(carrier.secured, "CERTIFICATE", _about(certificate))

    def closed(self, link: Link) -> None:
        """Tell that the connection is gone, and why."""
        error = link.endpoint.error
        self._note(self._clock(), "CLOSED", str(error or ""))

    def _note(self, time: float, kind: str, detail: str) -> None:
        self._tell(FrameEvent(time, self._number, Direction.NEITHER, kind, detail=detail))


def tell_failure(tell: Teller[FrameEvent], now: float, origin: Origin, error: Exception) -> None:
    """Tell that there is no connection to an origin."""
    text = str(error)
    about = text if origin.host in text else f"{origin}: {text}"
    tell(FrameEvent(now, 0, Direction.NEITHER, "FAILED", detail=about))


def _milliseconds(since: float, until: float) -> str:
    return f"{(until - since) * 1000:.1f} ms"


def _about(certificate: bytes) -> str:
    from cryptography import x509

    try:
        one = x509.load_der_x509_certificate(certificate)
        names = one.subject.rfc4514_string(), one.issuer.rfc4514_string()
    except ValueError as error:
        return f"cannot be read: {error}"
    ends = f"{one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return f"{names[0] or 'no name'}, issued by {names[1] or 'no name'}, ends {ends}"


class H2Trace(Trace):
    """Tells of the frames of one HTTP/2 connection, in the order in which they are on the wire."""

    def __init__(self, tell: Teller[FrameEvent], clock: Callable[[], float]) -> None:
        super().__init__(tell, clock)
        self._begun = False
        self._sent = FrameReader(len(PREFACE)), Narrator()
        self._received = FrameReader(0), Narrator()

    def on_sent(self, data: bytes) -> None:
        if data and not self._begun:
            self._begun = True
            self._tell(
                FrameEvent(self._clock(), self._number, Direction.SENT, "PREFACE", length=len(PREFACE))
            )
        reader, narrator = self._sent
        for frame in reader.read(data):
            self._frame(Direction.SENT, frame, narrator)

    def on_received(self, data: bytes) -> None:
        reader, narrator = self._received
        for frame in reader.read(data):
            self._frame(Direction.RECEIVED, frame, narrator)

    def _frame(self, direction: Direction, frame: Frame, narrator: Narrator) -> None:
        kind, flags, stream, length, _ = frame
        detail, fields = narrator.tell(frame)
        self._tell(
            FrameEvent(
                self._clock(),
                self._number,
                direction,
                type_name(kind),
                stream,
                flag_names(kind, flags),
                length,
                detail,
                fields,
            )
        )


class H1Trace(Trace):
    """Tells of the heads and the content of one HTTP/1.1 connection."""

    def __init__(self, tell: Teller[FrameEvent], clock: Callable[[], float]) -> None:
        super().__init__(tell, clock)
        self._exchange = 0
        #: What was written of a head that is not complete, None when none is due.
        self._head: bytes | None = None

    def on_request(self, exchange: Exchange, fields: Fields) -> None:
        self._exchange = exchange.stream_id
        self._head = b""

    def on_sent(self, data: bytes) -> None:
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self._head = None
            line, *lines = head.split(b"\r\n")
            fields = [(name, value) for name, _, value in (one.partition(b": ") for one in lines)]
            self._message(Direction.SENT, "REQUEST", len(head) + len(end), _text(line), fields)
        if data:
            self._message(Direction.SENT, "CONTENT", len(data), f"{len(data)} bytes")

    def on_event(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            if event.data:
                size = len(event.data)
                self._message(Direction.RECEIVED, "CONTENT", size, f"{size} bytes")
        elif (kind := _HEADS.get(type(event))) is not None:
            fields: Fields = event.headers  # type: ignore[attr-defined]
            detail = ""
            if kind != "TRAILERS":
                detail = f"HTTP/1.1 {fields[0][1].decode()}"
                fields = fields[1:]
            self._message(Direction.RECEIVED, kind, 0, detail, fields)

    def _message(
        self, direction: Direction, kind: str, length: int, detail: str, fields: Fields = ()
    ) -> None:
        now = self._clock()
        self._tell(
            FrameEvent(now, self._number, direction, kind, self._exchange, (), length, detail, tuple(fields))
        )
