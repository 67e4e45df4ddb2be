"""Serve ASGI applications over HTTP/2 and HTTP/1.1."""

from plait.server.run import serve
from plait.server.server import Server

__all__ = ["Server", "serve"]
