"""What a style sheet makes known: other style sheets, fonts and images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import tinycss2

from plait.lab.viewport import matches
from plait.lab.workload import Kind

__all__ = ["Reference", "references", "references_of_style"]

# What every browser of today draws; the others stand first in many lists, for those of yesterday.
_FONTS = {
    "woff2",
    "woff",
    "truetype",
    "opentype",
    "woff2-variations",
    "woff-variations",
    "truetype-variations",
}
_NO_FONT = (".eot", ".svg")

# Rules that hold other rules, under a condition which a browser of today is taken to meet.
_GROUPS = {"supports", "layer", "container", "scope", "starting-style"}


class Reference(NamedTuple):
    """Something a style sheet names.

    Attributes:
        url: Where, relative to the style sheet.
        kind: What it is used for.
    """

    url: str
    kind: Kind


def references(css: bytes | str, letters: frozenset[int], charset: str | None = None) -> list[Reference]:
    """Find what a browser may fetch for a style sheet; whether a rule applies to anything is not asked.

    Args:
        css: The style sheet.
        letters: The code points of the page, which decide what fonts for parts of Unicode are for.
        charset: What the content-type field says of its encoding.
    """
    if isinstance(css, str):
        rules = tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)
    else:
        rules, _ = tinycss2.parse_stylesheet_bytes(
            css, protocol_encoding=charset, skip_comments=True, skip_whitespace=True
        )
    try:
        return [*_imports(rules), *_in_rules(rules, letters)]
    except RecursionError:  # brackets in brackets, hundreds deep: nobody's style sheet
        return []


def references_of_style(style: str) -> list[Reference]:
    """Find the images that the value of a style attribute names."""
    try:
        return [Reference(url, Kind.IMAGE) for url in _urls(tinycss2.parse_component_value_list(style))]
    except RecursionError:
        return []


def _imports(rules: Iterable[Any]) -> Iterator[Reference]:
    """Yield the style sheets that are imported, which stand before every other rule (css-cascade-5, §2)."""
    for rule in rules:
        if rule.type == "error":
            continue
        if rule.type != "at-rule" or rule.lower_at_keyword not in ("charset", "layer", "import"):
            return
        if rule.content is not None:
            return
        if rule.lower_at_keyword == "import":
            for url in _urls(rule.prelude, strings=True):
                yield Reference(url, Kind.STYLE)
                break


def _in_rules(rules: Iterable[Any], letters: frozenset[int]) -> Iterator[Reference]:
    for rule in rules:
        if rule.type == "qualified-rule":
            yield from (Reference(url, Kind.IMAGE) for url in _urls(rule.content))
        elif rule.type == "at-rule" and rule.content is not None:
            name = rule.lower_at_keyword
            if name == "font-face":
                url = _font(rule.content, letters)
                if url is not None:
                    yield Reference(url, Kind.FONT)
            elif name in _GROUPS or (name == "media" and matches(tinycss2.serialize(rule.prelude))):
                if name == "supports" and tinycss2.serialize(rule.prelude).lower().strip().startswith("not"):
                    continue
                inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
                yield from _in_rules(inner, letters)


def _font(content: Sequence[Any], letters: frozenset[int]) -> str | None:
    """Pick the file of a font: the first that a browser can use, if the page has letters for it."""
    chosen = None
    for declaration in tinycss2.parse_declaration_list(content, skip_comments=True, skip_whitespace=True):
        if declaration.type != "declaration":
            continue
        if declaration.lower_name == "unicode-range":
            ranges = [token for token in declaration.value if token.type == "unicode-range"]
            if ranges and not any(one.start <= letter <= one.end for one in ranges for letter in letters):
                return None
        elif declaration.lower_name == "src":
            chosen = next(filter(None, map(_usable, _split(declaration.value))), chosen)
    return chosen


def _split(tokens: Iterable[Any]) -> Iterator[list[Any]]:
    part: list[Any] = []
    for token in tokens:
        if token.type == "literal" and token.value == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _usable(source: Sequence[Any]) -> str | None:
    """Return the URL of one of a font's sources; None if there is none, or no browser could use it."""
    url = next(_urls(source), None)
    if url is None:
        return None
    for token in source:
        if token.type == "function" and token.lower_name == "format":
            words = [one.value.lower() for one in token.arguments if one.type in ("string", "ident")]
            return url if not words or words[0] in _FONTS else None
    return None if url.partition("?")[0].partition("#")[0].lower().endswith(_NO_FONT) else url


def _urls(tokens: Iterable[Any], strings: bool = False) -> Iterator[str]:
    """Yield the URLs among tokens; of a set of images the first alone.

    Args:
        tokens: The tokens.
        strings: Whether a string is a URL here.
    """
    for token in tokens:
        if token.type == "url" or (strings and token.type == "string"):
            if token.value and not token.value.startswith("#"):  # which names a part of the same document
                yield token.value
        elif token.type == "function" and token.lower_name in ("url", "src"):
            yield from _urls(token.arguments, strings=True)
        elif token.type == "function" and token.lower_name.endswith("image-set"):
            yield from list(_urls(token.arguments, strings=True))[:1]
        elif token.type == "function" and token.lower_name not in (
            "local",
            "format",
            "attr",
            "layer",
            "supports",
        ):
            yield from _urls(token.arguments)
        elif token.type in ("{} block", "() block"):
            yield from _urls(token.content)
