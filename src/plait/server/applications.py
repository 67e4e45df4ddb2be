"""From what the user names to the gateway that serves it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from plait.config import ServerConfig
from plait.server.asgi import AsgiGateway
from plait.server.gateway import Gateway, Log
from plait.server.importer import load

__all__ = ["make_gateway"]


def make_gateway(config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None) -> Gateway:
    """Make the gateway of the application that a configuration names.

    Args:
        config: Its ``app`` is an application, or the name of one to import.
        loop: The running loop.
        log: Called with each finished exchange, or None.

    Raises:
        ConfigError: There is no such application.
    """
    app = config.app
    if isinstance(app, str):
        app = load(app, config.app_dir or Path())
    return AsgiGateway(app, config, loop, log)
