"""The tables of options in docs/fetch.md, made from the code: ``python -m tests.support.fetch_options``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from plait.cli.fetching.options import Given

__all__ = ["DOCS", "written"]

DOCS = Path(__file__).parents[2] / "docs" / "fetch.md"
_BEGIN = "<!-- options: written by tests/support/fetch_options.py -->\n"
_END = "<!-- end of options -->\n"


def written(text: str) -> str:
    """Return the page with its tables made anew."""
    before, _, rest = text.partition(_BEGIN)
    return before + _BEGIN + _table() + _END + rest.partition(_END)[2]


def _table() -> str:
    rows: list[str] = []
    for one in dataclasses.fields(Given):
        if "names" not in one.metadata:
            continue
        if heading := one.metadata["heading"]:
            rows += ["", f"**{heading}**", "", "| option | what it is |", "|---|---|"]
        says = one.metadata["click"]
        value = says.get("metavar", "").replace("|", "\\|")
        names = ", ".join(f"`{name}`" for name in one.metadata["names"])
        default = f" By default {says['default']:g}." if says.get("show_default") else ""
        help = says["help"].replace("|", "\\|")
        rows.append(f"| {names}{f' {value}' if value else ''} | {help}{default} |")
    return "\n".join(rows[1:]) + "\n"


if __name__ == "__main__":
    DOCS.write_text(written(DOCS.read_text()))
