"""One direction of an emulated link: what happens to each packet, computed when it arrives.

No input or output and no clock: the time is an argument, in seconds. A packet that arrives waits in a
drop-tail queue, takes its time on the line, is lost or is not, and travels. As packets keep their order,
all of that is known when it arrives, and nothing has to be done again later.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from enum import Enum

from plait.errors import ConfigError
from plait.lab.network.profile import Direction, Loss

__all__ = ["Fate", "Shaper"]


class Fate(Enum):
    """What became of a packet that is never delivered."""

    LOST = "lost"
    """At random, after it had taken its time on the line, as on radio."""
    DROPPED = "dropped"
    """It found the queue full."""


class Shaper:
    """One direction of a link, in virtual time.

    The same seed loses the same packets: losses and jitter draw from generators of their own.

    Attributes:
        packets: Packets delivered, or on their way.
        bytes: Their bytes.
        lost: Packets lost at random.
        dropped: Packets that found the queue full.
    """

    def __init__(self, direction: Direction, seed: str) -> None:
        """Start with an idle line and nothing counted.

        Args:
            direction: Delay, jitter, rate, queue and loss.
            seed: Of everything random.

        Raises:
            ConfigError: When no loss process has these figures.
        """
        self.packets = 0
        self.bytes = 0
        self.lost = 0
        self.dropped = 0
        self._delay = direction.delay
        self._jitter = direction.jitter
        self._seconds_per_byte = 8 / direction.rate if direction.rate else 0.0
        self._queue = direction.queue
        self._waiting: deque[float] = deque()  # when each packet that waits will begin to be sent
        self._free = 0.0  # when the line has sent all it took
        self._latest = 0.0  # when the last packet will be delivered
        self._random = random.Random(f"jitter {seed}").random
        self._is_lost = _loss_process(direction.loss, random.Random(f"loss {seed}").random)

    def arrive(self, now: float, size: int) -> float | Fate:
        """Take a packet.

        The queue holds packets that wait; the one which is being sent is not among them.

        Args:
            now: The time, in seconds; never before that of the last call.
            size: Bytes of the packet.

        Returns:
            When to deliver it, or why never.
        """
        start = now
        if self._free > now:
            start = self._free
            if self._queue is not None:
                waiting = self._waiting
                while waiting and waiting[0] <= now:
                    waiting.popleft()
                if len(waiting) >= self._queue:
                    self.dropped += 1
                    return Fate.DROPPED
                waiting.append(start)
        self._free = sent = start + size * self._seconds_per_byte
        if self._is_lost is not None and self._is_lost():
            self.lost += 1
            return Fate.LOST
        self.packets += 1
        self.bytes += size
        due = sent + self._delay
        if self._jitter:
            due += self._jitter * self._random()
        if due < self._latest:
            due = self._latest
        self._latest = due
        return due


def _loss_process(loss: Loss | None, draw: Callable[[], float]) -> Callable[[], bool] | None:
    """Make the function that says of each packet in turn whether it is lost."""
    if loss is None or not loss.rate:
        return None
    rate = loss.rate
    if loss.burst == 1:
        return lambda: draw() < rate

    # E. N. Gilbert, "Capacity of a burst-noise channel" (1960), with E. O. Elliott's loss within a bad
    # period (1963).
    enter, leave = loss.enter, loss.leave
    if enter > 1:
        raise ConfigError(
            f"no line loses {rate:.3g} of its packets in bad periods of {loss.burst:.3g} packets that lose"
            f" {loss.bad:.3g} of theirs; make the periods longer or the loss smaller"
        )
    bad = draw() < loss.share  # it has been on for ever

    def is_lost() -> bool:
        nonlocal bad
        lost = bad and draw() < loss.bad
        bad = draw() >= leave if bad else draw() < enter
        return lost

    return is_lost
