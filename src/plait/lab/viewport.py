"""What a desktop browser picks among the alternatives that a page offers: media queries, srcset, sizes.

Layout is not known here, so the queries are answered as for an ordinary window, and what cannot be
answered is taken to be so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

__all__ = ["HEIGHT", "WIDTH", "choose", "matches"]

WIDTH, HEIGHT = 1280, 720
"""The window, in CSS pixels; a device pixel is one."""

_EM = 16.0
_LONGEST = 2000  # characters of a condition that somebody means
_LENGTH = re.compile(r"\s*([0-9]*\.?[0-9]+)(px|em|rem|vw|vh)?\s*")
_FEATURE = re.compile(r"\(([^()]*)\)")
_RANGE = re.compile(r"(width|height)\s*(<=|>=|<|>|=)\s*(.+)")
_REVERSED = re.compile(r"([^<>=]+?)\s*(<=|>=|<|>|=)\s*(width|height)(?:\s*(<=|>=|<|>|=)\s*(.+))?")
_CANDIDATE = re.compile(r"[\s,]*([^\s,]\S*)")
_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}


def matches(queries: str) -> bool:
    """Whether one of a list of media queries holds for the window."""
    if not queries.strip() or len(queries) > _LONGEST:
        return True
    return any(_query(query.strip().lower()) for query in queries.split(","))


def choose(srcset: str, sizes: str, src: str | None) -> str | None:
    """Pick the image of a set: the smallest that is sharp, or the sharpest there is.

    Args:
        srcset: The candidates, as the attribute has them.
        sizes: How wide the image will be, as the attribute has it.
        src: What stands for a candidate without a descriptor.
    """
    width = _slot(sizes)
    found: list[tuple[float, str]] = []
    has_widths = False
    for url, descriptor in _candidates(srcset):
        density = 1.0
        if match := re.fullmatch(r"([0-9]+)w", descriptor):
            has_widths = True
            density = int(match[1]) / width if width else math.inf
        elif match := re.fullmatch(r"([0-9]*\.?[0-9]+)x", descriptor):
            density = float(match[1])
        elif descriptor:
            continue
        found.append((density, url))
    if src and not has_widths:
        found.append((1.0, src))
    sharp = [one for one in found if one[0] >= 1]
    if sharp:
        return min(sharp, key=lambda one: one[0])[1]
    return max(found, key=lambda one: one[0])[1] if found else src


def _candidates(srcset: str) -> Iterator[tuple[str, str]]:
    """Yield each URL with its descriptor (the HTML standard, § Parsing a srcset attribute)."""
    at = 0
    while match := _CANDIDATE.match(srcset, at):
        url, at = match[1], match.end()
        if url.endswith(","):
            yield url.rstrip(","), ""
            continue
        end = srcset.find(",", at)
        end = len(srcset) if end < 0 else end
        yield url, " ".join(srcset[at:end].split())
        at = end


def _slot(sizes: str) -> float:
    """Say how many pixels wide an image will be: the first length whose condition holds."""
    for part in re.split(r",(?![^(]*\))", sizes[:_LONGEST]):
        condition, _, length = part.strip().rpartition(" ")
        value = _pixels(length)
        if value is not None and matches(condition):
            return value
    return WIDTH


def _pixels(text: str) -> float | None:
    match = _LENGTH.fullmatch(text.lower())
    if match is None:
        return None
    unit = {"em": _EM, "rem": _EM, "vw": WIDTH / 100, "vh": HEIGHT / 100}.get(match[2], 1.0)
    return float(match[1]) * unit


def _query(query: str) -> bool:
    negated = query.startswith("not ")
    query = query.removeprefix("not ").removeprefix("only ")
    media = query.partition("(")[0].split(" ")[0]
    holds = media in ("", "all", "screen", "and", "not") and all(
        _feature(one.strip()) for one in _FEATURE.findall(query)
    )
    return holds != negated


def _feature(feature: str) -> bool:
    name, _, value = (part.strip() for part in feature.partition(":"))
    if match := _RANGE.fullmatch(feature):
        return _compare(match[1], match[2], match[3])
    if match := _REVERSED.fullmatch(feature):
        lower = _compare(match[3], _MIRROR[match[2]], match[1])
        return lower and (match[4] is None or _compare(match[3], match[4], match[5]))
    match name:
        case "min-width" | "min-height":
            return _compare(name[4:], ">=", value)
        case "max-width" | "max-height":
            return _compare(name[4:], "<=", value)
        case "orientation":
            return value == "landscape"
        case "prefers-color-scheme":
            return value == "light"
        case "prefers-reduced-motion" | "prefers-reduced-data" | "prefers-contrast" | "forced-colors":
            return value in ("no-preference", "none")
        case "min-resolution" | "-webkit-min-device-pixel-ratio" | "min-device-pixel-ratio":
            number = re.match(r"[0-9]*\.?[0-9]+", value)
            dots = {"dpi": 96.0, "dpcm": 96 / 2.54}.get(value[number.end() :].strip() if number else "", 1.0)
            return number is None or float(number[0]) / dots <= 1
        case "any-pointer" | "pointer":
            return value in ("", "fine")
        case _:
            return True


def _compare(name: str, sign: str, length: str) -> bool:
    limit = _pixels(length)
    if limit is None:
        return True
    size = WIDTH if name == "width" else HEIGHT
    return {
        "<": size < limit,
        "<=": size <= limit,
        ">": size > limit,
        ">=": size >= limit,
        "=": size == limit,
    }[sign]
