"""What comes with a message beside its head and its content; few have any of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.fields import FieldSection

if TYPE_CHECKING:
    from plait.protocol.events import Fields
    from plait.protocol.pushed import Promise

__all__ = ["Aside"]


class Aside:
    """What came beside the head and the content of a message.

    Attributes:
        trailers: The trailer section (RFC 9110 §6.5), or None.
        interim: The interim responses (RFC 9110 §15.2), ``:status`` first; client only.
        interim_size: Bytes of their field sections.
        promises: The responses that are pushed beside this one (RFC 9113 §8.4); client only.
    """

    __slots__ = ("interim", "interim_size", "promises", "trailers")

    def __init__(self) -> None:
        self.trailers: FieldSection | None = None
        self.interim: list[Fields] = []
        self.interim_size = 0
        self.promises: list[Promise] = []

    def add_interim(self, fields: Fields) -> None:
        """Keep an interim response."""
        self.interim.append(fields)
        self.interim_size += sum(len(name) + len(value) for name, value in fields)
