"""Directories of files beside an application, each below a path of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from plait.errors import ConfigError
from plait.protocol.server_exchange import ServerExchange
from plait.server.asgi import AsgiGateway
from plait.server.gateway import Gateway, Log
from plait.server.interfaces import Receive, Scope, Send
from plait.server.static import StaticFiles, say
from plait.server_config import ServerConfig

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["Mounts", "files_gateways"]


def files_gateways(
    config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None
) -> list[tuple[bytes, Gateway]]:
    """Make the gateways of ``config.static`` and ``config.mount``, the longest path first.

    Args:
        config: The options.
        loop: The running loop.
        log: Called with each finished exchange, or None.

    Raises:
        ConfigError: A mount is malformed, there twice, or names no directory.
    """
    mounts: dict[bytes, Path] = {}
    for text in config.mount:
        path, equals, name = text.partition("=")
        if not equals or not name or not path.startswith("/") or not path.isascii():
            raise ConfigError(f"mount must be PATH=DIR, such as /static=public, not {text!r}")
        prefix = path.rstrip("/").encode()
        if prefix in mounts:
            raise ConfigError(f"mount has the path {path!r} twice")
        mounts[prefix] = Path(name)
    if config.static is not None:
        if b"" in mounts:
            raise ConfigError("--static serves a directory at /, where --mount has another")
        mounts[b""] = config.static
    # The time that an application has does not limit how long a file takes to a slow client; and files
    # are known by the path that is left when a proxy has taken its own part away.
    own = replace(config, root_path="", limits=replace(config.limits, app_timeout=0.0))
    gateways: list[tuple[bytes, Gateway]] = []
    for prefix, directory in sorted(mounts.items(), key=lambda mount: -len(mount[0])):
        if not directory.is_dir():
            raise ConfigError(f"there is no directory {directory} to serve at {prefix.decode() or '/'}")
        gateways.append((prefix, AsgiGateway(StaticFiles(directory, prefix), own, loop, log)))
    if gateways and config.app is None and b"" not in mounts:
        gateways.append((b"", AsgiGateway(_nothing, own, loop, log)))
    return gateways


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await say(send, 404, b"not found")


class Mounts:
    """An application, and files beside it; see :class:`plait.server.gateway.Gateway`.

    Args:
        app: What answers where no mount does, or None where the last mount is at the root.
        mounts: Their paths, without a slash at the end, the longest first.
    """

    __slots__ = ("_all", "_app", "_date", "_mounts", "_rest", "websockets")

    def __init__(self, app: Gateway | None, mounts: Sequence[tuple[bytes, Gateway]]) -> None:
        self._app = app
        self._mounts = [(path, path + b"/", gateway) for path, gateway in mounts]
        self._all = [gateway for _, gateway in mounts]
        if app is not None:
            self._all.append(app)
        self._rest = self._all[-1]
        self._date = b""
        self.websockets = app is not None and app.websockets

    @property
    def date(self) -> bytes:
        return self._date

    @date.setter
    def date(self, date: bytes) -> None:
        self._date = date
        for gateway in self._all:
            gateway.date = date

    @property
    def running(self) -> int:
        return sum(gateway.running for gateway in self._all)

    async def start_up(self) -> None:
        if self._app is not None:
            await self._app.start_up()

    async def shut_down(self) -> None:
        if self._app is not None:
            await self._app.shut_down()

    def cancel(self) -> None:
        for gateway in self._all:
            gateway.cancel()

    def refuse(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        self._rest.refuse(exchange, driver)

    def start(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        request = exchange.request
        if not request.protocol:
            path = request.target.partition(b"?")[0]
            for exact, below, gateway in self._mounts:
                if path == exact or path.startswith(below):
                    gateway.start(exchange, driver)
                    return
        self._rest.start(exchange, driver)
