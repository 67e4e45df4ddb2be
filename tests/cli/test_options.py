"""Flags are derived from the options: each has one, with its default and its help."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from plait.cli.configuration import OPTIONS
from plait.cli.options import ServerCommand, server_options
from plait.config import HttpVersions
from plait.errors import ConfigError
from plait.server_config import Interface, Limits, ServerConfig

seen: list[ServerConfig] = []


@click.command(cls=ServerCommand)
@click.argument("app", required=False)
@server_options()
def command(config: ServerConfig) -> None:
    seen.append(config)


def configured(*arguments: str) -> ServerConfig:
    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return seen.pop()


def test_no_flags_give_the_defaults() -> None:
    assert configured() == ServerConfig()


@pytest.mark.parametrize("one", dataclasses.fields(Limits), ids=lambda one: one.name)
def test_every_limit_has_a_flag(one: dataclasses.Field[float]) -> None:
    assert isinstance(one.default, int | float)
    flag = f"--{one.name.replace('_', '-')}"
    limits = configured(flag, str(one.default + 1)).limits
    assert limits == dataclasses.replace(Limits(), **{one.name: one.default + 1})
    assert type(getattr(limits, one.name)) is type(one.default)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--host", "::1"], {"host": "::1"}),
        (["--port", "0"], {"port": 0}),
        (["--listen", "tcp:1", "--listen", "tcp:2"], {"listen": ("tcp:1", "tcp:2")}),
        (["--http", "2"], {"http": HttpVersions.HTTP_2}),
        (["--http", "1"], {"http": HttpVersions.HTTP_1}),
        (["--http", "auto"], {"http": HttpVersions.AUTO}),
        (["--interface", "wsgi"], {"interface": Interface.WSGI}),
        (["--static", "."], {"static": Path()}),
        (["--cert", "c.pem", "--key", "k.pem"], {"cert": (Path("c.pem"),), "key": (Path("k.pem"),)}),
        (
            ["--cert", "a", "--cert", "b", "--key", "c", "--key", "d"],
            {"cert": (Path("a"), Path("b")), "key": (Path("c"), Path("d"))},
        ),
        (["--insecure"], {"insecure": True}),
        (["--insecure", "--no-insecure"], {}),
        (["--no-push"], {"push": False}),
        (["--no-access-log"], {"access_log": False}),
        (["--access-log"], {"access_log": True}),
        (["hello:app"], {"app": "hello:app"}),
        (["--max-concurrency", "0", "--app-timeout", "0", "--max-requests", "0"], {}),
        (["--grace", "2.5"], {"grace": 2.5}),
    ],
)
def test_every_option_has_a_flag(arguments: list[str], expected: dict[str, object]) -> None:
    assert configured(*arguments) == dataclasses.replace(ServerConfig(), **expected)  # type: ignore[arg-type]


def test_help_shows_every_option_with_its_sentence() -> None:
    text = " ".join(CliRunner().invoke(command, ["--help"], terminal_width=1000).output.split())
    for one in OPTIONS.values():
        if not one.is_argument:
            assert (f"--[no-]{one.flag[2:]}" if one.kind is bool else one.flag) in text
            assert one.field.metadata["help"] in text
    assert "[default: 8443]" in text
    assert "[default: 127.0.0.1]" in text
    assert "None" not in text
    assert "()" not in text


def test_help_has_the_options_under_their_headings_in_the_order_of_their_declaration() -> None:
    lines = CliRunner().invoke(command, ["--help"]).output.splitlines()
    headings = [line.removesuffix(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options", *dict.fromkeys(one.heading for one in OPTIONS.values())]
    tls = lines[lines.index("TLS:") + 1 : lines.index("Behind a proxy:")]
    assert [line.split()[0] for line in tls if line.startswith("  --")] == [
        "--cert", "--key", "--client-ca", "--client-cert", "--[no-]insecure"
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [["--port", "x"], ["--http", "3"], ["--keep-alive", "soon"]])
def test_a_value_of_the_wrong_type_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        configured(*arguments)


def test_a_value_out_of_range_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        configured("--keep-alive", "0")


def test_a_flag_that_says_where_to_listen_overrules_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLAIT_PORT", "9000")
    assert configured("--listen", "tcp:1").listen == ("tcp:1",)
    monkeypatch.setenv("PLAIT_LISTEN", "tcp:2")
    with pytest.raises(ConfigError, match=r"--port is of no use .*from environment PLAIT_PORT"):
        configured()
