"""``--reload``: a source file changes, and the application is another."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from plait.errors import ConfigError
from plait.server import serve
from plait.server_config import ServerConfig
from tests.support.workshop import until, workshop

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def test_a_change_is_served_and_a_syntax_error_waits_for_the_next_change(tmp_path: Path) -> None:
    with workshop(tmp_path, "--reload") as server:
        first, version = server.get()
        assert version == "one"
        code = server.app.read_text()
        server.app.write_text(code.replace('"one"', '"second"'))
        until(lambda: server.get()[1] == "second", server.output)
        assert server.get()[0] != first
        until(lambda: server.lives("down") == [first], server.output)
        server.app.write_text(code + "\nthis is no Python\n")
        server.says("importing 'workshop' failed: invalid syntax")
        server.says("waiting for a change")
        server.app.write_text(code.replace('"one"', '"mended"'))
        until(lambda: server.get()[1] == "mended", server.output)
        assert server.output().count("plait: serving") == 1
        assert server.output().count("invalid syntax") == 1
        assert server.end() == 0


def test_an_application_that_cannot_start_is_mended_without_a_restart(tmp_path: Path) -> None:
    with workshop(tmp_path, "--reload", ready="") as server:
        code = server.app.read_text()
        server.says("serving")
        assert server.end() == 0
    (tmp_path / "workshop.py").write_text("app = 7\n")
    with workshop(tmp_path, "--reload", ready="waiting for a change") as server:
        assert "'workshop:app'" in server.output()
        server.app.write_text(code)
        server.says("plait: serving")
        assert server.get()[1] == "one"
        assert server.end() == 0


def test_other_directories_are_watched_when_named(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "settings").mkdir()
    with workshop(tmp_path / "app", "--reload", "--reload-dir", tmp_path / "settings") as server:
        (tmp_path / "settings" / "text.txt").write_text("no source")
        (tmp_path / "settings" / "site.toml").write_text("a = 1")
        until(lambda: len(server.lives("up")) == 2, server.output)
        assert "site.toml changed: starting anew" in server.output()
        assert "text.txt" not in server.output()
        assert server.end() == 0


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "plait\[reload\]"'):
        serve(ServerConfig(app="nothing:app", port=0, insecure=True, reload=True))


def test_an_application_without_a_name_cannot_be_imported_anew() -> None:
    with pytest.raises(ConfigError, match="needs its name, MODULE:APP"):
        serve(ServerConfig(app=lambda: None, port=0, insecure=True, reload=True))


def test_a_directory_that_is_none_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(ConfigError, match="nowhere' is not a directory"):
        serve(ServerConfig(app="a:b", port=0, insecure=True, reload=True, reload_dir=(nowhere,)))
