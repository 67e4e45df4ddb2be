"""A link between two hosts that the kernel's own emulator, netem, makes: for Linux systems that have it.

Each host is a network namespace; a third one between them routes. Packets wait their propagation delay at the
host that sends them, as netem is made for (it lets go of their sockets meanwhile), and their turn on the line
at the router, where TCP learns of a full queue in no other way than by the loss.

Two things differ from the link in user space: a packet lost at random is lost before the queue and takes no
time on the line, and nobody counts.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from plait.errors import PlaitError
from plait.lab.network.emulator import EmulationUnavailable, Emulator
from plait.lab.network.link import LinkReport
from plait.lab.network.profile import Direction, Loss

__all__ = ["Netem", "NetemLink", "line", "propagation"]

NANOSECONDS = 10**9
TICK = 64  # nanoseconds: PSCHED_SHIFT of <net/pkt_sched.h>
CERTAIN = 0xFFFFFFFF  # a probability of 1
ETHERNET = 14  # bytes of header that netem counts, and a network's rate does not
LONGEST = 1_000_000  # packets: more than can be under way, where a queue has no bound
FASTEST = 4_000_000_000  # bytes per second
JITTER_MOST = 0x7FFFFFFF  # nanoseconds: netem's arithmetic of jitter has 32 bits

# From <linux/pkt_sched.h>.
TCA_NETEM_LOSS = 5
TCA_NETEM_RATE = 6
TCA_NETEM_RATE64 = 8
TCA_NETEM_PRNG_SEED = 14
NETEM_LOSS_GE = 2
NLA_F_NESTED = 0x8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Netem:
    """The parameters of one netem queueing discipline.

    Attributes:
        latency: Nanoseconds on average.
        jitter: Nanoseconds at most more or less than that.
        limit: Packets that may be in it.
        loss: Probability that a packet is lost by itself, from 0 to :data:`CERTAIN`.
        bursts: Probabilities on the same scale: of a bad period's beginning with a packet, of its ending,
            and of a packet's survival in one; None for losses one by one.
        rate: Bytes per second; None for any.
        overhead: Bytes that each packet takes more than its Ethernet frame has.
        seed: Of the random numbers; Linux before 6.7 has its own.
    """

    latency: int = 0
    jitter: int = 0
    limit: int = LONGEST
    loss: int = 0
    bursts: tuple[int, int, int] | None = None
    rate: int | None = None
    overhead: int = 0
    seed: int

    def encode(self) -> bytes:
        """Return TCA_OPTIONS as the kernel takes them over netlink."""
        data = struct.pack(
            "=6I", self.latency // TICK, self.limit, self.loss, 0, 0, self.jitter // TICK
        )  # struct tc_netem_qopt; the fourth and fifth are for packets out of order and twice
        if self.bursts is not None:
            # struct tc_netem_gemodel; the last is the loss between bad periods
            model = struct.pack("=4I", *self.bursts, 0)
            data += _attribute(TCA_NETEM_LOSS | NLA_F_NESTED, _attribute(NETEM_LOSS_GE, model))
        if self.rate is not None:
            if self.rate > CERTAIN:
                data += _attribute(TCA_NETEM_RATE64, struct.pack("=Q", self.rate))
            rate = min(self.rate, CERTAIN)
            data += _attribute(TCA_NETEM_RATE, struct.pack("=IiIi", rate, self.overhead, 0, 0))
        return data + _attribute(TCA_NETEM_PRNG_SEED, struct.pack("=Q", self.seed))


def _attribute(kind: int, value: bytes) -> bytes:
    """Encode a netlink attribute (netlink(7)): length, kind, value, and room up to a multiple of four."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def propagation(direction: Direction, seed: int) -> Netem | None:
    """Return what makes the delay and the jitter of a direction; None when it has neither.

    Args:
        direction: The direction.
        seed: Of the jitter.
    """
    if not direction.delay and not direction.jitter:
        return None
    # Jitter here is what is added to the delay, netem's goes both ways. With a rate, and only then, netem
    # keeps packets in their order: each leaves after the one before it.
    half = min(round(direction.jitter * NANOSECONDS / 2), JITTER_MOST)
    return Netem(
        latency=round(direction.delay * NANOSECONDS) + half,
        jitter=half,
        rate=FASTEST if half else None,
        seed=seed,
    )


def line(direction: Direction, seed: int) -> Netem | None:
    """Return what makes the rate, the queue and the loss of a direction; None when it has none of them.

    Args:
        direction: The direction.
        seed: Of the loss.
    """
    if direction.rate is None and direction.loss is None:
        return None
    loss, bursts = _loss(direction.loss)
    rate = None if direction.rate is None else max(1, round(direction.rate / 8))
    queue = LONGEST if direction.rate is None or direction.queue is None else direction.queue
    overhead = 0 if rate is None else -ETHERNET
    return Netem(limit=queue, loss=loss, bursts=bursts, rate=rate, overhead=overhead, seed=seed)


def _loss(loss: Loss | None) -> tuple[int, tuple[int, int, int] | None]:
    """Return netem's independent loss, or the transitions of its Gilbert-Elliott model (tc-netem(8))."""
    if loss is None:
        return 0, None
    if loss.burst == 1:
        return round(loss.rate * CERTAIN), None
    probabilities = loss.enter, loss.leave, 1 - loss.bad
    enter, leave, survive = (round(one * CERTAIN) for one in probabilities)
    return 0, (enter, leave, survive)


class NetemLink(Emulator):
    """A link that the kernel emulates, with the hosts at its ends, to be used in a ``with`` statement.

    What :class:`plait.lab.network.emulator.Emulator` says of its attributes and methods holds here, but
    that it takes no TUN device and no process to carry packets.
    """

    _module = "plait.lab.network.netem_link"

    def __enter__(self) -> Self:
        """Make the hosts and the link.

        Raises:
            PlaitError: When that is not possible here; the message says what is missing.
        """
        try:
            return super().__enter__()
        except EmulationUnavailable as error:
            raise PlaitError(
                f"{error.missing}, so --link netem cannot be used here; try --link tun"
            ) from error

    def end(self) -> LinkReport:
        """Report that nobody counted, and be as fast as can be until the next :meth:`begin`."""
        super().begin(None, 0)
        return LinkReport(None, ())
