"""Which contender runs when: blocks of one run each, in random order, until enough is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from plait.lab.samples import Sample

__all__ = ["Blocks", "run_blocks", "seed_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """How many blocks there are to be.

    Attributes:
        least: As many every contender runs, if it does not fail; no verdict takes fewer.
        most: As many at most.
    """

    least: int = 10
    most: int = 60


def seed_of(seed: int, *parts: int) -> int:
    """Derive a seed for a part of the work, the same for the same part and unlike any other's."""
    return random.Random(repr((seed, *parts))).getrandbits(32)


def run_blocks(
    contenders: Sequence[str],
    run: Callable[[str, int, int], Sample],
    *,
    blocks: Blocks,
    seed: int,
    companions: Collection[str],
    settled: Callable[[Sequence[Sample], str], bool],
) -> list[Sample]:
    """Run every contender once in each block, in an order that the seed decides.

    What drifts on the machine while this goes on then touches all of them alike. A contender that is
    settled takes no part in further blocks; companions run as long as another does.

    Args:
        contenders: Who takes part.
        run: Runs one: contender, block, place in the order of the block.
        blocks: How many.
        seed: Of the order.
        companions: Who takes part in every block: what the others are compared with, and its twin.
        settled: Says whether enough is known of a contender.

    Returns:
        The samples, in the order they were taken.
    """
    shuffle = random.Random(seed)
    samples: list[Sample] = []
    running = list(contenders)
    for block in range(blocks.most):
        for position, contender in enumerate(shuffle.sample(running, len(running))):
            samples.append(run(contender, block, position))
        if block + 1 >= blocks.least:
            wanted = [n for n in running if n not in companions and not settled(samples, n)]
            if not wanted:
                break
            running = [n for n in running if n in companions or n in wanted]
    return samples
