"""Fields that a user adds to every request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from plait.errors import ConfigError, LocalProtocolError
from plait.fields import outbound_fields
from plait.lab.paths import quoted

__all__ = ["Headers", "merged", "read_header"]

Headers: TypeAlias = tuple[tuple[str, str], ...]


def read_header(line: str) -> tuple[str, str]:
    """Read a line such as ``cookie: a=b``.

    Raises:
        ConfigError: It is not one.
    """
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise ConfigError(f"--header {quoted(line)} is not a line such as 'cookie: a=b'")
    return name.strip().lower(), value.strip()


def merged(own: Sequence[tuple[str, str]], given: Headers) -> Headers:
    """Put what the user asks for in the place of what every request has.

    Args:
        own: What every request has.
        given: What the user asks for, with names in lower-case.

    Raises:
        ConfigError: HTTP cannot carry it.
    """
    try:
        outbound_fields([(name.encode("ascii"), value.encode("latin-1")) for name, value in given])
    except UnicodeEncodeError as error:
        raise ConfigError(f"{quoted(error.object)} is not text that a header can carry") from error
    except LocalProtocolError as error:
        raise ConfigError(str(error)) from error
    names = {name for name, _ in given}
    return (*(field for field in own if field[0] not in names), *given)
