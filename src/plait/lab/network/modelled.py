"""One direction of a modelled link: when bytes that enter it come out.

No packet exists here. Each portion of bytes takes the time that packets with its content would take on
the wire, one portion after the other whatever connection it belongs to, then the propagation delay.
"""

from __future__ import annotations

import asyncio
import random

from plait.lab.network.profile import Direction
from plait.lab.network.quantities import FULL_PACKET

__all__ = ["ModelledDirection"]

# IPv4 (20 bytes) and TCP with timestamps (32): what is left of a packet of 1,500 bytes is content.
HEADERS = 52
SEGMENT = FULL_PACKET - HEADERS

# A connection takes what the link sends in this time before the next one has its turn.
TURN = 0.002
LARGEST_PORTION = 65536
# At least what this time takes may wait, or the event loop's coarse timers would leave the link idle.
SHORTEST_QUEUE = 0.01
# Bytes of one connection under way, beside those that the rate and the delay account for.
ROOM = 4 << 20


class ModelledDirection:
    """The direction's clockwork.

    Attributes:
        delay: Seconds of propagation.
        portion: Bytes that a connection may send before the others have their turns.
        room: Bytes of one connection that may be under way; who sends more has to wait.
        turn: To be held while bytes are taken for the link, so that waiting connections take turns.
    """

    def __init__(self, direction: Direction, seed: str) -> None:
        """Model a direction.

        Args:
            direction: What it is like; its loss is of no effect.
            seed: Of the jitter.
        """
        self.delay = direction.delay
        self.room = ROOM
        self.portion = LARGEST_PORTION
        self.turn = asyncio.Lock()
        self._jitter = direction.jitter
        self._rate = direction.rate
        self._queue = SHORTEST_QUEUE
        self._random = random.Random(seed)
        self._free = self._latest = 0.0
        if direction.rate is not None:
            self.room += int(direction.rate * direction.delay / 8)
            self.portion = min(max(int(direction.rate * TURN / 8), SEGMENT), LARGEST_PORTION)
            if direction.queue is not None:
                self._queue = max(SHORTEST_QUEUE, direction.queue * FULL_PACKET * 8 / direction.rate)

    def wait(self, now: float) -> float:
        """Return the seconds, 0 or less when there are none, until the link's queue has room again.

        Args:
            now: The time.
        """
        return self._free - now - self._queue

    def send(self, size: int, now: float) -> float:
        """Have the link send bytes, and return the time at which they come out at the other end.

        Args:
            size: Bytes; 0 for the end of a connection's stream, which takes a packet too.
            now: The time.
        """
        if self._rate is not None:
            packets = max(1, -(-size // SEGMENT))
            self._free = max(self._free, now) + (size + packets * HEADERS) * 8 / self._rate
        else:
            self._free = now
        due = self._free + self.delay
        if self._jitter:
            due += self._random.uniform(0, self._jitter)
        self._latest = max(self._latest, due)  # what was sent later does not overtake
        return self._latest
