"""What is crawled: paths, and the digest of what each must answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.bookstore.catalogue import Catalogue
from plait.errors import ConfigError, PlaitError
from plait.lab.contenders import digest
from plait.lab.target import Target, fetch

__all__ = ["Index", "Scenario", "bookstore_scenario", "paths_scenario", "read_paths"]

# A path and perhaps a query (RFC 9112 §3.2.1), as it goes over the wire: visible ASCII without "#".
_PATH = re.compile(r"/[!\"$-~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A path that answers a JSON array of ids, and the pattern of the path of each.

    Attributes:
        path: Where the ids are.
        item: Where one of them is, with ``{}`` in its place.
    """

    path: str
    item: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What every contender fetches.

    Attributes:
        name: For the record.
        index: Where the crawl begins when it has to find out the paths; None when it is given them.
        paths: Every path a crawl fetches, the index included.
        expected: The digest of the answer of each.
    """

    name: str
    index: Index | None
    paths: tuple[str, ...]
    expected: dict[str, str]

    def job(self) -> dict[str, Any]:
        """Say what to fetch, in the form a crawler reads."""
        if self.index is None:
            return {"index": None, "paths": self.paths}
        return {"index": {"path": self.index.path, "item": self.index.item}, "paths": []}

    def fault(self, received: Iterable[Sequence[str]]) -> str | None:
        """Judge a crawl by what it received.

        Args:
            received: Path and digest of each response, in any order.

        Returns:
            One sentence on what is wrong; None when every response is there and as expected.
        """
        answers = [(path, digest) for path, digest in received]
        lost = Counter(self.paths) - Counter(path for path, _ in answers)
        if lost:
            return f"lost {_several(list(lost.elements()), len(self.paths))}"
        wrong = [path for path, found in answers if self.expected.get(path) != found]
        if wrong:
            return f"received something else than expected for {_several(wrong, len(self.paths))}"
        if len(answers) > len(self.paths):
            return f"received {len(answers):,} responses where {len(self.paths):,} were asked for"
        return None


def _several(paths: list[str], total: int) -> str:
    shown = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
    return f"{len(paths):,} of {total:,} responses ({shown})"


def read_paths(file: Path) -> tuple[str, ...]:
    """Read a file of paths, one a line; blank lines and those that begin with # are passed over.

    Raises:
        ConfigError: The file cannot be read, holds no path, or a line is not one.
    """
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not text: {error}") from error
    paths = []
    for number, line in enumerate(text.split("\n"), 1):
        path = line.strip()
        if not path or path.startswith("#"):
            continue
        if not _PATH.fullmatch(path):
            raise ConfigError(
                f"{file}, line {number}: {_quoted(path)} is not a path such as /book?id=1 "
                f"(it begins with / and everything but visible ASCII is percent-encoded)"
            )
        paths.append(path)
    if not paths:
        raise ConfigError(f"{file} holds no path")
    return tuple(paths)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")


def bookstore_scenario(catalogue: Catalogue) -> Scenario:
    """Prepare the crawl of a bookstore: its ids first, then each book.

    Args:
        catalogue: The books it serves; what the crawlers receive is compared with them, and not with
            another answer of the same server.
    """
    contents = {"/": catalogue.ids_json} | {f"/book?id={book.id}": book.json for book in catalogue}
    return Scenario(
        name="bookstore",
        index=Index(path="/", item="/book?id={}"),
        paths=tuple(contents),
        expected={path: digest(200, content) for path, content in contents.items()},
    )


def paths_scenario(target: Target, paths: Sequence[str], versions: frozenset[str]) -> Scenario:
    """Prepare the crawl of given paths, fetching each once to know what to expect.

    Raises:
        PlaitError: The server fails, or answers one of them with an error.
    """
    expected = {}
    for path, status, content in fetch(target, dict.fromkeys(paths), versions):
        if status >= 400:
            raise PlaitError(f"{target.base_url}{path} answers {status}: there is nothing to compare")
        expected[path] = digest(status, content)
    return Scenario(name=target.base_url, index=None, paths=tuple(paths), expected=expected)
