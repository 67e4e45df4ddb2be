"""Clients that send any bytes at all, right or wrong, and read what comes back without judging it.

They stand on nothing but a socket and the ``hpack`` package, so that what a server does is seen as it is
on the wire.
"""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from struct import pack, unpack_from

from hpack import Decoder, Encoder

__all__ = [
    "PREFACE",
    "Code",
    "Flag",
    "Frame",
    "H1Client",
    "H2Client",
    "Kind",
    "Origin",
    "RawSocket",
    "Response",
    "Setting",
    "frame",
    "get",
    "post",
    "settings",
]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

#: Seconds in which whatever a server has to do must be done.
SECONDS = 5.0

Field = tuple[bytes, bytes]


class Kind(IntEnum):
    """Types of frames (RFC 9113 §6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntEnum):
    """Flags of frames."""

    ACK = 0x01
    END_STREAM = 0x01
    END_HEADERS = 0x04
    PADDED = 0x08
    PRIORITY = 0x20


class Setting(IntEnum):
    """Settings (RFC 9113 §6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Error codes (RFC 9113 §7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as received.

    Attributes:
        fields: What its field block says; only HEADERS have one.
    """

    kind: int
    flags: int
    stream: int
    payload: bytes
    fields: tuple[Field, ...] = ()

    @property
    def ends_stream(self) -> bool:
        """Whether nothing comes after it on its stream."""
        return self.kind == Kind.RST_STREAM or (
            self.kind in (Kind.DATA, Kind.HEADERS) and bool(self.flags & Flag.END_STREAM)
        )

    @property
    def error_code(self) -> int:
        """The error code of RST_STREAM or GOAWAY."""
        code: int = unpack_from(">I", self.payload, 4 if self.kind == Kind.GOAWAY else 0)[0]
        return code

    def __str__(self) -> str:
        name = Kind(self.kind).name if self.kind in set(Kind) else f"type {self.kind}"
        code = f" {self.error_code}" if self.kind in (Kind.RST_STREAM, Kind.GOAWAY) else ""
        return f"{name}{code} on {self.stream}, flags {self.flags:#x}, {len(self.payload)} bytes"


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """Return one frame; nothing about it is checked."""
    return pack(">I", len(payload))[1:] + pack(">BBI", kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(Kind.SETTINGS, b"".join(pack(">HI", *pair) for pair in pairs))


def get(path: bytes = b"/", *fields: Field, method: bytes = b"GET") -> list[Field]:
    """Return the field section of a request, pseudo-fields first."""
    head = [(b":method", method), (b":scheme", b"https"), (b":path", path), (b":authority", b"localhost")]
    return [*head, *fields]


def post(path: bytes = b"/echo", *fields: Field) -> list[Field]:
    """Return the field section of a request that may have content."""
    return get(path, *fields, method=b"POST")


class RawSocket:
    """A connected socket, with TLS or without.

    Attributes:
        closed: Whether the server has closed its side.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = False
        sock.settimeout(SECONDS)

    def send(self, data: bytes) -> None:
        """Write; a server that has gone already is no failure here."""
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError):
            pass

    def receive(self) -> bytes:
        """Read what there is; ``b""`` once the server is gone, however it went."""
        if self.closed:
            return b""
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            raise AssertionError(f"the server did nothing for {SECONDS} seconds") from None
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.closed = not data
        return data

    def receive_all(self) -> bytes:
        """Read until the server is gone."""
        pieces = []
        while data := self.receive():
            pieces.append(data)
        return b"".join(pieces)

    def close(self) -> None:
        """Let the socket go."""
        self.sock.close()


@dataclass
class Response:
    """One response.

    Attributes:
        interim: Status codes of the responses before the final one.
        sizes: How much content each DATA frame brought.
    """

    status: int = 0
    fields: list[Field] = field(default_factory=list)
    content: bytes = b""
    interim: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


class H2Client(RawSocket):
    """A connection over which frames are sent.

    Attributes:
        encoder: Whose table requests are encoded with.
        decoder: Whose table responses are decoded with.
        settings: The server's, once the handshake is done.
        credits: What WINDOW_UPDATE frames gave for each stream, and for the connection as stream 0.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.settings: dict[int, int] = {}
        self.credits: Counter[int] = Counter()
        self._buffer = b""
        self._stream = -1

    def handshake(self, *pairs: tuple[int, int]) -> None:
        """Exchange prefaces and acknowledgements (RFC 9113 §3.4)."""
        self.send(PREFACE + settings(*pairs))
        first = self.read()
        assert first is not None
        assert (first.kind, first.flags) == (Kind.SETTINGS, 0), f"the server's preface began with {first}"
        self.settings = {
            unpack_from(">H", first.payload, at)[0]: unpack_from(">I", first.payload, at + 2)[0]
            for at in range(0, len(first.payload), 6)
        }
        self.send(frame(Kind.SETTINGS, flags=Flag.ACK))
        self.wait_for(lambda received: received.kind == Kind.SETTINGS and bool(received.flags & Flag.ACK))

    # -- sending ---------------------------------------------------------------------------------

    def new_stream(self) -> int:
        """Return the next stream id of a client."""
        self._stream += 2
        return self._stream

    def headers(
        self,
        fields: list[Field],
        *,
        stream: int | None = None,
        flags: int = Flag.END_HEADERS | Flag.END_STREAM,
        huffman: bool = True,
    ) -> int:
        """Send a field section in one HEADERS frame; return its stream id."""
        if stream is None:
            stream = self.new_stream()
        block = self.encoder.encode(fields, huffman=huffman)
        self.send(frame(Kind.HEADERS, block, flags=flags, stream=stream))
        return stream

    def open(self, fields: list[Field]) -> int:
        """Send a request whose content is still to come; return its stream id."""
        return self.headers(fields, flags=Flag.END_HEADERS)

    def data(self, stream: int, content: bytes, *, end: bool = False) -> None:
        """Send content in one DATA frame."""
        self.send(frame(Kind.DATA, content, flags=Flag.END_STREAM if end else 0, stream=stream))

    def credit(self, increment: int, *, stream: int = 0) -> None:
        """Send WINDOW_UPDATE."""
        self.send(frame(Kind.WINDOW_UPDATE, pack(">I", increment), stream=stream))

    # -- receiving -------------------------------------------------------------------------------

    def read(self) -> Frame | None:
        """Return the next frame, or None once the server is gone."""
        while len(self._buffer) < 9 or len(self._buffer) < 9 + int.from_bytes(self._buffer[:3]):
            data = self.receive()
            if not data:
                return None
            self._buffer += data
        size = int.from_bytes(self._buffer[:3])
        kind, flags, stream = unpack_from(">BBI", self._buffer, 3)
        payload = self._buffer[9 : 9 + size]
        self._buffer = self._buffer[9 + size :]
        assert size <= 16_384, f"a frame of {size} bytes is more than this client allows"
        fields: tuple[Field, ...] = ()
        if kind == Kind.HEADERS:
            # Whoever reads a frame and drops it must not fall out of step with the table. The responses
            # met here are small: they fit into one frame, which has neither padding nor priority.
            assert flags & ~Flag.END_STREAM == Flag.END_HEADERS, f"HEADERS with flags {flags:#x}"
            fields = tuple(self.decoder.decode(payload, raw=True))
        elif kind == Kind.WINDOW_UPDATE:
            self.credits[stream] += int.from_bytes(payload)
        return Frame(kind, flags, stream, payload, fields)

    def wait_for(self, wanted: Callable[[Frame], bool]) -> Frame:
        """Read until a frame is wanted, and return it; those before it are dropped."""
        seen = []
        while (received := self.read()) is not None:
            if wanted(received):
                return received
            seen.append(str(received))
        raise AssertionError(f"the server closed the connection after {seen}")

    def until_pong(self) -> list[Frame]:
        """Return the frames that come before the answer to a PING sent now."""
        self.send(frame(Kind.PING, b"until!!!"))
        before: list[Frame] = []
        while (received := self.read()) is not None:
            if received.kind == Kind.PING and received.flags & Flag.ACK:
                assert received.payload == b"until!!!"
                return before
            before.append(received)
        raise AssertionError(f"the server closed the connection after {[str(one) for one in before]}")

    def response(self, stream: int) -> Response:
        """Read a response to its end; frames of other streams are dropped."""
        response = Response()
        while True:
            received = self.wait_for(lambda received: received.kind in _OF_RESPONSES)
            if received.kind == Kind.GOAWAY:
                assert received.error_code == Code.NO_ERROR, f"instead of a response came {received}"
            if received.stream != stream:
                continue
            assert received.kind != Kind.RST_STREAM, f"instead of a response came {received}"
            if received.kind == Kind.DATA:
                assert response.status
                response.content += received.payload
                response.sizes.append(len(received.payload))
            else:
                (name, value), *fields = received.fields
                assert name == b":status"
                if value.startswith(b"1"):
                    response.interim.append(int(value))
                else:
                    assert not response.status
                    response.status, response.fields = int(value), fields
            if received.ends_stream:
                return response

    # -- verdicts --------------------------------------------------------------------------------

    def expect_connection_error(self, *codes: Code) -> None:
        """Require a GOAWAY with one of the codes, and then the close (RFC 9113 §5.4.1)."""
        goaway = self.wait_for(lambda received: received.kind == Kind.GOAWAY)
        assert goaway.error_code in codes, f"the wrong error: {goaway}"
        while (received := self.read()) is not None:
            assert received.kind != Kind.GOAWAY or received.error_code in codes, f"then came {received}"

    def expect_stream_error(self, stream: int, *codes: Code) -> None:
        """Require RST_STREAM with one of the codes, or GOAWAY.

        RFC 9113 §5.4.2: a stream error may be treated as a connection error.
        """
        verdict = self.wait_for(
            lambda received: (
                received.kind == Kind.GOAWAY
                or (received.kind == Kind.RST_STREAM and received.stream == stream)
            )
        )
        assert verdict.error_code in codes, f"the wrong error: {verdict}"

    def expect_service(self) -> None:
        """Require a PING and a whole request to be answered."""
        self.until_pong()
        assert self.response(self.headers(get())).status == 200


class H1Client(RawSocket):
    """A connection over which messages of HTTP/1.1 are sent."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._buffer = b""

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            data = self.receive()
            assert data, f"the server closed the connection after {self._buffer!r}"
            self._buffer += data
        before, self._buffer = self._buffer.split(end, 1)
        return before

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self.receive()
            assert data, f"the server closed the connection after {self._buffer!r}"
            self._buffer += data
        content, self._buffer = self._buffer[:size], self._buffer[size:]
        return content

    def response(self, *, to_head: bool = False) -> Response:
        """Read a response, interim or final, to its end.

        Args:
            to_head: Whether it answers HEAD, and so has no content whatever its fields say.
        """
        line, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        version, status, _ = line.split(b" ", 2)
        assert version == b"HTTP/1.1", line
        response = Response(int(status))
        for one in lines:
            name, value = one.split(b": ", 1)
            response.fields.append((name.lower(), value))
        fields = dict(response.fields)
        if to_head or response.status < 200 or response.status in (204, 304):
            return response
        if fields.get(b"transfer-encoding") == b"chunked":
            while size := int(self._until(b"\r\n"), 16):
                response.content += self._exactly(size)
                assert self._exactly(2) == b"\r\n"
            assert self._exactly(2) == b"\r\n"
        elif b"content-length" in fields:
            response.content = self._exactly(int(fields[b"content-length"]))
        else:
            response.content, self._buffer = self._buffer + self.receive_all(), b""
        return response

    def expect_close(self) -> None:
        """Require the connection to close without another byte."""
        rest = self._buffer + self.receive_all()
        assert not rest, f"after the last response came {rest!r}"


_OF_RESPONSES = frozenset({Kind.DATA, Kind.HEADERS, Kind.RST_STREAM, Kind.GOAWAY})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a server listens on 127.0.0.1.

    Attributes:
        port: The port.
        ca: PEM file of the authority to trust, or None for cleartext.
    """

    port: int
    ca: str | None

    def connect(self, *alpn: str) -> socket.socket:
        """Connect, and offer protocols where there is TLS."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.ca is None:
            return sock
        context = ssl.create_default_context(cafile=self.ca)
        context.set_alpn_protocols(list(alpn))
        return context.wrap_socket(sock, server_hostname="localhost")
