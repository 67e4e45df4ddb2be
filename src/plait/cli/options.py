"""Command-line flags, derived from the options that ``plait.config`` declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Any, get_type_hints

import click

from plait.config import Limits, ServerConfig

__all__ = ["server_options"]


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add every option of a server to a command, which gets them as one ``config`` argument."""

    @wraps(command)
    def configured(**values: Any) -> None:
        limits = Limits(**{one.name: values.pop(one.name) for one in fields(Limits)})
        options = {one.name: values.pop(one.name) for one in _plain(ServerConfig)}
        command(config=ServerConfig(limits=limits, **options), **values)

    decorated: Callable[..., None] = configured
    for kind in (Limits, ServerConfig):
        hints = get_type_hints(kind, localns={"Path": Path})
        for one in reversed(_plain(kind)):
            decorated = _flag(one, hints[one.name])(decorated)
    return decorated


def _plain(kind: type) -> list[Field[Any]]:
    """The fields that are options themselves, not groups of options."""
    return [one for one in fields(kind) if one.default is not MISSING and "argument" not in one.metadata]


def _flag(one: Field[Any], kind: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    name = one.name.replace("_", "-")
    shown: dict[str, Any] = {"help": one.metadata["help"], "show_default": one.default not in (None, (), "")}
    if "metavar" in one.metadata:
        shown["metavar"] = one.metadata["metavar"]
    if kind is bool:
        if one.default:
            return click.option(f"--{name}/--no-{name}", one.name, default=True, **shown)
        return click.option(f"--{name}", one.name, is_flag=True, help=one.metadata["help"])
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = click.Choice([member.value for member in kind])
        return click.option(
            f"--{name}",
            one.name,
            type=choices,
            default=one.default.value,
            callback=lambda ctx, param, value: kind(value),
            **shown,
        )
    if kind == tuple[str, ...]:
        return click.option(f"--{name}", one.name, multiple=True, **shown)
    if kind == tuple[Path, ...]:
        return click.option(f"--{name}", one.name, type=click.Path(path_type=Path), multiple=True, **shown)
    if kind == Path | None:
        return click.option(f"--{name}", one.name, type=click.Path(path_type=Path), default=None, **shown)
    return click.option(f"--{name}", one.name, type=kind, default=one.default, **shown)
