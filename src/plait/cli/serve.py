"""``plait serve``: serve an ASGI application."""

from __future__ import annotations

from dataclasses import replace

import click

from plait.cli.options import server_options
from plait.config import ServerConfig
from plait.server import serve

__all__ = ["command"]


@click.command("serve")
@click.argument("app", metavar="MODULE:APP")
@server_options
def command(app: str, config: ServerConfig) -> None:
    """Serve an ASGI or WSGI application, such as hello:app, over HTTP/2 and HTTP/1.1."""
    serve(replace(config, app=app))
