"""What a request wants of a file: which coding, which range, or nothing new (RFC 9110 §8, §12 to §14).

Pure functions over the values of fields.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime

__all__ = ["CODINGS", "Range", "Validators", "choose_coding", "range_of", "status_of"]

#: Codings of content, the smallest first, with what their files' names end in.
CODINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
_ETAG = re.compile(r'\s*,*\s*(W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')
_CODING = re.compile(r"\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*(?:;\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*)?")
_RANGE = re.compile(r"\s*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\s*")


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a file from another.

    Attributes:
        etag: A strong entity tag, with its quotation marks.
        modified: When it was changed last, in whole seconds since the epoch.
    """

    etag: str
    modified: int

    @property
    def last_modified(self) -> str:
        """The value of ``last-modified``."""
        return formatdate(self.modified, usegmt=True)


@dataclass(frozen=True, slots=True)
class Range:
    """Part of a file.

    Attributes:
        start: The first byte.
        end: The byte after the last; both are 0 where there is no such part.
    """

    start: int
    end: int


def choose_coding(accepted: str | None, available: Sequence[str]) -> str | None:
    """Choose how the content is coded (RFC 9110 §12.5.3).

    Args:
        accepted: The value of ``accept-encoding``.
        available: Which codings there are, the best first.

    Returns:
        One of them, or None for the file as it is.
    """
    if not accepted or not available:
        return None
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        found = _CODING.fullmatch(part)
        if found is not None:
            name = found[1].lower()
            weights["gzip" if name == "x-gzip" else name] = float(found[2] or 1)
    others = weights.get("*", 0.0)
    best, coding = weights.get("identity", weights.get("*", 0.0)), None
    for name in available:
        weight = weights.get(name, others)
        if weight > 0 and (weight > best or (coding is None and weight == best)):
            best, coding = weight, name
    return coding


def status_of(fields: dict[str, str], now: Validators) -> int:
    """Evaluate preconditions in their order (RFC 9110 §13.2.2): 200, 304 or 412.

    Args:
        fields: The request's, whose method is GET or HEAD.
        now: What the file is now.
    """
    if (wanted := fields.get("if-match")) is not None:
        if not _matches(wanted, now.etag, weak=False):
            return 412
    elif (date := _date(fields.get("if-unmodified-since"))) is not None and now.modified > date:
        return 412
    if (known := fields.get("if-none-match")) is not None:
        return 304 if _matches(known, now.etag, weak=True) else 200
    if (date := _date(fields.get("if-modified-since"))) is not None and now.modified <= date:
        return 304
    return 200


def range_of(fields: dict[str, str], now: Validators, size: int) -> Range | None:
    """Find the range that is asked for (RFC 9110 §14.2).

    Args:
        fields: The request's, whose method is GET.
        now: What the file is now.
        size: Its size, in bytes.

    Returns:
        The range; None for the whole file: no range or a malformed one was asked for, or several, which
        a server need not serve, or a range of what the file was before.
    """
    unit, _, text = fields.get("range", "").partition("=")
    found = _RANGE.fullmatch(text)
    if unit.strip().lower() != "bytes" or found is None:
        return None
    if (condition := fields.get("if-range")) is not None:
        condition = condition.strip()
        # A date is no strong validator unless it is the very same (RFC 9110 §13.1.5).
        if condition != now.etag and condition != now.last_modified:
            return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, end = max(size - int(suffix), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    return Range(start, end) if start < end else Range(0, 0)


def _matches(value: str, etag: str, *, weak: bool) -> bool:
    if value.strip() == "*":
        return True
    return any(found[2] == etag and (weak or not found[1]) for found in _ETAG.finditer(value))


def _date(value: str | None) -> float | None:
    """Read a date in any of the three forms HTTP has (RFC 9110 §5.6.7); what is none is left aside."""
    if value is None:
        return None
    try:
        date = parsedate_to_datetime(value)
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
