"""The program in examples/twisted that fetches, and what docs/twisted.md says of the agent."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.support.servers import ROOT, Certificate, serve_bookstore


def test_the_example_fetches_every_book_over_http2(certificate: Certificate) -> None:
    program = ROOT / "examples" / "twisted" / "fetch.py"
    with serve_bookstore(certificate=certificate) as running:
        done = subprocess.run(
            [sys.executable, program, running.url(""), certificate.ca],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "3000 books, over {(b'HTTP', 2, 0)}\n"


def test_every_test_that_the_documentation_of_fetching_names_exists() -> None:
    text = (ROOT / "docs" / "twisted.md").read_text().partition("\n## Fetching\n")[2].partition("\n## ")[0]
    tests = "".join(path.read_text() for path in (ROOT / "tests/integrations/twisted").glob("*.py"))
    named = re.findall(r"`(test_\w+)`", text)
    assert len(named) >= 8
    for name in named:
        assert f"def {name}(" in tests, name
