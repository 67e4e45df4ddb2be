"""plait as the transport of httpx2: ``httpx2.Client(transport=Transport())``."""

from __future__ import annotations

from plait.errors import ConfigError
from plait.integrations.httpx_family import AsyncTransportBase, Library, TransportBase

try:
    import httpx2
except ModuleNotFoundError as error:
    raise ConfigError('httpx2 is not installed: pip install "plait[httpx2]"') from error

__all__ = ["AsyncTransport", "Transport"]

_LIBRARY = Library(httpx2)


class Transport(TransportBase, httpx2.BaseTransport):
    __doc__ = TransportBase.__doc__
    library = _LIBRARY


class AsyncTransport(AsyncTransportBase, httpx2.AsyncBaseTransport):
    __doc__ = AsyncTransportBase.__doc__
    library = _LIBRARY
