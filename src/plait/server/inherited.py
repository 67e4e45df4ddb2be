"""Sockets that were open before this process began: by number, or from systemd."""

from __future__ import annotations

import os
import socket
import stat

from plait.errors import ConfigError
from plait.server.endpoints import Activated, Inherited

__all__ = ["adopt"]

#: The first descriptor that systemd hands over (sd_listen_fds(3)).
_FIRST = 3


def adopt(address: Inherited | Activated) -> socket.socket:
    """Take over a socket this process was started with.

    Args:
        address: Which one.

    Raises:
        ConfigError: There is no such socket, or it is none that clients could connect to.
    """
    number = address.number if isinstance(address, Inherited) else _activated(address)
    try:
        is_socket = stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError as error:
        raise ConfigError(f"descriptor {number} is not open") from error
    if not is_socket:
        raise ConfigError(f"descriptor {number} is no socket")
    # A copy, so that several endpoints may name one socket, and closing is nobody else's loss.
    found = socket.socket(fileno=os.dup(number))
    families = {"INET": socket.AF_INET, "INET6": socket.AF_INET6, "UNIX": socket.AF_UNIX}
    family = found.family
    wanted = families.get(address.domain, family) if isinstance(address, Activated) else family
    if found.type != socket.SOCK_STREAM or family not in families.values():
        found.close()
        raise ConfigError(f"descriptor {number} is no socket for connections over TCP or a Unix socket")
    if family != wanted:
        found.close()
        actual = next(name for name, one in families.items() if one == family)
        raise ConfigError(f"the domain of descriptor {number} is {actual}")
    return found


def _activated(address: Activated) -> int:
    """Find one of the sockets that systemd has handed to this process."""
    environment = os.environ
    if environment.get("LISTEN_PID") != str(os.getpid()):
        raise ConfigError("systemd has handed this process no sockets (LISTEN_PID is not its own)")
    count = environment.get("LISTEN_FDS", "")
    handed = range(int(count)) if count.isascii() and count.isdecimal() else range(0)
    if isinstance(address.which, int):
        index = address.which
    else:
        names = environment.get("LISTEN_FDNAMES", "").split(":")
        if address.which not in names:
            raise ConfigError(f"systemd has handed over no socket named {address.which!r}")
        index = names.index(address.which)
    if index not in handed:
        raise ConfigError(f"systemd has handed over {len(handed)} sockets, none with the index {index}")
    return _FIRST + index
