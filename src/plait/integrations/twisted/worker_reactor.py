"""Twisted's reactor in a worker of ``plait serve``, on the loop that the worker runs."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.error import ReactorNotRunning
from twisted.internet.main import installReactor
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.process import reapAllProcesses, reapProcessHandlers

from plait.errors import ConfigError

__all__ = ["WorkerReactor", "install"]

#: Seconds between looks for child processes that ended, while there are any.
_REAP = 1.0


class WorkerReactor(AsyncioSelectorReactor):
    """Twisted's asyncio reactor, for a loop that is not the reactor's to run or to stop.

    Args:
        loop: The worker's loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._loop = loop
        self._leaving = False
        self._watch: asyncio.TimerHandle | None = None

    # -- what a site calls -----------------------------------------------------------------------

    def run(self, installSignalHandlers: bool = True) -> None:
        """Refuse to: the loop runs already.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("plait runs the reactor, so the module must not call reactor.run()")

    def stop(self) -> None:
        """Let the worker end in good order: requests in flight finish, then shutdown triggers are called.

        Raises:
            ReactorNotRunning: The reactor does not run yet, or not any more.
        """
        if self._stopped:
            raise ReactorNotRunning("Can't stop reactor that isn't running.")
        if not self._leaving:
            self._leaving = True
            # What the worker does then is what anybody can ask it for: its supervisor hears of it, too.
            signal.raise_signal(signal.SIGTERM)

    def crash(self) -> None:
        """Take note that the reactor has stopped; the loop goes on to its own end."""
        PosixReactorBase.crash(self)

    def spawnProcess(self, *args: Any, **kwargs: Any) -> Any:
        """Start a child process, as Twisted's reactors do, and see to its end."""
        process = super().spawnProcess(*args, **kwargs)
        if self._watch is None:
            self._watch = self._loop.call_later(_REAP, self._reap)
        return process

    def _reap(self) -> None:
        """Look for children that ended unnoticed: with children of its own, uvloop hears of all alone."""
        self._watch = None
        reapAllProcesses()
        if reapProcessHandlers:
            self._watch = self._loop.call_later(_REAP, self._reap)

    # -- what the gateway calls ------------------------------------------------------------------

    def begin(self) -> None:
        """Call what waits for the reactor to run."""
        self.startRunning(installSignalHandlers=False)
        try:
            # Not by the loop: uvloop does not give this signal away.
            signal.signal(signal.SIGCHLD, lambda *_: self.callFromThread(reapAllProcesses))
        except ValueError:
            pass  # signals are the main thread's

    async def end(self) -> None:
        """Call the shutdown triggers, and wait for them."""
        done = asyncio.Event()
        self.addSystemEventTrigger("after", "shutdown", done.set)
        super().stop()
        await done.wait()


def install(loop: asyncio.AbstractEventLoop) -> WorkerReactor:
    """Make the reactor of this process one on a loop.

    Args:
        loop: The running loop.

    Raises:
        ConfigError: There is a reactor already.
    """
    installed: Any = sys.modules.get("twisted.internet.reactor")
    if installed is not None:
        raise ConfigError(
            f"the reactor of this process is {type(installed).__name__} already, and --twisted needs its own"
        )
    reactor = WorkerReactor(loop)
    installReactor(reactor)
    return reactor
