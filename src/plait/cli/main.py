"""``plait``: the command line.

Exit status: 0 success, 1 failure, 2 wrong use.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from plait._version import __version__
from plait.errors import ConfigError, PlaitError

__all__ = ["main"]

#: Each command has a module of its own, imported when it is asked for and not for the list of them.
_COMMANDS = {
    "serve": "Serve an application, or the files of a directory.",
    "bookstore": "Serve a bookstore, for tests and comparisons.",
    "fetch": "Fetch URLs, many at once, with curl's options.",
    "cert": "Make a development certificate, and tell how to trust it.",
    "compare": "Compare a site over HTTP/1.1 and over HTTP/2.",
    "report": "Draw a comparison that was kept, or two side by side.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"plait.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="plait")
@click.pass_context
def cli(context: click.Context) -> None:
    """Serve over HTTP/2, fetch with multiplexing, and measure what it buys."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


def main() -> None:
    """Run the command line; failures are one sentence on standard error."""
    try:
        status = cli.main(prog_name="plait", standalone_mode=False)
    except ConfigError as error:
        _fail(str(error), 2)
    except PlaitError as error:
        _fail(str(error), 1)
    except click.UsageError as error:
        hint = f"; see '{error.ctx.command_path} --help'" if error.ctx is not None else ""
        _fail(error.format_message().rstrip(".") + hint, 2)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        # What a command knows more about, it says itself. What is left is output that cannot be written.
        _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part), 1)
    else:
        # With standalone_mode off, click hands an exit status back instead of exiting.
        sys.exit(status if isinstance(status, int) else 0)


def _fail(sentence: str, status: int) -> None:
    print(f"plait: {sentence}", file=sys.stderr)
    sys.exit(status)
