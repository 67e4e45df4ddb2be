"""Namespaces of the Linux kernel, as far as the emulator needs them: the system calls Python 3.11 lacks.

The only module that knows ctypes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from typing import NamedTuple

from plait.errors import PlaitError

__all__ = [
    "EmulationUnavailable",
    "Namespaces",
    "die_with",
    "kill_all_in",
    "leave_network",
    "private_mounts",
    "processes_in",
    "replace_file",
    "wake_exactly",
]

# From <sched.h>, <sys/mount.h> and <sys/prctl.h>.
_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000
_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29

_libc = ctypes.CDLL(None, use_errno=True)


class EmulationUnavailable(PlaitError):
    """Links cannot be emulated here."""

    def __init__(self, missing: str) -> None:
        """Say what is missing.

        Args:
            missing: The beginning of the sentence.
        """
        super().__init__(f"{missing}, so no link can be emulated here; --link relay models delay and rate")
        self.missing = missing


class Namespaces(NamedTuple):
    """The namespaces of one host, as open file descriptors, which keep them alive.

    Attributes:
        user: The user namespace that owns the others; None when root made them.
        net: Devices, addresses and connections.
        mount: Files; None when they are the machine's.
    """

    user: int | None
    net: int
    mount: int | None

    def enter(self) -> None:
        """Move this process, which has one thread, into them."""
        if self.user is not None:
            _call("setns", self.user, _CLONE_NEWUSER)
        _call("setns", self.net, _CLONE_NEWNET)
        if self.mount is not None:
            here = os.getcwd()
            _call("setns", self.mount, _CLONE_NEWNS)  # moves to the root directory
            os.chdir(here)


def leave_network() -> bool:
    """Move this process, which has one thread, into a network namespace of its own.

    Without the privilege to do that, a user namespace is made which has it. The process keeps its
    user and group in there, so that what it starts is as unprivileged as it was.

    Returns:
        Whether a user namespace had to be made.

    Raises:
        OSError: When the kernel refuses both.
    """
    try:
        _call("unshare", _CLONE_NEWNET)
        return False
    except PermissionError:
        user, group = os.geteuid(), os.getegid()
        _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNET)
        # user_namespaces(7): an unprivileged process may map its own group once setgroups is off.
        for name, line in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
        return True


def private_mounts() -> None:
    """Move this process into a mount namespace of its own, in which mounts are seen by nobody else.

    Raises:
        OSError: When the kernel refuses.
    """
    _call("unshare", _CLONE_NEWNS)
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def replace_file(path: str, content: str) -> None:
    """Put another file in a file's place, in this mount namespace alone.

    The new file is in memory and has no name that anybody else could see, so nothing is left of it
    when the namespace goes, however it does.

    Args:
        path: The file; it must exist.
        content: What it is to say.

    Raises:
        OSError: When the kernel refuses.
    """
    place = os.path.dirname(path)
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _call("mount", b"none", place.encode(), b"tmpfs", 0, b"mode=755")
        try:
            source = os.path.join(place, "file")
            with open(source, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(content)
            os.chmod(source, 0o644)
            _call("mount", source.encode(), f"/proc/self/fd/{target}".encode(), None, _MS_BIND, None)
        finally:
            _call("umount2", place.encode(), _MNT_DETACH)
    finally:
        os.close(target)


def processes_in(nets: tuple[int, ...]) -> Iterator[int]:
    """List the other processes that are in network namespaces.

    Args:
        nets: The namespaces, as file descriptors.

    Yields:
        Process ids.
    """
    inodes = {os.fstat(net).st_ino for net in nets}
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and int(entry) != os.getpid():
            try:
                inode = os.stat(f"/proc/{entry}/ns/net").st_ino
            except OSError:
                continue  # somebody else's, or gone
            if inode in inodes:
                yield int(entry)


def kill_all_in(nets: tuple[int, ...]) -> None:
    """Kill every other process in network namespaces, those of processes that are gone already included.

    Args:
        nets: The namespaces, as file descriptors.
    """
    while processes := list(processes_in(nets)):
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.001)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    To be called last: a change of credentials, and setns into a user namespace is one, clears it
    (prctl(2)).

    Args:
        parent: The process that started this one; when it has died already, this one ends here.
    """
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def wake_exactly() -> None:
    """Have timers of this process fire when they are due, not up to 50 microseconds later (prctl(2))."""
    _call("prctl", _PR_SET_TIMERSLACK, 1, 0, 0, 0)


def _call(name: str, *arguments: int | bytes | None) -> None:
    function = getattr(_libc, name)
    converted = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    if function(*converted) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
