"""What a site asks of programs that fetch from it: robots.txt (RFC 9309).

The standard library's parser knows neither ``*`` nor ``$`` in a path, so a rule that most sites have
would go unheeded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote_to_bytes

from plait.errors import PlaitError
from plait.lab.addresses import locate, resolve
from plait.lab.fetching import Fetcher

__all__ = ["ALLOW_ALL", "PRODUCT", "Robots", "robots_of"]

PRODUCT = "plait"
"""The name by which a site can speak of us."""

_REDIRECTS = 5  # RFC 9309 §2.3.1.2
_SIZE = 512 * 1024  # §2.5: at least 500 KiB are read
_LINE = re.compile(r"\s*([A-Za-z-]+)\s*:\s*([^#]*)")


class Robots:
    """The rules for us.

    Args:
        text: The file.
    """

    def __init__(self, text: str) -> None:
        groups = list(_groups(text))
        # §2.2.1: every group for this product counts, and the groups for everybody when there is none.
        ours = [rules for agents, rules in groups if PRODUCT in agents]
        ours = ours or [rules for agents, rules in groups if "*" in agents]
        self._rules = [(allowed, _plain(pattern)) for rules in ours for allowed, pattern in rules]

    def allow(self, path: str) -> bool:
        """Whether a path may be fetched: its most specific rule decides, and for a tie it may (§2.2.2)."""
        path = _plain(path)
        found = [(len(pattern), allowed) for allowed, pattern in self._rules if _matches(pattern, path)]
        return max(found, default=(0, True))[1]


def robots_of(fetcher: Fetcher) -> Robots:
    """Ask a site for its rules.

    Raises:
        PlaitError: It broke off, or its rules cannot be read.
    """
    path = "/robots.txt"
    for _ in range(_REDIRECTS + 1):
        answer = fetcher.get(path)
        if 300 <= answer.status < 400 and answer.location:
            url = resolve(f"{fetcher.target.base_url}{path}", answer.location)
            address = locate(url) if url else None
            if address is None or address.origin != fetcher.target.base_url:
                return ALLOW_ALL
            path = address.path
            continue
        if answer.status >= 500:  # §2.3.1.4: a site that cannot say so has forbidden everything
            return Robots("user-agent: *\ndisallow: /")
        if answer.status >= 300:  # §2.3.1.3
            return ALLOW_ALL
        try:
            text = answer.decoded(_SIZE).decode("utf-8", "replace")
        except PlaitError as error:
            raise PlaitError(f"{fetcher.target.base_url}{path} cannot be read: {error}") from error
        return Robots(text)
    return ALLOW_ALL


def _groups(text: str) -> Iterator[tuple[set[str], list[tuple[bool, str]]]]:
    agents: set[str] = set()
    rules: list[tuple[bool, str]] = []
    is_open = False  # whether the last line named an agent, so that the next one joins it
    for line in text.removeprefix("\ufeff").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, value = match[1].lower(), match[2].strip()
        if name == "user-agent":
            if not is_open:
                yield agents, rules
                agents, rules = set(), []
            # §2.2.1: the product's name, without regard to case and to a version behind it.
            agents.add(value.lower() if value == "*" else re.split(r"[^a-z_-]", value.lower())[0])
            is_open = True
        elif name in ("allow", "disallow"):
            is_open = False
            if value:  # an empty rule matches nothing
                rules.append((name == "allow", value))
    yield agents, rules


def _plain(path: str) -> str:
    """Bring a path into one of the ways to spell it (RFC 9309 §2.2.2, RFC 3986 §6.2.2)."""
    return quote(unquote_to_bytes(path), safe="/%*$?&=+,;:@!'()~#[]")


def _matches(pattern: str, path: str) -> bool:
    """Whether a path begins as a pattern says, in which ``*`` is anything and ``$`` at its end the end."""
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    for part in others[:-1] if pattern.endswith("$") else others:
        # The leftmost place leaves the most for the parts behind it.
        found = path.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    if not pattern.endswith("$"):
        return True
    return len(path) - at >= len(others[-1]) and path.endswith(others[-1]) if others else at == len(path)


ALLOW_ALL = Robots("")
"""The rules of a site that has none."""
