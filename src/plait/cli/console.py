"""What commands of the lab share: where they print, and files that are written at the end of long work."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from plait.errors import ConfigError, PlaitError

__all__ = ["console", "say", "writable", "write_file"]

PIPE_WIDTH = 10_000
"""Wider than any sentence: who reads a pipe wraps lines himself, or looks for words in them."""


def console() -> Console:
    """Return what results are printed on."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def say(sentence: str) -> None:
    """Tell the user something that is not the result."""
    click.echo(f"plait: {sentence}", err=True)


@contextmanager
def writable(*files: Path | None) -> Iterator[None]:
    """See to it that files can be written, before minutes are spent on what goes into them.

    Raises:
        ConfigError: One cannot.
    """
    made = []
    try:
        for file in files:
            if file is not None:
                existed = file.exists()
                try:
                    file.open("a").close()
                except OSError as error:
                    raise ConfigError(f"cannot write {file}: {error.strerror}") from error
                if not existed:
                    made.append(file)
        yield
    except BaseException:
        for file in made:
            # What was written before something else failed is the user's.
            if file.stat().st_size == 0:
                file.unlink()
        raise


def write_file(file: Path, text: str) -> None:
    """Write a result, compressed when the file's name ends in .gz.

    Raises:
        PlaitError: It cannot be written.
    """
    try:
        data = text.encode()
        # Without a time of writing, so that the same samples are the same file.
        file.write_bytes(gzip.compress(data, mtime=0) if file.suffix == ".gz" else data)
    except OSError as error:
        raise PlaitError(f"cannot write {file}: {error.strerror}") from error
