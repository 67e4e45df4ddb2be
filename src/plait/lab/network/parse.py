"""Networks as a user says them: ``4g``, ``rtt=100ms,down=10mbit,loss=1%``, ``4g,loss=2%``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

from plait.errors import ConfigError
from plait.lab.network.presets import PRESETS
from plait.lab.network.profile import Direction, Loss, Network
from plait.lab.network.quantities import (
    DEFAULT_QUEUE,
    QueueSize,
    read_burst_loss,
    read_loss,
    read_queue,
    read_rate,
    read_time,
)
from plait.lab.network.spec import canonical

__all__ = ["KEYS", "Key", "find_key", "nearest", "parse_network", "parse_networks"]

SIDES = ("down", "up")


class Key(NamedTuple):
    """What the left side of ``key=value`` may be.

    Attributes:
        sides: The directions it speaks of.
        aspect: What of them it sets, by its name in :class:`Plan`.
        read: Makes the value of its text; raises ValueError.
    """

    sides: tuple[str, ...]
    aspect: str
    read: Callable[[str], Any]

    @property
    def slots(self) -> set[tuple[str, str]]:
        """What it sets, each as direction and aspect."""
        return {(side, self.aspect) for side in self.sides}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A direction as it was said, with a queue that may still depend on the rest."""

    delay: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    queue: QueueSize | None = DEFAULT_QUEUE
    loss: Loss | None = None

    def direction(self, rtt: float) -> Direction:
        """Return what that comes to with a round trip of that many seconds."""
        queue = None if self.rate is None or self.queue is None else self.queue.resolve(self.rate, rtt)
        return Direction(delay=self.delay, jitter=self.jitter, rate=self.rate, queue=queue, loss=self.loss)


def _half(text: str) -> float:
    return read_time(text) / 2


ASPECTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "jitter": ("jitter", read_time),
    "queue": ("queue", read_queue),
    "loss": ("loss", read_loss),
    "burst-loss": ("loss", read_burst_loss),
}
KEYS: dict[str, Key] = {
    "rtt": Key(SIDES, "delay", _half),
    "down": Key(("down",), "rate", read_rate),
    "up": Key(("up",), "rate", read_rate),
    **{name: Key(SIDES, *aspect) for name, aspect in ASPECTS.items()},
    **{
        f"{side}-{name}": Key((side,), *aspect)
        for side in SIDES
        for name, aspect in {"delay": ("delay", read_time), **ASPECTS}.items()
    },
}


def nearest(word: str, words: Iterable[str]) -> str:
    """Return `` (did you mean X?)`` for a word that resembles a known one, else nothing."""
    found = get_close_matches(word.lower(), list(words), 1)
    return f" (did you mean {found[0]}?)" if found else ""


def find_key(name: str) -> Key:
    """Return a key by its name.

    Raises:
        ValueError: There is no such key.
    """
    if name not in KEYS:
        raise ValueError(f"{name!r} is no key{nearest(name, KEYS)}; there are {', '.join(KEYS)}")
    return KEYS[name]


def _assign(items: Sequence[str], plans: dict[str, Plan]) -> dict[str, Plan]:
    """Return the plans with what ``key=value`` items set; what is said of one direction goes first."""
    broad: dict[tuple[str, str], str] = {}
    narrow: dict[tuple[str, str], str] = {}
    values: dict[str, Any] = {}
    for item in items:
        name, _, text = (part.strip() for part in item.partition("="))
        key = find_key(name)
        # A round trip is the sum of both delays, so unlike the other keys it does not go with one of them.
        scopes = [broad, narrow] if name == "rtt" else [broad if len(key.sides) == 2 else narrow]
        for scope in scopes:
            for slot in key.slots:
                other = scope.setdefault(slot, name)
                if other == name and name in values:
                    raise ValueError(f"{name} is given twice")
                if other != name:
                    raise ValueError(f"{other} and {name} exclude each other; give one of them")
        try:
            values[name] = key.read(text)
        except ValueError as error:
            raise ValueError(f"{item}: {error}" if len(items) > 1 else str(error)) from None
    plans = dict(plans)
    for name in sorted(values, key=lambda name: len(KEYS[name].sides), reverse=True):
        for side in KEYS[name].sides:
            plans[side] = replace(plans[side], **{KEYS[name].aspect: values[name]})
    for name, value in values.items():
        rates = [plans[side].rate for side in KEYS[name].sides]
        if KEYS[name].aspect == "queue" and value is not None and not any(rates):
            rate = " or ".join(f"{side}=10mbit" for side in KEYS[name].sides)
            raise ValueError(f"{name} has no rate to wait for; give one too, such as {rate}")
    return plans


def _plans(text: str) -> dict[str, Plan]:
    items = [item.strip() for item in text.split(",")]
    if "" in items:
        raise ValueError("nothing stands before, between or after its commas" if text else "it is empty")
    plans = {side: Plan() for side in SIDES}
    if "=" not in items[0]:
        plans = _plans(_preset(items.pop(0)))
    for item in items:
        if "=" not in item and item in PRESETS:
            raise ValueError(f"{item!r} comes after others: a preset that key=value items change goes first")
        if "=" not in item:
            raise ValueError(f"{item!r} is neither key=value nor a preset{nearest(item, [*PRESETS, *KEYS])}")
    return _assign(items, plans)


def _preset(name: str) -> str:
    if name not in PRESETS:
        hint = f"; write {name}=..." if name in KEYS else nearest(name, [*PRESETS, *KEYS])
        raise ValueError(
            f"{name!r} is no preset{hint}; there are {', '.join(PRESETS)}, or key=value such as rtt=100ms"
        )
    return PRESETS[name].spec


def parse_network(text: str, option: str = "--network") -> Network:
    """Return the network that one specification says.

    Args:
        text: A preset's name, ``key=value`` items separated by commas, or a preset and items that change it.
        option: Where it was given, for the sentence.

    Raises:
        ConfigError: It says none.
    """
    try:
        plans = _plans(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text or repr(text)}: {error}") from error
    rtt = plans["down"].delay + plans["up"].delay
    down, up = plans["down"].direction(rtt), plans["up"].direction(rtt)
    name = ",".join("=".join(part.strip() for part in item.split("=")) for item in text.split(","))
    return Network(name=name, spec=canonical(down, up), down=down, up=up)


def parse_networks(values: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks that the values of ``--network`` say, in their order.

    Args:
        values: Each the names of presets separated by commas, or one specification.

    Raises:
        ConfigError: A value says none, or two say the same.
    """
    networks: list[Network] = []
    for value in values:
        items = [item.strip() for item in value.split(",")]
        names = [item for item in items if item in PRESETS]
        changes = [item for item in items if "=" in item]
        if len(names) > 1 and changes:
            raise ConfigError(
                f"--network {value}: {changes[0]} would change {' or '.join(names)}; "
                "give each network that is changed a --network of its own"
            )
        for text in [value] if changes or "" in items else items:
            network = parse_network(text)
            for other in networks:
                if other.spec == network.spec:
                    same = "is given twice" if other.name == network.name else f"is the same as {other.name}"
                    raise ConfigError(f"--network {network.name} {same}")
            networks.append(network)
    return tuple(networks)
