"""The server's own log: where it goes, how much of it, and as text or one JSON object a line."""

from __future__ import annotations

import json
import logging
import logging.config
import logging.handlers
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plait.errors import ConfigError
from plait.protocol.server_exchange import ServerExchange
from plait.server_config import LogFormat, ServerConfig

__all__ = ["JsonFormatter", "configure", "enable_loggers", "request_extra"]


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object on one line.

    It has ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message`` and ``pid``; ``exception`` with
    the traceback, and ``request`` with what is known of one, where a record has them. A ``--log-config``
    names it as ``"()": "plait.server.logs.JsonFormatter"``.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        request = getattr(record, "request", None)
        if request is not None:
            line["request"] = request
        return json.dumps(line, default=str)


def request_extra(exchange: ServerExchange) -> dict[str, Any]:
    """Describe a request to a log record, as its ``extra``."""
    request = exchange.request
    return {
        "request": {
            "method": _text(request.method),
            "target": _text(request.target),
            "authority": _text(request.authority),
            "protocol": exchange.endpoint.connection.http_version,
            "stream": exchange.stream_id,
        }
    }


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def configure(config: ServerConfig) -> None:
    """Set up logging as the options say, unless the application that embeds the server has.

    Args:
        config: ``log_config``, or else ``log_file``, ``log_format`` and ``log_level``.

    Raises:
        ConfigError: A file cannot be read or written, or is no logging configuration.
    """
    if config.log_config is not None:
        if config.log_file is not None or config.log_format is not LogFormat.TEXT:
            raise ConfigError(
                "--log-config says where and how to log: it goes without --log-file and --log-format"
            )
        _configure_from(config.log_config)
        return
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_handler(config))
        root.setLevel(config.log_level.name)
    logging.getLogger("plait").setLevel(config.log_level.name)


def enable_loggers() -> None:
    """Let the server log again after an application has set up its own logging.

    ``logging.config`` disables every logger that exists already and is not named, unless it is told not
    to: what the application raises later would be told to nobody. Levels and handlers stay as they are.
    """
    for name, logger in logging.getLogger().manager.loggerDict.items():
        if name.partition(".")[0] == "plait" and isinstance(logger, logging.Logger):
            logger.disabled = False


def _handler(config: ServerConfig) -> logging.Handler:
    path = config.log_file
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler()
    else:
        try:
            # Opens the file anew by itself, once it was moved away.
            handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(f"the log file {path} cannot be written: {reason}") from error
    if config.log_format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter())
    else:
        # Who reads standard error is there as it happens; who reads a file comes later.
        when = "" if path is None else "%(asctime)s [%(process)d] "
        handler.setFormatter(logging.Formatter(f"{when}%(levelname)s %(name)s: %(message)s"))
    return handler


def _configure_from(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        settings = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # what both parsers raise, and UTF-8's
        raise ConfigError(f"{path} is neither JSON nor, as NAME.toml, TOML: {error}") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} holds no object, as logging.config.dictConfig takes it")
    # The loggers of plait and of the application exist already, and are meant to go on.
    settings.setdefault("disable_existing_loggers", False)
    try:
        logging.config.dictConfig(settings)
    except (ValueError, TypeError, AttributeError, ImportError, KeyError) as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise ConfigError(f"{path} is no logging configuration: {error}{cause}") from error
