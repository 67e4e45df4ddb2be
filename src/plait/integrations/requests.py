"""plait as the transport of requests: ``session.mount("https://", Adapter())``."""

from __future__ import annotations

from typing import Any

from plait.client.sync_client import Client
from plait.config import ClientConfig
from plait.drivers.proxies import parse_proxy
from plait.errors import ConfigError

try:
    from requests.adapters import DEFAULT_POOLBLOCK, DEFAULT_POOLSIZE, DEFAULT_RETRIES, HTTPAdapter
    from requests.exceptions import InvalidProxyURL
    from urllib3 import PoolManager, Retry
except ModuleNotFoundError as error:
    raise ConfigError('requests is not installed: pip install "plait[requests]"') from error

from plait.integrations.urllib3_pool import pool_classes

__all__ = ["Adapter"]


class Adapter(HTTPAdapter):
    """What requests sends by: HTTP/2 where the server speaks it, over one connection for all threads.

    Certificates, proxies and limits of time are those of each request, and retries those of the adapter, as
    always with requests.

    Args:
        pool_connections: How many servers to keep connections to, each with its certificates; and how many
            proxies.
        pool_maxsize: How many requests to one server at once, where ``pool_block`` says so.
        max_retries: Attempts after one that did not connect, or a ``urllib3.Retry``.
        pool_block: Whether further requests wait.
        options: Fields of :class:`plait.config.ClientConfig`, such as ``http``.

    Raises:
        ConfigError: An option is wrong.
    """

    __attrs__ = [*HTTPAdapter.__attrs__, "_options"]  # noqa: RUF012 - requests has it so, for pickle

    def __init__(
        self,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int | Retry = DEFAULT_RETRIES,
        pool_block: bool = DEFAULT_POOLBLOCK,
        **options: Any,
    ) -> None:
        Client(config=ClientConfig(**options)).close()  # what is wrong with them is wrong now
        self._options = options
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = DEFAULT_POOLBLOCK, **pool_kwargs: Any
    ) -> None:
        """Have pools made that send over plait (called by requests)."""
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self._sizes: dict[str, Any] = {"num_pools": connections, "maxsize": maxsize, "block": block}
        self.poolmanager.pool_classes_by_scheme = pool_classes(self._options)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return what makes pools that send over plait and this proxy (called by requests).

        Raises:
            InvalidProxyURL: It is no proxy that there is a way through.
        """
        manager = self.proxy_manager.get(proxy)
        if manager is None:
            try:
                parse_proxy(proxy)
            except ConfigError as error:
                raise InvalidProxyURL(str(error)) from error
            manager = self.proxy_manager[proxy] = PoolManager(**self._sizes, **proxy_kwargs)
            manager.pool_classes_by_scheme = pool_classes({**self._options, "proxy": proxy})
            for earlier in list(self.proxy_manager)[: -self._sizes["num_pools"]]:
                self.proxy_manager.pop(earlier, None)
        return manager

    def close(self) -> None:
        """Close every connection, when what is being read from it was read."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it cannot be iterated over
                if (pool := manager.pools.get(key)) is not None:
                    pool.let_go()
        super().close()
