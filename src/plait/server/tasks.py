"""Starting a coroutine at once, as a task.

Most applications answer without ever waiting. Stepping such a coroutine right away, instead of
scheduling it for the next turn of the loop, saves a good part of a small request's time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any

__all__ = ["start"]

if sys.version_info >= (3, 12):

    def start(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Future[None] | None:
        """Run a coroutine up to where it first waits, then on as a task.

        Args:
            coroutine: What to run, in a copy of the current context.
            loop: The running loop; call this from one of its callbacks, not from a task.

        Returns:
            The task, or None when it is done already.
        """
        task = asyncio.Task(coroutine, loop=loop, eager_start=True)
        return None if task.done() else task

else:
    from asyncio.tasks import _enter_task, _leave_task, _PyTask, _register_task  # type: ignore[attr-defined]

    def _once(value: object) -> Generator[object, None, None]:
        yield value

    class _Task(_PyTask):  # type: ignore[misc]
        """asyncio's own task, whose first step was taken by :func:`start`.

        Python 3.12 has this built in (``eager_start``); 3.11 gets no more than security fixes, so
        what is used of asyncio's insides here no longer changes.
        """

        _name = "plait-exchange"
        _num_cancels_requested = 0
        _must_cancel = False
        _fut_waiter = None

        _loop: asyncio.AbstractEventLoop
        _coro: Coroutine[Any, Any, None]
        _callbacks: list[Any]
        _context: Context

        def go_on(self, coroutine: Coroutine[Any, Any, None], awaited: object) -> None:
            """Take over from the first step: let the inherited one find what it waits for."""
            self._coro = _once(awaited)  # type: ignore[assignment]
            _register_task(self)
            cancelled, self._must_cancel = self._must_cancel, False
            self._context.run(self._Task__step)
            self._coro = coroutine
            if cancelled and not (self._fut_waiter is not None and self._fut_waiter.cancel()):
                self._must_cancel = True

        def __del__(self) -> None:
            """Do without the inherited look for tasks nobody awaited: the server holds its tasks."""

    def start(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Future[None] | None:
        # All of it in one place, without a constructor: most tasks are over at the end of this.
        task: _Task = _Task.__new__(_Task)
        task._loop = loop
        task._coro = coroutine
        task._callbacks = []
        task._context = context = copy_context()
        _enter_task(loop, task)
        try:
            awaited = context.run(coroutine.send, None)
        except (StopIteration, asyncio.CancelledError):
            task._state = "FINISHED"
            return None
        finally:
            _leave_task(loop, task)
        task.go_on(coroutine, awaited)
        return task
