"""One call, made over either version of HTTP, and all that can be told of what came of it."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from tests.support.raw_client import (
    SECONDS,
    Field,
    Flag,
    Frame,
    H1Client,
    H2Client,
    Kind,
    Origin,
    RawSocket,
    Response,
    Setting,
)

__all__ = ["Call", "Caller", "Outcome", "Then"]

#: Fields of responses that tell of the moment, or of the version of HTTP.
_ASIDE = (b"date", b"server", b"connection", b"transfer-encoding")

#: The window this client opens at once, so that credit is no matter here.
_WINDOW = 2**24

#: More notes than there are of any call.
_NEVER = 1000


class Then(Enum):
    """What a client does after its request's head."""

    ANSWER = "reads the answer"
    LEAVE = "leaves when the response has begun"
    LEAVE_UNANSWERED = "leaves before"
    LEAVE_UPLOADING = "leaves in the middle of its content"


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        path: What to ask for, as it is on the wire.
        method: The method.
        fields: Its fields, beside those that say where to and how long.
        content: Its content, or None.
        sized: Whether content-length tells of it; if not, it is chunked over HTTP/1.1.
        trailers: What comes after the content; for content that is not sized.
        authority: Whom it is for; by default the server.
        waits: Whether the content waits for an interim response.
        notes: How much the site is to note before the outcome is complete; when the client waits in the
            middle of its content, before it goes on.
        then: What the client does next.
    """

    path: bytes
    method: bytes = b"GET"
    fields: tuple[Field, ...] = ()
    content: bytes | None = None
    sized: bool = True
    trailers: tuple[Field, ...] = ()
    authority: bytes | None = None
    waits: bool = False
    notes: int = 0
    then: Then = Then.ANSWER


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call.

    Attributes:
        status: The status code, or 0 if there was no response.
        fields: Its fields, sorted by name, without those that tell of the moment or the version of HTTP.
        content: The content.
        interim: Status codes of the interim responses.
        trailers: Names and values of the trailer section.
        whole: Whether the response came to its end.
        notes: What the site noted.
        failures: What the site logged.
    """

    status: int = 0
    fields: tuple[Field, ...] = ()
    content: bytes = b""
    interim: tuple[int, ...] = ()
    trailers: tuple[Field, ...] = ()
    whole: bool = False
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def value(self, name: bytes) -> bytes:
        """Return the value of the first field of a name, or nothing."""
        return next((value for one, value in self.fields if one == name), b"")


@dataclass
class _Answer(Response):
    trailers: list[Field] = field(default_factory=list)
    whole: bool = False


class Caller:
    """Makes calls to one site over one version of HTTP, each on a connection of its own.

    Args:
        origin: The site.
        version: ``"http/1.1"`` or ``"h2"``.

    Attributes:
        last: The last response as it came.
    """

    last: Response

    def __init__(self, origin: Origin, version: str) -> None:
        self._origin = origin
        self._version = version
        self._notes = H1Client(origin.connect("http/1.1"))
        self._notes.sock.settimeout(4 * SECONDS)
        self._made = 0
        self._failures: list[str] = []

    def close(self) -> None:
        """Let go of the site."""
        self._notes.close()

    def __call__(self, call: Call, seconds: float = SECONDS) -> Outcome:
        """Make a call.

        Args:
            call: What to ask for.
            seconds: How long to wait for what may not come.
        """
        self._made += 1
        key = b"%s-%d" % (self._version.encode(), self._made)
        call = replace(
            call,
            fields=((b"x-key", key), *call.fields),
            authority=b"localhost:%d" % self._origin.port if call.authority is None else call.authority,
        )
        connection = (_Http1 if self._version == "http/1.1" else _Http2)(self._origin.connect(self._version))
        try:
            connection.sock.settimeout(seconds)
            answer = connection.make(call, lambda: self._noted(seconds, key, 1))
            if answer.whole:  # what is left to do may need the connection
                self._noted(seconds, key, call.notes)
        except AssertionError as error:
            if "did nothing" not in str(error):
                raise
            answer = connection.answer
        finally:
            connection.close()
        self.last = answer
        # Where a response is expected to be missing, what is logged late is this call's still.
        settled = answer.whole or seconds == SECONDS
        notes = self._noted(seconds, key, call.notes if settled else _NEVER)
        boundary = dict(answer.fields).get(b"content-type", b"").partition(b"boundary=")[2]
        fields = [(name, self._plain(value, boundary)) for name, value in answer.fields if name not in _ASIDE]
        if answer.whole and call.method != b"HEAD":
            length = (b"content-length", b"%d" % len(answer.content))
            fields = [(length[0], b"as it is") if one == length else one for one in fields]
        # Each once: Twisted's own transports tell some of them again, at their leisure.
        failures, self._failures = tuple(sorted(set(self._failures))), []
        return Outcome(
            answer.status,
            tuple(sorted(fields, key=lambda one: one[0])),
            self._plain(answer.content, boundary) if call.then is Then.ANSWER else b"",
            tuple(answer.interim),
            tuple(answer.trailers),
            answer.whole,
            tuple(notes),
            failures,
        )

    def _noted(self, seconds: float, key: bytes, count: int) -> list[str]:
        """Wait until the site has noted so much of a call, and return it."""
        question = b"GET /notes?key=%b&count=%d&seconds=%.3f HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self._notes.send(question % (key, count, seconds))
        told = json.loads(self._notes.response().content)
        self._failures += told["failures"]
        notes: list[str] = told["notes"]
        return notes

    def _plain(self, value: bytes, boundary: bytes) -> bytes:
        """Put a word in place of what is another at each run."""
        if boundary:
            value = value.replace(boundary.strip(b'"'), b"BOUNDARY")
        value = value.replace(b"%d" % self._origin.port, b"PORT")
        value = re.sub(rb"HTTP/(1\.1|2)", b"HTTP", value)
        value = re.sub(rb"0x[0-9a-f]{8,}", b"ADDRESS", value)
        value = re.sub(rb"(TWISTED_\w*SESSION)=[0-9a-f]+", rb"\1=UID", value)
        return re.sub(rb'(nonce|opaque)="[^"]*"', rb'\1="RANDOM"', value)


class _Http1(RawSocket):
    """A connection for HTTP/1.1."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._buffer = b""
        self.answer = _Answer()

    def make(self, call: Call, noted: Any) -> _Answer:
        lines = [
            b"%b %b HTTP/1.1" % (call.method, call.path),
            b"Host: %b" % call.authority,
            b"Connection: close",
        ]
        lines += [b"%b: %b" % one for one in call.fields]
        chunked = call.content is not None and not call.sized
        if chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif call.content is not None:
            lines.append(b"Content-Length: %d" % len(call.content))
        self.send(b"\r\n".join(lines) + b"\r\n\r\n")
        answer = self.answer
        try:
            if call.then is Then.LEAVE_UNANSWERED:
                noted()
                return answer
            if call.waits:
                self._head(answer, final=False)
            if call.content is not None:
                half = len(call.content) // 2
                for start, piece in ((0, call.content[:half]), (half, call.content[half:])):
                    if start and call.notes:
                        noted()
                        if call.then is Then.LEAVE_UPLOADING:
                            return answer
                    if piece:
                        self.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if chunked:
                    self.send(b"0\r\n" + b"".join(b"%b: %b\r\n" % one for one in call.trailers) + b"\r\n")
            self._head(answer, final=True)
            self._content(answer, call)
        except ConnectionError:
            pass  # the server closed the connection
        return answer

    def _more(self) -> None:
        data = self.receive()
        if not data:
            raise ConnectionError
        self._buffer += data

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._more()
        before, self._buffer = self._buffer.split(end, 1)
        return before

    def _take(self, answer: _Answer, size: int) -> None:
        while size:
            if not self._buffer:
                self._more()
            piece = self._buffer[:size]
            self._buffer = self._buffer[size:]
            answer.content += piece
            size -= len(piece)

    def _fields(self, block: list[bytes]) -> list[Field]:
        found = [line.partition(b":") for line in block]
        return [(name.lower(), value.strip(b" \t")) for name, _, value in found]

    def _head(self, answer: _Answer, *, final: bool) -> None:
        while True:
            line, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
            status = int(line.split(b" ")[1])
            if status >= 200:
                answer.status, answer.fields = status, self._fields(lines)
                return
            answer.interim.append(status)
            if not final:
                return

    def _content(self, answer: _Answer, call: Call) -> None:
        fields = dict(answer.fields)
        if call.then is Then.LEAVE:
            if not self._buffer:
                self._more()
            return
        if call.method == b"HEAD" or answer.status in (204, 304):
            pass
        elif fields.get(b"transfer-encoding") == b"chunked":
            while size := int(self._until(b"\r\n"), 16):
                self._take(answer, size)
                self._until(b"\r\n")
            while line := self._until(b"\r\n"):
                answer.trailers += self._fields([line])
        elif b"content-length" in fields:
            if not fields[b"content-length"].isdigit():
                return
            self._take(answer, int(fields[b"content-length"]))
        else:
            answer.content, self._buffer = self._buffer + self.receive_all(), b""
        answer.whole = True


class _Http2(H2Client):
    """A connection for HTTP/2."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.answer = _Answer()
        self._stream_closed = False

    def make(self, call: Call, noted: Any) -> _Answer:
        self.handshake((Setting.INITIAL_WINDOW_SIZE, _WINDOW), (Setting.ENABLE_PUSH, 0))
        self.credit(_WINDOW)
        head: list[Field] = [(b":method", call.method), (b":scheme", b"https"), (b":path", call.path)]
        head.append((b":authority", call.authority or b""))
        head += [(name.lower(), value) for name, value in call.fields]
        if call.content is not None and call.sized:
            head.append((b"content-length", b"%d" % len(call.content)))
        ends = Flag.END_STREAM if call.content is None else 0
        stream = self.headers(head, flags=Flag.END_HEADERS | ends)
        try:
            if call.then is Then.LEAVE_UNANSWERED:
                noted()
                return self.answer
            if call.waits:
                while not self.answer.interim and not self._stream_closed:
                    self._next()
            if call.content is not None:
                self._upload(stream, call, noted)
                if call.then is Then.LEAVE_UPLOADING:
                    return self.answer
            while not self._stream_closed:
                if call.then is Then.LEAVE and self.answer.content:
                    break
                self._next()
        except ConnectionError:
            pass  # the server closed the connection
        return self.answer

    def _upload(self, stream: int, call: Call, noted: Any) -> None:
        content = call.content or b""
        windows = Counter({0: 65_535, stream: self.settings.get(Setting.INITIAL_WINDOW_SIZE, 65_535)})
        half = len(content) // 2
        at = 0
        while at < len(content) and not self._stream_closed:
            end = half if at < half else len(content)
            size = min(end - at, 16_384, *(windows[one] + self.credits[one] for one in (0, stream)))
            if size <= 0:
                self._next()
                continue
            windows.subtract({0: size, stream: size})
            last = at + size == len(content) and not call.trailers
            self.data(stream, content[at : at + size], end=last)
            at += size
            if at == half and call.notes:
                noted()
                if call.then is Then.LEAVE_UPLOADING:
                    return
        if self._stream_closed:
            return
        if call.trailers:
            self.headers(list(call.trailers), stream=stream)
        elif not content:
            self.data(stream, b"", end=True)

    def _next(self) -> None:
        """Take one frame."""
        frame = self.read()
        if frame is None:
            raise ConnectionError
        answer = self.answer
        if frame.kind == Kind.HEADERS:
            self._section(answer, frame)
        elif frame.kind == Kind.DATA:
            answer.content += frame.payload
        elif frame.kind == Kind.GOAWAY and frame.error_code == 0:
            return
        if frame.kind in (Kind.RST_STREAM, Kind.GOAWAY):
            self._stream_closed = True
        elif frame.ends_stream:
            self._stream_closed = answer.whole = True

    def _section(self, answer: _Answer, frame: Frame) -> None:
        name, value = frame.fields[0]
        if name != b":status":
            answer.trailers = list(frame.fields)
        elif value.startswith(b"1"):
            answer.interim.append(int(value))
        else:
            answer.status, answer.fields = int(value), list(frame.fields[1:])
