"""``twist plait``: what ``twist web`` does, with plait's ``Site``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService
from twisted.internet import endpoints, reactor
from twisted.internet.error import CannotListenError
from twisted.python import usage
from twisted.web import server, tap
from twisted.web.resource import IResource

from plait.integrations.twisted.site import Site

__all__ = ["Options", "makeService"]


def _in_one_sentence(name: str) -> Callable[[Options, str], None]:
    """Make an option of Twisted's one that says what is wrong with its value, without a traceback."""
    theirs = getattr(tap.Options, name)
    flag = name.removeprefix("opt_").replace("_", "-")

    @wraps(theirs)
    def option(self: Options, value: str) -> None:
        try:
            theirs(self, value)
        except usage.UsageError:
            raise
        except Exception as error:
            raise _wrong(flag, value, error) from error

    return option


def _wrong(flag: str, value: str, error: Exception) -> usage.UsageError:
    return usage.UsageError(f"--{flag} {value}: {type(error).__name__}: {error}")


class Options(tap.Options):
    """The options of ``twist web``."""

    synopsis = "[plait options]"
    longdesc = """\
This starts a web server for HTTP/2 and HTTP/1.1. If you specify no arguments, it will be a
demo webserver that has the Test class from twisted.web.demo in it."""

    opt_add_header = _in_one_sentence("opt_add_header")
    opt_class = _in_one_sentence("opt_class")
    opt_processor = _in_one_sentence("opt_processor")
    opt_wsgi = _in_one_sentence("opt_wsgi")

    def opt_path(self, path: str) -> None:
        if not Path(path).exists():
            raise usage.UsageError(f"--path {path}: there is no such file or directory")
        super().opt_path(path)

    opt_path.__doc__ = tap.Options.opt_path.__doc__

    def opt_resource_script(self, name: str) -> None:
        if not Path(name).is_file():
            raise usage.UsageError(f"--resource-script {name}: there is no such file")
        super().opt_resource_script(name)

    opt_resource_script.__doc__ = tap.Options.opt_resource_script.__doc__

    def postOptions(self) -> None:
        super().postOptions()
        root = self["root"]
        if root is not None and not IResource.providedBy(root):
            raise usage.UsageError(f"{root!r} is {type(root).__name__}, not a resource")
        for port in self["ports"]:
            try:
                endpoints.serverFromString(reactor, port)
            except Exception as error:
                raise _wrong("listen", port, error) from error


class _Services(MultiService):
    """Services that end the program with one sentence where they cannot start."""

    def privilegedStartService(self) -> None:
        self._start(super().privilegedStartService)

    def startService(self) -> None:
        self._start(super().startService)

    def _start(self, start: Callable[[], None]) -> None:
        try:
            start()
        except (CannotListenError, OSError, OverflowError) as error:
            raise SystemExit(f"twist plait: {error}") from error


def makeService(config: Options) -> Any:
    """Make the service of ``twist web``, with plait's ``Site`` in place of Twisted's.

    Args:
        config: The options.
    """
    service = tap.makeService(config)
    site: Site | None = None
    for listening in service:
        if isinstance(listening, StreamServerEndpointService) and isinstance(listening.factory, server.Site):
            if site is None:
                theirs = listening.factory
                site = Site(theirs.resource, logPath=theirs.logPath)
                site.displayTracebacks = theirs.displayTracebacks
            listening.factory = site
    services = _Services()
    service.setServiceParent(services)
    return services
