"""Finds the application a user names."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from plait.errors import ConfigError
from plait.server.asgi import Application

__all__ = ["load"]


def load(name: str, directory: Path) -> Application:
    """Import an application.

    Args:
        name: ``module:attribute``; the attribute may have dots.
        directory: Put first on the import path.

    Raises:
        ConfigError: There is no such module or attribute, or it is nothing that can be called. An
            error inside the module is shown as it is: it is the user's own code.
    """
    module_name, colon, path = name.partition(":")
    if not module_name or not path:
        hint = "" if colon else f", such as {module_name or 'hello'}:app"
        raise ConfigError(f"{name!r} names no application: write MODULE:APP{hint}")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(f"{name!r} names no application: {module_name!r} is not the name of a module")
    sys.path.insert(0, str(directory.resolve()))
    try:
        found = import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that the application itself misses is named as such.
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise ConfigError(f"there is no module {error.name!r} in {directory.resolve()}") from error
        raise ConfigError(f"importing {module_name!r} failed: {error}") from error
    except (SyntaxError, ImportError) as error:
        raise ConfigError(f"importing {module_name!r} failed: {error}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigError(f"the module {module_name!r} has no {path!r}") from None
    if not callable(found):
        raise ConfigError(f"{name!r} is {type(found).__name__}, not an application")
    return found
