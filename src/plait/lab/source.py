"""What somebody says is to be fetched, before the server has been asked whether it is so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from plait.lab.workload import Kind, Resource

__all__ = ["OTHER_ORIGIN", "RESOURCES_LIMIT", "LeftAlone", "Source", "kind_of"]

RESOURCES_LIMIT = 10_000
"""Resources of one workload; more are a mistake rather than a page."""

OTHER_ORIGIN = "of other origins"
"""Why somebody else's servers are left alone; these are named, too."""

_KINDS = {
    "text/html": Kind.DOCUMENT,
    "application/xhtml+xml": Kind.DOCUMENT,
    "text/css": Kind.STYLE,
    # RFC 9239 §6 lists the names that mean text/javascript.
    "text/javascript": Kind.SCRIPT,
    "application/javascript": Kind.SCRIPT,
    "application/x-javascript": Kind.SCRIPT,
    "application/ecmascript": Kind.SCRIPT,
    # RFC 8081 §4.2 and the names from before it.
    "application/font-woff": Kind.FONT,
    "application/font-woff2": Kind.FONT,
    "application/x-font-ttf": Kind.FONT,
    "application/vnd.ms-fontobject": Kind.FONT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Resources as a file of paths, a HAR or a page names them.

    Attributes:
        name: For the record.
        resources: What is to be fetched, parents before what they make known.
        asked_for: The paths that the user named, rather than a browser or a page: an error that one of
            them answers is the user's mistake.
        page: The path that a browser opens to fetch all of them; None when there is no such page.
        remarks: What was left alone, in sentences.
    """

    name: str
    resources: tuple[Resource, ...]
    asked_for: frozenset[str] = frozenset()
    page: str | None = None
    remarks: tuple[str, ...] = ()


class LeftAlone:
    """What is not fetched, counted by the reason."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._origins: Counter[str] = Counter()

    def add(self, reason: str, origin: str | None) -> None:
        """Count one thing.

        Args:
            reason: Why it is left alone, in words that follow a number.
            origin: Whose it is, where that is known.
        """
        self._reasons[reason] += 1
        if reason == OTHER_ORIGIN and origin is not None:
            self._origins[origin] += 1

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def __str__(self) -> str:
        names = [origin for origin, _ in self._origins.most_common()]
        if len(names) > 3:
            names[3:] = [f"{len(names) - 3:,} more"]
        return ", ".join(
            f"{count:,} {reason}" + (f" ({', '.join(names)})" if reason == OTHER_ORIGIN else "")
            for reason, count in self._reasons.most_common()
        )


def kind_of(media_type: str) -> Kind:
    """Say what a resource of a media type is to a page, as far as the type tells.

    Args:
        media_type: A content-type field's value, parameters and all.
    """
    essence = media_type.partition(";")[0].strip().lower()
    if essence in _KINDS:
        return _KINDS[essence]
    return {"image": Kind.IMAGE, "font": Kind.FONT}.get(essence.partition("/")[0], Kind.DATA)
