"""docs/fetch.md says what is so: its tables are the options, and its examples run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click

from plait.cli.fetch import command
from plait.cli.fetching.write_out import VARIABLES
from tests.support.fetch_options import DOCS, written
from tests.support.servers import make_certificate, serve_bookstore


def test_the_tables_are_the_options() -> None:
    text = DOCS.read_text()
    assert text == written(text), "python -m tests.support.fetch_options writes them anew"


def test_the_help_shows_every_option() -> None:
    help = command.get_help(click.Context(command))
    for one in command.params:
        if isinstance(one, click.Option):
            assert all(name in help for name in one.opts), one.opts


def test_every_variable_is_named() -> None:
    text = DOCS.read_text()
    assert [name for name in VARIABLES if f"`{name}`" not in text] == []


def test_the_examples_run(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)
    certificate = make_certificate(tmp_path)
    with serve_bookstore("--no-access-log", certificate=certificate) as server:
        script = "".join(blocks).replace("https://localhost:8443", server.url(""))
        script = script.replace("plait fetch", shlex.join([sys.executable, "-m", "plait", "fetch"]))
        done = subprocess.run(
            ["sh", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "Frankenstein" in done.stdout
    assert (tmp_path / "books").read_bytes().count(b'"title"') == 300
    assert len(list((tmp_path / "books.d").iterdir())) == 300
    assert "> HEADERS stream 1" in done.stderr
    assert "w wait" in done.stderr
    assert (tmp_path / "all.har").stat().st_size > 1000
