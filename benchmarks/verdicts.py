"""How often the lab is wrong, by simulation: intervals, and verdicts of runs that stop early.

``python -m benchmarks.verdicts`` prints the tables of docs/statistics.md.
"""

from __future__ import annotations

import argparse
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from typing import NamedTuple

from plait.lab import stats
from plait.lab.verdicts import LEAST_BLOCKS, MOST_BLOCKS, Finding, Verdict, judge, narrow_enough

__all__ = [
    "CHANCES",
    "Chance",
    "Tally",
    "bootstrap_interval",
    "coverage",
    "ratio_coverage",
    "run",
    "tally",
    "worst_case",
    "wrong",
]

MARGIN = 0.03
CONFIDENCE = 0.95
LEAST, MOST = LEAST_BLOCKS, MOST_BLOCKS


class Chance(NamedTuple):
    """A distribution of differences whose median is 0.

    Attributes:
        name: For the table.
        draw: Draws one, at a scale of 1.
    """

    name: str
    draw: Callable[[random.Random], float]


def _laplace(chance: random.Random) -> float:
    return chance.expovariate(1) * chance.choice((-1, 1))


def _skewed(chance: random.Random) -> float:
    """Lognormal; one in twenty is an outlier, on either side, so that the median stays where it is."""
    value = chance.lognormvariate(0, 0.5) - 1
    return value * 20 if chance.random() < 0.05 else value


def _two(chance: random.Random) -> float:
    """Two values: a packet was lost, or it was not. The hardest case for stopping early."""
    return chance.choice((-1, 1)) + chance.gauss(0, 0.01)


CHANCES = (
    Chance("normal", lambda chance: chance.gauss(0, 1)),
    Chance("Laplace", _laplace),
    Chance("skewed, 5 % outliers", _skewed),
    Chance("two values", _two),
)


class Tally(NamedTuple):
    """What came of many runs that stop when the interval is narrow enough.

    Attributes:
        wrong: The share with a verdict that is not true.
        missed: The share whose interval does not hold the truth.
        blocks: How many blocks they took, the mean.
    """

    wrong: float
    missed: float
    blocks: float


def bootstrap_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Find the percentile interval of the bootstrap, for comparison: exactly, without resampling.

    Of a sample drawn with replacement the median lies between the i-th and the j-th value with a
    probability that depends on i and j alone (J. S. Maritz and R. G. Jarrett, 1978).
    """
    ordered, tail = sorted(values), (1 - confidence) / 2
    weighed = sorted(((ordered[i] + ordered[j]) / 2, share) for i, j, share in _weights(len(values)))
    below = list(accumulate(share for _, share in weighed))
    return weighed[bisect_left(below, tail)][0], weighed[bisect_left(below, 1 - tail)][0]


@lru_cache(maxsize=64)
def _weights(count: int) -> list[tuple[int, int, float]]:
    """List how likely the middle two of a drawn sample are its i-th and j-th value; of an odd one, i is j."""

    def at_least(wanted: int, upto: int) -> float:
        share = upto / count
        return sum(
            math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(wanted, count + 1)
        )

    half = (count + 1) // 2
    single = [at_least(half, i + 1) - at_least(half, i) for i in range(count)]
    if count % 2:
        return [(i, i, share) for i, share in enumerate(single)]
    weights = []
    for i, share in enumerate(single):
        lower = ((i + 1) / count) ** half - (i / count) ** half
        for j in range(i + 1, count):
            upper = ((count - j) / count) ** half - ((count - j - 1) / count) ** half
            weights.append((i, j, math.comb(count, half) * lower * upper))
            share -= weights[-1][2]
        weights.append((i, i, share))
    return weights


def coverage(
    chance: Chance, count: int, interval: Callable[[Sequence[float]], Sequence[float]], rounds: int, seed: int
) -> float:
    """Say how often an interval of so many samples holds the median, which is 0."""
    source = random.Random(seed)
    held = 0
    for _ in range(rounds):
        low, high = interval([chance.draw(source) for _ in range(count)])[:2]
        held += low <= 0 <= high
    return held / rounds


def ratio_coverage(chance: Chance, before: int, after: int, rounds: int, seed: int) -> float:
    """Say how often the interval of two unpaired runs holds the difference, which is 0."""
    source = random.Random(seed)
    held = 0
    for _ in range(rounds):
        old, new = ([chance.draw(source) for _ in range(count)] for count in (before, after))
        low, high, _ = stats.difference_interval(old, new, CONFIDENCE)
        held += low <= 0 <= high
    return held / rounds


def worst_case(error: float, stopping: float) -> float:
    """Bound how often an interval misses that was stopped by one that errs more rarely."""
    return stats.stopped_error(error, stopping, LEAST, MOST)


def run(chance: Chance, effect: float, scale: float, source: random.Random) -> Finding:
    """Take block after block until the interval is narrow enough, and judge."""
    ratios: list[float] = []
    while len(ratios) < MOST and not narrow_enough(ratios, confidence=CONFIDENCE):
        ratios.append(effect + scale * chance.draw(source))
    return judge(ratios, contender="a", reference="b", margin=MARGIN, confidence=CONFIDENCE)


def wrong(verdict: Verdict, effect: float) -> bool:
    """Say whether a verdict is not true of an effect; at the margin itself no verdict is."""
    edge = math.log1p(MARGIN)
    match verdict:
        case Verdict.SLOWER:
            return effect <= edge
        case Verdict.FASTER:
            return effect >= -edge
        case Verdict.SAME:
            return abs(effect) >= edge
        case Verdict.OPEN:
            return False


def tally(chance: Chance, effect: float, scale: float, rounds: int, seed: int) -> Tally:
    """Take many such runs."""
    source = random.Random(seed)
    findings = [run(chance, effect, scale, source) for _ in range(rounds)]
    truth = math.exp(effect)
    return Tally(
        wrong=sum(wrong(one.verdict, effect) for one in findings) / rounds,
        missed=sum(not one.low <= truth <= one.high for one in findings) / rounds,
        blocks=sum(one.blocks for one in findings) / rounds,
    )


def _print_coverage(rounds: int) -> None:
    print("How often an interval misses the median: order statistics, and the bootstrap's percentiles\n")
    print(
        "| differences | blocks | at 95 % | bootstrap | at 99.75 % | bootstrap |\n|---|---|---|---|---|---|"
    )
    for chance in CHANCES:
        for count in (10, 20, 60):
            missed = [
                1 - coverage(chance, count, partial(interval, confidence=confidence), rounds, count)
                for confidence in (CONFIDENCE, 1 - (1 - CONFIDENCE) / 20)
                for interval in (stats.median_interval, bootstrap_interval)
            ]
            figures = [f"{share:.1%}" for share in missed[:2]] + [f"{share:.2%}" for share in missed[2:]]
            print(f"| {chance.name} | {count} | {' | '.join(figures)} |")


def _print_ratios(rounds: int) -> None:
    print("\nTwo unpaired runs: how often the interval of 95 % misses the difference\n")
    print("| loads | 10 and 10 | 10 and 60 | 60 and 60 |\n|---|---|---|---|")
    for chance in CHANCES:
        cells = [
            1 - ratio_coverage(chance, *counts, rounds // 4, 3) for counts in ((10, 10), (10, 60), (60, 60))
        ]
        print(f"| {chance.name} | {' | '.join(f'{cell:.1%}' for cell in cells)} |")


def _print_verdicts(rounds: int) -> None:
    print(
        "\nRuns of 10 to 60 blocks, asked after each whether to go on; the worst of several sizes of noise\n"
    )
    print("| differences | true ratio | wrong verdict | interval missed | blocks at 2 %, 5 %, 10 % noise |")
    print("|---|---|---|---|---|")
    for chance in CHANCES:
        for ratio in (1.0, 1 + MARGIN, 1.2):
            found = {
                scale: tally(chance, math.log(ratio), scale, rounds // 5, seed)
                for seed, scale in enumerate((0.02, 0.05, 0.1, 0.01, 0.3))
            }
            wrongest = max(one.wrong for one in found.values())
            missed = max(one.missed for one in found.values())
            blocks = ", ".join(f"{found[scale].blocks:.0f}" for scale in (0.02, 0.05, 0.1))
            print(f"| {chance.name} | {ratio} | {wrongest:.1%} | {missed:.1%} | {blocks} |")


def _print_worst_case() -> None:
    print("\nStopping early in the hardest case, two values far apart\n")
    print("| the interval that decides errs | the reported one misses |\n|---|---|")
    for share in (1, 2, 4, 8, 16):
        worst = worst_case(1 - CONFIDENCE, (1 - CONFIDENCE) / share)
        print(f"| {f'1/{share} as often' if share > 1 else 'as often'} | {worst:.1%} |")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20_000, help="of the quickest table (20000)")
    rounds = parser.parse_args(argv).rounds
    _print_coverage(rounds)
    _print_ratios(rounds)
    _print_verdicts(rounds)
    _print_worst_case()


if __name__ == "__main__":
    main()
