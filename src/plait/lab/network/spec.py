"""A network in words: the specification that makes it again, and one line for people."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from plait.lab.network.profile import Direction, Loss, Network
from plait.lab.network.quantities import (
    UNLIMITED,
    human_rate,
    human_share,
    human_time,
    shortest,
    shortest_float,
    write_rate,
    write_share,
    write_time,
)

__all__ = ["canonical", "describe"]


def _loss_items(prefix: str, loss: Loss | None) -> list[str]:
    if loss is None:
        return []
    if loss.burst == 1:
        return [f"{prefix}loss={write_share(loss.rate)}"]
    bad = "" if loss.bad == 1 else f"/{write_share(loss.bad)}"
    return [f"{prefix}burst-loss={write_share(loss.rate)}/{shortest_float(loss.burst)}{bad}"]


def _queue_items(prefix: str, direction: Direction) -> list[str]:
    if direction.rate is None:
        return []
    return [f"{prefix}queue={UNLIMITED if direction.queue is None else f'{direction.queue}p'}"]


def _jitter_items(prefix: str, direction: Direction) -> list[str]:
    return [f"{prefix}jitter={write_time(direction.jitter)}"] if direction.jitter else []


def canonical(down: Direction, up: Direction) -> str:
    """Return the one specification of a network, in which nothing is left to a preset or a default.

    Args:
        down: From the server to the client.
        up: From the client to the server.
    """
    # Halving and doubling are exact in binary, so one key for both delays says neither of them less exactly.
    if down.delay == up.delay:
        items = [f"rtt={write_time(2 * down.delay)}"]
    else:
        items = [f"down-delay={write_time(down.delay)}", f"up-delay={write_time(up.delay)}"]
    items += [f"down={write_rate(down.rate)}", f"up={write_rate(up.rate)}"]
    aspects: list[Callable[[str, Direction], list[str]]] = [
        _queue_items,
        _jitter_items,
        lambda prefix, direction: _loss_items(prefix, direction.loss),
    ]
    for items_of in aspects:
        if items_of("", down) == items_of("", up):
            items += items_of("", down)
        else:
            items += items_of("down-", down) + items_of("up-", up)
    return ",".join(items)


def _loss_words(loss: Loss | None) -> str:
    if loss is None:
        return "0 %"
    if loss.burst == 1:
        return human_share(loss.rate)
    within = "all" if loss.bad == 1 else human_share(loss.bad)
    burst = shortest(Decimal(f"{loss.burst:.4g}"))
    return f"{human_share(loss.rate)} in bursts ({within} of {burst} packets)"


def describe(network: Network) -> str:
    """Return one line for people, such as ``RTT 100 ms, 10 Mbit/s down, 1 Mbit/s up, loss 1 %``.

    Args:
        network: The network.
    """
    down, up = network.down, network.up
    parts = [f"RTT {human_time(network.rtt)}"]
    if down.delay != up.delay:
        parts[0] += f" ({human_time(down.delay)} down, {human_time(up.delay)} up)"
    parts += [f"{human_rate(down.rate)} down", f"{human_rate(up.rate)} up"]
    if down.jitter or up.jitter:
        jitters = (
            human_time(down.jitter)
            if down.jitter == up.jitter
            else f"{human_time(down.jitter)} down, {human_time(up.jitter)} up"
        )
        parts.append(f"jitter {jitters}")
    if down.loss or up.loss:
        words = (
            _loss_words(down.loss)
            if down.loss == up.loss
            else f"{_loss_words(down.loss)} down, {_loss_words(up.loss)} up"
        )
        parts.append(f"loss {words}")
    if down.rate is not None or up.rate is not None:
        queues = ["unlimited" if side.queue is None else str(side.queue) for side in (down, up)]
        parts.append(f"queue {'/'.join(queues) if queues[0] != queues[1] else queues[0]} packets")
    return ", ".join(parts)
