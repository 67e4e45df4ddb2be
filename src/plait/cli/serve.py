"""``plait serve``: serve an application, or the files of a directory."""

from __future__ import annotations

import click

from plait.cli.options import ServerCommand, server_options
from plait.server_config import ServerConfig

__all__ = ["command"]


@click.command("serve", cls=ServerCommand)
@click.argument("app", metavar="[MODULE:APP]", required=False)
@server_options()
def command(config: ServerConfig) -> None:
    """Serve an ASGI or WSGI application, such as hello:app, over HTTP/2 and HTTP/1.1.

    With --twisted, serve a Twisted resource, Site or service instead; with --static DIR, the files of a
    directory.

    Every option may also come from a PLAIT_* variable or from a TOML file; docs/server.md tells of each.
    """
    if config.app is None and config.static is None and not config.mount:
        raise click.UsageError("missing argument MODULE:APP, or --static DIR")
    # Only now: the help is there in half the time without.
    from plait.server import serve

    if config.twisted:
        from plait.integrations.twisted import make_gateway

        serve(config, make_gateway)
    else:
        serve(config)
