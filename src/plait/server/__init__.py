"""Serve ASGI applications over HTTP/2 and HTTP/1.1."""

from plait.server.server import Server, serve

__all__ = ["Server", "serve"]
