"""The server's own log: as text or JSON, to a file or standard error, or as a file of logging's says."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plait.errors import ConfigError
from plait.server import logs
from plait.server.applications import find_application
from plait.server_config import LogFormat, LogLevel, ServerConfig
from tests.support.serving import h2_client, serving

Configure = Callable[[ServerConfig], None]


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Return what configures logging as in a new process, where pytest has not; undo it afterwards."""
    root, plait = logging.getLogger(), logging.getLogger("plait")
    levels = root.level, plait.level
    added: list[logging.Handler] = []

    def configure(config: ServerConfig) -> None:
        root.handlers.clear()
        logs.configure(config)
        added.extend(root.handlers)

    yield configure
    for handler in added:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(levels[0])
    plait.setLevel(levels[1])


def test_a_line_of_json_has_all_that_is_known(tmp_path: Path, configure: Configure) -> None:
    path = tmp_path / "server.log"
    configure(ServerConfig(log_file=path, log_format=LogFormat.JSON))
    try:
        raise ValueError("the database\nis away")
    except ValueError:
        logging.getLogger("plait.server").exception(
            "it failed on %s", "/", extra={"request": {"method": "GET"}}
        )
    logging.getLogger("mine").info("two\nlines")
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["level"] == "error"
    assert first["logger"] == "plait.server"
    assert first["message"] == "it failed on /"
    assert first["request"] == {"method": "GET"}
    assert first["exception"].endswith("ValueError: the database\nis away")
    assert first["time"].endswith("+00:00")
    assert isinstance(first["pid"], int)
    assert set(second) == {"time", "level", "logger", "message", "pid"}
    assert second["message"] == "two\nlines"


def test_text_goes_to_standard_error_from_the_level_on(
    capsys: pytest.CaptureFixture[str], configure: Configure
) -> None:
    configure(ServerConfig(log_level=LogLevel.WARNING))
    logging.getLogger("plait.server").info("not this")
    logging.getLogger("plait.server").warning("but this")
    assert capsys.readouterr().err == "WARNING plait.server: but this\n"


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path, configure: Configure) -> None:
    path = tmp_path / "server.log"
    configure(ServerConfig(log_file=path))
    logger = logging.getLogger("plait.server")
    logger.info("first")
    path.rename(tmp_path / "server.log.1")
    logger.info("second")
    assert path.read_text().endswith("INFO plait.server: second\n")
    assert "first" not in path.read_text()


def test_an_application_that_sets_up_its_own_logging_does_not_silence_the_server() -> None:
    logger = logging.getLogger("plait.server")

    def make() -> Callable[[], None]:
        # Without "disable_existing_loggers": False, which is easily forgotten.
        logger.disabled = True
        return lambda: None

    try:
        find_application(ServerConfig(app=make, factory=True))
        assert not logger.disabled
    finally:
        logger.disabled = False


def test_an_application_that_has_set_up_logging_keeps_it() -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    assert before[0]  # pytest has
    logs.configure(ServerConfig())
    assert (root.handlers, root.level) == before


CONFIG = {
    "version": 1,
    "formatters": {"json": {"()": "plait.server.logs.JsonFormatter"}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "", "formatter": "json"}},
    "root": {"handlers": ["file"], "level": "INFO"},
}


@pytest.mark.parametrize("form", ["json", "toml"])
def test_a_logging_configuration_says_it_all(tmp_path: Path, configure: Configure, form: str) -> None:
    target = tmp_path / "out.log"
    file = tmp_path / f"logging.{form}"
    if form == "json":
        handlers = {"file": {**CONFIG["handlers"]["file"], "filename": str(target)}}  # type: ignore[index]
        file.write_text(json.dumps({**CONFIG, "handlers": handlers}))
    else:
        file.write_text(
            "version = 1\n[handlers.file]\nclass = 'logging.FileHandler'\n"
            f"filename = '{target}'\nformatter = 'json'\n"
            "[formatters.json]\n'()' = 'plait.server.logs.JsonFormatter'\n"
            "[root]\nhandlers = ['file']\nlevel = 'INFO'\n"
        )
    configure(ServerConfig(log_config=file))
    # A logger that was there before goes on.
    logging.getLogger("plait.server").info("said")
    assert json.loads(target.read_text())["message"] == "said"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "{", "neither JSON nor"),
        ("a.toml", "x = ", "neither JSON nor"),
        ("a.json", "[]", "no object"),
        ("a.json", "{}", "no logging configuration"),
        (
            "a.json",
            '{"version": 1, "root": {"handlers": ["nothing"]}}',
            "no logging configuration.*'?nothing",
        ),
        ("a.json", '{"version": 1, "handlers": {"a": {"class": "no.such"}}}', "no logging configuration"),
    ],
)
def test_a_logging_configuration_that_is_none_is_one_sentence(
    tmp_path: Path, configure: Configure, name: str, content: str, says: str
) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ConfigError, match=says) as caught:
        configure(ServerConfig(log_config=file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_used_are_one_sentence(tmp_path: Path, configure: Configure) -> None:
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        configure(ServerConfig(log_config=tmp_path / "nowhere.json"))
    with pytest.raises(ConfigError, match="cannot be written: no such file"):
        configure(ServerConfig(log_file=tmp_path / "nowhere" / "log"))
    with pytest.raises(ConfigError, match="--log-config says where and how"):
        configure(ServerConfig(log_config=tmp_path / "a.json", log_file=tmp_path / "b"))


async def test_what_an_application_raises_is_logged_with_its_request(
    tmp_path: Path, configure: Configure
) -> None:
    async def failing(scope: dict[str, Any], receive: Any, send: Any) -> None:
        raise ValueError(scope["type"])

    path = tmp_path / "server.log"
    configure(ServerConfig(log_file=path, log_format=LogFormat.JSON))
    async with serving(failing) as running, h2_client(running) as client:
        await client.response(client.request(b"GET", b"/there\xc3\xa9?x"))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    (record,) = [record for record in records if "request" in record]
    assert record["exception"].endswith("ValueError: http")
    assert record["request"] == {
        "method": "GET",
        "target": "/thereé?x",
        "authority": "a.example",
        "protocol": "2",
        "stream": 1,
    }
