"""Values of options that are more than a number: shares, seconds, and how many blocks."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from plait.lab.schedule import Blocks

__all__ = ["BlockRange", "Seconds", "Share"]

_PERCENT = re.compile(r"([0-9]*\.?[0-9]+)(%?)")
_BLOCKS = re.compile(r"([1-9][0-9]{0,3})(?:\.\.([1-9][0-9]{0,3}))?")
_DAY = 86_400


class Share(click.ParamType[float]):
    """A share, written ``3%`` or ``0.03``."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = _PERCENT.fullmatch(value)
        share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
        if not 0 < share < 1:
            self.fail(f"{value!r} is not a share such as 3% or 0.03", param, ctx)
        return share


class Seconds(click.FloatRange):
    """Seconds, no more than a day of them."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=_DAY)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):  # which no range leaves out
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


class BlockRange(click.ParamType[Blocks]):
    """``10``, or ``10..60``."""

    name = "blocks"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Blocks:
        if isinstance(value, Blocks):
            return value
        found = _BLOCKS.fullmatch(value)
        least, most = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if least > most:
            self.fail(f"{value!r} is not a number of blocks such as 10, or 10..60", param, ctx)
        return Blocks(least=least, most=most)
