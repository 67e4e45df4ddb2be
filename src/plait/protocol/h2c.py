"""HTTP/2 in cleartext by Upgrade (RFC 7540 §3.2), obsolete since RFC 9113 and still in use.

The request that asks for it is read as HTTP/1.1, whole; then the connection is HTTP/2, and the request
is its stream 1. Whatever does not fit is ignored, as any server may: the answer is HTTP/1.1's.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from struct import iter_unpack
from typing import TYPE_CHECKING

from plait.fields import CONNECTION_SPECIFIC, Field
from plait.protocol.events import Event, Fields

if TYPE_CHECKING:
    from plait.protocol.connection import Connection
    from plait.protocol.h1_parser import HeadReader

__all__ = ["MakeUpgraded", "Upgrade", "Upgraded", "requested_settings"]

#: RFC 7540 §3.2.1: base64url without padding; entries of six bytes, eight characters each.
_SETTINGS = re.compile(rb"(?:[A-Za-z0-9_-]{8}){0,32}").fullmatch
#: What the settings may be that are not free (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1).
_RANGES = {2: (0, 1), 4: (0, 2**31 - 1), 5: (2**14, 2**24 - 1), 8: (0, 1), 9: (0, 1)}

#: Makes the connection from the client's settings, and from whether its request's method is HEAD.
MakeUpgraded = Callable[[bytes, bool], "Connection"]


class Upgrade:
    """A request that asks for HTTP/2, while its content arrives.

    Attributes:
        settings: The client's settings.
        headers: Its head.
        content: Its content so far.
    """

    __slots__ = ("content", "headers", "settings")

    def __init__(self, settings: bytes, headers: tuple[Field, ...]) -> None:
        self.settings = settings
        self.headers = headers
        self.content = b""


class Upgraded(Event):
    """The connection is HTTP/2 from here on.

    Attributes:
        connection: What goes on.
        headers: The head of the request that is stream 1.
        content: All of its content.
        trailers: Its trailer section.
        rest: Bytes received that are HTTP/2 already.
    """

    __match_args__ = ("connection", "headers", "content", "trailers", "rest")

    def __init__(self, connection: Connection, upgrade: Upgrade, trailers: Fields, rest: bytes) -> None:
        self.connection = connection
        self.headers = tuple(
            field
            for field in upgrade.headers
            if field[0] not in CONNECTION_SPECIFIC and field[0] != b"http2-settings"
        )
        self.content = upgrade.content
        self.trailers = trailers
        self.rest = rest


def requested_settings(head: HeadReader) -> bytes | None:
    """Return the settings of a client that asks for HTTP/2 as it must, otherwise None.

    Args:
        head: A request whose ``Connection`` names ``Upgrade``.
    """
    if b"h2c" not in head.upgrade:
        return None
    given = [value for name, value in head.fields if name == b"http2-settings"]
    options = b",".join(value for name, value in head.fields if name == b"connection").lower()
    if len(given) != 1 or b"http2-settings" not in [one.strip(b" \t") for one in options.split(b",")]:
        return None
    if not _SETTINGS(given[0]):
        return None
    settings = urlsafe_b64decode(given[0])
    for identifier, value in iter_unpack(">HI", settings):
        low, high = _RANGES.get(identifier, (0, 2**32))
        if not low <= value <= high:
            return None
    return settings
