"""Finds the application a user names."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from plait.errors import ConfigError

__all__ = ["call_factory", "load"]

_FROZEN = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


def load(name: str, directory: Path) -> Any:
    """Import an application, or what makes one.

    Args:
        name: ``module:attribute``; the attribute may have dots.
        directory: Put first on the import path.

    Raises:
        ConfigError: There is no such directory, module or attribute; or the module raised, and then its
            traceback was printed: it is the user's own code.
    """
    module_name, colon, path = name.partition(":")
    if not module_name or not path:
        hint = "" if colon else f", such as {_module_of(module_name) or 'hello'}:app"
        raise ConfigError(f"{name!r} names no application: write MODULE:APP{hint}")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(f"{name!r} names no application: {module_name!r} is not the name of a module")
    if not directory.is_dir():
        problem = "is not a directory" if directory.exists() else "does not exist"
        raise ConfigError(f"the application's directory {str(directory)!r} {problem}")
    sys.path.insert(0, str(directory.resolve()))
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that the application itself misses is named as such.
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise ConfigError(f"there is no module {error.name!r} in {directory.resolve()}") from error
        raise ConfigError(f"importing {module_name!r} failed: {error}") from error
    except (SyntaxError, ImportError, ConfigError) as error:
        raise ConfigError(f"importing {module_name!r} failed: {error}") from error
    except SystemExit as error:
        raise ConfigError(f"importing {module_name!r} ended in sys.exit({error.code!r})") from error
    except Exception as error:
        traceback.print_exception(type(error), error, _inside(error.__traceback__))
        raise ConfigError(f"importing {module_name!r} failed: {type(error).__name__}: {error}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigError(f"the module {module_name!r} has no {path!r}") from None
    return found


def call_factory(factory: Any, name: str) -> Any:
    """Let a factory make the application.

    Args:
        factory: Called without arguments.
        name: What the user calls it, for errors.

    Raises:
        ConfigError: It cannot be called so; or it raised, and then its traceback was printed.
    """
    if not callable(factory):
        raise ConfigError(f"{name} is no factory, but {type(factory).__name__}")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ConfigError(f"{name} is no factory, which is called without arguments: {error}") from error
    except ValueError:
        pass  # it does not say what it takes
    try:
        app = factory()
    except SystemExit as error:
        raise ConfigError(f"the factory {name} ended in sys.exit({error.code!r})") from error
    except ConfigError as error:
        raise ConfigError(f"the factory {name} failed: {error}") from error
    except Exception as error:
        traceback.print_exception(type(error), error, _inside(error.__traceback__))
        raise ConfigError(f"the factory {name} failed: {type(error).__name__}: {error}") from error
    if inspect.iscoroutine(app):
        app.close()
        raise ConfigError(f"the factory {name} is a coroutine function: it must make the application itself")
    return app


def _module_of(name: str) -> str:
    """Guess which module was meant by the name of its file."""
    return name.removesuffix(".py").strip("./").replace("/", ".")


def _inside(trace: TracebackType | None) -> TracebackType | None:
    """Leave out of a traceback how the module came to be imported."""
    while trace and trace.tb_frame.f_code.co_filename in (__file__, importlib.__file__, *_FROZEN):
        trace = trace.tb_next
    return trace
