"""Values of declared types out of what JSON makes of them: dataclasses, named tuples, enumerations."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

__all__ = ["typed"]


def typed(kind: Any, value: Any) -> Any:
    """Make a value of a type; the types of a record need no more than this.

    Args:
        kind: A type, as an annotation has it.
        value: What JSON made of a value of that type.

    Raises:
        ValueError: It is something else.
        TypeError: Something is missing in it.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and types.NoneType in inner:
            return None
        return typed(next(one for one in inner if one is not types.NoneType), value)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _fields(kind)
        if unknown := set(value) - set(hints):
            raise ValueError(f"{kind.__name__} has no {sorted(unknown)[0]!r}")
        return kind(**{name: typed(hints[name], one) for name, one in value.items()})
    if isinstance(kind, type) and issubclass(kind, tuple):  # a NamedTuple
        return kind(*_checked(kind, value, Sequence))
    if origin is tuple:
        return tuple(typed(inner[0], one) for one in _checked(kind, value, list))
    if origin is dict:
        return {key: typed(inner[1], one) for key, one in _checked(kind, value, dict).items()}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    return _checked(kind, value, (int, float) if kind is float else kind)


def _checked(kind: Any, value: Any, wanted: Any) -> Any:
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{value!r:.60} is not what belongs here")
    return value


@cache
def _fields(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
