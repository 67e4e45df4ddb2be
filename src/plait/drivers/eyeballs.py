"""Which of a host's addresses to try, and when (RFC 8305, "happy eyeballs"): no I/O, no clock.

Names come from the system's resolver, which gives the addresses of both families at once and in the order
of RFC 6724; what is here begins where that ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import inf

from plait.drivers.addresses import Address

__all__ = ["DELAY", "Race", "alternating"]

#: Seconds that one attempt has before the next begins beside it (RFC 8305 §8).
DELAY = 0.25


def alternating(addresses: Sequence[Address]) -> list[Address]:
    """Return addresses so that the families take turns, beginning with that of the first (RFC 8305 §4)."""
    family = addresses[0][0] if addresses else 0
    first = [one for one in addresses if one[0] == family]
    others = [one for one in addresses if one[0] != family]
    return [one for pair in zip_longest(first, others) for one in pair if one is not None]


class Race:
    """The attempts at one host.

    Args:
        addresses: The best first.
        now: The time.

    Attributes:
        due: When to :meth:`take` the next address, if nothing is connected until then; ``inf`` when
            there is none left.
    """

    __slots__ = ("_left", "due")

    def __init__(self, addresses: Sequence[Address], now: float) -> None:
        self._left = alternating(addresses)
        self.due = now

    def take(self, now: float) -> Address | None:
        """Return an address to try now, None when it is not time or there is none left."""
        if now < self.due or not self._left:
            return None
        address = self._left.pop(0)
        self.due = now + DELAY if self._left else inf
        return address

    def failed(self, now: float) -> None:
        """Take note that an attempt came to nothing: the next one need not wait (RFC 8305 §5)."""
        if self._left:
            self.due = now
