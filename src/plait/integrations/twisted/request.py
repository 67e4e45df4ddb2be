"""What requests of Twisted can do here beyond what Twisted gives them."""

from __future__ import annotations

from twisted.web import server

__all__ = ["Request", "RequestMixin"]


class RequestMixin:
    """What a request factory of one's own inherits from, before Twisted's ``Request``."""


class Request(RequestMixin, server.Request):
    """Twisted's request, with what HTTP/2 adds."""
