"""docs/fetch.md says what is so: its tables are the options, and its examples run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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


def run(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-eu", "-c", script], cwd=directory, capture_output=True, text=True, check=False
    )


def test_the_examples_run(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)
    certificate = make_certificate(tmp_path)
    with serve_bookstore("--no-access-log", certificate=certificate) as server:
        fetch = shlex.join([sys.executable, "-m", "plait", "fetch"])
        scripts = [
            one.replace("https://localhost:8443", server.url("")).replace("plait fetch", fetch)
            for one in blocks
        ]
        with ThreadPoolExecutor() as threads:
            done = list(threads.map(partial(run, directory=tmp_path), scripts))
    stderr = "".join(one.stderr for one in done)
    assert [one.returncode for one in done] == [0] * len(blocks), stderr
    assert "Frankenstein" in done[0].stdout
    assert (tmp_path / "books").read_bytes().count(b'"title"') == 300
    assert len(list((tmp_path / "books.d").iterdir())) == 300
    assert "> HEADERS stream 1" in stderr
    assert "w wait" in stderr
    assert (tmp_path / "all.har").stat().st_size > 1000
