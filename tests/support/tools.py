"""The programs that tests talk to: found, or the test is skipped; under CI, found or the test fails."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["require_script", "require_tool"]


def require_tool(name: str) -> str:
    """Find a program that `scripts/install-debian-packages` installs.

    Args:
        name: The command, such as ``nghttp``.

    Returns:
        Its path. Where it is missing the test is skipped, or fails when the environment says CI:
        there the program was to be installed, and a silent skip would pass for a pass.
    """
    # Debian keeps servers in /usr/sbin, which is on root's PATH only.
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if path is None:
        _do_without(f"{name} is not installed; scripts/install-debian-packages installs it")
    return path


def require_script(name: str) -> str:
    """Find a program that the test extra installs, which is beside the interpreter.

    Args:
        name: The command, such as ``hadolint``.

    Returns:
        Its path. Where it is missing, as for :func:`require_tool`.
    """
    path = Path(sys.executable).parent / name
    if not path.exists():
        _do_without(
            f"{name} is not installed; it is in plait's extra for tests, where there is a build of it"
        )
    return str(path)


def _do_without(sentence: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
