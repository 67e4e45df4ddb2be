"""HTML and SVG, written so that whatever did not come from here is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any

__all__ = ["Markup", "join", "json_text", "tag"]

_VOID = frozenset({"meta", "input", "col", "br"})
# What neither HTML nor XML can hold, surrogates included (XML 1.0 §2.2).
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# These reorder what stands around them, so that a path could look like another text.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


class Markup(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


def text(value: str) -> Markup:
    """Escape text, unless it is markup; what cannot be written or would reorder the rest is replaced."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(_BIDI.sub("\ufffd", _UNWRITABLE.sub("\ufffd", value)), quote=True))


def tag(name: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """Write one element.

    Args:
        name: The element's name.
        children: Text, which is escaped, or markup; None is left out.
        attributes: By name, with underscores for hyphens and one at the end to dodge a keyword; None is
            left out, an empty string is written as an attribute without a value.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + (f'="{text(_number(value))}"' if value != "" else '=""')
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(child for child in children if child is not None)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Put pieces behind each other, escaping those that are not markup."""
    return Markup("".join(map(text, parts)))


def json_text(value: Any) -> Markup:
    """Write JSON as the content of a ``script`` element, in which ``</script>`` and ``<!--`` must not be."""
    written = json.dumps(value, separators=(",", ":"))
    return Markup(written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
