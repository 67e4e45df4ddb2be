"""What urllib3 takes for a pool of connections: one client of plait, and so one connection over HTTP/2.

Only what moves bytes is replaced here. Retries, warnings, decoding and exceptions are urllib3's own: it is
given connections that carry one request each, and raise what its own do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from http.client import RemoteDisconnected
from math import inf
from threading import Lock
from typing import Any, NoReturn
from weakref import finalize

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3._version import __version__ as _URLLIB3
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    InvalidHeader,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.exceptions import ProtocolError as BrokenProtocol
from urllib3.util import SKIP_HEADER, parse_url
from urllib3.util.request import body_to_chunks
from urllib3.util.ssl_ import assert_fingerprint, resolve_cert_reqs

from plait.client.messages import Request
from plait.client.sync_client import Client
from plait.client.timeouts import Timeouts
from plait.errors import (
    ConfigError,
    ConnectFailed,
    ConnectTimeout,
    LocalProtocolError,
    NameNotResolved,
    NoCommonProtocol,
    PlaitError,
    PoolTimeout,
    ProxyFailed,
    Timeout,
    TlsFailed,
    WriteTimeout,
)
from plait.integrations.urllib3_response import Carrier, Content, Response
from plait.urls import DEFAULT_PORTS, Origin, Url

__all__ = ["HttpPool", "HttpsPool", "pool_classes"]

#: Connections to one origin over HTTP/1.1: urllib3 has no limit, and neither has who uses it.
_MAX_CONNECTIONS = 10_000
#: Bytes read from a file at once.
_BLOCK = 65_536
_VERSIONS = {"HTTP/2": 20, "HTTP/1.1": 11}


class Connection:
    """What urllib3 takes for a connection: one request, and its response.

    Args:
        pool: Where it belongs.
        is_verified: Whether the server's certificate is checked.
    """

    # What urllib3 looks at. It opens connections itself, unless they say that they are open.
    proxy = None
    proxy_is_verified = None
    has_connected_to_proxy = False
    is_closed = False
    is_connected = True

    def __init__(self, pool: HTTPConnectionPool, is_verified: bool) -> None:
        self.host = pool.host
        self.port = pool.port or DEFAULT_PORTS[pool.scheme]
        self.is_verified = is_verified
        #: Seconds: until the request is made, those to connect; from then on, those to read.
        self.timeout: float | None = None
        self._scheme = pool.scheme
        self._carrier: Carrier
        self._connect_timeout: float | None = None
        self._request: Request | None = None
        self._options: dict[str, Any] = {}

    def __str__(self) -> str:
        # In messages it has the name that everybody knows.
        return f"{self._scheme.upper()}Connection(host={self.host!r}, port={self.port!r})"

    def join(self, carrier: Carrier) -> None:
        """Use a client, until there is a response or the connection is closed."""
        self._carrier = carrier
        carrier.users.add(self)

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
        preload_content: bool = True,
        decode_content: bool = True,
        enforce_content_length: bool = True,
    ) -> None:
        """Make a request; it is sent when its response is asked for, and all limits of time are known.

        Args:
            method: The method.
            url: The target, or an absolute URL.
            body: bytes, str, a file or an iterable of bytes or str.
            headers: The fields.
            chunked: Whether the length of the content is to be left open.
            preload_content: Whether the response is to read its content at once.
            decode_content: Whether to undo its codings.
            enforce_content_length: Whether less content than announced is an error.

        Raises:
            InvalidHeader: HTTP cannot carry this.
        """
        target = url if url.startswith("/") else parse_url(url).request_uri
        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = host if self.port == DEFAULT_PORTS[self._scheme] else f"{host}:{self.port}"
        where = Url(Origin(self._scheme, self.host.lower(), self.port), authority.encode("ascii"), target)
        content, length = _content_of(body, method)
        fields = [
            (_bytes(name, "ascii"), _bytes(value, "latin-1")) for name, value in (headers or {}).items()
        ]
        names = {name.lower() for name, _ in fields}
        added = []
        if b"accept-encoding" not in names:
            added.append((b"accept-encoding", b"identity"))
        if length is not None and not chunked and not names & {b"content-length", b"transfer-encoding"}:
            added.append((b"content-length", b"%d" % length))
        if b"user-agent" not in names:
            added.append((b"user-agent", b"python-urllib3/" + _URLLIB3.encode()))
        said = [field for field in fields if field[1] != SKIP_HEADER.encode()]
        try:
            self._request = self._carrier.client.exact_request(method, where, [*added, *said], content)
        except LocalProtocolError as error:
            raise InvalidHeader(str(error)) from error
        self._connect_timeout = self.timeout
        self._options = {
            "request_method": method,
            "request_url": url,
            "preload_content": preload_content,
            "decode_content": decode_content,
            "enforce_content_length": enforce_content_length,
        }

    def getresponse(self) -> Response:
        """Send the request, and return its response.

        Raises:
            HTTPError: There is none.
            OSError: There is none.
            HTTPException: There is none.
        """
        request = self._request
        assert request is not None
        read = inf if self.timeout is None else self.timeout
        connect = inf if self._connect_timeout is None else self._connect_timeout
        request.timeout = Timeouts(connect=connect, pool=inf, write=read, read=read)
        carrier = self._carrier
        try:
            stream = carrier.client.stream_request(request).__enter__()
            content: Any = Content(stream, carrier)
        except PlaitError as error:
            self._fail(error)
        finally:
            carrier.leave(self)
        headers = content.msg
        for name, value in stream.fields:
            headers.add(name.decode("ascii"), value.decode("latin-1"))
        try:
            return Response(
                content,
                headers=headers,
                status=stream.status,
                version=_VERSIONS[stream.http_version],
                version_string=stream.http_version,
                reason=stream.reason,
                original_response=content,
                **self._options,
            )
        except BaseException:
            content.close()
            raise

    def _fail(self, error: PlaitError) -> NoReturn:
        """Raise what a connection of urllib3 does."""
        said = str(error)
        if isinstance(error, ConfigError):
            raise error
        if isinstance(error, WriteTimeout):
            raise BrokenProtocol("Connection aborted.", error) from error
        if isinstance(error, ConnectTimeout | PoolTimeout):
            raise ConnectTimeoutError(self, said) from error
        if isinstance(error, Timeout):
            raise error  # a TimeoutError, which urllib3 knows
        if isinstance(error, ProxyFailed):
            raise ProxyError(said, NewConnectionError(self, said)) from error  # type: ignore[arg-type]
        if isinstance(error, NameNotResolved):
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        if isinstance(error, TlsFailed | NoCommonProtocol):
            raise SSLError(said) from error
        if isinstance(error, ConnectFailed):
            said = f"Failed to establish a new connection: {said}"
            raise NewConnectionError(self, said) from error  # type: ignore[arg-type]
        raise RemoteDisconnected(said) from error

    def close(self) -> None:
        """Leave the client; the connection is its own, and an exchange ends with its response."""
        self._carrier.leave(self)


class _Pool(HTTPConnectionPool):
    """A pool whose connections are the requests of one client.

    Args:
        options: Of the client.
        host: The host.
        port: The port.
        keywords: As of urllib3's own.
    """

    def __init__(self, options: dict[str, Any], host: str, port: int | None = None, **keywords: Any) -> None:
        super().__init__(host, port, **keywords)
        self._options = options
        self._carrier: Carrier | None = None
        self._lock = Lock()

    def __str__(self) -> str:
        return f"{self.scheme.upper()}ConnectionPool(host={self.host!r}, port={self.port!r})"

    def _new_conn(self) -> Any:
        self.num_connections += 1
        return Connection(self, self._is_verified())

    def let_go(self) -> None:
        """Close the client when nobody uses it any more; who comes after this has another."""
        with self._lock:
            carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.close()

    def close(self) -> None:
        super().close()
        self.let_go()

    def _make_client(self) -> Client:
        defaults: dict[str, Any] = {"max_connections": _MAX_CONNECTIONS, "pool_timeout": inf}
        return Client(**{**defaults, **self._options, **self._trust()})

    def _trust(self) -> dict[str, Any]:
        """Return the client's options about certificates."""
        return {}

    def _is_verified(self) -> bool:
        return False

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any
        if self.block:
            connection = super()._get_conn(timeout)
        elif self.pool is None:
            raise ClosedPoolError(self, "Pool is closed.")
        else:
            connection = self._new_conn()
        with self._lock:  # many threads begin at once, and are to share one
            if self._carrier is None:
                self._carrier = Carrier(self._make_client())
                # Whoever is inside the client has the pool, too, and so this never waits for its lock.
                finalize(self, self._carrier.client.close)
            connection.join(self._carrier)
        return connection

    def _put_conn(self, conn: Any) -> None:
        # Unless their number is what counts, nothing is worth keeping of them.
        if self.block:
            super()._put_conn(conn)


class HttpPool(_Pool):
    """A pool for ``http``."""


class HttpsPool(_Pool, HTTPSConnectionPool):
    """A pool for ``https``."""

    def _is_verified(self) -> bool:
        return bool(resolve_cert_reqs(self.cert_reqs))

    def _trust(self) -> dict[str, Any]:
        context = self.conn_kw.get("ssl_context")
        trusted = self.ca_certs or self.ca_cert_dir or True
        options: dict[str, Any] = {"verify": trusted}
        if not self._is_verified():
            options["verify"] = False
        elif context is not None:
            if self.ca_certs or self.ca_cert_dir:
                context.load_verify_locations(self.ca_certs, self.ca_cert_dir)
            options["verify"] = context
        if self.cert_file:
            parts = (self.cert_file, self.key_file or self.cert_file, self.key_password)
            options["cert"] = parts if self.key_password else parts[:2]
        if self.assert_hostname is not None or "server_hostname" in self.conn_kw:
            raise ConfigError("over plait, a server's certificate is for the name in the URL")
        if fingerprint := self.assert_fingerprint:

            def check(host: str, chain: Sequence[bytes]) -> bool:
                assert_fingerprint(chain[0], fingerprint)
                return True

            options["check_certificate"] = check
        return options

    def _make_client(self) -> Client:
        try:
            return super()._make_client()
        except (ConfigError, OSError) as error:
            # The adapter has looked at its own options: this is about files.
            raise SSLError(str(error)) from error


def pool_classes(options: dict[str, Any]) -> dict[str, Any]:
    """Return what a ``PoolManager`` has as ``pool_classes_by_scheme``.

    Args:
        options: Of the pools' clients: fields of :class:`plait.config.ClientConfig`.
    """
    return {"http": partial(HttpPool, options), "https": partial(HttpsPool, options)}


def _bytes(text: Any, charset: str) -> bytes:
    if isinstance(text, bytes):
        return text
    return str(text).encode(charset)


def _content_of(body: Any, method: str) -> tuple[bytes | Iterable[bytes] | None, int | None]:
    """Return content as plait takes it, and its length where that is known."""
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, bytes):
        return body or None, len(body)
    pieces = body_to_chunks(body, method, _BLOCK)
    if pieces.chunks is None:
        return None, pieces.content_length
    return _encoded(pieces.chunks), pieces.content_length


def _encoded(pieces: Iterable[Any]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece.encode() if isinstance(piece, str) else piece
