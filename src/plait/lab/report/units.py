"""How quantities are written: three digits, and units that fit."""

from __future__ import annotations

from plait.lab.verdicts import Finding, number

__all__ = [
    "count",
    "duration",
    "duration_step",
    "interval",
    "octets",
    "percent",
    "ratio",
    "ratio_step",
    "finding_ratio",
]


def duration(seconds: float) -> str:
    """Write a time with three significant digits, in s, ms or µs."""
    size = abs(seconds)
    if size >= 0.9995:
        return f"{_three(seconds)} s"
    if size >= 0.9995e-3:
        return f"{_three(seconds * 1e3)} ms"
    return f"{_three(seconds * 1e6)} µs" if seconds else "0 s"


def duration_step(seconds: float) -> str:
    """Write a time of an axis, which is a round one: 1.5 s, 200 ms, 0."""
    if not seconds:
        return "0"
    if abs(seconds) >= 1:
        return f"{seconds:.6g} s"
    return f"{seconds * 1e3:.6g} ms" if abs(seconds) >= 1e-3 else f"{seconds * 1e6:.6g} µs"


def octets(size: float) -> str:
    """Write a number of bytes, in powers of a thousand."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(size) >= 0.9995 * factor:
            return f"{_three(size / factor)} {unit}"
    return f"{size:.0f} B"


def count(number: float) -> str:
    """Write a number of things; a median may lie between two."""
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def ratio(value: float) -> str:
    """Write a ratio of times: 0.21×, 1.04×, 12.3×."""
    return f"{value:.2f}×" if value < 9.995 else f"{value:.3g}×"


def ratio_step(value: float) -> str:
    """Write a ratio of an axis, which is a round one."""
    return f"{value:.6g}×"


def finding_ratio(one: Finding) -> str:
    """Write a ratio that was found, with as many digits as its interval allows: 0.369×."""
    return f"{number(one.ratio, one.low, one.high)}×"


def interval(one: Finding) -> str:
    """Write the interval of a ratio, with as many digits: [0.368 to 0.370]."""
    return f"[{number(one.low, one.low, one.high)} to {number(one.high, one.low, one.high)}]"


def percent(share: float) -> str:
    """Write a share of one in per cent, with as few digits as tell it apart from 0 and from 100."""
    found = 100 * share
    size = abs(found)
    if size < 0.1:
        digits = 2
    elif size < 10 or 99 < size < 100:
        digits = 1
    else:
        digits = 0
    return f"{float(f'{found:.{digits}f}'):.6g} %".replace("-", "−")


def _three(value: float) -> str:
    size = abs(value)
    return f"{value:,.0f}" if size >= 99.95 else f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"
