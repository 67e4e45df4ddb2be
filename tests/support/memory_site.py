"""A site that answers a fetcher without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from plait.lab.fetching import Answer, Fetcher
from plait.lab.target import Target

__all__ = ["MemorySite"]

TARGET = Target(scheme="https", host="site.example", port=443)


class MemorySite:
    """One connection to https://site.example.

    Args:
        answers: What each path answers; any other answers 404.

    Attributes:
        asked: Every path asked for, in order.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def fetcher(self) -> Fetcher:
        """Return what fetches from it."""
        return Fetcher(TARGET, "1", self)

    def ask(self, path: str, take: Callable[[bytes], None]) -> Answer:
        """Answer a request."""
        self.asked.append(path)
        answer = self._answers.get(path, Answer(status=404, content=b"no"))
        take(answer.content)
        return replace(answer, content=b"")

    def close(self) -> None:
        """Do nothing: there is no connection."""
