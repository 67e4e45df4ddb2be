"""``benchmarks.kill`` in small: it fails by itself when a request is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.servers import ROOT
from tests.support.tools import require_tool


@pytest.mark.skipif(sys.platform != "linux", reason="it finds workers in /proc")
def test_reloads_kills_and_the_end_lose_nothing_that_was_accepted() -> None:
    require_tool("h2load")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kill", "--times", "3"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
