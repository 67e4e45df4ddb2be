"""What ``plait serve --twisted`` is given: a resource, a Site, or a service with a Site in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.application.internet import SSLServer, StreamServerEndpointService, TCPServer, UNIXServer
from twisted.application.service import IService, IServiceCollection
from twisted.protocols.policies import WrappingFactory
from twisted.web import server
from twisted.web.resource import IResource

from plait.errors import ConfigError
from plait.integrations.twisted.request import Request

__all__ = ["find_root"]


def find_root(found: Any, name: str) -> tuple[server.Site, Any]:
    """Find the Site to serve.

    The services by which a Site would listen are taken out of the service they are in: plait listens in
    their place.

    Args:
        found: What the user named.
        name: What the user calls it.

    Returns:
        The site, and the service to start and stop with it, or None.

    Raises:
        ConfigError: There is none, or more than one.
    """
    if isinstance(found, server.Site):
        return found, None
    if IResource.providedBy(found):
        return server.Site(found, Request), None
    service = IService(found, None)
    if service is not None:
        return _site_of(service, name)
    hint = ": if it makes one, say --factory" if callable(found) else ""
    raise ConfigError(f"{name} is {type(found).__name__}, not a Twisted resource, Site or service{hint}")


def _site_of(service: Any, name: str) -> tuple[server.Site, Any]:
    """Take the one Site out of a service; return it and what is left of the service."""
    listening = [(one, site) for one in _tree(service) if (site := _served_by(one)) is not None]
    sites = {id(site): site for _, site in listening}
    if not sites:
        raise ConfigError(
            f"{name} is a service without a Site that plait could serve: it looks for those of strports, "
            "StreamServerEndpointService, TCPServer, SSLServer and UNIXServer"
        )
    if len(sites) > 1:
        raise ConfigError(f"{name} is a service with {len(sites)} Sites: name the one that plait is to serve")
    for one, _ in listening:
        if one is service:
            service = None
        elif one.parent is not None:
            one.disownServiceParent()
    return next(iter(sites.values())), service


def _tree(service: Any) -> Iterator[Any]:
    """Yield a service and all that are in it."""
    yield service
    collection: Any = IServiceCollection(service, None)
    if collection is not None:
        for one in collection:
            yield from _tree(one)


def _served_by(service: Any) -> server.Site | None:
    """Return the Site that a service listens for, or None."""
    if isinstance(service, StreamServerEndpointService):
        given = [service.factory]
    elif isinstance(service, TCPServer | SSLServer | UNIXServer):
        given = [*service.args, *service.kwargs.values()]
    else:
        return None
    for factory in given:
        while isinstance(factory, WrappingFactory):
            factory = factory.wrappedFactory
        if isinstance(factory, server.Site):
            return factory
    return None
