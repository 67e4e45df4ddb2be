"""plait as the transport of httpx: ``httpx.Client(transport=Transport())``."""

from __future__ import annotations

from plait.errors import ConfigError
from plait.integrations.httpx_family import AsyncTransportBase, Library, TransportBase

try:
    import httpx
except ModuleNotFoundError as error:
    raise ConfigError('httpx is not installed: pip install "plait[httpx]"') from error

__all__ = ["AsyncTransport", "Transport"]

_LIBRARY = Library(httpx)


class Transport(TransportBase, httpx.BaseTransport):
    __doc__ = TransportBase.__doc__
    library = _LIBRARY


class AsyncTransport(AsyncTransportBase, httpx.AsyncBaseTransport):
    __doc__ = AsyncTransportBase.__doc__
    library = _LIBRARY
