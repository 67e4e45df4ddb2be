"""ASGI lifespan: tells the application when the server starts and stops."""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import Any

from plait.errors import PlaitError
from plait.server.interfaces import Application, Message

__all__ = ["Lifespan", "LifespanFailed"]

logger = logging.getLogger("plait.server")


class LifespanFailed(PlaitError):
    """The application said, or showed, that it cannot start."""


class _Phase(Enum):
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    STOPPED = "stopped"


#: In which phase an application answers with what, and which phase follows; None after a failure.
_MESSAGES = {
    "lifespan.startup.complete": (_Phase.STARTING, _Phase.STARTED),
    "lifespan.startup.failed": (_Phase.STARTING, None),
    "lifespan.shutdown.complete": (_Phase.STOPPING, _Phase.STOPPED),
    "lifespan.shutdown.failed": (_Phase.STOPPING, None),
}


class Lifespan:
    """One application's life in one server.

    Args:
        app: The application.

    Attributes:
        state: What the application put into ``scope["state"]`` while starting.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._phase = _Phase.STARTING
        self._changed = asyncio.Event()
        self._failure: str | None = None
        self._foreign = False
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Send ``lifespan.startup`` and wait for the answer.

        An application that raises before it takes the message, or answers with a message of another
        protocol, is one without lifespan, as the specification says.

        Raises:
            LifespanFailed: The application answered ``lifespan.startup.failed``, or took the
                message and raised.
        """
        self._inbox.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run(), name="plait-lifespan")
        await self._settled(_Phase.STARTED)
        if self._failure is not None:
            raise LifespanFailed(f"the application failed to start: {self._failure}")

    async def stop(self, seconds: float) -> None:
        """Send ``lifespan.shutdown`` and wait for the answer.

        Args:
            seconds: How long the application has; then it is cancelled.
        """
        if self._phase is not _Phase.STARTED:
            return
        self._phase = _Phase.STOPPING
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        try:
            async with asyncio.timeout(seconds):
                await self._settled(_Phase.STOPPED)
        except TimeoutError:
            self._failure = f"it took more than {seconds:g} seconds"
        finally:
            if self._task is not None and self._phase is not _Phase.STOPPED:
                self._task.cancel()
        if self._failure is not None:
            logger.error("the application failed to stop: %s", self._failure)

    async def _settled(self, phase: _Phase) -> None:
        while self._phase not in (phase, _Phase.STOPPED):
            self._changed.clear()
            await self._changed.wait()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._inbox.get, self._send)
        except (Exception, SystemExit) as error:
            if self._phase is not _Phase.STARTING:
                logger.exception("the application failed in its lifespan")
            elif (self._inbox.empty() and not self._foreign) or isinstance(error, SystemExit):
                logger.debug("the application failed to start", exc_info=True)
                self._failure = f"{type(error).__name__}: {error}"
            else:
                logger.debug("the application takes no lifespan messages: %r", error)
        self._move(_Phase.STOPPED)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        try:
            phase, next_phase = _MESSAGES[kind]
        except KeyError:
            self._foreign = True
            raise RuntimeError(f"{kind!r} is not a message a lifespan application sends") from None
        if self._phase is not phase:
            raise RuntimeError(f"{kind} came when the application is {self._phase.value}")
        if next_phase is None:
            # Frameworks put a whole traceback there; its last line is the reason.
            lines = str(message.get("message", "")).split("\n")
            logger.debug("%s", "\n".join(lines))
            self._failure = next((line for line in reversed(lines) if line.strip()), "it gave no reason")
        self._move(next_phase or _Phase.STOPPED)

    def _move(self, phase: _Phase) -> None:
        self._phase = phase
        self._changed.set()
