"""A series of networks that differ in one or two things: ``rtt=5..300ms loss=0..3%``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from plait.errors import ConfigError
from plait.lab.network.parse import KEYS, nearest, parse_network
from plait.lab.network.profile import Network
from plait.lab.network.quantities import (
    human_rate,
    human_share,
    human_time,
    read_number,
    read_rate,
    read_share,
    read_time,
    shortest_float,
    write_rate,
    write_share,
    write_time,
)

__all__ = ["DEFAULT_BASE", "Axis", "Sweep", "parse_sweep"]

# What a sweep changes when no network is given: a plain access line with room for either direction, and a
# round trip at which loss and rates matter. Its queue is the default one, so it goes with each cell.
DEFAULT_BASE = "rtt=50ms,down=10mbit,up=10mbit"

STEPS = 5
MOST_STEPS = 100
MOST_CELLS = 400
FORM = "write it like rtt=5..300ms, loss=0..3%/4 or down=1|10|50mbit"


class Axis(NamedTuple):
    """What one key is in the cells of a sweep.

    Attributes:
        key: ``rtt``, ``down``, ``up``, ``jitter``, ``queue`` or ``loss``.
        values: Seconds, bits per second, packets or products, or a share, in the order they were given.
        labels: The same for people, such as ``5 ms``.
    """

    key: str
    values: tuple[float, ...]
    labels: tuple[str, ...]


class Sweep(NamedTuple):
    """Networks along one or two axes.

    Attributes:
        axes: The axes.
        networks: One for each combination; the last axis changes fastest.
    """

    axes: tuple[Axis, ...]
    networks: tuple[Network, ...]


class Scale(NamedTuple):
    """How values of one key are read, spaced and written."""

    read: Callable[[str], float | None]
    write: Callable[[float], str]
    label: Callable[[float], str]
    geometric: bool
    whole: bool = False


def _packets(text: str) -> float:
    number, unit = read_number(text, "write it like 100 (packets) or 1bdp")
    if unit not in ("", "p"):
        raise ValueError(f"{text!r} is not in packets, as the last value is")
    return float(number)


def _products(text: str) -> float:
    return float(read_number(text, "write it like 0.5bdp")[0])


TIME = Scale(read_time, write_time, human_time, geometric=True)
RATE = Scale(read_rate, write_rate, human_rate, geometric=True)
PACKETS = Scale(
    _packets, lambda size: f"{size:.0f}p", lambda size: f"{size:.0f} packets", geometric=True, whole=True
)
PRODUCTS = Scale(
    _products,
    lambda size: f"{shortest_float(size)}bdp",
    lambda size: f"{shortest_float(size)} BDP",
    geometric=True,
)
SCALES = {
    "rtt": TIME,
    "down": RATE,
    "up": RATE,
    "jitter": TIME._replace(geometric=False),
    "queue": PACKETS,
    "loss": Scale(read_share, write_share, human_share, geometric=False),
}


def _spread(scale: Scale, steps: int, first: float, last: float) -> Iterator[float]:
    """Yield that many values from the first to the last, those between rounded to what is easily read."""
    for step in range(steps):
        part = step / (steps - 1)
        if scale.geometric and first > 0:
            between = float(f"{first * (last / first) ** part:.2g}")
        else:
            between = float(f"{first + (last - first) * part:.3g}")
        value = {0: first, steps - 1: last}.get(step, between)
        yield float(round(value)) if scale.whole else value


def _values(key: str, text: str) -> tuple[Scale, list[float]]:
    """Return how a key's values are written, and the values that ``a..b``, ``a..b/N`` or ``a|b|c`` says."""
    spread, _, count = text.partition("/") if ".." in text else (text, "", "")
    parts = [part.strip() for part in (spread.split("..") if ".." in text else text.split("|"))]
    if len(parts) < 2 or (".." in text and ("|" in text or len(parts) > 2)):
        raise ValueError(f"{text!r} is neither a range nor a list; {FORM}")
    scale = SCALES[key]
    units = [read_number(part, FORM)[1] for part in parts]
    if key == "queue" and units[-1] == "bdp":
        scale = PRODUCTS
        if any(unit not in ("", "bdp") for unit in units):
            raise ValueError(f"{text!r} mixes packets and bandwidth-delay products; {FORM}")
    values = []
    for part, unit in zip(parts, units, strict=True):
        value = scale.read(part if unit else f"{part}{units[-1]}")
        assert value is not None  # a number, so it is no "unlimited"
        values.append(value)
    if ".." in text:
        if values[0] >= values[1]:
            raise ValueError(f"{text!r} does not go from a smaller value to a larger one")
        if "/" in text and not (count.strip().isascii() and count.strip().isdigit()):
            raise ValueError(f"{count!r} is no number of steps; {FORM}")
        steps = int(count[:9]) if "/" in text else STEPS
        if not 2 <= steps <= MOST_STEPS:
            raise ValueError(f"{count!r} is no number of steps from 2 to {MOST_STEPS}")
        values = list(_spread(scale, steps, *values))
        if any(later <= earlier for earlier, later in itertools.pairwise(values)):
            raise ValueError(f"{text!r} is too narrow for {steps} values; give fewer steps, or a list")
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{text!r} has {scale.label(value)} twice")
    return scale, values


def _base_text(base: Network) -> str:
    """Return the specification of the base as it was said, where its queue may still depend on the rest."""
    try:
        said = parse_network(base.name)
    except ConfigError:
        return base.spec
    return base.name if said.spec == base.spec else base.spec


def _without(text: str, keys: Sequence[str]) -> list[str]:
    """Return the items of a specification that say nothing of what the keys say."""
    slots = set().union(*(KEYS[key].slots for key in keys))
    return [item for item in text.split(",") if "=" not in item or not KEYS[item.split("=")[0]].slots & slots]


def parse_sweep(items: Sequence[str], base: Network | None) -> Sweep:
    """Return the networks that the values of ``--sweep`` say.

    Args:
        items: One or two of ``key=a..b`` (five values, evenly apart on a logarithmic scale for round trips,
            rates and queues, unless they begin at 0, and on a linear one for loss and jitter), ``key=a..b/N``
            (N values) or ``key=a|b|c``. A unit given once at the end counts for all.
        base: What the cells are in all other respects; None for :data:`DEFAULT_BASE`. A queue that it leaves
            to the default or says in bandwidth-delay products is computed for each cell.

    Raises:
        ConfigError: They say none, or too many.
    """
    options: dict[str, list[str]] = {}
    axes: list[Axis] = []
    for item in (part.strip() for value in items for part in value.split(",")):
        key, equals, text = (part.strip() for part in item.partition("="))
        try:
            if not equals or key not in SCALES:
                hint = f"{nearest(key, SCALES)}; there are {', '.join(SCALES)}"
                raise ValueError(f"{key!r} is nothing that can be swept{hint}")
            if key in options:
                raise ValueError(f"{key} is given twice")
            scale, values = _values(key, text)
        except ValueError as error:
            raise ConfigError(f"--sweep {item or repr(item)}: {error}") from error
        axes.append(Axis(key, tuple(values), tuple(map(scale.label, values))))
        options[key] = [f"{key}={scale.write(value)}" for value in values]
    everything = " ".join(items)
    if not 1 <= len(axes) <= 2:
        raise ConfigError(f"--sweep {everything!r} has {len(axes)} axes; one or two can be shown")
    cells = math.prod(len(axis.values) for axis in axes)
    if cells > MOST_CELLS:
        raise ConfigError(f"--sweep {everything} has {cells} cells, more than {MOST_CELLS}; give fewer steps")
    kept = _without(DEFAULT_BASE if base is None else _base_text(base), list(options))
    networks: dict[str, Network] = {}
    for combination in itertools.product(*options.values()):
        network = parse_network(",".join([*kept, *combination]), "--sweep")
        other = networks.setdefault(network.spec, network)
        if other is not network:
            raise ConfigError(f"--sweep {everything}: {other.name} and {network.name} are the same network")
    return Sweep(tuple(axes), tuple(networks.values()))
