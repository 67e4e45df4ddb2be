"""Blocks: every contender once in each, in random order, until enough is known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from plait.lab.samples import Sample
from plait.lab.schedule import Blocks, run_blocks, seed_of
from tests.support.lab_samples import measurement

NAMES = ("h1x1", "h1x6", "h1x6-again", "h2")


def everybody(samples: Sequence[Sample]) -> Collection[str]:
    return NAMES


def blocks_of(
    *,
    seed: int = 1,
    blocks: Blocks = Blocks(least=4, most=4),  # noqa: B008  # frozen
    wanted: Callable[[Sequence[Sample]], Collection[str]] = everybody,
    fails: Callable[[str, int], bool] = lambda name, block: False,
) -> list[list[str]]:
    def run(name: str, block: int, position: int) -> Sample:
        failure = "broke off" if fails(name, block) else None
        measured = None if failure else measurement(0.5)
        return Sample(block=block, position=position, contender=name, failure=failure, measurement=measured)

    samples = [
        *run_blocks(
            NAMES,
            run,
            blocks=blocks,
            seed=seed,
            wanted=wanted,
        )
    ]
    assert [(s.block, s.position) for s in samples] == sorted((s.block, s.position) for s in samples)
    last = samples[-1].block
    return [[s.contender for s in samples if s.block == block] for block in range(last + 1)]


def test_every_block_has_every_contender_once_in_an_order_of_its_own() -> None:
    blocks = blocks_of()
    assert len(blocks) == 4
    assert all(sorted(block) == sorted(NAMES) for block in blocks)
    assert len({tuple(block) for block in blocks}) > 1


def test_the_seed_decides_the_order() -> None:
    assert blocks_of(seed=1) == blocks_of(seed=1)
    assert blocks_of(seed=1) != blocks_of(seed=2)


def test_blocks_go_on_until_nobody_is_wanted() -> None:
    def wanted(samples: Sequence[Sample]) -> Collection[str]:
        return NAMES if samples[-1].block < 6 else ()

    assert len(blocks_of(blocks=Blocks(least=4, most=60), wanted=wanted)) == 7


def test_nobody_is_done_before_the_least_number_of_blocks() -> None:
    assert len(blocks_of(blocks=Blocks(least=4, most=60), wanted=lambda samples: ())) == 4


def test_there_is_a_most_number_of_blocks() -> None:
    assert len(blocks_of(blocks=Blocks(least=4, most=9))) == 9


def test_who_is_not_wanted_runs_no_more() -> None:
    blocks = blocks_of(blocks=Blocks(least=4, most=6), wanted=lambda samples: ("h1x6", "h2"))
    assert [sorted(block) for block in blocks] == [sorted(NAMES)] * 4 + [["h1x6", "h2"]] * 2


def test_who_was_not_wanted_once_is_not_wanted_again() -> None:
    def wanted(samples: Sequence[Sample]) -> Collection[str]:
        return ("h2",) if samples[-1].block == 4 else NAMES

    blocks = blocks_of(blocks=Blocks(least=4, most=7), wanted=wanted)
    assert [len(block) for block in blocks] == [4, 4, 4, 4, 4, 1, 1]


def test_two_blocks_in_which_everything_fails_are_the_last() -> None:
    assert len(blocks_of(fails=lambda name, block: True)) == 2
    assert len(blocks_of(blocks=Blocks(least=9, most=9), fails=lambda name, block: block > 4)) == 7


def test_one_such_block_is_not_the_last_nor_are_failures_of_some() -> None:
    assert len(blocks_of(fails=lambda name, block: block % 2 == 0)) == 4
    assert len(blocks_of(fails=lambda name, block: name != "h2")) == 4


def test_parts_of_the_work_have_seeds_of_their_own() -> None:
    seeds = {seed_of(7), seed_of(7, 0), seed_of(7, 0, 1), seed_of(7, 1, 0), seed_of(8, 0)}
    assert len(seeds) == 5
    assert seed_of(7, 0, 1) == seed_of(7, 0, 1)
