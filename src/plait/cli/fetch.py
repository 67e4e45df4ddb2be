"""``plait fetch``: URLs, many at once, with curl's options."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import click

from plait.cli.fetching.options import Given, fetch_options
from plait.errors import ConfigError

__all__ = ["command"]

_HELP_WIDTH = 110
_HEADINGS = {one.name: one.metadata.get("heading", "") for one in dataclasses.fields(Given)}
_ORDER = "plait.order"


class _Fetch(click.Command):
    """Keeps the order in which options came, and shows their help under headings."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.context_settings["max_content_width"] = _HELP_WIDTH

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        values, _, named = self.make_parser(ctx).parse_args(list(args))
        taken: Counter[str] = Counter()
        order = []
        for one in named:
            name = one.name or ""
            given = values.get(name)
            if isinstance(given, list):
                given = given[taken[name]]
                taken[name] += 1
            order.append((name, given))
        ctx.meta[_ORDER] = tuple(order)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        heading = ""
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx) if isinstance(one, click.Option) else None
            if record is not None:
                heading = _HEADINGS.get(one.name or "") or heading
                groups.setdefault("What is said" if one.name == "help" else heading, []).append(record)
        for title, records in groups.items():
            with formatter.section(click.style(title, bold=True)):
                formatter.write_dl(records)


@click.command("fetch", cls=_Fetch)
@click.argument("urls", nargs=-1, metavar="URL...")
@fetch_options
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> int:
    """Fetch URLs, all at the same time, and write what they say in their order.

    The options are those of curl. {a,b} and [1-100] in a URL stand for several URLs.
    """
    given = Given(order=ctx.meta[_ORDER], **values)
    for text in (given.user, given.proxy_user, given.passphrase, *given.form, *given.form_string):
        if text is not None and not text.isprintable() and any("\udc80" <= one <= "\udcff" for one in text):
            raise ConfigError(f"{text!r} is not text in UTF-8")
    if not given.urls and given.paths is None:
        raise click.UsageError("missing argument URL", ctx)
    if given.paths is not None and len(given.urls) > 1:
        raise ConfigError("--paths takes one URL at most, which its lines continue")
    from plait.cli.fetching.run import run

    return run(given)
