"""What a supervisor keeps of its workers, and how it hears of signals."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from plait.errors import ConfigError
from plait.server.process import Command

__all__ = ["SIGNALS", "State", "WorkerProcess", "ending", "signals_in_pipe"]

#: What a supervisor acts on.
SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)


class State(Enum):
    """What a worker is doing, as its supervisor knows it."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    HUNG = "hung"


@dataclass(eq=False, slots=True)
class WorkerProcess:
    """One worker process.

    Attributes:
        pid: Its process id.
        channel: This end of the socket to it.
        generation: How many reloads there had been when it was started.
        sign: When it last gave a sign of life.
        state: What it is doing.
        served_since: When it became ready, or None.
        deadline: When it is killed if it still runs, or None.
        worn: Whether it asked to be replaced.
        failure: What it said of why it could not start: the exit status and a sentence.
    """

    pid: int
    channel: socket.socket
    generation: int
    sign: float
    state: State = State.STARTING
    served_since: float | None = None
    deadline: float | None = None
    worn: bool = False
    failure: bytearray = field(default_factory=bytearray)

    def tell(self, command: Command) -> None:
        """Send the worker a command."""
        try:
            self.channel.send(bytes((command,)))
        except OSError:
            pass  # it is ending, or hangs and will be killed


@contextmanager
def signals_in_pipe() -> Iterator[tuple[int, int]]:
    """Have the numbers of signals written into a pipe, each a byte, while the block runs.

    Yields:
        The end to read, which does not block, and the other.

    Raises:
        ConfigError: This is not the main thread, which alone can have signals.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    try:
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    except ValueError:
        os.close(reader)
        os.close(writer)
        raise ConfigError("workers are supervised in the main thread, and this is another") from None
    # Python writes the pipe for signals that have a handler.
    handlers = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    try:
        yield reader, writer
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def ending(status: int) -> str:
    """Say how a process ended, by what :func:`os.waitstatus_to_exitcode` makes of it."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
