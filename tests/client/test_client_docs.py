"""The pages on the client name every option of it, with its default, and every error."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from plait import errors
from plait.client.options import RequestOptions
from plait.client.websocket_handshake import WebSocketOptions
from plait.config import ClientConfig

PAGES = Path(__file__).parents[2] / "docs"
DOCS = (PAGES / "client.md").read_text()
WEBSOCKET = (PAGES / "client-websocket.md").read_text()
#: Errors that are what others in the table have in common, or that no client raises.
BESIDE = {"PlaitError", "ProtocolError", "RemoteProtocolError", "ExchangeError", "Timeout"}


def first_cells(page: str) -> set[str]:
    """Return all names in the first columns of a page's tables."""
    cells = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def shown(default: Any) -> str:
    """Return what the table has for a default that is not None."""
    if isinstance(default, Enum):
        return f'`"{default.value}"`'
    return f"`{default}`" if isinstance(default, bool) else f"{default:.0f}"


@pytest.mark.parametrize("one", fields(ClientConfig), ids=lambda one: one.name)
def test_every_option_of_a_client_is_in_the_docs_with_its_default(one: Any) -> None:
    row = re.search(rf"^\| `{one.name}` \| ([^|]+) \|", DOCS.partition("## Options")[2], re.MULTILINE)

    assert row is not None
    assert one.default is None or row[1] == shown(one.default)


@pytest.mark.parametrize("name", RequestOptions.__annotations__)
def test_every_option_of_a_request_is_in_the_docs(name: str) -> None:
    assert name in first_cells(DOCS.partition("## One request")[2].partition("A response has")[0])


@pytest.mark.parametrize("name", WebSocketOptions.__annotations__)
def test_every_option_of_a_websocket_is_in_the_docs(name: str) -> None:
    assert name in first_cells(WEBSOCKET)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.PlaitError) and name not in BESIDE
    ],
)
def test_every_error_of_a_client_is_in_the_docs(name: str) -> None:
    assert name in first_cells(DOCS.partition("## When something goes wrong")[2])
