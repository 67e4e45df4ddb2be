"""Transports for httpx and for the libraries that have become of it, which differ in their classes only.

``httpx.py`` and ``httpx2.py`` join what is here to their library's own classes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from math import inf
from threading import Lock
from types import ModuleType
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

from plait.client.async_client import AsyncClient
from plait.client.async_streams import AsyncResponseStream
from plait.client.headers import Headers
from plait.client.messages import Request
from plait.client.sync_client import Client
from plait.client.sync_streams import ResponseStream
from plait.client.timeouts import Timeouts
from plait.config import ClientConfig, HttpVersions
from plait.drivers.addresses import Peer
from plait.errors import (
    ClientClosed,
    ConfigError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    LocalProtocolError,
    PlaitError,
    PoolTimeout,
    ProxyFailed,
    Timeout,
    WriteTimeout,
)
from plait.fields import Field
from plait.urls import DEFAULT_PORTS, Origin, Url

__all__ = ["AsyncTransportBase", "Library", "NetworkStream", "TransportBase"]

C = TypeVar("C", Client, AsyncClient)

#: Connections to one origin over HTTP/1.1: the library's own limit, though that is one for all origins.
_MAX_CONNECTIONS = 100
#: Seconds that a connection is kept when the caller wants none kept: each client looks that often.
_KEPT_AT_LEAST = 0.1
#: Seconds for a step that the caller gives no time at all; a limit is greater than zero.
_AT_ONCE = 1e-6


class NetworkStream:
    """What ``response.extensions["network_stream"]`` tells of the connection.

    Args:
        peer: Who is at the other end.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def get_extra_info(self, info: str) -> Any:
        """Return ``server_addr``, ``client_addr``, ``ssl_object`` or ``socket``; None for anything else."""
        peer = self._peer
        if info == "server_addr":
            return (peer.address, peer.port) if peer.address else None
        if info == "client_addr":
            return peer.local if peer.address else None
        return {"ssl_object": peer.tls, "socket": peer.sock}.get(info)


class Library:
    """What a transport needs of its library.

    Args:
        module: The library.

    Attributes:
        module: The library.
        content: Its kind of stream, for a response's content.
        async_content: The same for asyncio.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module: Any = module
        self.content: Any = type("Content", (_Content, module.SyncByteStream), {})
        self.async_content: Any = type("AsyncContent", (_AsyncContent, module.AsyncByteStream), {})

    def fail(self, error: PlaitError, *, sending: bool = False) -> NoReturn:
        """Raise the library's own exception for one of plait's.

        Args:
            error: What happened.
            sending: Whether there was content that nobody had taken from its iterator.
        """
        module = self.module
        kind: Any
        if isinstance(error, ConfigError):
            raise error
        if isinstance(error, Timeout):
            if isinstance(error, ConnectTimeout):
                kind = module.ConnectTimeout
            elif isinstance(error, PoolTimeout):
                kind = module.PoolTimeout
            else:
                kind = module.WriteTimeout if isinstance(error, WriteTimeout) else module.ReadTimeout
        elif isinstance(error, ConnectFailed):
            kind = module.ProxyError if isinstance(error, ProxyFailed) else module.ConnectError
        elif isinstance(error, LocalProtocolError):
            kind = module.LocalProtocolError
        elif isinstance(error, ClientClosed):
            kind = module.ReadError
        elif isinstance(error, ConnectionLost) and error.error_code is None:
            kind = module.WriteError if sending else module.ReadError
        else:
            kind = module.RemoteProtocolError
        raise kind(str(error)) from error

    def content_of(self, request: Any) -> Any:
        """Return a request's content: bytes, an iterable, or None."""
        stream = request.stream
        if isinstance(stream, self.module.ByteStream):
            return b"".join(stream) or None
        return _Upload(stream) if isinstance(stream, self.module.SyncByteStream) else _AsyncUpload(stream)

    def response_to(self, stream: ResponseStream | AsyncResponseStream, content: Any) -> Any:
        """Return the library's response, its content still to be read."""
        extensions = {
            "http_version": stream.http_version.encode(),
            "network_stream": NetworkStream(stream.peer),
            "stream_id": stream.stream_id,
            "trailers": content.trailers,
        }
        return self.module.Response(
            stream.status, headers=list(stream.fields), stream=content, extensions=extensions
        )

    def url_of(self, request: Any) -> Url:
        """Return where a request goes, the target byte for byte as the library has it."""
        url, extensions = request.url, request.extensions
        scheme = url.raw_scheme.decode("ascii")
        if scheme not in DEFAULT_PORTS:
            said = "is missing an 'http://' or 'https://' protocol"
            if scheme:
                said = f"has an unsupported protocol '{scheme}://'"
            raise self.module.UnsupportedProtocol(f"Request URL {said}.")
        if "sni_hostname" in extensions:
            raise self.module.LocalProtocolError("plait asks a server for no other name than that in the URL")
        origin = Origin(scheme, url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[scheme])
        target: bytes = extensions.get("target", url.raw_path)
        return Url(origin, url.netloc, target.decode("latin-1"))


class _Upload:
    """A request's content from an iterable; it knows whether all of it was taken."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream
        self.left = True

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream
        self.left = False


class _AsyncUpload:
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.left = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece
        self.left = False


class _Content:
    """A response's content, read while it arrives.

    Attributes:
        trailers: The fields behind it, once it was read: pairs of bytes.
    """

    def __init__(self, library: Library, stream: ResponseStream) -> None:
        self._library = library
        self._stream = stream
        self._is_open = True
        self.trailers: list[Field] = []

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream.iter_raw()
        except PlaitError as error:
            self._library.fail(error)
        self._is_open = False
        self.trailers += _pairs(self._stream.trailers)

    def close(self) -> None:
        self._is_open = False
        self._stream.close()

    def __del__(self) -> None:
        if self._is_open:  # nobody can close it any more
            self._stream.abandon()


class _AsyncContent:
    def __init__(self, library: Library, stream: AsyncResponseStream) -> None:
        self._library = library
        self._stream = stream
        self._is_open = True
        self.trailers: list[Field] = []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream.iter_raw():
                yield piece
        except PlaitError as error:
            self._library.fail(error)
        self._is_open = False
        self.trailers += _pairs(self._stream.trailers)

    async def aclose(self) -> None:
        self._is_open = False
        await self._stream.aclose()

    def __del__(self) -> None:
        if self._is_open:
            self._stream.abandon()


class _Transport(Generic[C]):
    """What both kinds of transport are told, and what they send by.

    Attributes:
        client: The client; after the transport was closed, and used again, another one.
    """

    library: ClassVar[Library]
    client_type: ClassVar[Any]
    client: C

    def __init__(
        self,
        *,
        verify: Any = True,
        http1: bool = True,
        http2: bool = True,
        limits: Any = None,
        proxy: Any = None,
        **options: Any,
    ) -> None:
        config = ClientConfig(**self._options(http1, http2, limits, proxy, options))
        self._new_client: Callable[[], C] = partial(self.client_type, verify=verify, config=config)
        self._lock = Lock()
        self._is_open = True
        self.client = self._new_client()

    def _open(self) -> C:
        """Return the client; the libraries' own transports can be used after they were closed, too."""
        if not self._is_open:
            with self._lock:
                if not self._is_open:
                    self.client = self._new_client()
                    self._is_open = True
        return self.client

    def _end(self) -> C:
        """Return the client that is to be closed."""
        with self._lock:
            self._is_open = False
            return self.client

    @staticmethod
    def _options(
        http1: bool, http2: bool, limits: Any, proxy: Any, options: dict[str, Any]
    ) -> dict[str, Any]:
        """Return a client's options.

        Raises:
            ConfigError: They leave nothing to speak, or say too much to the proxy.
        """
        if not (http1 or http2):
            raise ConfigError("http1 and http2 cannot both be off")
        if not http1:
            options.setdefault("http", HttpVersions.HTTP_2)
        elif not http2:
            options.setdefault("http", HttpVersions.HTTP_1)
        options.setdefault("max_connections", _MAX_CONNECTIONS)
        if limits is not None:
            options["max_connections"] = limits.max_connections or 1_000_000
            expiry = limits.keepalive_expiry
            options["keep_alive"] = inf if expiry is None else max(expiry, _KEPT_AT_LEAST)
        if proxy is not None:
            options["proxy"] = _proxy_url(proxy)
        return options

    def _request(self, client: Client | AsyncClient, request: Any) -> Request:
        """Return a request of the library's as one of plait's."""
        library = self.library
        where = library.url_of(request)
        said = request.extensions.get("timeout", {})
        timeout = Timeouts(
            **{step: _seconds(said.get(step)) for step in ("connect", "read", "write", "pool")}
        )
        try:
            return client.exact_request(
                request.method, where, request.headers.raw, library.content_of(request), timeout=timeout
            )
        except PlaitError as error:
            library.fail(error)


def _pairs(headers: Headers) -> list[Field]:
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.raw()]


def _seconds(limit: float | None) -> float:
    return inf if limit is None else max(limit, _AT_ONCE)


def _proxy_url(proxy: Any) -> str:
    """Return a proxy's URL; the library's own object keeps name and password apart from it.

    Raises:
        ConfigError: It is to be sent more than these.
    """
    if not hasattr(proxy, "raw_auth"):
        return str(proxy)
    if proxy.headers:
        raise ConfigError("a proxy is sent no headers but its name and password, over plait")
    url = proxy.url
    if proxy.auth is not None:
        url = url.copy_with(username=proxy.auth[0], password=proxy.auth[1])
    return f"{url.scheme}://{url.userinfo.decode()}{'@' * bool(url.userinfo)}{url.netloc.decode()}"


class TransportBase(_Transport[Client]):
    """What ``Transport`` is, but for its library's base class.

    Args:
        verify: As of :class:`plait.Client`.
        http1: Whether to offer HTTP/1.1.
        http2: Whether to offer HTTP/2; alone, it is spoken to ``http://`` URLs, too.
        limits: The library's ``Limits``: ``max_connections``, to each origin, and ``keepalive_expiry``.
        proxy: A URL, or the library's ``Proxy``.
        options: Fields of :class:`plait.config.ClientConfig`, such as ``cert`` and ``retries``.

    Raises:
        ConfigError: An option is wrong.
    """

    client_type = Client

    def handle_request(self, request: Any) -> Any:
        """Send a request, and return the response as soon as its head is there."""
        library = self.library
        client = self._open()
        made = self._request(client, request)
        try:
            stream = client.stream_request(made).__enter__()
        except PlaitError as error:
            library.fail(error, sending=getattr(made.content, "left", False))
        return library.response_to(stream, library.content(library, stream))

    def close(self) -> None:
        """Close every connection."""
        self._end().close()


class AsyncTransportBase(_Transport[AsyncClient]):
    """What ``AsyncTransport`` is, but for its library's base class; see :class:`TransportBase`."""

    client_type = AsyncClient

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request, and return the response as soon as its head is there."""
        library = self.library
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            name = library.module.__name__
            raise ConfigError(f"plait runs on asyncio; under trio, use {name}.AsyncHTTPTransport") from None
        client = self._open()
        made = self._request(client, request)
        try:
            stream = await client.stream_request(made).__aenter__()
        except PlaitError as error:
            library.fail(error, sending=getattr(made.content, "left", False))
        return library.response_to(stream, library.async_content(library, stream))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._end().aclose()
