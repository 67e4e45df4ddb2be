"""What a client needs of an application that it reaches without sockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from plait import urls
from plait.errors import ConfigError
from plait.urls import Origin

if TYPE_CHECKING:
    import asyncio

    from plait.drivers.blocking import BlockingDriver
    from plait.drivers.memory import MemoryTransport
    from plait.errors import PlaitError

__all__ = ["InProcess", "Mounts"]


class InProcess(Protocol):
    """An application in this process.

    Attributes:
        protocol: What its connections speak, as ALPN calls it; None for HTTP/1.1.
    """

    protocol: str | None

    async def connect(self, origin: Origin, protocol: asyncio.Protocol) -> None:
        """Connect a protocol, on the running loop.

        Args:
            origin: Where the client means to connect to.
            protocol: It; errors of the application are told to its ``fail``, if they are told.

        Raises:
            PlaitError: The application does not start.
        """

    async def aclose(self) -> None:
        """Let the application clean up."""

    def start(self, seconds: float) -> None:
        """Get ready to be connected to, in a thread of its own.

        Args:
            seconds: How long that may take.

        Raises:
            ConnectTimeout: It takes longer.
            PlaitError: The application does not start.
        """

    def connect_blocking(
        self,
        origin: Origin,
        driver: BlockingDriver,
        on_open: Callable[[MemoryTransport], None],
        on_failed: Callable[[PlaitError], None],
    ) -> None:
        """Connect a driver of threads that wait, without its lock; what is called is called under it."""

    def close(self) -> None:
        """Let the application clean up, and end its thread."""


class Mounts:
    """Which origins are applications in this process.

    Args:
        transport: The application at every origin, or None.
        mounts: Applications by origin, before that.

    Raises:
        ConfigError: What is mounted is no such thing.
        LocalProtocolError: An origin is none.
    """

    def __init__(self, transport: InProcess | None, mounts: Mapping[str, InProcess] | None) -> None:
        self._everywhere = transport
        self._by_origin = {urls.parse(url).origin: one for url, one in (mounts or {}).items()}
        for one in self.all:
            if not hasattr(one, "connect_blocking"):
                raise ConfigError(f"a transport is a plait.AppTransport, not {type(one).__name__}")

    def at(self, origin: Origin) -> InProcess | None:
        """Return the application at an origin, None where there is a server."""
        return self._by_origin.get(origin.web, self._everywhere)

    @property
    def all(self) -> list[Any]:
        """Every application."""
        found = [*self._by_origin.values(), self._everywhere]
        return [one for one in dict.fromkeys(found) if one is not None]
