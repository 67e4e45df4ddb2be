"""Moves bytes for greenlets that wait: gevent's hub watches the sockets, and there is no leader.

Rules:

1. Everything here happens in one thread: the hub calls :meth:`GreenletDriver._ready` when a socket is ready,
   and a greenlet that waits gives way to the hub.
2. Greenlets are woken, and output is written, at the end of the hub's turn: what a hundred greenlets send
   when their responses came together goes out in one piece.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import TIMEOUT_MAX
from time import monotonic
from typing import Any

from gevent import get_hub, getcurrent
from gevent.monkey import get_original

from plait.drivers.blocking import BlockingDriver, Watched
from plait.drivers.transport import BUFFER, READ, WRITE, Transport

__all__ = ["GreenletDriver"]

#: How libev calls what poll calls READ and WRITE.
_READABLE, _WRITABLE = 1, 2
#: Room for bytes: one piece is read at a time, whatever the number of clients.
_RECEIVED = memoryview(bytearray(BUFFER))
_DECRYPTED = memoryview(bytearray(BUFFER))


class _Sleeper:
    """A greenlet that waits, to be woken once."""

    __slots__ = ("_loop", "_switch", "_waking")

    def __init__(self, loop: Any, switch: Callable[[], Any]) -> None:
        self._loop = loop
        self._switch = switch
        self._waking: Any = None

    def wake(self) -> None:
        """Let it go on, at the end of the hub's turn."""
        if self._waking is None:
            self._waking = self._loop.run_callback(self._switch)

    def forget(self) -> None:
        """Do not wake it any more."""
        if self._waking is not None:
            self._waking.stop()


class GreenletDriver(BlockingDriver):
    """What :class:`~plait.drivers.blocking.BlockingDriver` is to threads, for the greenlets of one thread."""

    def _prepare(self) -> None:
        # Nobody waits for it, as nobody gives way while holding it: the system's own is the quickest.
        self.lock = get_original("threading", "Lock")()
        self.received, self.decrypted = _RECEIVED, _DECRYPTED
        self._loop = get_hub().loop
        self._watchers: dict[int, Any] = {}
        self._writing: Any = None
        self._timer: Any = None

    # -- waiting ---------------------------------------------------------------------------------

    def turn(self, deadline: float, arrived: Callable[[], bool], watched: Watched) -> None:
        self._write_soon()
        if arrived():
            return
        sleeper = _Sleeper(self._loop, getcurrent().switch)
        timer = self._loop.timer(min(max(0.0, deadline - monotonic()), TIMEOUT_MAX))
        timer.start(sleeper.wake)
        watched.watch(sleeper.wake)
        try:
            try:
                self.lock.release()
                get_hub().switch()
            finally:
                self.lock.acquire()
        except BaseException:  # the greenlet is killed, as users are when they stop
            self.at_rest = True
            raise
        finally:
            timer.close()
            watched.unwatch(sleeper.wake)
            sleeper.forget()

    def hand_over(self) -> None:
        """Do nothing: the hub leads."""

    def rouse(self) -> None:
        self._write_soon()

    def do_soon(self, action: Callable[[], None]) -> None:
        self._to_do.append(action)
        self._write_soon()

    def _write_soon(self) -> None:
        if self._writing is None:
            self._writing = self._loop.run_callback(self._write)

    def _write(self) -> None:
        self._writing = None
        with self.lock:
            self.flush()

    # -- for transports --------------------------------------------------------------------------

    def register(self, fd: int, transport: Transport) -> None:
        super().register(fd, transport)
        self._look_soon()

    def poll_for(self, fd: int, events: int) -> None:
        self._forget_watcher(fd)
        mask = (_READABLE if events & READ else 0) | (_WRITABLE if events & WRITE else 0)
        if mask:
            watcher = self._watchers[fd] = self._loop.io(fd, mask)
            watcher.start(self._ready, fd, pass_events=True)

    def forget(self, fd: int) -> None:
        self._transports.pop(fd, None)
        self._forget_watcher(fd)

    def _forget_watcher(self, fd: int) -> None:
        watcher = self._watchers.pop(fd, None)
        if watcher is not None:
            watcher.stop()
            watcher.close()

    def _ready(self, ready: int, fd: int) -> None:
        with self.lock:
            transport = self._transports.get(fd)
            if transport is not None:
                self.now = monotonic()
                events = (READ if ready & _READABLE else 0) | (WRITE if ready & _WRITABLE else 0)
                transport.handle(events)
                if self._connecting:
                    self._look_soon()
                self._write_soon()

    def _look_soon(self) -> None:
        """Look at the connections that are coming to be when the first of them is due."""
        if self._timer is not None:
            self._timer.close()
        when = min(transport.due for transport in self._connecting)
        self._timer = self._loop.timer(min(max(0.0, when - monotonic()), TIMEOUT_MAX))
        self._timer.start(self._look)

    def _look(self) -> None:
        with self.lock:
            self.now = monotonic()
            for transport in list(self._connecting):
                transport.expire(self.now)
            if self._connecting:
                self._look_soon()
            self._write_soon()

    # -- the end ---------------------------------------------------------------------------------

    def abandon(self) -> None:
        for transport in {*self._transports.values(), *self._connecting}:
            transport.abandon()

    def close(self) -> None:
        super().close()
        for one in (self._timer, self._writing):
            if one is not None:
                one.stop()
