"""The tables of options in docs/server.md, made from the code: ``python -m tests.support.option_table``."""

from __future__ import annotations

from enum import Enum
from itertools import groupby
from pathlib import Path

from plait.cli.configuration import OPTIONS, Option

__all__ = ["BEGIN", "DOCS", "END", "table"]

DOCS = Path(__file__).parents[2] / "docs" / "server.md"
BEGIN = "<!-- options: written by tests/support/option_table.py -->\n"
END = "<!-- end of options -->\n"


def table() -> str:
    """Return a table for each heading, with one row for each option."""
    rows: list[str] = []
    for heading, options in groupby(OPTIONS.values(), lambda one: one.heading):
        rows += ["", f"**{heading}**", "", "| flag | default | what it is |", "|---|---|---|"]
        for one in options:
            flag = "MODULE:APP" if one.is_argument else one.flag
            rows.append(f"| `{flag}` | {_default(one)} | {_help(one)} |")
    return "\n".join(rows[1:]) + "\n"


def _help(one: Option) -> str:
    help: str = one.field.metadata["help"].replace("|", "\\|")
    if one.choices:
        *others, last = one.choices
        help = f"{help.removesuffix('.')}: {', '.join(others)} or {last}."
    return help


def _default(one: Option) -> str:
    value = one.field.default
    if value in (None, (), ""):
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Enum):
        value = value.value
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    text = DOCS.read_text()
    before, _, rest = text.partition(BEGIN)
    DOCS.write_text(before + BEGIN + table() + END + rest.partition(END)[2])
