"""What Link fields say (RFC 8288)."""

from __future__ import annotations

import re

__all__ = ["parse_links"]

#: One link: its target, and its parameters.
_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)')
_PARAMETER = re.compile(r';\s*([^\s=;,]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?')
_ESCAPED = re.compile(r"\\(.)")


def parse_links(value: str) -> dict[str, dict[str, str]]:
    """Parse the value of a Link field.

    Args:
        value: It, joined with commas if there were several.

    Returns:
        Parameters of each link, ``url`` among them, by relation type, or by URL where there is none; a
        link with several relation types is there under each.
    """
    links: dict[str, dict[str, str]] = {}
    for target, parameters in _LINK.findall(value):
        link = {"url": target}
        for name, quoted, token in _PARAMETER.findall(parameters):
            # RFC 8288 §3.3: of several, the first counts.
            link.setdefault(name.lower(), _ESCAPED.sub(r"\1", quoted) if quoted else token)
        for key in link.get("rel", "").lower().split() or [target]:
            links.setdefault(key, link)
    return links
