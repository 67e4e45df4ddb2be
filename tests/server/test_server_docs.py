"""docs/server.md names every option, and the default it has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from plait.server_config import Limits
from tests.support import option_table

DOCS = (Path(__file__).parents[2] / "docs" / "server.md").read_text()


def test_the_table_of_options_is_the_codes() -> None:
    written = DOCS.partition(option_table.BEGIN)[2].partition(option_table.END)[0]
    assert written == option_table.table(), "python -m tests.support.option_table writes it anew"


@pytest.mark.parametrize("one", fields(Limits), ids=lambda one: one.name)
def test_every_limit_is_in_the_docs_with_its_default(one: object) -> None:
    name = one.name.replace("_", "-")  # type: ignore[attr-defined]
    row = re.search(rf"^\| `--{name}` \| (\d+)", DOCS, re.MULTILINE)
    assert row is not None
    assert float(row[1]) == one.default  # type: ignore[attr-defined]
