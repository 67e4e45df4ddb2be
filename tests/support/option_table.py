"""The table of options in docs/server.md, made from the code: ``python -m tests.support.option_table``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from plait.cli.configuration import OPTIONS, Option

__all__ = ["BEGIN", "DOCS", "END", "table"]

DOCS = Path(__file__).parents[2] / "docs" / "server.md"
BEGIN = "<!-- options: written by tests/support/option_table.py -->\n"
END = "<!-- end of options -->\n"


def table() -> str:
    """Return the table, one row for each option."""
    rows = ["| flag | environment | TOML | default | what it is |", "|---|---|---|---|---|"]
    for one in OPTIONS.values():
        flag = "MODULE:APP" if one.is_argument else one.flag
        help = one.field.metadata["help"].replace("|", "\\|")
        rows.append(f"| `{flag}` | `{one.variable}` | `{one.name}` | {_default(one)} | {help} |")
    return "\n".join(rows) + "\n"


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
