"""Processes of one server: how a child comes to be, and what it and its supervisor say to each other."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from enum import IntEnum

__all__ = ["Command", "Sign", "fork", "hold_standard_streams", "keep_read_buffers"]


class Sign(IntEnum):
    """What a worker says, each in a byte."""

    READY = ord("r")
    ALIVE = ord("a")
    #: It has served as many requests as it should, and asks to be replaced.
    WORN = ord("w")
    #: Somebody else told it to stop.
    LEAVING = ord("l")
    #: It cannot start; its exit status, one digit, and a sentence follow.
    FAILED = ord("f")


class Command(IntEnum):
    """What a worker is told, each in a byte; the end of the channel says DRAIN too."""

    DRAIN = ord("D")
    GIVE_UP = ord("G")
    REOPEN = ord("R")


#: Bytes of a block larger than any that is made for reading: uvloop and asyncio read TLS into 256 KiB.
_BEYOND_READ_BUFFER = 524_288


def keep_read_buffers() -> None:
    """Have the memory that TLS is read into used again, instead of mapped anew for every read.

    glibc asks the kernel for blocks of 128 KiB and more, three calls and two page faults each time,
    until such a block is freed: then it keeps blocks of that size (mallopt(3), M_MMAP_THRESHOLD). What
    was read is cut to its length before it is freed, so without this it would not happen before the
    first connection ends, and a proxy keeps its connections.
    """
    bytes(_BEYOND_READ_BUFFER)


def hold_standard_streams() -> None:
    """Open what this process was started without of standard input, output and error.

    Otherwise the next socket would take that number, and a client would get the access log.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  (as long as the process)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def fork(work: Callable[[], int], signals: Iterable[signal.Signals]) -> int:
    """Run a function in a child process that ends with it, and return the process id.

    Args:
        work: Its result is the exit status.
        signals: What this process has handlers for; the child begins without them, and takes no
            notice of SIGINT and SIGHUP, which a terminal sends to both.

    Raises:
        OSError: There is no room for another process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal that came in between would run this process's handler in the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        pid = os.fork()
        if pid == 0:
            _run(work, signals, before)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(work: Callable[[], int], signals: Iterable[signal.Signals], mask: Iterable[int]) -> None:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in signals:
            # Not SIG_IGN, which programs that the application starts would inherit.
            ignored = number in (signal.SIGINT, signal.SIGHUP)
            signal.signal(number, (lambda *_: None) if ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # What the parent registered is the parent's to run; what the application does runs here.
        atexit._clear()
        status = work()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            # Never back into the caller's frames, which are the parent's.
            os._exit(status)
