"""The books a bookstore serves, each encoded once, when the catalogue is made.

A catalogue file is a JSON object keyed by id ("1", "2", ...); each value is an object of strings or
numbers with at least ``title`` and ``author``. A file that breaks the shape is refused with the line
that breaks it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from plait.errors import ConfigError

__all__ = ["Book", "Catalogue", "Fields", "load"]

Fields: TypeAlias = Mapping[str, str | int | float]

REQUIRED = ("title", "author")

# Fifteen digits: every JSON reader holds such a number exactly (RFC 8259 §6).
_ID = re.compile(r"[1-9][0-9]{0,14}")
_WHITESPACE = re.compile(r"[ \t\n\r]*")
# json's own messages expect a position to follow; ours stands in front of them.
_DANGLING = re.compile(r"( starting)? at$|:? *$")


# ASCII escapes, because a string read from JSON may hold a lone surrogate.
_encode = json.JSONEncoder(allow_nan=False).encode


class Book(NamedTuple):
    """One book.

    Attributes:
        id: A positive integer.
        fields: What is known of it, in the order it was given.
        json: The fields, encoded.
    """

    id: int
    fields: Fields
    json: bytes

    @classmethod
    def from_fields(cls, id: int, fields: Fields) -> Book:
        """Make a book, encoding its fields."""
        return cls(id, fields, _encode(fields).encode("ascii"))


class Catalogue:
    """Books by id, in the order they were given.

    Attributes:
        ids: Every id.
        ids_json: The same, encoded as a JSON array of integers.
    """

    __slots__ = ("_books", "ids", "ids_json")

    def __init__(self, books: Iterable[Book]) -> None:
        self._books = {book.id: book for book in books}
        self.ids = tuple(self._books)
        self.ids_json = json.dumps(self.ids).encode("ascii")

    def get(self, id: int) -> Book | None:
        """Look one book up; None when there is no such id."""
        return self._books.get(id)

    def __iter__(self) -> Iterator[Book]:
        return iter(self._books.values())

    def __len__(self) -> int:
        return len(self._books)


def load(path: Path) -> Catalogue:
    """Read a catalogue from a JSON file.

    Args:
        path: The file, in UTF-8.

    Raises:
        ConfigError: The file cannot be read or breaks the shape; the message names the line.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
        return Catalogue(_books(text))
    except OSError as error:
        raise ConfigError(f"cannot read the catalogue {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: byte {data[error.start]:#04x} is not UTF-8") from None
    except json.JSONDecodeError as error:
        what = _DANGLING.sub("", error.msg)
        what = what[:1].lower() + what[1:]
        raise ConfigError(f"{path}, line {error.lineno}, column {error.colno}: {what}") from None


def _books(text: str) -> Iterator[Book]:
    """Check and encode every book; raises JSONDecodeError at what is wrong, and nothing else."""
    start = _skip(text, 0)
    if not text.startswith("{", start):
        raise json.JSONDecodeError("a catalogue is an object of books keyed by id", text, start)
    last = start
    for key, at, fields, value_at, end in _members(text, start, locate=True):
        last = end
        if not _ID.fullmatch(key):
            raise json.JSONDecodeError(
                f"{_brief(key)} is not an id, which is a positive integer of up to 15 digits", text, at
            )
        if type(fields) is not dict:
            raise json.JSONDecodeError(f"book {key} is not an object", text, value_at)
        for name, value in fields.items():
            if type(value) is not str and not _is_number(value):
                raise json.JSONDecodeError(
                    f"the {_brief(name)} of book {key} is neither a string nor a number",
                    text,
                    _position_of(name, text, value_at),
                )
        for name in REQUIRED:
            if fields.get(name, "") == "":
                raise json.JSONDecodeError(f"book {key} has no {name}", text, at)
        yield Book.from_fields(int(key), fields)
    if last == start:
        raise json.JSONDecodeError("a catalogue needs at least one book", text, start)
    rest = _skip(text, _skip(text, last) + 1)
    if rest < len(text):
        raise json.JSONDecodeError("nothing may follow the closing brace", text, rest)


def _members(text: str, start: int, locate: bool = False) -> Iterator[tuple[str, int, Any, int, int]]:
    """Read one JSON object member by member, so that each one's place in the text is known.

    Args:
        text: The whole text, for positions.
        start: The index of the opening brace.
        locate: Whether to look for what is wrong inside a value, if that is an object.

    Yields:
        The name, its index, the value, its index, and the index behind the value.

    Raises:
        json.JSONDecodeError: At the character that is wrong.
    """
    seen = set()
    at = _skip(text, start + 1)
    if text.startswith("}", at):
        return
    while True:
        if not text.startswith('"', at):
            raise json.JSONDecodeError("expecting a name in double quotes", text, at)
        name, end = _decode(text, at)
        if name in seen:
            raise json.JSONDecodeError(f"{_brief(name)} is given twice", text, at)
        seen.add(name)
        end = _skip(text, end)
        if not text.startswith(":", end):
            raise json.JSONDecodeError(f"expecting ':' after {_brief(name)}", text, end)
        value_at = _skip(text, end + 1)
        value, end = _decode(text, value_at, locate)
        yield name, at, value, value_at, end
        end = _skip(text, end)
        if text.startswith("}", end):
            return
        if not text.startswith(",", end):
            raise json.JSONDecodeError(f"expecting ',' or '}}' after the value of {_brief(name)}", text, end)
        at = _skip(text, end + 1)


def _decode(text: str, at: int, locate: bool = False) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("the value is nested too deeply", text, at) from None
    except ValueError as error:
        # Our hooks, which raise this, know no positions; going member by member finds the one at fault.
        if locate and text.startswith("{", at):
            for _ in _members(text, at):
                pass
        raise json.JSONDecodeError(str(error), text, at) from None


def _skip(text: str, at: int) -> int:
    return _WHITESPACE.match(text, at).end()  # type: ignore[union-attr]  # it also matches nothing


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _position_of(name: str, text: str, start: int) -> int:
    return next(value_at for found, _, _, value_at, _ in _members(text, start) if found == name)


def _brief(name: str) -> str:
    return ascii(name if len(name) <= 40 else name[:37] + "...")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"the value {name} is not JSON")


def _int(digits: str) -> int:
    if len(digits) > 4000:  # Python refuses to print more than 4,300
        raise ValueError("the number is too long")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is given twice")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_int)
