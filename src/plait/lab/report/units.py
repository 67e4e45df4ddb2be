"""How quantities are written: three digits, and units that fit."""

from __future__ import annotations

__all__ = ["count", "duration", "duration_step", "octets", "percent", "ratio"]


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


def percent(share: float) -> str:
    """Write a share of one in per cent."""
    size = abs(100 * share)
    return f"{100 * share:.{0 if size >= 10 or size == round(size) else 1 if size >= 0.1 else 2}f} %"


def _three(value: float) -> str:
    size = abs(value)
    return f"{value:,.0f}" if size >= 99.95 else f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"
