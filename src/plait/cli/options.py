"""Command-line flags, derived from the options that ``plait.server_config`` declares."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from plait.cli.configuration import OPTIONS, Option, Setting, build, gather, render

__all__ = ["ServerCommand", "server_options"]

#: Columns that the help is set in at the most, in a terminal that has them.
_HELP_WIDTH = 110
#: What a value is called in the help, where its option has no name of its own for it.
_METAVARS: dict[Any, str] = {int: "N", float: "SECONDS"}


class ServerCommand(click.Command):
    """A command with the options of a server, which its help shows under their headings."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.context_settings["max_content_width"] = _HELP_WIDTH

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command has beside a server's options first."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx) if isinstance(one, click.Option) else None
            if record is not None:
                option = OPTIONS.get(one.name or "")
                groups.setdefault(option.heading if option else "Options", []).append(record)
        own = groups.pop("Options")
        for heading, records in {"Options": own, **groups}.items():
            with formatter.section(click.style(heading, bold=True)):
                formatter.write_dl(records)


class _Switch(click.Option):
    """A flag that can be said both ways, in half the room that click's help has for it."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return f"--[no-]{self.opts[0][2:]}", f"{self.help}{'  [default: on]' if self.default else ''}"


def server_options(*, leave_out: str = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of a server to a command, which gets them as one ``config`` argument.

    What no flag says, the environment or a file may (see :mod:`plait.cli.configuration`).

    Args:
        leave_out: A heading whose options keep their defaults, whatever is said anywhere.
    """
    offered = {name: one for name, one in OPTIONS.items() if one.heading != leave_out}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def configured(config_file: Path | None, print_config: bool, **values: Any) -> None:
            context = click.get_current_context()
            flags = {}
            for name in offered.keys() & values.keys():
                value = values.pop(name)
                if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                    flags[name] = value
            settings = gather(flags, os.environ, config_file, Path())
            settings |= {
                name: Setting(one.field.default, "default")
                for name, one in OPTIONS.items()
                if name not in offered
            }
            config = build(settings)
            if print_config:
                click.echo(render(settings), nl=False)
            else:
                command(config=config, **values)

        decorated: Callable[..., None] = configured
        for one in reversed(offered.values()):
            if not one.is_argument:
                decorated = _flag(one)(decorated)
        return _of_configuration(decorated)

    return decorate


def _of_configuration(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option(
        "--print-config", is_flag=True, help="Print the configuration as TOML, with the origin of each value."
    )(command)
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Read options from this TOML file instead of [tool.plait] in pyproject.toml.",
    )(command)


def _flag(one: Option) -> Callable[[Callable[..., None]], Callable[..., None]]:
    default = one.field.default
    names = [one.flag, one.name]
    given: dict[str, Any] = {
        "help": one.field.metadata["help"],
        "default": default,
        "show_default": default not in (None, (), "", False) or type(default) is float,
        "metavar": one.field.metadata.get("metavar", _METAVARS.get(one.kind)),
    }
    if one.kind is bool:
        # Both ways, since a file or the environment may say the other.
        names[0] = f"{one.flag}/--no-{one.flag[2:]}"
        given["cls"] = _Switch
    elif one.choices:
        given["type"] = click.Choice(one.choices)
        given["default"] = default.value
        given["callback"] = lambda ctx, param, value: one.kind(value)
    elif one.is_list or one.is_path:
        given["type"] = click.Path(path_type=Path) if one.is_path else str
        given["multiple"] = one.is_list
    else:
        given["type"] = one.kind
    return click.option(*names, **given)
