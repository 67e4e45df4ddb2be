"""`plait bookstore` as a user starts it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.servers import plait


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{\n"1": {"title": "Dune"}}', "{file}, line 2, column 1: book 1 has no author"),
        (None, "cannot read the catalogue {file}: No such file or directory"),
    ],
)
def test_a_catalogue_it_cannot_serve_is_one_sentence_and_status_2(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    file = tmp_path / "books.json"
    if content is not None:
        file.write_text(content)
    done = subprocess.run(
        plait("bookstore", "--catalogue", file), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (2, f"plait: {reason.format(file=file)}\n")


def test_what_application_to_serve_is_not_for_the_bookstore(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.plait]\napp = "site:app"\nstatic = "."\n')
    flag = subprocess.run(
        plait("bookstore", "--static", "."), capture_output=True, text=True, timeout=60, check=False
    )
    file = subprocess.run(
        plait("bookstore", "--print-config"),
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert flag.returncode == 2
    assert "No such option '--static'" in flag.stderr
    assert "site:app" not in file.stdout
    assert file.returncode == 0
