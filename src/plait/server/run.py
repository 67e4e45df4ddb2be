"""Serves until it is told to stop: the event loop, the signals and what is said on standard error."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import sys
from typing import Any

from plait.certificates import Change, curl_line
from plait.config import HttpVersions, ServerConfig
from plait.server.applications import make_gateway
from plait.server.gateway import MakeGateway
from plait.server.server import Server

__all__ = ["serve"]

logger = logging.getLogger("plait.server")


def serve(config: ServerConfig, make: MakeGateway = make_gateway) -> None:
    """Serve an application until SIGINT or SIGTERM, on uvloop where it exists.

    Args:
        config: What, where and how.
        make: Makes the gateway of another kind of application than ``config.app`` can name.

    Raises:
        ConfigError: A certificate, key or address is wrong.
        PlaitError: The address is taken, or the application failed to start.
    """
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        import uvloop
    except ImportError:  # no wheel for this platform
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(config, make))


async def _serve(config: ServerConfig, make: MakeGateway) -> None:
    server = Server(config, make)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_note)
    for name in ("SIGINT", "SIGTERM"):
        try:
            loop.add_signal_handler(getattr(signal, name), server.stop)
        except NotImplementedError:  # Windows: KeyboardInterrupt ends the loop instead
            pass
    await server.serve(_announce)


def _announce(server: Server) -> None:
    versions = {
        HttpVersions.AUTO: "HTTP/2 and HTTP/1.1",
        HttpVersions.HTTP_1: "HTTP/1.1",
        HttpVersions.HTTP_2: "HTTP/2",
    }[server.config.http]
    for listener in server.listening:
        scheme = "https" if listener.tls else "http"
        host = f"[{listener.host}]" if ":" in listener.host else listener.host
        _say(f"serving {versions} on {scheme}://{host}:{listener.port} (Ctrl-C stops)")
        if listener.development is not None:
            if listener.development.change is Change.AUTHORITY_RENEWED:
                _say("the certificate authority was near its end and was renewed: it has to be trusted anew")
            _say(f"development certificate, signed by {listener.development.ca}; try:")
            _say(f"  {curl_line(listener.development, listener.host, listener.port)}")


def _say(line: str) -> None:
    print(f"plait: {line}", file=sys.stderr, flush=True)


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the loop has to say; a client's failed handshake is no error of the server's."""
    error = context.get("exception")
    if isinstance(error, (ssl.SSLError, ConnectionError, TimeoutError)):
        logger.debug("a connection failed: %s", error)
    else:
        loop.default_exception_handler(context)
