"""Interim responses: what a server says before its response (RFC 9110 §15.2)."""

from __future__ import annotations

from plait.client.headers import Headers
from plait.client.links import parse_links
from plait.protocol.events import Fields

__all__ = ["Interim"]


class Interim:
    """An interim response: 103 with links to fetch meanwhile (RFC 8297), 102, 100.

    Args:
        fields: Its field section, ``:status`` first.

    Attributes:
        status: The status code, below 200.
    """

    __slots__ = ("_fields", "status")

    def __init__(self, fields: Fields) -> None:
        self.status = int(fields[0][1])
        self._fields = fields[1:]

    @property
    def headers(self) -> Headers:
        """The field section."""
        return Headers(self._fields)

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """What the ``link`` fields say (RFC 8288), by relation, or by URL where there is none."""
        return parse_links(", ".join(self.headers.get_all("link")))

    def __repr__(self) -> str:
        return f"<Interim {self.status}, {self.headers!r}>"
