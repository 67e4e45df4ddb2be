"""What a network between two hosts is like: delay, rate, queue and loss of each direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Direction", "Loss", "Network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Random loss of packets, independent or in bursts (Gilbert and Elliott's two states).

    Attributes:
        rate: The share of packets lost in the long run, from 0 to 1.
        burst: The mean length of a bad period, in packets; 1 means that every packet is judged alone.
        bad: The share of packets lost within a bad period, from 0 to 1.
    """

    rate: float
    burst: float = 1.0
    bad: float = 1.0

    @property
    def share(self) -> float:
        """The share of packets in bad periods, in the long run."""
        return self.rate / self.bad

    @property
    def leave(self) -> float:
        """The probability that a bad period ends after a packet."""
        return 1 / self.burst

    @property
    def enter(self) -> float:
        """The probability that a bad period begins after a packet outside of one.

        In the long run share * leave = (1 - share) * enter. Where that is more than 1 there is no such line.
        """
        return self.leave * self.share / (1 - self.share) if self.share < 1 else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """One direction of a link.

    Attributes:
        delay: Propagation, in seconds.
        jitter: The largest delay added at random to that, in seconds; packets keep their order.
        rate: Bits per second, of packets from their IP header on; None means as fast as can be.
        queue: Packets that may wait to be sent, the next is dropped; None means no bound.
        loss: What gets lost after it was sent; None means nothing.
    """

    delay: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    queue: int | None = None
    loss: Loss | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A link between a client and a server.

    Attributes:
        name: A preset's name, or the specification it was made from.
        spec: The specification that makes it again, whatever presets will be called then.
        down: From the server to the client.
        up: From the client to the server.
    """

    name: str
    spec: str
    down: Direction
    up: Direction

    @property
    def rtt(self) -> float:
        """The round trip's propagation, in seconds."""
        return self.down.delay + self.up.delay
