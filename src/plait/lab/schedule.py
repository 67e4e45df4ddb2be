"""Which contender runs when: blocks of one run each, in random order, until enough is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from plait.lab.samples import Sample
from plait.lab.verdicts import LEAST_BLOCKS, MOST_BLOCKS

__all__ = ["HOPELESS", "Blocks", "run_blocks", "seed_of"]

HOPELESS = 2
"""Blocks in a row after which nobody runs on when all runs of them have failed: a server that does not answer
any more would cost the time limit for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """How many blocks there are to be.

    Attributes:
        least: As many every contender runs, if it does not fail; no verdict takes fewer.
        most: As many at most.
    """

    least: int = LEAST_BLOCKS
    most: int = MOST_BLOCKS


def seed_of(seed: int, *parts: int) -> int:
    """Derive a seed for a part of the work, the same for the same part and unlike any other's."""
    return random.Random(repr((seed, *parts))).getrandbits(32)


def run_blocks(
    contenders: Sequence[str],
    run: Callable[[str, int, int], Sample],
    *,
    blocks: Blocks,
    seed: int,
    wanted: Callable[[Sequence[Sample]], Collection[str]],
) -> Iterator[Sample]:
    """Run every contender once in each block, in an order that the seed decides.

    What drifts on the machine while this goes on then touches all of them alike. A contender of whom
    enough is known takes no part in further blocks, and when everything fails (:data:`HOPELESS`) nobody does.

    Args:
        contenders: Who takes part.
        run: Runs one: contender, block, place in the order of the block.
        blocks: How many.
        seed: Of the order.
        wanted: Says after a block who has to run on, if there may be another.

    Yields:
        Each sample when it was taken: who stops asking keeps what there is.
    """
    shuffle = random.Random(seed)
    samples: list[Sample] = []
    running: Sequence[str] = contenders
    for block in range(blocks.most):
        for position, contender in enumerate(shuffle.sample(running, len(running))):
            samples.append(run(contender, block, position))
            yield samples[-1]
        latest = [sample for sample in samples if sample.block > block - HOPELESS]
        if block + 1 >= HOPELESS and all(sample.failure for sample in latest):
            break
        if block + 1 >= blocks.least:
            further = wanted(samples)
            running = [name for name in running if name in further]
        if not running:
            break
