"""Calls those who want to know what a client does; only a client with somebody who does imports this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Teller"]

T = TypeVar("T")


class Teller(Generic[T]):
    """Calls somebody who wants to know; no more once that raised something.

    Args:
        tell: Called with everything there is to tell.
        option: The option that it was given as.
    """

    __slots__ = ("_option", "_tell")

    def __init__(self, tell: Callable[[T], object], option: str) -> None:
        self._tell: Callable[[T], object] | None = tell
        self._option = option

    def __call__(self, news: T) -> None:
        if self._tell is not None:
            try:
                self._tell(news)
            except Exception:
                # There is nobody to raise it to: what it would end is everybody's connection.
                import logging

                self._tell = None
                log = logging.getLogger("plait.client")
                log.exception("%s raised an error; it is not called any more", self._option)
