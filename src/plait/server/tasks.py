"""Starting a coroutine at once, as a task.

Most applications answer without ever waiting. Stepping such a coroutine right away, instead of
scheduling it for the next turn of the loop, saves a good part of a small request's time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from typing import Any

__all__ = ["start"]

if sys.version_info >= (3, 12):

    def _task(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:
    from asyncio.tasks import _enter_task, _leave_task, _PyTask, _register_task  # type: ignore[attr-defined]

    def _once(value: object) -> Generator[object, None, None]:
        yield value

    class _task(_PyTask):  # type: ignore[misc]
        """asyncio's own task, with its first step taken in the constructor.

        Python 3.12 has this built in (``eager_start``); 3.11 gets no more than security fixes, so
        what is used of asyncio's insides here no longer changes.
        """

        _name = "plait-exchange"
        _num_cancels_requested = 0
        _must_cancel = False
        _fut_waiter = None

        def __init__(self, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
            self._loop = loop
            self._coro = coroutine
            self._callbacks: list[Any] = []
            self._context = context = copy_context()
            _enter_task(loop, self)
            try:
                awaited = context.run(coroutine.send, None)
            except (StopIteration, asyncio.CancelledError):
                self._state = "FINISHED"
                return
            finally:
                _leave_task(loop, self)
            # It waits. Let the inherited step find what for, and take over from here.
            self._coro = _once(awaited)  # type: ignore[assignment]
            _register_task(self)
            cancelled, self._must_cancel = self._must_cancel, False
            context.run(self._Task__step)
            self._coro = coroutine
            if cancelled and not (self._fut_waiter is not None and self._fut_waiter.cancel()):
                self._must_cancel = True

        def __del__(self) -> None:
            """Do without the inherited look for tasks nobody awaited: the server holds its tasks."""


def start(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    """Run a coroutine up to where it first waits, then on as a task.

    Args:
        coroutine: What to run, in a copy of the current context.
        loop: The running loop; call this from one of its callbacks, not from a task.

    Returns:
        The task, which may be done already.
    """
    return _task(coroutine, loop)
