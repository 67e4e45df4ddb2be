"""The benchmarks run: in small, and whatever their figures."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.servers import ROOT
from tests.support.tools import require_tool


@pytest.mark.parametrize(
    ("arguments", "figures", "tools"),
    [
        (["server_cpu", "--requests", "5000", "--rounds", "1"], 3, ["h2load", "nghttpd"]),
        (["twisted_site", "--requests", "1000", "--rounds", "1"], 2, ["h2load"]),
        (["crawl", "--rounds", "1", "--books", "200"], 3, []),
        (["experiment", "--rounds", "1", "--books", "300"], 2, []),
        (["twisted_crawl", "--rounds", "1", "--books", "300"], 2, []),
        (["integrations", "--rounds", "1", "--books", "100"], 6, []),
        (["locust_users", "--rounds", "1", "--users", "4", "--requests", "40"], 2, []),
        (["websocket_clients", "--rounds", "1", "--messages", "200"], 8, []),
    ],
    ids=[
        "server_cpu",
        "twisted_site",
        "crawl",
        "experiment",
        "twisted_crawl",
        "integrations",
        "locust_users",
        "websocket_clients",
    ],
)
def test_a_benchmark_prints_its_ratios(arguments: list[str], figures: int, tools: list[str]) -> None:
    for tool in tools:
        require_tool(tool)
    name, *options = arguments

    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *options],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("x plait") == figures, done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="it reads its memory in /proc")
def test_a_short_soak_loses_nothing_and_leaves_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--exchanges", "20000"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stderr == "", done.stdout
    # Whether memory is flat a million exchanges tell, and not these.
    assert done.stdout.count("; 0 wrong\n") == 2, done.stdout
    assert "left behind" not in done.stdout
