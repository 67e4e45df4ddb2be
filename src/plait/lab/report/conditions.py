"""Networks in words, and the axes along which those of one record differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

from plait.lab.network.profile import Direction, Network
from plait.lab.record import Cell, Record
from plait.lab.report.units import duration_step, percent
from plait.lab.samples import Medium

__all__ = ["Axis", "axes", "described", "medium_words", "rate", "titles"]


class Axis(NamedTuple):
    """One property of networks.

    Attributes:
        words: What it is.
        value: Reads it off a network; infinite for no bound.
        write: How it is written.
    """

    words: str
    value: Callable[[Network], float]
    write: Callable[[float], str]


def rate(bits: float) -> str:
    """Write a rate in bits per second."""
    if bits == float("inf"):
        return "unlimited"
    for unit, factor in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bits >= factor:
            return f"{bits / factor:.4g} {unit}"
    return f"{bits:.4g} bit/s"


def _loss(direction: Direction) -> float:
    return direction.loss.rate if direction.loss else 0.0


def _or_unlimited(value: float | None) -> float:
    return float("inf") if value is None else value


_QUEUE = Axis("queue", lambda one: _or_unlimited(one.down.queue), lambda value: f"{value:g} packets")
AXES = (
    Axis("round trip", lambda one: round(one.rtt, 9), duration_step),
    Axis("loss", lambda one: _loss(one.down), percent),
    Axis("rate down", lambda one: _or_unlimited(one.down.rate), rate),
    Axis("rate up", lambda one: _or_unlimited(one.up.rate), rate),
    _QUEUE,
    Axis("jitter", lambda one: one.down.jitter, duration_step),
    Axis(
        "burst", lambda one: one.down.loss.burst if one.down.loss else 1.0, lambda value: f"{value:g} packets"
    ),
)


def axes(networks: Sequence[Network]) -> list[Axis] | None:
    """Find the one or two properties that networks were swept over.

    Returns:
        One property when it alone differs, two when every pair of their values is there once; None when
        the networks are just several.
    """
    varying = [axis for axis in AXES if len({axis.value(one) for one in networks}) > 1]
    # A queue that is measured in round trips is longer on longer ways, and no axis of its own.
    without = [axis for axis in varying if axis is not _QUEUE]
    return next((found for found in (without, varying) if _spans(found, networks)), None)


def _spans(found: Sequence[Axis], networks: Sequence[Network]) -> bool:
    """Say whether networks lie on one axis, or fill the plane of two."""
    sizes = [len({axis.value(one) for one in networks}) for axis in found]
    points = {tuple(axis.value(one) for axis in found) for one in networks}
    return len(found) in (1, 2) and len(points) == len(networks) == prod(sizes)


def titles(record: Record) -> list[str]:
    """Call the network of each cell something short.

    A preset has a name; of a specification the title has what matters most, unless two would be called
    the same.
    """
    found = [_title(record, cell) for cell in record.cells]
    if len(set(found)) == len(found):
        return found
    return [
        cell.network.name if cell.network else title for cell, title in zip(record.cells, found, strict=True)
    ]


def _title(record: Record, cell: Cell) -> str:
    network = cell.network
    if network is None:
        return "Loopback" if record.medium is Medium.LOOPBACK else f"The network to {record.base_url}"
    if "=" not in network.name:
        return network.name
    parts = [duration_step(round(network.rtt, 9))]
    parts += [rate(network.down.rate)] if network.down.rate is not None else []
    parts += [f"{percent(_loss(network.down))} loss"] if _loss(network.down) else []
    return ", ".join(parts)


def described(network: Network) -> str:
    """Say what a network is like, in one line."""
    down, up = network.down, network.up
    parts = [f"{duration_step(round(network.rtt, 9))} round trip"]
    if down.rate is not None or up.rate is not None:
        parts.append(f"{rate(_or_unlimited(down.rate))} down, {rate(_or_unlimited(up.rate))} up")
    if down.jitter or up.jitter:
        parts.append(f"jitter up to {duration_step(max(down.jitter, up.jitter))}")
    if down.queue is not None:
        parts.append(f"a queue of {down.queue} packets")
    parts.append(_lost(down, up))
    return ", ".join(parts)


def _lost(down: Direction, up: Direction) -> str:
    if not _loss(down) and not _loss(up):
        return "no random loss"
    burst = max(one.loss.burst if one.loss else 1.0 for one in (down, up))
    bursts = f" in bursts of {burst:g} packets" if burst > 1 else ""
    if _loss(down) == _loss(up):
        return f"{percent(_loss(down))} loss each way{bursts}"
    return f"{percent(_loss(down))} loss down, {percent(_loss(up))} up{bursts}"


def medium_words(medium: Medium) -> str:
    """Say what lay between client and server, and what that means for what was found."""
    match medium:
        case Medium.EMULATED:
            return "Emulated link: the kernel's own TCP, packet by packet."
        case Medium.MODELLED:
            return "Modelled, not emulated: a relay delayed bytes between two connections."
        case Medium.LOOPBACK:
            return (
                "Loopback: client and server were on one machine, with no network in between. "
                "What round trips cost cannot be seen here."
            )
        case Medium.REAL:
            return "A real network, whatever it was like meanwhile."
