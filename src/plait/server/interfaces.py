"""The types of ASGI 3 and of WSGI applications (PEP 3333), and how to tell one from the other."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import Any

from plait.errors import ConfigError
from plait.server_config import Interface

__all__ = ["Application", "Message", "Receive", "Scope", "Send", "WsgiApplication", "interface_of"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SAY = "say --interface asgi or --interface wsgi"


def interface_of(app: Callable[..., Any], name: str) -> Interface:
    """Tell how an application is to be called: by what it is, never by calling it.

    An ASGI application takes three arguments and can be awaited, a WSGI application takes two and
    cannot.

    Args:
        app: The application.
        name: What the user calls it, for the error.

    Raises:
        ConfigError: It cannot be told, or the interface is one that is not served.
    """
    awaited = _is_awaited(app)
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        if awaited:
            return Interface.ASGI
        raise ConfigError(f"it cannot be told how {name} is called: {_SAY}") from None
    two, three = _takes(signature, 2), _takes(signature, 3)
    if awaited and three:
        return Interface.ASGI
    if awaited:
        raise ConfigError(
            f"{name} is asynchronous, and does not take scope, receive and send: {_shown(signature)}"
        )
    if two and three and not _takes_any(signature):
        three = False  # one that may be left out is not one that ASGI could go without
    if two != three:
        return Interface.WSGI if two else Interface.ASGI
    if two:
        raise ConfigError(f"{name} takes any arguments, so it cannot be told how it is called: {_SAY}")
    if _takes(signature, 0):
        raise ConfigError(f"{name} takes no arguments: if it makes the application, say --factory")
    if _takes(signature, 1):
        raise ConfigError(
            f"{name} takes one argument, as applications of ASGI 2 do: wrap it with "
            "asgiref.compatibility.guarantee_single_callable"
        )
    raise ConfigError(f"{name} takes neither ASGI's three arguments nor WSGI's two: {_shown(signature)}")


def _is_awaited(app: Callable[..., Any]) -> bool:
    """Whether what a call returns can be awaited."""
    while isinstance(app, partial):
        app = app.func
    if inspect.isclass(app):
        return hasattr(app, "__await__")
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _takes_any(signature: inspect.Signature) -> bool:
    return any(one.kind is one.VAR_POSITIONAL for one in signature.parameters.values())


def _shown(signature: inspect.Signature) -> str:
    return f"its parameters are {signature.replace(return_annotation=inspect.Signature.empty)}"
