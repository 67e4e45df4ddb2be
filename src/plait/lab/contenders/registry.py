"""The names of contenders.

A crawler imports this module and then the one that its contender is in, and none of the others.
"""

from __future__ import annotations

import re
from copy import copy
from importlib import import_module

from plait.errors import ConfigError
from plait.lab.contenders.base import Contender
from plait.lab.contenders.plait_client import CONTENDERS, Http1, Http2Several

__all__ = ["AGAIN", "contender_named", "default_names", "names"]

AGAIN = "-again"
"""Ends the name of a contender that takes part a second time."""

MAX_HTTP1_CONNECTIONS = 256
MAX_HTTP2_CONNECTIONS = 16

#: Modules with a tuple ``CONTENDERS``, in the order in which they are looked through.
_MORE = ("plait.lab.contenders.libraries", "plait.lab.contenders.curl", "plait.lab.contenders.chromium")

_NUMBERED = re.compile(r"h([12])x([1-9][0-9]{0,9})")


def default_names(in_flight: int) -> tuple[str, ...]:
    """List the contenders of a comparison for which none were named; the first is the reference.

    Args:
        in_flight: How many requests the contenders that multiplex have under way.
    """
    pool = f"h1x{min(in_flight, MAX_HTTP1_CONNECTIONS)}"
    return tuple(dict.fromkeys(("h1x1", "h1x6", pool, "h2-serial", "h2-static", "h2")))


def names() -> tuple[str, ...]:
    """List all names, with ``N`` in those that have a number of connections."""
    listed = ["h1xN", *(contender.name for contender in CONTENDERS), "h2xN"]
    for module in _MORE:
        listed += [contender.name for contender in import_module(module).CONTENDERS]
    return tuple(listed)


def contender_named(name: str) -> Contender:
    """Find a contender.

    Args:
        name: ``h1x6``, ``h2``, ``requests``, one of them with ``-again`` behind it for a second copy, or
            ``module:Class`` for a class that is no part of plait.

    Raises:
        ConfigError: There is no such contender.
    """
    if name.endswith(AGAIN) and not name.endswith(2 * AGAIN):
        contender = copy(contender_named(name.removesuffix(AGAIN)))
        contender.again, contender.name = contender.name, name
        return contender
    if numbered := _NUMBERED.fullmatch(name):
        return _numbered(name, numbered[1], int(numbered[2]))
    if ":" in name:
        return _imported(name)
    for contender in CONTENDERS:
        if contender.name == name:
            return contender
    for module in _MORE:
        found: tuple[Contender, ...] = import_module(module).CONTENDERS
        for contender in found:
            if contender.name == name:
                return contender
    raise ConfigError(f"{name!r} is not a contender; {_hint(name)}there is: {', '.join(names())}")


def _numbered(name: str, version: str, connections: int) -> Contender:
    kind: type[Http1 | Http2Several]
    if version == "1":
        kind, http, least, most = Http1, "HTTP/1.1", 1, MAX_HTTP1_CONNECTIONS
    else:
        kind, http, least, most = Http2Several, "HTTP/2", 2, MAX_HTTP2_CONNECTIONS
    if not least <= connections <= most:
        raise ConfigError(f"{name!r} is not a contender: over {http} there are {least} to {most} connections")
    return kind(connections)


def _imported(name: str) -> Contender:
    module, _, attribute = name.partition(":")
    try:
        made = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"contender {name!r} cannot be imported: {error}") from error
    if not isinstance(made, Contender):
        raise ConfigError(f"contender {name!r} is not a plait.lab.contenders.base.Contender")
    made.name = name
    return made


def _hint(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [*names(), "h1x1", "h1x6", "h2x2"], n=2)
    return f"did you mean {' or '.join(near)}? " if near else ""
