"""Starts workers, listens for their signs of life, replaces those that end: one process without a loop.

All that happens is a signal, a byte from a worker or a moment that has come; :meth:`Supervisor.run`
waits for the three together. It runs no thread, so that a fork copies nothing half-done.
"""

from __future__ import annotations

import logging
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from enum import Enum

from plait.errors import ConfigError, PlaitError
from plait.server.fleet import SIGNALS, State, WorkerProcess, ending, signals_in_pipe
from plait.server.notify import Notifier
from plait.server.process import Command, Sign, fork

__all__ = ["Supervisor"]

logger = logging.getLogger("plait.server")

#: Seconds: how long a worker has served when its end says nothing about the next one's chances; the
#: longest wait before a worker is started again; what one gets to write its traceback; to give up; to end
#: while it starts.
_SETTLED, _LONGEST_WAIT, _TRACEBACK, _LAST_WORDS, _UNBORN = 1.0, 30.0, 2.0, 1.0, 2.0
#: Seconds between looks at the workers, at most.
_TURN = 1.0


class _Phase(Enum):
    STARTING = "starting"
    SERVING = "serving"
    RELOADING = "reloading"
    STOPPING = "stopping"


class Supervisor:
    """Keeps a number of workers alive until it is told to stop.

    Args:
        work: Runs in each worker with its end of the channel, and returns the exit status.
        workers: How many there are to be.
        timeout: Seconds without a sign of life after which a worker is killed.
        grace: Seconds that requests in flight have to finish.
        notifier: Told how the whole is doing.
        changes: File descriptor that can be read when source files changed, or None.
        on_ready: Called when all of the first workers are ready.
        on_reload: Called before workers are started anew by SIGHUP.
        on_stop: Called when the end begins: nothing is accepted any more.
    """

    def __init__(
        self,
        work: Callable[[socket.socket], int],
        *,
        workers: int,
        timeout: float,
        grace: float,
        notifier: Notifier,
        changes: int | None = None,
        on_ready: Callable[[], None],
        on_reload: Callable[[], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._work = work
        self._target = workers
        self._timeout = timeout
        self._grace = grace
        self._notifier = notifier
        self._changes = changes
        self._on_ready = on_ready
        self._on_reload = on_reload
        self._on_stop = on_stop
        self._workers: list[WorkerProcess] = []
        self._generation = 0
        self._phase = _Phase.STARTING
        self._error: PlaitError | None = None
        self._failures = 0
        self._not_before = 0.0
        self._next_ping = 0.0
        self._looked = time.monotonic()

    def run(self) -> None:
        """Supervise until SIGINT or SIGTERM, and return when every worker is gone.

        Raises:
            ConfigError: A worker of the first generation said that an option is wrong; or this is not
                the main thread, which alone can have signals.
            PlaitError: It could not start for another reason.
        """
        with selectors.DefaultSelector() as self._selector, signals_in_pipe() as self._pipe:
            self._selector.register(self._pipe[0], selectors.EVENT_READ)
            if self._changes is not None:
                self._selector.register(self._changes, selectors.EVENT_READ)
            try:
                while self._workers or self._phase is not _Phase.STOPPING:
                    self._balance(time.monotonic())
                    self._wait()
                    self._look(time.monotonic())
            finally:
                for worker in self._workers:  # only after an error of this process's own
                    worker.channel.close()
        if self._error is not None:
            raise self._error

    # -- what happens ----------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for a signal, a sign or a moment, and act on the first two."""
        now = time.monotonic()
        moments = [now + _TURN, *(w.deadline for w in self._workers if w.deadline is not None)]
        if self._not_before > now:
            moments.append(self._not_before)
        if self._notifier.interval is not None:
            moments.append(self._next_ping)
        found = self._selector.select(max(0.0, min(moments) - now))
        now = time.monotonic()
        for key, _ in found:
            if key.data is not None:
                self._hear(key.data, now)
            elif key.fd == self._changes:
                self._notice_change(now)
        # After the signs, so that what a worker said before it died is known when its end is.
        try:
            numbers = os.read(self._pipe[0], 4096)
        except BlockingIOError:
            return
        for number in numbers:
            self._take(signal.Signals(number), now)

    def _take(self, number: signal.Signals, now: float) -> None:
        match number:
            case signal.SIGTERM | signal.SIGINT:
                self._stop(now, at_once=self._phase is _Phase.STOPPING)
            case signal.SIGQUIT:
                self._stop(now, at_once=True)
            case signal.SIGHUP if self._phase is not _Phase.STOPPING:
                logger.info("reloading")
                self._notifier.reloading()
                if self._phase is _Phase.SERVING:
                    self._phase = _Phase.RELOADING
                self._on_reload()
                self._begin_generation(now)
            case signal.SIGUSR1:
                for worker in self._workers:
                    worker.tell(Command.REOPEN)
            case signal.SIGTTIN | signal.SIGTTOU if self._phase is not _Phase.STOPPING:
                self._target = max(1, self._target + (1 if number == signal.SIGTTIN else -1))
                logger.info("workers: %d", self._target)

    def _hear(self, worker: WorkerProcess, now: float) -> None:
        """Read what a worker says."""
        while True:
            try:
                said = worker.channel.recv(65536)
            except BlockingIOError:
                return
            except ConnectionError:
                said = b""
            if not said:
                # The end of its process is seen by SIGCHLD; there is nothing more to read here.
                if worker.channel.fileno() in self._selector.get_map():
                    self._selector.unregister(worker.channel)
                return
            worker.sign = now
            if worker.failure:
                worker.failure += said
                continue
            for position, byte in enumerate(said):
                match Sign(byte):
                    case Sign.READY if worker.state is State.STARTING:
                        worker.state = State.READY
                        worker.served_since = now
                    case Sign.READY if worker.state is State.DRAINING:
                        # It crossed with the command to drain, and so may requests have done.
                        worker.deadline = now + self._grace + self._timeout
                    case Sign.WORN:
                        worker.worn = True
                    case Sign.LEAVING if worker.state is State.READY:
                        worker.state = State.DRAINING
                        worker.deadline = now + self._grace + self._timeout
                    case Sign.FAILED:
                        worker.failure += said[position + 1 :]
                        break

    def _notice_change(self, now: float) -> None:
        assert self._changes is not None
        said = os.read(self._changes, 65536).decode(errors="replace")
        if not said:
            self._selector.unregister(self._changes)
            logger.error("the watch over source files ended: nothing is reloaded any more")
            return
        if self._phase is _Phase.STOPPING:
            return
        logger.info("%s changed: starting anew", said.splitlines()[0])
        self._begin_generation(now)
        # At once: whoever changed a file wants to see the change, not what was before it.
        for worker in self._workers:
            self._drain(worker, now)

    def _begin_generation(self, now: float) -> None:
        self._generation += 1
        self._failures = 0
        self._not_before = now

    # -- what follows ----------------------------------------------------------------------------

    def _balance(self, now: float) -> None:
        """Start and drain workers until there are as many, and as new, as there should be."""
        if self._phase is _Phase.STOPPING:
            return
        ready = [worker for worker in self._workers if worker.state is State.READY]
        # A worker is replaced by starting one more; the stalest is then one too many.
        ready.sort(key=lambda worker: (worker.generation, not worker.worn, worker.served_since))
        while len(ready) > self._target:
            self._drain(ready.pop(0), now)
        if len(ready) == self._target:
            self._settle(ready)
        starting = sum(worker.state is State.STARTING for worker in self._workers)
        missing = self._target - len(ready) - starting
        if missing <= 0 and not starting and any(self._stale(worker) for worker in ready):
            missing = 1
        if self._phase is _Phase.STARTING and not ready:
            # The first goes first: what is wrong with the application is said once.
            missing = min(missing, 1 - starting)
        if now >= self._not_before:
            for _ in range(missing):
                self._start(now)

    def _stale(self, worker: WorkerProcess) -> bool:
        return worker.worn or worker.generation < self._generation

    def _settle(self, ready: list[WorkerProcess]) -> None:
        """Say that all are there, when that is news."""
        if self._phase is _Phase.STARTING:
            self._on_ready()
        elif self._phase is _Phase.RELOADING and all(w.generation == self._generation for w in ready):
            logger.info("reloaded; workers: %d", self._target)
        else:
            return
        self._phase = _Phase.SERVING
        self._notifier.ready()
        self._notifier.status(f"serving; workers: {self._target}")

    def _start(self, now: float) -> None:
        ours, theirs = socket.socketpair()

        def child() -> int:
            # Not ours: held open here, they would hide the supervisor's end from other workers.
            self._selector.close()
            for worker in self._workers:
                worker.channel.close()
            for descriptor in (*self._pipe, *([] if self._changes is None else [self._changes])):
                os.close(descriptor)
            ours.close()
            return self._work(theirs)

        try:
            pid = fork(child, SIGNALS)
        except OSError as error:
            ours.close()
            theirs.close()
            self._back_off(now)
            logger.error("cannot start a worker: %s", error.strerror)
            return
        theirs.close()
        ours.setblocking(False)
        worker = WorkerProcess(pid=pid, channel=ours, generation=self._generation, sign=now)
        self._workers.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _drain(self, worker: WorkerProcess, now: float) -> None:
        """Let a worker finish what it has in flight, and end."""
        if worker.state in (State.STARTING, State.READY):
            # The grace period is for requests; then the application's own shutdown has its time. Who has
            # not even started has neither, and may be held up by an import that never ends.
            ready = worker.state is State.READY
            worker.deadline = now + (self._grace + self._timeout if ready else _UNBORN)
            worker.state = State.DRAINING
            worker.tell(Command.DRAIN)

    def _stop(self, now: float, *, at_once: bool) -> None:
        if self._phase is not _Phase.STOPPING:
            self._phase = _Phase.STOPPING
            self._on_stop()
            self._notifier.stopping()
            self._notifier.status("draining")
        for worker in self._workers:
            self._drain(worker, now)
            if at_once:
                worker.tell(Command.GIVE_UP)
                worker.deadline = now + _LAST_WORDS

    # -- what has come to pass -------------------------------------------------------------------

    def _look(self, now: float) -> None:
        """Find workers that ended, and end those that hang."""
        # When this process did not run either, in a container that was paused or a machine that was
        # suspended, what was not heard in that time says nothing about the workers.
        missed = now - self._looked - _TURN
        self._looked = now
        for worker in list(self._workers):
            if missed > _TURN:
                worker.sign += missed
            try:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
            except ChildProcessError:  # the program around this one waits for every child
                pid, status = worker.pid, 0
            if pid:
                self._hear(worker, now)
                self._bury(worker, os.waitstatus_to_exitcode(status), now)
            elif worker.deadline is not None and now >= worker.deadline:
                logger.error("worker %d did not end in time: it is killed", worker.pid)
                worker.deadline = now + self._timeout
                os.kill(worker.pid, signal.SIGKILL)
            elif worker.state is not State.HUNG and now - worker.sign >= self._timeout:
                logger.error(
                    "worker %d gave no sign of life for %g seconds: it is killed",
                    worker.pid,
                    self._timeout,
                )
                worker.state = State.HUNG
                worker.deadline = now + _TRACEBACK
                os.kill(worker.pid, signal.SIGABRT)  # faulthandler writes where it hangs
        if self._notifier.interval is not None and now >= self._next_ping:
            self._next_ping = now + self._notifier.interval
            states = {worker.state for worker in self._workers}
            if self._phase is _Phase.STOPPING or (State.READY in states and State.HUNG not in states):
                self._notifier.alive()

    def _bury(self, worker: WorkerProcess, status: int, now: float) -> None:
        """Take note of a worker's end, and decide what follows from it."""
        self._workers.remove(worker)
        if worker.channel.fileno() in self._selector.get_map():
            self._selector.unregister(worker.channel)
        worker.channel.close()
        if self._phase is _Phase.STOPPING or worker.state is State.DRAINING:
            return
        if worker.served_since is not None:
            logger.error("worker %d %s: it is replaced", worker.pid, ending(status))
            if now - worker.served_since >= _SETTLED:
                self._failures = 0
                self._not_before = now
            else:
                self._back_off(now)
            return
        if worker.failure:
            kind = ConfigError if worker.failure[:1] == b"2" else PlaitError
            error = kind(worker.failure[1:].decode(errors="replace"))
        else:
            error = PlaitError(f"a worker {ending(status)} before it was ready")
        if self._changes is not None:
            self._not_before = math.inf
            logger.error("%s; waiting for a change", error)
        elif self._phase is _Phase.STARTING:
            self._error = error
            self._stop(now, at_once=False)
        elif any(w.generation < self._generation for w in self._workers if w.state is State.READY):
            for other in self._workers:
                other.generation = self._generation
            self._phase = _Phase.SERVING
            logger.error("the reload failed, and the workers before it go on: %s", error)
            self._notifier.ready()
            self._notifier.status(f"the reload failed: {error}")
        else:
            self._back_off(now)
            logger.error("a worker failed to start: %s; next try in %.1f s", error, self._not_before - now)

    def _back_off(self, now: float) -> None:
        self._failures += 1
        self._not_before = now + min(_LONGEST_WAIT, 0.1 * 2**self._failures)
