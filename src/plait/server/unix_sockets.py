"""Sockets in the file system: their permissions, and files that a dead server has left behind."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from plait.errors import PlaitError
from plait.server.endpoints import Unix

__all__ = ["bind_unix"]

#: Seconds for a live server to show itself; connecting to a local socket takes none.
_PATIENCE = 1.0


def bind_unix(address: Unix) -> tuple[socket.socket, Callable[[], None]]:
    """Bind a socket in the file system, in place of one that nobody listens on any more.

    Args:
        address: Its path, permissions and whether there is a lock beside it.

    Returns:
        The socket, and a function that removes the files made here.

    Raises:
        PlaitError: A server listens there, or the file is no socket.
        OSError: The system refuses.
    """
    path = address.path.absolute()  # the working directory may change before the file is removed
    lock = _lock(path.with_name(path.name + ".lock")) if address.lock else None
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_way(path)
        bound.bind(os.fspath(path))
        # Nobody can connect before listen() is called, so nobody does with other permissions.
        path.chmod(address.mode)
        made = path.stat()
    except BaseException:
        bound.close()
        if lock is not None:
            lock()
        raise

    def remove() -> None:
        try:
            there = path.lstat()
            if (there.st_dev, there.st_ino) == (made.st_dev, made.st_ino):
                path.unlink()
        except OSError:
            pass  # somebody else has removed it, or its directory
        if lock is not None:
            lock()

    return bound, remove


def _make_way(path: Path) -> None:
    """Remove a socket that nobody listens on; refuse to touch anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise PlaitError(f"cannot listen on {path}: it is there already, and it is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE)
        number = probe.connect_ex(os.fspath(path))
    if number in (0, errno.EAGAIN):  # the queue of a server that is busy may be full
        raise PlaitError(f"cannot listen on {path}: another server does")
    if number != errno.ECONNREFUSED:
        raise PlaitError(f"cannot listen on {path}: {os.strerror(number).lower()}")
    path.unlink()


def _lock(path: Path) -> Callable[[], None]:
    """Hold a lock for as long as this process or one of its children lives; return what ends it."""
    import fcntl  # not on Windows, which has no such sockets either

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        except BlockingIOError:
            os.close(descriptor)
            raise PlaitError(
                f"cannot listen on {path.with_suffix('')}: another server holds {path}"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the server before has just removed it

    def unlock() -> None:
        try:
            path.unlink()
        except OSError:
            pass
        os.close(descriptor)

    return unlock
