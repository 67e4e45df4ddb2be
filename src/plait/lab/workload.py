"""What is fetched: resources, and which of them makes which known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Expected", "Kind", "Resource", "Workload"]


class Kind(StrEnum):
    """What a resource is to a page, as far as its priority depends on it."""

    DOCUMENT = "document"
    STYLE = "style"
    SCRIPT = "script"
    FONT = "font"
    IMAGE = "image"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One thing to fetch.

    Attributes:
        path: Path and query, as they go over the wire.
        kind: What it is.
        parent: The resource that makes it known, by its index, which is smaller than its own; None when
            it is known from the beginning.
        delay: Seconds from the parent's end until it is asked for: what a browser computes meanwhile.
    """

    path: str
    kind: Kind = Kind.DATA
    parent: int | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a resource must answer.

    Attributes:
        status: The status code.
        size: Bytes of content, as they are transferred (so before any content coding is undone).
        digest: SHA-256 of the content, in hexadecimal; None when only its size is known to stay the same.
    """

    status: int
    size: int
    digest: str | None = None

    def accepts(self, status: int, size: int | None, digest: str | None) -> bool:
        """Say whether an answer is this, as far as the client can tell of its size and digest."""
        return (
            status == self.status
            and size in (None, self.size)
            and (digest is None or self.digest is None or digest == self.digest)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What every contender fetches, in the order in which it would become known.

    Attributes:
        name: For the record.
        resources: What is fetched.
        expected: What each must answer, in the same order.
        page: The path that a browser opens to fetch all of them; None when it has to be told each.
        headers: Fields of every request, beside those that a client sends by itself.
    """

    name: str
    resources: tuple[Resource, ...]
    expected: tuple[Expected, ...]
    page: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def fault(self, received: Sequence[Sequence[Any]]) -> str | None:
        """Judge a run by what it received.

        Args:
            received: Index, status, size and digest of each response, in any order; size and digest
                are None where the client cannot tell them.

        Returns:
            One sentence on what is wrong; None when every response is there and as expected.
        """
        resources = self.resources
        times = Counter(index for index, *_ in received)
        lost = [one.path for index, one in enumerate(resources) if not times[index]]
        if lost:
            return f"lost {_several(lost, len(resources))}"
        wrong = [
            resources[index].path for index, *answer in received if not self.expected[index].accepts(*answer)
        ]
        if wrong:
            return f"received something else than expected for {_several(wrong, len(resources))}"
        if len(received) > len(resources):
            return f"received {len(received):,} responses where {len(resources):,} were asked for"
        return None


def _several(paths: list[str], total: int) -> str:
    shown = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
    return f"{len(paths):,} of {total:,} responses ({shown})"
