"""What the benchmarks have in common: medians, ratios to plait, and the versions that were measured."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib import metadata

__all__ = ["print_environment", "print_figure"]


def print_environment(*distributions: str) -> None:
    """Print what a figure depends on: the machine, Python, and the versions of the contenders.

    Args:
        distributions: Names of Python packages.
    """
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in distributions)
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}", end=" ")
    print(f"{platform.release()}, {os.cpu_count()} cores; {versions}\n")


def print_figure(
    title: str,
    unit: str,
    samples: Mapping[str, Sequence[float]],
    *,
    targets: Mapping[str, float],
    plait: str = "plait",
) -> None:
    """Print one row a contender: its median, its spread, and how many times plait's it is.

    Args:
        title: What was measured.
        unit: Of the samples.
        samples: What each contender took, round by round; less is better.
        targets: For some contenders, the least ratio to plait that the design asks for.
        plait: The row that the others are compared with.

    Raises:
        SystemExit: plait took no time that the clock could see.
    """
    base = statistics.median(samples[plait])
    if not base:
        raise SystemExit(f"{title}: too few requests for the clock; ask for more with --requests")
    print(title)
    print(f"  {'':<22}{'median':>10} {unit:<4}{'min - max':>19}   {'x plait':>8}   at least")
    for name, values in samples.items():
        median = statistics.median(values)
        spread = f"{min(values):.4g} - {max(values):.4g}"
        line = f"  {name:<22}{median:>10.4g} {unit:<4}{spread:>19}   {median / base:>8.2f}"
        if name in targets:
            held = "held" if median / base >= targets[name] else "missed"
            line += f"   {targets[name]:.3g}: {held}"
        print(line)
    print()
