from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from plait.cli.cert import command
from plait.errors import ConfigError


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)


def test_it_says_where_the_files_are_and_how_each_client_trusts_them(tmp_path: Path) -> None:
    directory = tmp_path / "my certificates"
    result = run("--out", directory, "books.test")
    assert result.exit_code == 0
    assert result.output.startswith("Made a local authority and a certificate.\n")
    for name in ("ca.pem", "cert.pem", "key.pem"):
        assert (directory / name).exists()
        assert f" {directory / name}" in result.output
    assert "names        localhost 127.0.0.1 ::1 books.test\n" in result.output
    for client in ("curl", "requests", "plait", "Chromium", "Debian", "macOS", "Windows"):
        (line,) = [line for line in result.output.splitlines() if line.startswith(f"{client}  ")]
        assert str(directory / "ca.pem") in shlex.split(line) or f"verify='{directory / 'ca.pem'}'" in line


def test_paths_in_the_help_hold_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    help_text = run("--out", "here").output.split("How to trust it:")[1]
    assert help_text.count("ca.pem") == help_text.count(f"{tmp_path}/here/ca.pem")


def test_run_again_it_changes_nothing(tmp_path: Path) -> None:
    run("--out", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert run("--out", tmp_path).output.startswith("Everything is there already.\n")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_run_with_a_new_name_it_keeps_the_authority(tmp_path: Path) -> None:
    run("--out", tmp_path)
    authority = (tmp_path / "ca.pem").read_bytes()
    result = run("--out", tmp_path, "books.test")
    assert result.output.startswith("Made a new certificate, by the authority that was there.\n")
    assert (tmp_path / "ca.pem").read_bytes() == authority


def test_with_force_it_starts_over_and_says_to_trust_the_new_authority(tmp_path: Path) -> None:
    run("--out", tmp_path)
    authority = (tmp_path / "ca.pem").read_bytes()
    assert "trust this one instead" in run("--out", tmp_path, "--force").output
    assert (tmp_path / "ca.pem").read_bytes() != authority


def test_it_never_writes_over_a_file_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("precious")
    with pytest.raises(ConfigError, match="was not made by plait cert"):
        run("--out", tmp_path)
    assert (tmp_path / "cert.pem").read_text() == "precious"


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'a b' is neither a host name nor an IP address"):
        run("--out", tmp_path, "a b")
