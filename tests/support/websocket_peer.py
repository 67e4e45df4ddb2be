"""A WebSocket client over either version of HTTP, for tests: the bytes of a tunnel, and frames on them.

No client library for Python speaks RFC 8441: here ``h2`` opens the tunnel, and the client's side of the
``websockets`` library, without its I/O, speaks on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.headers import build_extension, parse_extension
from websockets.protocol import Protocol, Side

from tests.support.pairs import AUTHORITY
from tests.support.serving import SECONDS, H1Client, H2Client, Running, h1_client, h2_client

__all__ = ["H1Wire", "H2Wire", "Peer", "Wire", "connected", "wire"]

#: That of RFC 6455 §1.3.
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
Fields = Sequence[tuple[bytes, bytes]]


class Wire:
    """The client's end of a tunnel, or of the response that denies it.

    Attributes:
        status: The status code of the response.
        fields: Its field section, by name.
    """

    status: int
    fields: dict[bytes, bytes]

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        raise NotImplementedError

    async def read(self) -> bytes:
        """Return bytes that came, ``b""`` once the server has ended."""
        raise NotImplementedError

    def end(self) -> None:
        """Send the end of the stream, as FIN is in TCP."""
        raise NotImplementedError

    async def rest(self) -> bytes:
        """Read to the end."""
        received = b""
        while data := await self.read():
            received += data
        return received


class H1Wire(Wire):
    """A tunnel that is all of a connection."""

    def __init__(self, client: H1Client, head: bytes) -> None:
        first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        self.status = int(first.split(" ")[1])
        pairs = (line.split(": ", 1) for line in lines)
        self.fields = {name.encode(): value.encode() for name, value in pairs}
        self._client = client

    async def write(self, data: bytes) -> None:
        self._client.writer.write(data)
        await self._client.writer.drain()

    async def read(self) -> bytes:
        async with asyncio.timeout(SECONDS):
            try:
                return await self._client.reader.read(65_536)
            except ConnectionError:
                return b""

    def end(self) -> None:
        if self._client.writer.can_write_eof():  # which TLS cannot
            self._client.writer.write_eof()


class H2Wire(Wire):
    """A tunnel that is one stream.

    Attributes:
        stream_id: The stream.
        client: Its connection.
    """

    def __init__(self, client: H2Client, stream_id: int) -> None:
        self.client = client
        self.stream_id = stream_id
        self.message = client.messages[stream_id]
        self.fields = dict(self.message.head)
        self.status = int(self.fields[b":status"])
        self._taken = 0
        self._ended = False

    async def write(self, data: bytes) -> None:
        engine = self.client.engine
        while data:
            await self.client.until(
                lambda: engine.local_flow_control_window(self.stream_id) > 0 or self.message.reset is not None
            )
            size = min(
                engine.local_flow_control_window(self.stream_id), engine.max_outbound_frame_size, len(data)
            )
            self.client.send(self.stream_id, data[:size])
            data = data[size:]

    async def read(self) -> bytes:
        message = self.message
        await self.client.until(
            lambda: len(message.content) > self._taken or message.ended or message.reset is not None
        )
        data = bytes(message.content[self._taken :])
        self._taken += len(data)
        return data

    def end(self) -> None:
        if self.message.reset is None and not self._ended:
            self._ended = True
            self.client.engine.end_stream(self.stream_id)
            self.client.flush()


@asynccontextmanager
async def wire(
    running: Running,
    version: str,
    path: bytes = b"/",
    *fields: tuple[bytes, bytes],
    behind: bytes = b"",
    credits: bool = True,
) -> AsyncIterator[Wire]:
    """Ask for a WebSocket on a connection of its own.

    Args:
        running: The server.
        version: ``"1.1"`` or ``"2"``.
        path: Where.
        fields: More fields; those of the handshake are in already, unless one of them is here.
        behind: Bytes sent right behind the request.
        credits: Whether an HTTP/2 client gives credit for what it receives.
    """
    if version == "1.1":
        head = [(b"host", AUTHORITY), (b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
        head += _completed(fields, (b"sec-websocket-version", b"13"), (b"sec-websocket-key", KEY))
        lines = b"".join(b"%b: %b\r\n" % field for field in head)
        async with h1_client(running) as h1:
            h1.writer.write(b"GET %b HTTP/1.1\r\n%b\r\n%b" % (path, lines, behind))
            yield H1Wire(h1, await h1.head())
        return
    async with h2_client(running) as h2:
        h2.credits = credits
        # RFC 8441 §4: to be used once the server has said so.
        await h2.until(lambda: h2.engine.remote_settings.enable_connect_protocol)
        stream_id = open_stream(h2, path, *fields)
        if behind:
            h2.send(stream_id, behind)
        await h2.until(lambda: h2.messages[stream_id].head)
        yield H2Wire(h2, stream_id)


def open_stream(client: H2Client, path: bytes, *fields: tuple[bytes, bytes]) -> int:
    """Ask for a WebSocket on one more stream, and return its id."""
    stream_id = client.request(
        b"CONNECT",
        path,
        *[(b":protocol", b"websocket")],
        *_completed(fields, (b"sec-websocket-version", b"13")),
        end_stream=False,
    )
    return stream_id


def _completed(fields: Fields, *needed: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    given = {name for name, _ in fields}
    return [*(field for field in needed if field[0] not in given), *(field for field in fields if field[1])]


class Peer:
    """The client's side of a WebSocket, on a wire that was accepted.

    Attributes:
        wire: The tunnel.
        protocol: The library's state machine; ``close_rcvd`` is what the server closed with.
    """

    def __init__(self, wire: Wire, compression: ClientPerMessageDeflateFactory | None = None) -> None:
        self.wire = wire
        self.protocol = Protocol(Side.CLIENT, max_size=None)
        granted = wire.fields.get(b"sec-websocket-extensions")
        if granted is not None:
            assert compression is not None
            ((_, parameters),) = parse_extension(granted.decode())
            self.protocol.extensions = [compression.process_response_params(parameters, [])]
        self._frames: list[Frame] = []

    async def send(self, message: str | bytes, *, fin: bool = True) -> None:
        """Send a message, or its first fragment."""
        if isinstance(message, str):
            self.protocol.send_text(message.encode(), fin)
        else:
            self.protocol.send_binary(message, fin)
        await self.flush()

    async def send_more(self, data: bytes, *, fin: bool) -> None:
        """Send a further fragment."""
        self.protocol.send_continuation(data, fin)
        await self.flush()

    async def flush(self) -> None:
        """Send what the protocol has to say."""
        for data in self.protocol.data_to_send():
            if data:
                await self.wire.write(data)
            else:
                self.wire.end()

    async def frame(self) -> Frame | None:
        """Return the next frame, or None at the end."""
        while not self._frames:
            data = await self.wire.read()
            if not data:
                self.protocol.receive_eof()
                await self.flush()
                return None
            self.protocol.receive_data(data)
            self._frames += [event for event in self.protocol.events_received() if isinstance(event, Frame)]
            await self.flush()
        return self._frames.pop(0)

    async def receive(self) -> str | bytes:
        """Return the next message, pings and pongs passed over."""
        while (frame := await self.frame()) is not None:
            if frame.opcode is Opcode.TEXT:
                return bytes(frame.data).decode()
            if frame.opcode is Opcode.BINARY:
                return bytes(frame.data)
            assert frame.opcode in (Opcode.PING, Opcode.PONG), f"{frame} came"
        raise AssertionError("the server ended")

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close, and read to the end."""
        self.protocol.send_close(code, reason)
        await self.flush()
        await self.ended()

    async def ended(self) -> tuple[int, str]:
        """Read to the end, and return the code and the reason the server closed with."""
        while await self.frame() is not None:
            pass
        close = self.protocol.close_rcvd
        return (1006, "") if close is None else (int(close.code), close.reason)


COMPRESSION = ClientPerMessageDeflateFactory(client_max_window_bits=True)


@asynccontextmanager
async def connected(
    running: Running,
    version: str,
    path: bytes = b"/",
    *fields: tuple[bytes, bytes],
    compression: ClientPerMessageDeflateFactory | None = None,
    credits: bool = True,
) -> AsyncIterator[Peer]:
    """Open a WebSocket on a connection of its own; see :func:`wire`."""
    if compression is not None:
        offer = build_extension([(compression.name, compression.get_request_params())])
        fields = (*fields, (b"sec-websocket-extensions", offer.encode()))
    async with wire(running, version, path, *fields, credits=credits) as opened:
        assert opened.status == (200 if version == "2" else 101), opened.fields
        yield Peer(opened, compression)
