"""Where options come from: flags, then the environment, then a file, then their defaults."""

from __future__ import annotations

import os
import subprocess
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.cli.configuration import OPTIONS, Option, build, gather, load, render
from plait.config import HttpVersions
from plait.errors import ConfigError
from plait.server_config import Interface, Limits, LogFormat, ServerConfig
from tests.support.servers import free_port, plait, run_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory without a configuration."""
    return tmp_path


def write(folder: Path, text: str, name: str = "plait.toml") -> Path:
    """Write a file and return its path."""
    file = folder / name
    file.write_text(text)
    return file


def test_without_anything_there_are_the_defaults(folder: Path) -> None:
    assert load({}, {"PATH": "/bin", "XPLAIT_PORT": "1"}, None, folder) == ServerConfig()


def test_flags_go_before_the_environment_and_that_before_a_file(folder: Path) -> None:
    file = write(folder, "port = 1\nhost = 'a'\nworkers = 2")
    environ = {"PLAIT_PORT": "2", "PLAIT_HOST": "b"}
    assert load({}, {}, file) == ServerConfig(port=1, host="a", workers=2)
    assert load({}, environ, file) == ServerConfig(port=2, host="b", workers=2)
    assert load({"port": 3}, environ, file) == ServerConfig(port=3, host="b", workers=2)


def test_pyproject_is_read_in_the_current_directory_only_and_not_beside_a_file(folder: Path) -> None:
    write(folder, "[tool.plait]\nport = 1\n[tool.other]\nx = 2", "pyproject.toml")
    assert load({}, {}, None, folder).port == 1
    assert load({}, {}, write(folder, ""), folder) == ServerConfig()
    assert load({}, {}, folder / "pyproject.toml").port == 1
    write(folder, "[tool.other]\nx = 2", "pyproject.toml")
    assert load({}, {}, None, folder) == ServerConfig()
    (folder / "inner").mkdir()
    assert load({}, {}, None, folder / "inner") == ServerConfig()


def test_the_environment_can_name_the_file(folder: Path) -> None:
    write(folder, "port = 1", "one.toml")
    two = write(folder, "port = 2", "two.toml")
    assert load({}, {"PLAIT_CONFIG": "one.toml"}, None, folder).port == 1
    assert load({}, {"PLAIT_CONFIG": "one.toml"}, two, folder).port == 2


def test_every_kind_of_option_can_stand_in_a_file(folder: Path) -> None:
    file = write(
        folder,
        """
        app = "hello:app"
        port = 0
        grace = 2
        keep_alive = 2.5
        insecure = true
        push = false
        interface = "asgi"
        http = "2"
        origin = ["https://a.example", "https://b.example"]
        log_format = "json"
        max_header_size = 1000
        max_concurrency = 0
        """,
    )
    assert load({}, {}, file) == ServerConfig(
        app="hello:app",
        port=0,
        grace=2.0,
        insecure=True,
        push=False,
        interface=Interface.ASGI,
        http=HttpVersions.HTTP_2,
        origin=("https://a.example", "https://b.example"),
        log_format=LogFormat.JSON,
        limits=Limits(keep_alive=2.5, max_header_size=1000),
    )


def test_every_kind_of_option_can_stand_in_the_environment(folder: Path) -> None:
    environ = {
        "PLAIT_APP": "hello:app",
        "PLAIT_PORT": "0",
        "PLAIT_KEEP_ALIVE": "2.5",
        "PLAIT_INSECURE": "on",
        "PLAIT_PUSH": "off",
        "PLAIT_INTERFACE": "asgi",
        "PLAIT_ORIGIN": "https://a.example, https://b.example\nhttps://c.example",
        "PLAIT_PID_FILE": "run/pid",
        "PLAIT_ACCESS_LOG_FILE": "",
        "PLAIT_LISTEN": "",
    }
    assert load({}, environ, None, folder) == ServerConfig(
        app="hello:app",
        port=0,
        insecure=True,
        push=False,
        interface=Interface.ASGI,
        origin=("https://a.example", "https://b.example", "https://c.example"),
        pid_file=Path("run/pid"),
        limits=Limits(keep_alive=2.5),
    )


@pytest.mark.parametrize("text", ["on", "true", "1", "True", "ON"])
def test_a_switch_is_on_in_three_ways_and_off_in_three(folder: Path, text: str) -> None:
    assert load({}, {"PLAIT_INSECURE": text}, None, folder).insecure
    opposite = {"on": "off", "true": "false", "1": "0"}[text.lower()]
    assert not load({}, {"PLAIT_PUSH": opposite}, None, folder).push


def test_paths_in_a_file_begin_where_it_lies(folder: Path) -> None:
    (folder / "site").mkdir()
    file = write(
        folder,
        "cert = ['c.pem', '/abs/d.pem']\nkey = ['k.pem', 'l.pem']\napp_dir = 'site'\n"
        "mount = ['/static=site']\naccess_log_file = '../access.log'\nroot_path = '/not/a/file'",
    )
    config = load({}, {}, file)
    assert config.cert == (folder / "c.pem", Path("/abs/d.pem"))
    assert config.app_dir == folder / "site"
    assert config.mount == (f"/static={folder / 'site'}",)
    assert config.access_log_file == folder / "../access.log"
    assert config.root_path == "/not/a/file"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max_headr_size = 1", "there is no option 'max_headr_size'; the nearest is max_header_size"),
        ("max-header-size = 1", "there is no option 'max-header-size'; the nearest is max_header_size"),
        ("zzz = 1", "there is no option 'zzz'$"),
        ("[limits]\nkeep_alive = 1", "there is no option 'limits'"),
        ("port = '1'", "port must be a whole number, not '1'"),
        ("port = 1.5", "port must be a whole number, not 1.5"),
        ("port = true", "port must be a whole number, not true"),
        ("keep_alive = 'long'", "keep_alive must be a number, not 'long'"),
        ("insecure = 1", "insecure must be true or false, not 1"),
        ("host = 1", "host must be a string, not 1"),
        ("app = 1", "app must be a string, not 1"),
        ("pid_file = []", r"pid_file must be a string, not \[\]"),
        ("listen = 'tcp:1'", "listen must be a list of strings, not 'tcp:1'"),
        ("listen = [1]", r"listen must be a list of strings, not \[1\]"),
        ("http = 2", "http must be one of auto, 1, 2, not 2"),
        ("http = '3'", "http must be one of auto, 1, 2, not '3'"),
        ("port = ", "is not TOML: "),
    ],
)
def test_what_is_wrong_in_a_file_is_one_sentence_with_its_name(folder: Path, text: str, says: str) -> None:
    file = write(folder, text)
    with pytest.raises(ConfigError, match=says) as caught:
        load({}, {}, file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PLAIT_PROT", "1", "PLAIT_PROT, which is no option of plait; the nearest is PLAIT_PORT$"),
        ("PLAIT_CONFG", "1", "the nearest is PLAIT_CONFIG$"),
        ("PLAIT_PORT", "tcp://10.0.0.1:80", "PLAIT_PORT must be a whole number, not 'tcp://10.0.0.1:80'"),
        ("PLAIT_PORT", "", "PLAIT_PORT must be a whole number, not ''"),
        ("PLAIT_GRACE", "soon", "PLAIT_GRACE must be a number, not 'soon'"),
        ("PLAIT_INSECURE", "yes", "PLAIT_INSECURE must be true or false, not 'yes'"),
        ("PLAIT_HTTP", "3", "PLAIT_HTTP must be one of auto, 1, 2, not '3'"),
        ("PLAIT_LIMITS", "3", "PLAIT_LIMITS, which is no option"),
    ],
)
def test_what_is_wrong_in_the_environment_is_one_sentence(
    folder: Path, variable: str, value: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load({}, {variable: value}, None, folder)


def test_a_value_that_cannot_be_is_told_with_where_it_came_from(folder: Path) -> None:
    file = write(folder, "keep_alive = 0")
    with pytest.raises(ConfigError, match=rf"greater than zero, not 0.0 \(keep_alive is from file {file}\)$"):
        load({}, {}, file)
    with pytest.raises(ConfigError, match=r"not 0 \(workers is from environment PLAIT_WORKERS\)$"):
        load({}, {"PLAIT_WORKERS": "0"}, None, folder)
    with pytest.raises(ConfigError, match=r"not 0$"):
        load({"workers": 0}, {}, None, folder)
    with pytest.raises(ConfigError, match=r"\(static is from environment PLAIT_STATIC\)$"):
        load({"app": "a:b"}, {"PLAIT_STATIC": "."}, None, folder)


def test_files_that_cannot_be_read_are_one_sentence(folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        load({}, {}, folder / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load({}, {}, folder)
    (folder / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        load({}, {}, folder / "bytes.toml")
    with pytest.raises(ConfigError, match=r"has no \[tool.plait\]"):
        load({}, {}, write(folder, "", "pyproject.toml"))
    write(folder, "[tool]\nplait = 1", "pyproject.toml")
    with pytest.raises(ConfigError, match="plait must be a table, not 1"):
        load({}, {}, None, folder)
    with pytest.raises(ConfigError, match="--static names nowhere, where there is no directory"):
        load({"static": Path("nowhere")}, {}, None, folder / "inner")


def values_of(one: Option) -> st.SearchStrategy[Any]:
    """Return values an option may be given."""
    text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
    if one.choices:
        kind: type[Enum] = one.kind
        return st.sampled_from(list(kind))
    if one.is_list:
        item = st.just(Path("/")) if one.is_path else text
        return st.lists(item, max_size=3).map(tuple)
    if one.is_path:
        return st.just(Path("/"))
    if one.kind is bool:
        return st.booleans()
    if one.kind is int:
        return st.integers(1, 65535)
    if one.kind is float:
        return st.floats(0.001, 1e6)
    return text


#: Options that are not right without others, or only in a certain form.
SPECIAL = {
    "app", "alt_svc", "cert", "client_ca", "client_cert", "host", "insecure", "key", "mount", "origin",
    "port", "proxy_protocol", "static", "twisted",
}  # fmt: skip


@given(st.data())
def test_what_is_printed_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(OPTIONS.keys() - SPECIAL)), max_size=8))
    flags = {name: data.draw(values_of(OPTIONS[name]), label=name) for name in names}
    folder = tmp_path_factory.getbasetemp()
    settings = gather(flags, {}, None, folder)
    file = write(folder, render(settings), "printed.toml")
    assert load({}, {}, file) == build(settings)


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in plait(*arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, **environ},
    )


def test_print_config_says_where_each_value_came_from(folder: Path) -> None:
    write(folder, "[tool.plait]\nhost = '::1'\npid_file = 'pid'", "pyproject.toml")
    done = run("serve", "a:b", "--workers", "3", "--print-config", cwd=folder, PLAIT_PORT="1")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert 'app = "a:b"  # argument' in lines
    assert "workers = 3  # flag --workers" in lines
    assert "port = 1  # environment PLAIT_PORT" in lines
    assert 'host = "::1"  # file pyproject.toml' in lines
    assert f'pid_file = "{folder / "pid"}"  # file pyproject.toml' in lines
    assert "keep_alive = 75.0  # default" in lines
    assert "# static is not set" in lines
    assert len(lines) == len(OPTIONS)
    write(folder, done.stdout, "printed.toml")
    again = run("serve", "--config", "printed.toml", "--print-config", cwd=folder)
    expected = [line.partition("  # ")[0] for line in lines]
    assert [line.partition("  # ")[0] for line in again.stdout.splitlines()] == expected


def test_a_wrong_key_ends_the_command_with_one_sentence(folder: Path) -> None:
    file = write(folder, "prot = 1")
    done = run("bookstore", "--config", str(file), cwd=folder)
    says = f"plait: {file}: there is no option 'prot'; the nearest is port\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", says)


def test_the_application_and_all_else_can_come_from_a_file(folder: Path) -> None:
    port = free_port()
    write(folder, f"[tool.plait]\napp = 'mine:app'\nport = {port}\ninsecure = true", "pyproject.toml")
    write(folder, "async def app(scope, receive, send): raise NotImplementedError", "mine.py")
    with run_server(plait("serve"), port=port, scheme="http", cwd=folder, exit_status=0):
        pass
