"""A server in the test's own event loop, on a real socket, and clients that speak in bytes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

import h2.settings
import httpx

from plait.config import HttpVersions
from plait.server import Server
from plait.server_config import Limits, ServerConfig
from tests.support.pairs import Engine, Fields, Message, Received, request_fields
from tests.support.servers import Certificate

__all__ = ["H1Client", "H2Client", "Running", "h1_client", "h2_client", "httpx_client", "serving"]

SECONDS = 20.0
_LIMITS = {one.name for one in fields(Limits)}


class Running:
    """A server that accepts connections.

    Attributes:
        server: The server.
        port: Where it listens on 127.0.0.1.
        certificate: What it serves TLS with, or None.
        task: Runs it.
    """

    def __init__(self, server: Server, certificate: Certificate | None, task: asyncio.Task[None]) -> None:
        self.server = server
        self.port = server.listening[0].port
        self.certificate = certificate
        self.task = task

    @property
    def base_url(self) -> str:
        """Where it is, by the name in the certificate."""
        return f"{'https' if self.certificate else 'http'}://localhost:{self.port}"

    async def connect(self, *alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, over TLS when it is served, offering these protocols."""
        context: ssl.SSLContext | None = None
        if self.certificate is not None:
            context = self.certificate.context()
            if alpn:
                context.set_alpn_protocols(list(alpn))
        return await asyncio.open_connection(
            "127.0.0.1",
            self.port,
            ssl=context,
            server_hostname="localhost" if context else None,
        )


@asynccontextmanager
async def serving(
    app: Any, *, certificate: Certificate | None = None, http: str = "auto", **options: Any
) -> AsyncIterator[Running]:
    """Serve an application while the block runs, then stop and wait for the end.

    Args:
        app: An ASGI application.
        certificate: What to serve TLS with; None serves without.
        http: The versions to serve.
        options: Fields of ``ServerConfig`` and of ``Limits``.
    """
    limits = Limits(**{name: options.pop(name) for name in list(options) if name in _LIMITS})
    tls: dict[str, Any] = {"insecure": True}
    if certificate is not None:
        tls = {"cert": (certificate.chain,), "key": (certificate.key,)}
    options.setdefault("access_log", False)
    config = ServerConfig(app=app, port=0, http=HttpVersions(http), limits=limits, **tls, **options)
    server = Server(config)
    ready = asyncio.Event()
    task = asyncio.create_task(server.serve(lambda _: ready.set()))
    started = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield Running(server, certificate, task)
    finally:
        started.cancel()
        server.stop()
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(task, return_exceptions=True)
    await task


class H2Client(Received):
    """One HTTP/2 connection to a server, on an engine that plait does not use.

    Attributes:
        engine: The engine.
        closed: Whether the server has closed the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.engine = Engine(client=True)
        super().__init__(self.engine)
        self.closed = False
        self._reader = reader
        self._writer = writer
        self._reading = asyncio.Lock()

    def flush(self) -> None:
        """Write what the engine has."""
        self._writer.write(self.engine.data_to_send())

    def request(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        *more: tuple[bytes, bytes],
        content: bytes | None = None,
        end_stream: bool = True,
    ) -> int:
        """Send a request, whose content must fit into the window, and return its stream id."""
        stream: int = self.engine.get_next_available_stream_id()
        head: Fields = request_fields(method, path, *more)
        self.engine.send_headers(stream, head, end_stream=content is None and end_stream)
        self.messages[stream] = Message()
        if content is not None:
            self.send(stream, content, end_stream=end_stream)
        self.flush()
        return stream

    def send(self, stream: int, content: bytes, *, end_stream: bool = False) -> None:
        """Send content."""
        size = self.engine.max_outbound_frame_size
        for start in range(0, len(content), size):
            self.engine.send_data(stream, content[start : start + size])
        if end_stream:
            self.engine.end_stream(stream)
        self.flush()

    async def until(self, condition: Callable[[], object]) -> None:
        """Read until a condition holds or the server closes."""
        async with asyncio.timeout(SECONDS):
            while not condition() and not self.closed:
                async with self._reading:
                    # Another task may have read meanwhile what this one waits for.
                    if not condition() and not self.closed:
                        await self._read()
        assert condition(), f"the server closed first: {self.messages}"

    async def response(self, stream: int) -> Message:
        """Read until a stream is over, and return what came on it."""
        message = self.messages[stream]
        await self.until(lambda: message.ended or message.reset is not None)
        return message

    async def _read(self) -> None:
        try:
            data = await self._reader.read(65536)
        except ConnectionError:
            data = b""
        self.closed = not data
        self.receive(data)
        self.flush()


@asynccontextmanager
async def h2_client(running: Running, **settings: int) -> AsyncIterator[H2Client]:
    """Connect with HTTP/2: by ALPN, or with prior knowledge where there is no TLS.

    Args:
        running: The server.
        settings: Values of the first SETTINGS, such as ``initial_window_size`` or ``enable_push``.
    """
    reader, writer = await running.connect("h2")
    client = H2Client(reader, writer)
    if settings:
        values = {h2.settings.SettingCodes[name.upper()]: value for name, value in settings.items()}
        client.engine.local_settings = h2.settings.Settings(client=True, initial_values=values)
    client.engine.initiate_connection()
    client.flush()
    try:
        yield client
    finally:
        await _close(writer)


@asynccontextmanager
async def httpx_client(running: Running, version: str) -> AsyncIterator[httpx.AsyncClient]:
    """Make a client that speaks one version of HTTP, ``2`` or ``1.1``, to a server with TLS."""
    assert running.certificate is not None
    async with httpx.AsyncClient(
        base_url=running.base_url,
        verify=running.certificate.context(),
        http2=version == "2",
        http1=version != "2",
        limits=httpx.Limits(max_connections=None),
        timeout=SECONDS,
        trust_env=False,
    ) as client:
        yield client


class H1Client:
    """One HTTP/1.1 connection to a server, in bytes.

    Attributes:
        reader: What the server sends.
        writer: What the server gets.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        """Read one field section with its empty line."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """Read all there is until the server closes."""
        async with asyncio.timeout(SECONDS):
            received = b""
            while True:
                try:
                    data = await self.reader.read(65536)
                except ConnectionError:
                    return received
                if not data:
                    return received
                received += data


@asynccontextmanager
async def h1_client(running: Running, *alpn: str) -> AsyncIterator[H1Client]:
    """Connect for HTTP/1.1, with ALPN or without.

    Args:
        running: The server.
        alpn: The protocols to offer.
    """
    reader, writer = await running.connect(*alpn)
    try:
        yield H1Client(reader, writer)
    finally:
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    try:
        await writer.wait_closed()
    except OSError:
        pass
