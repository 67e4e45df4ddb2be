"""Messages between two processes of the lab: lines of JSON over a socket, with file descriptors."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

__all__ = ["Channel"]

_MOST_DESCRIPTORS = 8


class Channel:
    """One end of a connection on which every message is answered before the next is sent."""

    def __init__(self, connection: socket.socket) -> None:
        """Speak over a connection.

        Args:
            connection: A connected Unix socket, in blocking mode; closed with the channel.
        """
        self._connection = connection

    def fileno(self) -> int:
        """Return the socket's file descriptor, which is readable when there is a message, or an end."""
        return self._connection.fileno()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send a message.

        Args:
            message: What JSON can hold.
            descriptors: File descriptors that the other side gets copies of.

        Raises:
            OSError: When the other side is gone.
        """
        line = json.dumps(message).encode() + b"\n"
        if descriptors:
            sent = socket.send_fds(self._connection, [line], list(descriptors))
            line = line[sent:]
        self._connection.sendall(line)

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Wait for a message.

        Returns:
            The message and its file descriptors, which are not inherited.

        Raises:
            EOFError: When the other side is gone.
        """
        line = bytearray()
        descriptors: list[int] = []
        while not line.endswith(b"\n"):
            data, more, _, _ = socket.recv_fds(
                self._connection, 1 << 16, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
            if not data:
                raise EOFError
            line += data
            descriptors += more
        return json.loads(line), descriptors

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
