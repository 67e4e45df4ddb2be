"""plait for Twisted: a ``Site`` that serves HTTP/2, and an ``Agent`` that fetches over it.

The names are imported when they are first used: a site pays nothing for the client, nor an agent for
the server.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plait.integrations.twisted.agent import Agent
    from plait.integrations.twisted.gateway import make_gateway
    from plait.integrations.twisted.request import Request, RequestMixin
    from plait.integrations.twisted.site import Site

__all__ = ["Agent", "Request", "RequestMixin", "Site", "make_gateway"]

_HOMES = {
    "Agent": "agent",
    "Request": "request",
    "RequestMixin": "request",
    "Site": "site",
    "make_gateway": "gateway",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(f"{__name__}.{home}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"twisted", "zope", "OpenSSL"}:
            raise
        from plait.errors import ConfigError

        raise ConfigError('Twisted is not installed: pip install "plait[twisted]"') from error
    value: object = getattr(module, name)
    globals()[name] = value
    return value
