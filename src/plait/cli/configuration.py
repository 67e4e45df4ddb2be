"""Where options come from: flags, the environment, a file, and last their defaults.

One spelling each: the option ``max_header_size`` is the flag ``--max-header-size``, the variable
``PLAIT_MAX_HEADER_SIZE`` and the key ``max_header_size`` of a TOML file, where limits stand beside the
other options and in no table of their own.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from plait.errors import ConfigError
from plait.server_config import Limits, ServerConfig

__all__ = ["OPTIONS", "Option", "Setting", "build", "gather", "load", "render"]

PREFIX = "PLAIT_"
#: Names the file, in the environment; no option itself, since a file cannot name another.
FILE_VARIABLE = f"{PREFIX}CONFIG"
_PYPROJECT = "pyproject.toml"
#: Where values come from, by the first word of their origin: later ones overrule earlier ones.
_FORCE = ("default", "file", "environment", "flag")
_SWITCH = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}
_SEPARATOR = re.compile(r"[,\n]")
_WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a server.

    Attributes:
        field: Its declaration in ``plait.server_config``.
        kind: The type of its value.
        heading: What ``--help`` and the docs show it under.
    """

    field: Field[Any]
    kind: Any
    heading: str

    @property
    def name(self) -> str:
        """Its name in Python and in TOML."""
        return self.field.name

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"{PREFIX}{self.name.upper()}"

    @property
    def is_argument(self) -> bool:
        """Whether the command line has it as an argument and not as a flag."""
        return "argument" in self.field.metadata

    @property
    def is_list(self) -> bool:
        """Whether it may be given several times."""
        return self.kind in (tuple[str, ...], tuple[Path, ...])

    @property
    def is_path(self) -> bool:
        """Whether its value, or each of its values, is a path."""
        return self.kind in (Path | None, tuple[Path, ...])

    @property
    def choices(self) -> list[str]:
        """The values it may have, if they are few."""
        named = isinstance(self.kind, type) and issubclass(self.kind, Enum)
        return [member.value for member in self.kind] if named else []


def _options() -> Iterator[Option]:
    heading = ""
    for owner in (ServerConfig, Limits):
        hints = get_type_hints(owner, localns={"Path": Path})
        for one in fields(owner):
            if one.default is not MISSING:  # "limits" is a group of options and none itself
                heading = one.metadata.get("heading", heading)
                yield Option(one, hints[one.name], heading)


#: Every option by its name.
OPTIONS = {one.name: one for one in _options()}
_LIMITS = frozenset(one.name for one in fields(Limits))


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of an option.

    Attributes:
        value: The value.
        origin: Where it came from, in words.
    """

    value: Any
    origin: str


def load(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Path | None = None,
    folder: Path = Path(),
) -> ServerConfig:
    """Make the configuration of a server from all that may say something about it.

    Args:
        flags: Values given on the command line, by the names of options.
        environ: The environment.
        file: A TOML file; without one, ``[tool.plait]`` in the folder's ``pyproject.toml``.
        folder: The current directory.

    Raises:
        ConfigError: Something unknown was named, or a value cannot be.
    """
    return build(gather(flags, environ, file, folder))


def gather(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None, folder: Path
) -> dict[str, Setting]:
    """Find the value of every option, with its origin; the arguments are those of :func:`load`.

    Raises:
        ConfigError: Something unknown was named, or a value has the wrong type.
    """
    if file is None and environ.get(FILE_VARIABLE):
        file = folder / environ[FILE_VARIABLE]
    settings = {name: Setting(one.field.default, "default") for name, one in OPTIONS.items()}
    settings.update(_from_file(file or folder / _PYPROJECT, needed=file is not None))
    settings.update(_from_environment(environ))
    for name, value in flags.items():
        one = OPTIONS[name]
        settings[name] = Setting(value, "argument" if one.is_argument else f"flag {one.flag}")
    return settings


def build(settings: Mapping[str, Setting]) -> ServerConfig:
    """Make the configuration of what was gathered.

    Raises:
        ConfigError: A value cannot be, or contradicts another.
    """
    values = {name: setting.value for name, setting in settings.items()}
    try:
        _require_directories(values)
        _require_one_place(settings)
        limits = Limits(**{name: values.pop(name) for name in _LIMITS})
        return ServerConfig(limits=limits, **values)
    except ConfigError as error:
        said = str(error)
        # Whoever wrote a flag sees it; what a file or the environment said has to be pointed at.
        found = [
            f"{name} is from {settings[name].origin}"
            for name, one in OPTIONS.items()
            if re.search(rf"(?<![\w-])({name}|{one.flag})(?![\w-])", said)
            and settings[name].origin.startswith(("file", "environment"))
        ]
        raise ConfigError(f"{said} ({', '.join(found)})" if found else said) from None


def _require_directories(values: Mapping[str, Any]) -> None:
    for name, one in OPTIONS.items():
        if one.is_path and one.field.metadata.get("metavar") == "DIR":
            value = values[name]
            for path in value if one.is_list else (value,):
                if path is not None and not path.is_dir():
                    raise ConfigError(f"{one.flag} names {path}, where there is no directory")


def _require_one_place(settings: Mapping[str, Setting]) -> None:
    """Refuse a host or port that --listen, said with no more force, would silently overrule."""
    force = {name: _FORCE.index(settings[name].origin.split()[0]) for name in ("listen", "host", "port")}
    for name in ("host", "port"):
        if settings["listen"].value and 0 < force[name] >= force["listen"]:
            raise ConfigError(f"--listen says where to listen, so --{name} is of no use beside it")


def _from_file(file: Path, *, needed: bool) -> dict[str, Setting]:
    try:
        with file.open("rb") as stream:
            table: Any = tomllib.load(stream)
    except FileNotFoundError:
        if needed:
            raise ConfigError(f"there is no file {file}") from None
        return {}
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    if file.name == _PYPROJECT:
        tools = table.get("tool")
        table = tools.get("plait") if isinstance(tools, dict) else None
        if table is None:
            if needed:
                raise ConfigError(f"{file} has no [tool.plait]")
            return {}
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: tool.plait must be a table, not {table!r}")
    settings = {}
    for key, value in table.items():
        one = OPTIONS.get(key)
        if one is None:
            raise ConfigError(f"{file}: there is no option {key!r}{_nearest(key, OPTIONS)}")
        try:
            parsed = _from_toml(one, value, file.parent)
        except ValueError:
            wanted = f"{key} must be {_expected(one, 'a list of strings')}"
            raise ConfigError(f"{file}: {wanted}, not {_shown(value)}") from None
        settings[key] = Setting(parsed, f"file {file}")
    return settings


def _from_environment(environ: Mapping[str, str]) -> dict[str, Setting]:
    variables = {one.variable: one for one in OPTIONS.values()}
    settings = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        one = variables.get(variable)
        if one is None:
            near = _nearest(variable, [*variables, FILE_VARIABLE])
            raise ConfigError(f"the environment has {variable}, which is no option of plait{near}")
        try:
            value = _from_text(one, text)
        except (ValueError, KeyError):
            wanted = f"{variable} must be {_expected(one, 'a list')}"
            raise ConfigError(f"in the environment, {wanted}, not {text!r}") from None
        settings[one.name] = Setting(value, f"environment {variable}")
    return settings


def _from_text(one: Option, text: str) -> Any:
    """Understand the value of a variable; raises ValueError or KeyError."""
    if one.is_list:
        words = [word.strip() for word in _SEPARATOR.split(text)]
        item = Path if one.is_path else str
        return tuple(item(word) for word in words if word)
    if one.is_path:
        return Path(text) if text else None
    if one.kind is bool:
        return _SWITCH[text.lower()]
    return text if one.kind is Any else one.kind(text)


def _from_toml(one: Option, value: Any, folder: Path) -> Any:
    """Understand a value of a file in ``folder``, to which its paths are relative; raises ValueError."""
    if one.is_list:
        if type(value) is list and all(type(word) is str for word in value):
            return tuple(_placed(one, word, folder) for word in value)
    elif one.choices or one.kind in (str, Any) or one.is_path:
        if type(value) is str:
            return one.kind(value) if one.choices else _placed(one, value, folder)
    elif type(value) is one.kind or (one.kind is float and type(value) is int):
        return one.kind(value)
    raise ValueError(value)


def _placed(one: Option, text: str, folder: Path) -> Any:
    """Take a string of a file, whose relative paths begin at its folder."""
    if one.is_path:
        return folder / text
    mark = one.field.metadata.get("path_after")
    if mark is None:
        return text
    before, mark, path = text.partition(mark)
    return f"{before}{mark}{folder / path}" if path else text


def _expected(one: Option, several: str) -> str:
    if one.choices:
        return f"one of {', '.join(one.choices)}"
    return several if one.is_list else _WORDS.get(one.kind, "a string")


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _nearest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"; the nearest is {near[0]}" if near else ""


def render(settings: Mapping[str, Setting]) -> str:
    """Write what was gathered as a TOML file that :func:`load` reads back, with the origins as comments.

    Paths are absolute in it, so that the file may lie anywhere.
    """
    lines = []
    for name, setting in settings.items():
        one = OPTIONS[name]
        if setting.value is None:
            lines.append(f"# {name} is not set")
        elif name in ("host", "port") and settings["listen"].value:
            lines.append(f"# {name} is not used beside listen")
        else:
            lines.append(f"{name} = {_toml(one, setting.value)}  # {_one_line(setting.origin)}")
    return "\n".join(lines) + "\n"


def _toml(one: Option, value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(one, item) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, int | float):
        return repr(value)
    if one.is_path:
        value = Path(value).absolute()
    elif "path_after" in one.field.metadata:
        value = _placed(one, value, Path.cwd())
    # TOML's basic strings are JSON's but for DEL, which they escape too.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
