"""``plait bookstore``: serve the reference workload."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from plait.bookstore.app import create_app
from plait.bookstore.catalogue import load
from plait.bookstore.generate import bundled
from plait.cli.options import ServerCommand, server_options
from plait.server import serve
from plait.server_config import ServerConfig

__all__ = ["command"]


@click.command("bookstore", cls=ServerCommand)
@click.option(
    "--catalogue",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve the books of this JSON file instead of the 3,000 that come with plait.",
)
@server_options(leave_out="Application")
def command(catalogue: Path | None, config: ServerConfig) -> None:
    """Serve a bookstore: the ids of its books at /, one book at /book?id=N, a page for browsers."""
    serve(replace(config, app=create_app(bundled() if catalogue is None else load(catalogue))))
