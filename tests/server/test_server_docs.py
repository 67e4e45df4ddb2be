"""docs/server.md names every option, and the default it has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from plait.config import Limits, ServerConfig

DOCS = (Path(__file__).parents[2] / "docs" / "server.md").read_text()


@pytest.mark.parametrize("name", [one.name for one in fields(ServerConfig) if one.name != "limits"])
def test_every_option_is_in_the_docs(name: str) -> None:
    assert f"`--{name.replace('_', '-')}`" in DOCS


@pytest.mark.parametrize("one", fields(Limits), ids=lambda one: one.name)
def test_every_limit_is_in_the_docs_with_its_default(one: object) -> None:
    name = one.name.replace("_", "-")  # type: ignore[attr-defined]
    row = re.search(rf"^\| `--{name}` \| (\d+)", DOCS, re.MULTILINE)
    assert row is not None
    assert float(row[1]) == one.default  # type: ignore[attr-defined]
