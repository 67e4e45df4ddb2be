"""Chromium without a window, loading the page as it does for people."""

from __future__ import annotations

from plait.lab.contenders.base import Contender

__all__ = ["CONTENDERS"]

CONTENDERS: tuple[Contender, ...] = ()
