"""The file that says which process serves."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plait.errors import ConfigError

__all__ = ["pid_file"]


@contextmanager
def pid_file(path: Path | None) -> Iterator[None]:
    """Have the process id in a file while the block runs; a file left behind is replaced.

    Args:
        path: The file; None for no file.

    Raises:
        ConfigError: The file cannot be written, or something else than a file is there.
    """
    if path is None:
        yield
        return
    content = f"{os.getpid()}\n"
    try:
        _write(path, content)
    except OSError as error:
        raise ConfigError(f"cannot write --pid-file {str(path)!r}: {error.strerror}") from error
    try:
        yield
    finally:
        try:
            if path.read_text() == content:  # else it belongs to whoever came after
                path.unlink()
        except OSError:
            pass


def _write(path: Path, content: str) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISREG(mode):  # replaced by a file, /dev/null would be one for everybody
            raise ConfigError(
                f"cannot write --pid-file {str(path)!r}: it is there already, and it is no file"
            )
    # Whole or not at all: whoever reads it never sees half a number.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            new.write(content)
            new.flush()
            os.fchmod(new.fileno(), 0o644)
            os.replace(new.name, path)
        except BaseException:
            os.unlink(new.name)
            raise
