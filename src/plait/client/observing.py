"""Who looks on at a client's connections; only a client with somebody who does imports this."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from plait.client.measuring import Meter
from plait.client.telling import Teller
from plait.client.trace import FrameEvent, H1Trace, H2Trace, tell_failure
from plait.config import ClientConfig
from plait.protocol.connection import Connection
from plait.protocol.observed import ObservedEndpoint, Observer
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.client.sites import Link

__all__ = ["Observation"]


class Watcher(Observer, Protocol):
    """One who looks on at one connection."""

    def opened(self, link: Link, tls: ssl.SSLObject | None) -> None:
        """Take note that the connection came to be."""

    def closed(self, link: Link) -> None:
        """Take note that it is gone."""


class Observation:
    """Who looks on at a client's connections.

    Args:
        config: The client's options.
        clock: Tells the time, in seconds.
    """

    def __init__(self, config: ClientConfig, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._measures = config.measure
        self._teller = None if config.trace is None else Teller[FrameEvent](config.trace, "trace")
        if self._teller is not None:
            # It takes long: before there is a connection, so that no handshake seems to.
            import cryptography.x509  # noqa: F401

    def endpoint(self, connection: Connection) -> ObservedEndpoint[Watcher]:
        """Return a connection's owner, with those who look on."""
        observers: list[Watcher] = []
        if self._measures:
            observers.append(Meter(connection, self._clock))
        if self._teller is not None:
            kind = H2Trace if connection.http_version == "2" else H1Trace
            observers.append(kind(self._teller, self._clock))
        return ObservedEndpoint(connection, observers)

    def opened(self, link: Link, tls: ssl.SSLObject | None) -> None:
        """Take note of a new connection."""
        for observer in _watchers(link):
            observer.opened(link, tls)

    def closed(self, link: Link) -> None:
        """Take note that a connection is gone."""
        for observer in _watchers(link):
            observer.closed(link)

    def failed(self, origin: Origin, error: Exception) -> None:
        """Take note that there is no connection to an origin."""
        if self._teller is not None:
            tell_failure(self._teller, self._clock(), origin, error)


def _watchers(link: Link) -> Sequence[Watcher]:
    endpoint = link.endpoint
    assert isinstance(endpoint, ObservedEndpoint)
    return endpoint.observers
