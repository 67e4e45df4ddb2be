"""A file of paths, and what may stand in it."""

from __future__ import annotations

import re
from pathlib import Path
from reprlib import Repr

from plait.errors import ConfigError
from plait.lab.source import RESOURCES_LIMIT, Source
from plait.lab.workload import Resource

__all__ = ["is_path", "quoted", "read_paths"]

_QUOTED = 62  # characters

_brief = Repr()  # which does not go through everything, however deep it is

# A path and perhaps a query (RFC 9112 §3.2.1), as it goes over the wire: visible ASCII without "#".
# One that begins with two slashes would pass for a host where a client takes a relative URL (RFC 3986 §4.2).
_PATH = re.compile(r"/(?!/)[!\"$-~]*")


def is_path(text: str) -> bool:
    """Whether a text is a path, and perhaps a query, that any client sends as it is."""
    return _PATH.fullmatch(text) is not None


def quoted(text: object) -> str:
    """Quote somebody's input in a sentence, not all of it when there is much."""
    shown = repr(text) if isinstance(text, str) else _brief.repr(text)
    return shown if len(shown) <= _QUOTED else f"{shown[: _QUOTED - 2]}…{shown[-1]}"


def read_paths(file: Path) -> Source:
    """Read a file of paths, one a line; blank lines and those that begin with # are passed over.

    Args:
        file: The file, in UTF-8.

    Raises:
        ConfigError: The file cannot be read, holds no path or too many, or a line is not one.
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
        if not is_path(path):
            raise ConfigError(
                f"{file}, line {number}: {quoted(path)} is not a path such as /book?id=1 "
                f"(it begins with one / and everything but visible ASCII is percent-encoded)"
            )
        paths.append(path)
    if not paths:
        raise ConfigError(f"{file} holds no path")
    if len(paths) > RESOURCES_LIMIT:
        raise ConfigError(f"{file} holds {len(paths):,} paths, and a workload at most {RESOURCES_LIMIT:,}")
    return Source(
        name=file.name,
        resources=tuple(Resource(path=path) for path in paths),
        asked_for=frozenset(paths),
    )
