"""``plait.serve``: what ``plait serve`` does, from a program."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from plait.config import no_option
from plait.errors import ConfigError
from plait.server import run
from plait.server_config import Limits, ServerConfig

__all__ = ["configure", "serve"]


def serve(app: Any, **options: Any) -> None:
    """Serve an application until SIGINT or SIGTERM; does not return before.

    In the main thread it handles signals as ``plait serve`` does. With ``workers`` above one, an
    application given as an object is the same in every worker, by fork; one given by name is imported
    in each, so that SIGHUP loads new code.

    Args:
        app: An application, or the name of one as ``"module:app"``.
        options: Fields of ``ServerConfig`` and of ``Limits`` by name, times in seconds and sizes in
            bytes. A path may be a string, a choice its value (``http="2"``), and what takes several
            values a single one (``cert="cert.pem"``).

    Raises:
        ConfigError: There is no such option, or what one names is wrong.
        PlaitError: The address is taken, or the application failed to start.
    """
    run.serve(configure(app, **options))


def configure(app: Any, **options: Any) -> ServerConfig:
    """Make the configuration that :func:`serve` would serve with; the arguments are the same.

    Raises:
        ConfigError: There is no such option, or its value cannot be.
    """
    limits = _hints(Limits)
    others = {name: kind for name, kind in _hints(ServerConfig).items() if name not in ("app", "limits")}
    for name in options:
        if name not in limits and name not in others:
            raise no_option(name, [*others, *limits])
    return ServerConfig(
        app=app,
        limits=Limits(**_values(limits, options)),
        **_values(others, options),
    )


def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, localns={"Path": Path})
    return {one.name: hints[one.name] for one in fields(kind)}


def _values(kinds: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(name, kinds[name], value) for name, value in options.items() if name in kinds}


def _value(name: str, kind: Any, value: Any) -> Any:
    """Take the conveniences of a call for what the configuration has."""
    if kind == tuple[str, ...]:
        return (value,) if isinstance(value, str) else tuple(value)
    if kind == tuple[Path, ...]:
        return (Path(value),) if isinstance(value, str | os.PathLike) else tuple(map(Path, value))
    if kind == Path | None:
        return None if value is None else Path(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            choices = ", ".join(repr(member.value) for member in kind)
            raise ConfigError(f"{name} must be one of {choices}, not {value!r}") from None
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and type(value) is not kind:
        raise ConfigError(f"{name} must be {kind.__name__}, not {value!r}")
    return value
