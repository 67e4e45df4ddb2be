"""From what the user names to the gateway that serves it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from plait.errors import ConfigError
from plait.server.asgi import AsgiGateway
from plait.server.gateway import Gateway, Log, MakeGateway
from plait.server.importer import call_factory, load
from plait.server.interfaces import interface_of
from plait.server.logs import enable_loggers
from plait.server.mounts import Mounts, files_gateways
from plait.server.wsgi import WsgiGateway
from plait.server_config import Interface, ServerConfig

__all__ = ["beside_files", "find_application", "make_gateway"]


def make_gateway(config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None) -> Gateway:
    """Make the gateway of the application that a configuration names.

    Args:
        config: Its ``app`` is an application, or the name of one to import.
        loop: The running loop.
        log: Called with each finished exchange, or None.

    Raises:
        ConfigError: There is no such application, it cannot be told how it is called, or a directory
            of files is none.
    """
    root = config.root_path
    if root and (not root.startswith("/") or root.endswith("/")):
        raise ConfigError(f"root_path must begin with / and not end with it, as in /app, not {root!r}")
    if config.twisted:
        raise ConfigError("what is Twisted's is served by the command: plait serve --twisted MODULE:ROOT")
    return beside_files(_gateway, config, loop, log)


def _gateway(config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None) -> Gateway:
    app, name = find_application(config)
    if not callable(app):
        raise ConfigError(f"{name} is {type(app).__name__}, not an application")
    interface = config.interface
    if interface is Interface.AUTO:
        interface = interface_of(app, name)
    make = WsgiGateway if interface is Interface.WSGI else AsgiGateway
    return make(app, config, loop, log)


def beside_files(
    make: MakeGateway, config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None
) -> Gateway:
    """Make a gateway, and have those of ``config.static`` and ``config.mount`` before it.

    Args:
        make: Makes the gateway, if there is an application.
        config: The options.
        loop: The running loop.
        log: Called with each finished exchange, or None.

    Raises:
        ConfigError: A directory of files is none, or what ``make`` raises.
    """
    files = files_gateways(config, loop, log)
    if files and config.app is None:
        return Mounts(None, files)
    gateway = make(config, loop, log)
    return Mounts(gateway, files) if files else gateway


def find_application(config: ServerConfig) -> tuple[Any, str]:
    """Find what a configuration names, in the environment that it asks for.

    Returns:
        What was found, of whatever kind, and what to call it in an error.

    Raises:
        ConfigError: It cannot be imported, or a factory fails.
    """
    if config.env_file is not None:
        load_environment(config.env_file)
    app = config.app
    if isinstance(app, str):
        name = repr(app)
        app = load(app, config.app_dir or Path())
    else:
        if app is None:
            raise ConfigError("there is no application to serve: name one as MODULE:APP")
        name = "what was given"
    if config.factory:
        app = call_factory(app, name)
        name = f"what {name} makes"
    enable_loggers()
    return app, name


def load_environment(path: Path) -> None:
    """Add the lines of a file to the environment, where a variable that is set already stands.

    Args:
        path: A file of NAME=VALUE lines.

    Raises:
        ConfigError: It cannot be read, or has a line that is none.
    """
    try:
        from dotenv import load_dotenv
        from dotenv.parser import parse_stream
    except ImportError:
        raise ConfigError('--env-file needs python-dotenv: pip install "plait[dotenv]"') from None
    try:
        with path.open(encoding="utf-8") as stream:
            for line in parse_stream(stream):
                if line.error or (line.key is not None and line.value is None):
                    text = line.original.string.strip()
                    raise ConfigError(f"{path} line {line.original.line} is not NAME=VALUE: {text!r}")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"cannot read the environment file {path}: {reason.lower()}") from error
    load_dotenv(path, override=False, encoding="utf-8")
