"""The way to each origin: the proxy, the address and the TLS, and what is spoken at the end of it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from plait.config import ClientConfig, HttpVersions
from plait.drivers.tls import client_context, offering, peer_chain
from plait.errors import CertificateProblem, CertificateRefused, ConfigError, NoCommonProtocol
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.events import Role
from plait.protocol.h2 import H2Connection
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.client.observing import Observation
    from plait.drivers.proxies import Proxy, ProxyMap
    from plait.protocol.connection import Connection
    from plait.protocol.field_bytes import FieldCount

__all__ = ["Routes", "Verify"]

Verify = bool | str | os.PathLike[str] | ssl.SSLContext

#: Pushed responses of one connection that nobody has taken.
_MAX_PUSHES = 100
#: HTTP/2 in ALPN (RFC 9113 §3.2); negotiation.py, which has it too, imports the server's side.
_ALPN_H2 = "h2"


class Routes:
    """The way to each origin.

    Args:
        config: The client's options.
        verify: See :func:`plait.drivers.tls.client_context`.
        observation: What observes the connections, or None.

    Attributes:
        has_proxies: Whether any origin may be reached through a proxy.

    Raises:
        ConfigError: An option about certificates or proxies is wrong.
    """

    def __init__(self, config: ClientConfig, verify: Verify, observation: Observation | None) -> None:
        self._config = config
        self._observation = observation
        self._count_fields: Callable[[], FieldCount] | None = None
        # Imports take milliseconds: before there is a connection, so that no exchange waits for them.
        if config.count_fields or config.measure:
            from plait.protocol.field_bytes import FieldCount

            self._count_fields = FieldCount
        if config.http is HttpVersions.HTTP_1:
            import plait.protocol.h1_client
        if config.push:
            import plait.client.pushed  # noqa: F401
        self._verify = verify
        # A file of authorities is read at once, so that a wrong path is known before any request;
        # the system's authorities take long to read, and plain HTTP needs none.
        self._context = None
        if verify is not True or config.cert is not None:
            self._context = client_context(verify, config.http, config.cert)
        self._proxies: ProxyMap | None = None
        if config.proxy is not None or config.trust_env:
            from plait.drivers.proxies import ProxyMap

            self._proxies = ProxyMap(config.proxy, trust_env=config.trust_env)
        self.has_proxies = self._proxies is not None

    def context_for(self, origin: Origin) -> ssl.SSLContext | None:
        """Return the TLS context for an origin, None for plain HTTP."""
        if origin.web.scheme == "http":
            return None
        if self._context is None:
            self._context = client_context(self._verify, self._config.http)
        if origin.scheme == "wss":
            return offering(self._context, HttpVersions.HTTP_1, self._config.http)
        return self._context

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """Return the proxy that leads to an origin, None to go there directly."""
        return None if self._proxies is None else self._proxies.for_origin(origin.web)

    def place(self, host: str, port: int) -> tuple[str, int]:
        """Return the host and port to connect to where a certain one is wanted.

        Raises:
            ConfigError: Who was to be asked gave no such thing.
        """
        if self._config.connect_to is None:
            return host, port
        try:
            where, number = self._config.connect_to(host, port)
        except Exception as error:
            raise ConfigError(f"connect_to gave no host and port for {host}:{port}: {error!r}") from error
        return where, number

    def tunnels(self, origin: Origin, proxy: Proxy) -> bool:
        """Whether the way through a proxy to an origin is a tunnel, and no request to the proxy itself."""
        return origin.scheme != "http" or proxy.scheme != "http" or self._config.http is HttpVersions.HTTP_2

    def make_endpoint(
        self, origin: Origin, protocol: str | None, tls: ssl.SSLObject | None = None
    ) -> ClientEndpoint:
        """Make the endpoint of a new connection.

        Args:
            origin: Where it leads.
            protocol: What ALPN selected, or None.
            tls: Its TLS, where there is somebody to ask about the certificate.

        Raises:
            ConnectFailed: HTTP/2 is demanded and the server does not speak it, or somebody who was asked
                does not like its certificate.
        """
        config = self._config
        http = config.http
        if origin.scheme in ("wss", "ws"):
            http, protocol = HttpVersions.HTTP_1, None
        if tls is not None and config.check_certificate is not None:
            self._check_certificate(origin, tls, config.check_certificate)
        field_count = None if self._count_fields is None else self._count_fields()
        if protocol != _ALPN_H2 and http is HttpVersions.HTTP_2 and origin.scheme == "https":
            raise NoCommonProtocol(f"{origin} does not speak HTTP/2")
        if protocol == _ALPN_H2 or http is HttpVersions.HTTP_2:
            endpoint = self._own(
                H2Connection(
                    Role.CLIENT,
                    max_concurrent_streams=config.max_in_flight,
                    max_header_fields=config.max_header_fields,
                    max_header_size=config.max_header_size,
                    stream_window=config.stream_window,
                    connection_window=config.connection_window,
                    header_table_size=config.header_table_size,
                    field_count=field_count,
                    max_pushes=_MAX_PUSHES if config.push else 0,
                )
            )
            if config.push:
                from plait.client.pushed import expect_pushes

                endpoint.pushes = expect_pushes(origin, _MAX_PUSHES, config.max_pushed_size)
            return endpoint
        from plait.protocol.h1_client import H1Client

        proxy = self.proxy_for(origin)
        through_proxy = proxy is not None and not self.tunnels(origin, proxy)
        return self._own(
            H1Client(
                through_proxy=through_proxy,
                proxy_authorization=proxy.authorization if proxy is not None and through_proxy else None,
                max_header_fields=config.max_header_fields,
                max_header_size=config.max_header_size,
                stream_window=config.stream_window,
                field_count=field_count,
            )
        )

    def _own(self, connection: Connection) -> ClientEndpoint:
        """Return a connection's owner, observed if that is wanted."""
        if self._observation is None:
            return ClientEndpoint(connection)
        return self._observation.endpoint(connection)

    def _check_certificate(
        self, origin: Origin, tls: ssl.SSLObject, check: Callable[[str, Sequence[bytes]], bool]
    ) -> None:
        """Ask the one who was to be asked whether this is the right server."""
        reason = "check_certificate said no"
        try:
            if check(origin.host, peer_chain(tls)):
                return
        except Exception as error:
            reason = f"check_certificate raised {error!r}"
        peer = f"{origin.host}:{origin.port}"
        raise CertificateRefused(f"the certificate of {peer} is refused: {reason}", CertificateProblem.PIN)
