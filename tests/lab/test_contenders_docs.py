"""docs/contenders.md: its table names every contender, and its example takes part."""

from __future__ import annotations

import re
from pathlib import Path

from plait.lab.contenders.registry import default_names, names
from tests.support.lab_app import answer
from tests.support.loads import Wanted, received, run_load
from tests.support.servers import ROOT, make_certificate, serve_app

DOCS = (ROOT / "docs" / "contenders.md").read_text()


def test_the_table_names_every_contender() -> None:
    table = DOCS.partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    listed = [
        "h1xN" if name in ("h1x1", "h1x6") else name for row in rows for name in re.findall("`(.+?)`", row)
    ]
    assert sorted(set(listed)) == sorted(names())


def test_the_defaults_are_those_that_the_page_names() -> None:
    paragraph = next(part for part in DOCS.split("\n\n") if "take part unless you choose others" in part)
    named = re.findall(r"`(h[12][\w-]*)`", paragraph.replace("h1xN", "h1x100"))
    assert named == list(default_names(100))


def test_the_example_takes_part(tmp_path: Path) -> None:
    example = re.search(r"^```python\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    assert example is not None
    (tmp_path / "mine.py").write_text(example[1])
    certificate = make_certificate(tmp_path)
    graph: list[Wanted] = [("/0", "data", None, 0.0), ("/1", "data", 0, 0.01), ("/gzip", "data", 0, 0.0)]
    with serve_app("lab_app:app", "--no-access-log", certificate=certificate) as server:
        result = run_load("mine:Stdlib", server.url(""), graph, cafile=str(certificate.ca), path=tmp_path)
    assert result["failure"] is None
    assert sorted(result["received"]) == received([answer(path) for path, *_ in graph])
    assert (result["connections"], len(result["latencies"]), result["timeline"]) == (1, 3, None)
