"""``plait serve``: serve an ASGI application."""

from __future__ import annotations

from pathlib import Path

import click

from plait.cli.options import server_options
from plait.config import ServerConfig
from plait.server import serve
from plait.server.importer import load

__all__ = ["command"]


@click.command("serve")
@click.argument("app", metavar="MODULE:APP")
@click.option(
    "--app-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="Directory to import the application from.  [default: the current one]",
)
@server_options
def command(app: str, app_dir: Path, config: ServerConfig) -> None:
    """Serve an ASGI application, such as hello:app, over HTTP/2 and HTTP/1.1."""
    serve(load(app, app_dir), config)
