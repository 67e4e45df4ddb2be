"""Scrapy over plait: a download handler for http and https.

::

    DOWNLOAD_HANDLERS = {
        "http": "plait.integrations.scrapy.DownloadHandler",
        "https": "plait.integrations.scrapy.DownloadHandler",
    }

Redirects, cookies, content codings and retries are left to Scrapy's middlewares. Sizes, signals and data
loss are judged by the base class of Scrapy's own handlers on asyncio; it is new and not yet declared stable,
and so the tests run the calls of this module on Scrapy's handlers, too.
"""

from __future__ import annotations

import errno
import ipaddress
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from plait.client.async_client import AsyncClient
from plait.client.async_streams import AsyncResponseStream
from plait.client.timeouts import Timeouts
from plait.errors import (
    ClientClosed,
    ConfigError,
    ConnectFailed,
    ConnectionLost,
    ExchangeReset,
    NameNotResolved,
    PlaitError,
    ProxyFailed,
    RemoteProtocolError,
    Timeout,
)

try:
    from scrapy.core.downloader.handlers._base_streaming import BaseStreamingDownloadHandler
    from scrapy.exceptions import (
        CannotResolveHostError,
        DownloadCancelledError,
        DownloadConnectionRefusedError,
        DownloadFailedError,
        DownloadTimeoutError,
        NotConfigured,
        UnsupportedURLSchemeError,
    )
    from scrapy.http import Headers
    from scrapy.utils._download_handlers import normalize_bind_address
    from scrapy.utils.ssl import _log_sslobj_debug_info, _make_ssl_context
except ModuleNotFoundError as error:
    raise ConfigError('Scrapy is not installed, or too old: pip install "plait[scrapy]"') from error

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.core.downloader.handlers._base_streaming import _BaseResponseArgs
    from scrapy.crawler import Crawler

    _Base = BaseStreamingDownloadHandler[AsyncResponseStream]
else:
    _Base = BaseStreamingDownloadHandler

__all__ = ["DownloadHandler"]

#: What Scrapy calls the versions of HTTP; its own handler of HTTP/2 says it like this.
_PROTOCOLS = {"HTTP/2": "h2", "HTTP/1.1": "HTTP/1.1"}
#: Methods whose requests announce that there is no content (RFC 9110 §8.6).
_EXPECT_CONTENT = frozenset({"POST", "PUT", "PATCH"})
#: What the client says itself.
_OWN_FIELDS = frozenset({b"content-length"})
#: Clients without a request on its way that are kept, one for each proxy and address to come from.
_CLIENTS_KEPT = 32
#: More than a crawl has requests at once.
_MANY = 2**31 - 1


class DownloadHandler(_Base):
    """Downloads over HTTP/2 where the server speaks it, all requests to an origin on one connection, and over
    HTTP/1.1 elsewhere.

    Scrapy makes one for each scheme. It needs asyncio, as is Scrapy's default: a crawl with another Twisted
    reactor finds that the handler is not configured.

    Args:
        crawler: The crawl; of its settings, ``PLAIT_OPTIONS`` is a dict of
            :class:`plait.config.ClientConfig`'s options, which go before what follows from other settings.
    """

    supports_per_request_bindaddress: ClassVar[bool] = True

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        settings = crawler.settings
        self._tls = _make_ssl_context(settings)
        at_once = self._pool_size_total or _MANY
        self._options: dict[str, Any] = {
            # download_timeout is the limit: for everything, and for each request another one.
            "connect_timeout": settings.getfloat("DOWNLOAD_TIMEOUT") or inf,
            "pool_timeout": inf,
            "read_timeout": inf,
            # Scrapy decides how many requests there are at once.
            "max_connections": at_once,
            "max_in_flight": max(at_once, 100),
            "follow_redirects": False,
            "keep_cookies": False,
            "decode": False,
            **settings.getdict("PLAIT_OPTIONS"),
        }
        self._local_address = self._get_bind_address_host()
        self._clients: OrderedDict[tuple[str | None, str | None], _Client] = OrderedDict()
        try:
            self._client(None, self._local_address)
        except (ConfigError, TypeError) as error:  # TypeError: there is no such option
            raise NotConfigured(f"PLAIT_OPTIONS or DOWNLOAD_BIND_ADDRESS is wrong: {error}") from None

    def _client(self, proxy: str | None, local_address: str | None) -> _Client:
        """Return the client for what goes through a proxy and comes from an address."""
        found = self._clients.get((proxy, local_address))
        if found is None:
            ways = {"proxy": proxy, "local_address": local_address}
            given = {name: value for name, value in ways.items() if value is not None}
            client = AsyncClient(
                verify=self._tls,
                headers={"accept": None, "user-agent": None},
                **{**self._options, **given},
            )
            found = self._clients[proxy, local_address] = _Client(client)
        self._clients.move_to_end((proxy, local_address))
        return found

    async def _let_go(self) -> None:
        """Close the clients that were not used for the longest time, while there are too many."""
        while len(self._clients) > _CLIENTS_KEPT:
            idle = next((key for key, one in self._clients.items() if not one.in_use), None)
            if idle is None:
                return
            # Others may come to be in use, or be let go of, while this one is closed.
            await self._clients.pop(idle).client.aclose()

    @asynccontextmanager
    async def _make_request(self, request: Request, timeout: float) -> AsyncIterator[AsyncResponseStream]:
        if not request.url.lower().startswith(("http://", "https://")):
            raise UnsupportedURLSchemeError(f"{request.url} is neither an http nor an https URL")
        bound = normalize_bind_address(request.meta.get("bindaddress"))
        local_address = self._local_address if bound is None else bound[0]
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, values in self._request_headers(request).items()
            if name.lower() not in _OWN_FIELDS
            for value in values
        ]
        try:
            one = self._client(self._extract_proxy_url_with_creds(request), local_address)
            one.in_use += 1
            try:
                async with one.client.stream(
                    request.method,
                    request.url,
                    headers=headers,
                    content=request.body if request.body or request.method in _EXPECT_CONTENT else None,
                    timeout=Timeouts(total=timeout or inf),
                ) as response:
                    yield response
            finally:
                one.in_use -= 1
                await self._let_go()
        except PlaitError as error:
            raise _translate(error, request, timeout) from error

    @staticmethod
    def _extract_headers(response: AsyncResponseStream) -> Headers:
        return Headers([(name, value.encode("latin-1")) for name, value in response.headers.raw()])

    @staticmethod
    def _build_base_response_args(
        response: AsyncResponseStream, request: Request, headers: Headers
    ) -> _BaseResponseArgs:
        address, tls = response.peer.address, response.peer.tls
        return {
            "status": response.status,
            "url": request.url,
            "headers": headers,
            "certificate": None if tls is None else tls.getpeercert(binary_form=True),
            "ip_address": ipaddress.ip_address(address) if address else None,
            "protocol": _PROTOCOLS[response.http_version],
        }

    @staticmethod
    def _iter_body_chunks(response: AsyncResponseStream) -> AsyncIterator[bytes]:
        return response.iter_raw()

    @staticmethod
    def _is_dataloss_exception(error: Exception) -> bool:
        # Raised between the first byte of the content and its last: less came than was announced, or it
        # ended before its end was.
        return isinstance(error, ConnectionLost | ExchangeReset | RemoteProtocolError)

    def _log_tls_info(self, response: AsyncResponseStream, request: Request) -> None:
        if response.peer.tls is not None:
            _log_sslobj_debug_info(response.peer.tls)

    async def close(self) -> None:
        while self._clients:
            await self._clients.popitem()[1].client.aclose()


class _Client:
    """A client, and how many requests it has.

    Attributes:
        client: The client.
        in_use: Requests that are on their way.
    """

    __slots__ = ("client", "in_use")

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.in_use = 0


def _translate(error: PlaitError, request: Request, timeout: float) -> Exception:
    """Return what Scrapy, and its RetryMiddleware, call an error."""
    if isinstance(error, Timeout):
        return DownloadTimeoutError(f"Getting {request.url} took longer than {timeout} seconds: {error}")
    if isinstance(error, NameNotResolved):
        return CannotResolveHostError(str(error))
    if isinstance(error, ProxyFailed) or (
        isinstance(error, ConnectFailed) and error.errno == errno.ECONNREFUSED
    ):
        return DownloadConnectionRefusedError(str(error))
    if isinstance(error, ClientClosed):
        return DownloadCancelledError(str(error))
    return DownloadFailedError(str(error))
