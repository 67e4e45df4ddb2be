"""Times, rates, shares and queues as people write them: ``100ms``, ``10mbit``, ``1%``, ``0.5bdp``.

Reading raises ValueError with a sentence about what is wrong and how to write it right. Writing gives text
that reads as exactly the same number: a binary fraction's shortest decimal form is moved by powers of ten
only, which decimal arithmetic does without loss.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import NamedTuple

from plait.lab.network.profile import Loss

__all__ = [
    "DEFAULT_QUEUE",
    "FULL_PACKET",
    "UNLIMITED",
    "QueueSize",
    "human_rate",
    "human_share",
    "human_time",
    "read_burst_loss",
    "read_loss",
    "read_number",
    "read_queue",
    "read_rate",
    "read_share",
    "read_time",
    "shortest",
    "shortest_float",
    "write_rate",
    "write_share",
    "write_time",
]

UNLIMITED = "unlimited"
FULL_PACKET = 1500  # bytes from the IP header on: what a path that began as Ethernet carries

TIMES = {"us": Decimal("1e-6"), "ms": Decimal("1e-3"), "s": Decimal(1)}
RATES = {"kbit": Decimal("1e3"), "mbit": Decimal("1e6"), "gbit": Decimal("1e9")}
TIME_FORM = "write it like 100ms, 0.1s or 500us"
RATE_FORM = "write it like 10mbit, 768kbit or 1gbit (bits per second)"
SHARE_FORM = "write it like 1% or 0.01"
QUEUE_FORM = f"write it like 100 (packets), 1bdp or {UNLIMITED}"
BURST_FORM = (
    "write it like 1%/8 or 1%/8/50%: "
    "the mean share lost, the mean packets of a bad period, the share lost within one"
)

LONGEST_DELAY = 10  # seconds: round trips of a minute are not networks that carry web pages
SLOWEST, FASTEST = 1_000, 100_000_000_000  # bits per second
LONGEST_QUEUE = 1_000_000  # packets
MOST_BDP = 1_000
LONGEST_BURST = 10_000  # packets

NUMBER = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(.*)", re.DOTALL)


def read_number(text: str, form: str) -> tuple[Decimal, str]:
    """Return the number that a text begins with, and its unit in lower case.

    Args:
        text: The text.
        form: What to say of the right form when it has no number, or a negative one.

    Raises:
        ValueError: It does not begin with a number that may stand here.
    """
    found = NUMBER.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no number; {form}")
    if found[1] == "-":
        raise ValueError(f"{text!r} is negative; {form}")
    return Decimal(found[2]), found[3].strip().lower()


def read_time(text: str) -> float:
    """Return the seconds that ``100ms``, ``0.1s`` or ``500us`` says; 0 needs no unit."""
    number, unit = read_number(text, TIME_FORM)
    if number == 0 and not unit:
        return 0.0
    if unit not in TIMES:
        reason = f"has the unknown unit {unit!r}" if unit else "has no unit"
        raise ValueError(f"{text!r} {reason}; {TIME_FORM}")
    seconds = number * TIMES[unit]
    if seconds > LONGEST_DELAY:
        raise ValueError(f"{text!r} is more than {LONGEST_DELAY} s, which no link here is made for")
    return float(seconds)


def read_rate(text: str) -> float | None:
    """Return the bits per second that ``10mbit`` says; None for ``unlimited``."""
    if text.strip().lower() == UNLIMITED:
        return None
    number, unit = read_number(text, RATE_FORM)
    unit = unit.removesuffix("/s")
    if unit not in RATES:
        reason = f"has the unknown unit {unit!r}" if unit else "has no unit"
        raise ValueError(f"{text!r} {reason}; {RATE_FORM}")
    rate = number * RATES[unit]
    if not SLOWEST <= rate <= FASTEST:
        raise ValueError(f"{text!r} is not between 1kbit and 100gbit; {RATE_FORM}, or {UNLIMITED}")
    return float(rate)


def read_share(text: str) -> float:
    """Return the share, from 0 and below 1, that ``1%`` or ``0.01`` says."""
    number, unit = read_number(text, SHARE_FORM)
    if unit not in ("", "%"):
        raise ValueError(f"{text!r} is no share; {SHARE_FORM}")
    share = number / 100 if unit else number
    if share >= 1:
        hint = f"; {number.normalize():f} percent is {shortest(number)}%" if number < 100 else ""
        raise ValueError(f"{text!r} is everything or more, and nothing would arrive{hint}")
    return float(share)


def read_loss(text: str) -> Loss | None:
    """Return the independent loss that ``1%`` says; None for none."""
    rate = read_share(text)
    return Loss(rate=rate) if rate else None


def read_burst_loss(text: str) -> Loss | None:
    """Return the loss in bursts that ``RATE/LENGTH`` or ``RATE/LENGTH/BAD`` says; None for none.

    Of Gilbert's and Elliott's two states the good one loses nothing, and both have to end with a probability.
    """
    parts = text.split("/")
    if len(parts) not in (2, 3):
        raise ValueError(f"{text!r} has {len(parts)} of 2 or 3 parts; {BURST_FORM}")
    rate = read_share(parts[0])
    number, unit = read_number(parts[1], BURST_FORM)
    if unit not in ("", "p") or not 1 < number <= LONGEST_BURST:
        raise ValueError(
            f"{parts[1]!r} is no mean length of a bad period: more than 1 packet and at most {LONGEST_BURST} "
            "(for packets lost one by one there is loss)"
        )
    burst = float(number)
    bad = 1.0
    if len(parts) == 3 and parts[2].strip() not in ("1", "100%"):
        bad = read_share(parts[2])
    if not rate:
        return None
    loss = Loss(rate=rate, burst=burst, bad=bad)
    if loss.enter > 1:
        raise ValueError(
            f"{text!r} cannot be: to lose {parts[0]} in all, bad periods of {parts[1]} packets that lose "
            f"{parts[2] if len(parts) == 3 else '100%'} would have to begin before the last one ended"
        )
    return loss


class QueueSize(NamedTuple):
    """How many packets may wait, in packets or in bandwidth-delay products.

    Attributes:
        packets: That many; None when it is said in products.
        bdp: Multiples of rate times round trip.
        floor: The fewest packets that the product comes to.
    """

    packets: int | None
    bdp: float = 0.0
    floor: int = 5

    def resolve(self, rate: float, rtt: float) -> int:
        """Return the packets of a direction.

        Args:
            rate: Its bits per second.
            rtt: Seconds of the round trip.
        """
        if self.packets is not None:
            return self.packets
        packets = self.bdp * rate * rtt / (8 * FULL_PACKET)
        return min(max(self.floor, math.ceil(round(packets, 6))), LONGEST_QUEUE)


# One product is the rule of thumb that a router's queue is sized by (Appenzeller, Keslassy and McKeown,
# "Sizing router buffers", SIGCOMM 2004, §1): what keeps a single flow's link busy. Not fewer than the first
# windows of a browser's six connections (RFC 6928: ten segments each): with less, what a comparison at short
# round trips shows would be the queue and not the protocols.
DEFAULT_QUEUE = QueueSize(None, 1.0, 64)


def read_queue(text: str) -> QueueSize | None:
    """Return the queue that ``100``, ``100p`` or ``1bdp`` says; None for ``unlimited``."""
    if text.strip().lower() == UNLIMITED:
        return None
    number, unit = read_number(text, QUEUE_FORM)
    if unit == "bdp":
        if not 0 < number <= MOST_BDP:
            raise ValueError(f"{text!r} is not more than 0 and at most {MOST_BDP}bdp; {QUEUE_FORM}")
        return QueueSize(None, float(number))
    if unit not in ("", "p"):
        raise ValueError(f"{text!r} has the unknown unit {unit!r}; {QUEUE_FORM}")
    if number != number.to_integral_value() or not 1 <= number <= LONGEST_QUEUE:
        raise ValueError(f"{text!r} is no whole number from 1 to {LONGEST_QUEUE}; {QUEUE_FORM}")
    return QueueSize(int(number))


def shortest(number: Decimal) -> str:
    """Return a number without exponent and without zeros at its end."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def shortest_float(value: float) -> str:
    """Return the shortest decimal that is this binary fraction."""
    return shortest(Decimal(repr(value)))


def _scaled(value: float, unit: Decimal) -> str:
    return shortest(Decimal(repr(value)) / unit)


def write_time(seconds: float) -> str:
    """Return ``100ms`` for 0.1."""
    return f"{_scaled(seconds, TIMES['ms'])}ms"


def write_rate(rate: float | None) -> str:
    """Return ``10mbit`` for 10,000,000."""
    if rate is None:
        return UNLIMITED
    unit = "mbit" if rate >= 1e6 else "kbit"
    return f"{_scaled(rate, RATES[unit])}{unit}"


def write_share(share: float) -> str:
    """Return ``1%`` for 0.01."""
    return f"{_scaled(share, Decimal('0.01'))}%"


def _rounded(value: float) -> str:
    return shortest(Decimal(f"{value:.4g}"))


def human_time(seconds: float) -> str:
    """Return ``100 ms`` for 0.1."""
    return f"{_rounded(seconds * 1e3)} ms"


def human_rate(rate: float | None) -> str:
    """Return ``10 Mbit/s`` for 10,000,000."""
    if rate is None:
        return "any rate"
    for factor, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s")):
        if rate >= factor:
            return f"{_rounded(rate / factor)} {unit}"
    return f"{_rounded(rate / 1e3)} kbit/s"


def human_share(share: float) -> str:
    """Return ``1 %`` for 0.01."""
    return f"{_rounded(share * 100)} %"
