"""Every example in the README and in docs/ runs, or at least says what the program takes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from plait.cli.main import cli
from tests.support.servers import (
    ROOT,
    Certificate,
    RunningServer,
    make_certificate,
    serve_app,
    serve_bookstore,
)
from tests.support.tools import require_tool

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(plait [^`]+)`")


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each code block in one of the languages."""
    for page in PAGES:
        text = page.read_text()
        for found in BLOCK.finditer(text):
            if found[1] in languages:
                yield f"{page.name}:{text.count(chr(10), 0, found.start()) + 2}", found[2]


def commands() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each command line of plait."""
    for place, block in blocks("sh", "console", ""):
        for line in block.splitlines():
            line = line.removeprefix("$ ")
            if line.startswith("plait "):
                yield place, line.partition(" #")[0]
    for page in PAGES:
        for found in INLINE.finditer(BLOCK.sub("", page.read_text())):
            yield page.name, " ".join(found[1].split())


PROGRAM = re.compile(r"import plait|from plait\.integrations\.(httpx2?|requests|locust) import").search
PROGRAMS = [block for block in blocks("python") if PROGRAM(block[1])]
APPLICATIONS = [block for block in blocks("python") if "async def app(" in block[1]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def bookstore(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the bookstore that the examples fetch from."""
    with serve_bookstore(certificate=certificate) as running:
        yield running


@pytest.mark.parametrize("block", [block for _, block in PROGRAMS], ids=[place for place, _ in PROGRAMS])
def test_an_example_that_fetches_runs(
    block: str, bookstore: RunningServer, certificate: Certificate, tmp_path: Path
) -> None:
    program = block.replace("https://localhost:8443", bookstore.url("")).replace(
        "ca.pem", str(certificate.ca)
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "block",
    [*(block for _, block in APPLICATIONS), (ROOT / "examples" / "hello.py").read_text()],
    ids=[*(place for place, _ in APPLICATIONS), "examples/hello.py"],
)
def test_an_example_that_serves_runs(block: str, certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(block)

    with serve_app("hello:app", certificate=certificate, app_dir=tmp_path) as server:
        done = subprocess.run(
            [require_tool("curl"), "--silent", "--show-error", "--cacert", certificate.ca, server.url()],
            capture_output=True, text=True, check=True,
        )  # fmt: skip

    assert "HTTP/2" in done.stdout


@pytest.mark.parametrize(("place", "line"), sorted(set(commands())))
def test_a_command_line_names_only_what_the_command_takes(place: str, line: str) -> None:
    _, *words = shlex.split(line)
    context = click.Context(cli)
    if words[0].startswith("-"):
        return
    command = cli.get_command(context, words[0])
    assert command is not None, f"{place}: plait has no command {words[0]}"

    known = {
        name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)
    }
    named = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
    assert named <= known, f"{place}: {line}"
