"""What processes that keep a link have in common: how they begin, answer and end.

Each is started by :class:`plait.lab.network.emulator.Emulator` and told what to be over a channel. When the
process that uses the link is gone, whichever way, they kill what is left on the two hosts and end; the
namespaces and devices go with them.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, Protocol, TypeVar

from plait.lab.network.channel import Channel
from plait.lab.network.hosts import SERVER_ADDRESS, needs
from plait.lab.network.namespaces import EmulationUnavailable, Namespaces, kill_all_in
from plait.lab.network.profile import Direction, Loss

__all__ = ["TwoHosts", "answer_all", "direction_of", "keep_link", "listen"]


class TwoHosts(Protocol):
    """The hosts at the ends of a link."""

    @property
    def client(self) -> Namespaces:
        """The namespaces of the client's host."""

    @property
    def server(self) -> Namespaces:
        """Those of the server's."""


_Hosts = TypeVar("_Hosts", bound=TwoHosts)


def keep_link(
    arguments: Sequence[str],
    make: Callable[[str, Sequence[str]], _Hosts],
    serve: Callable[[_Hosts, Channel, int], None],
) -> NoReturn:
    """Make the hosts, hand them over, and keep the link between them until nobody uses it.

    Args:
        arguments: The file descriptor of the channel, the process that started this one, the
            congestion control, and the names that mean the server.
        make: Makes the hosts, of the last two.
        serve: Does what the link is for, with the hosts, the channel and the process that uses them, as a
            file descriptor that is readable when that process is gone; then it returns.
    """
    descriptor, parent, congestion_control, *names = arguments
    channel = Channel(socket.socket(fileno=int(descriptor)))
    try:
        with needs("the kernel cannot tell when a process ends"):
            owner = os.pidfd_open(int(parent))
        if os.getppid() != int(parent):
            sys.exit(1)
        hosts = make(congestion_control, names)
    except EmulationUnavailable as error:
        with suppress(OSError):  # nobody is there to hear it any more
            channel.send({"error": error.missing})
        sys.exit(1)
    client, server = hosts.client, hosts.server
    descriptors = [client.net, client.mount, server.net, client.user]
    try:
        channel.send({}, [descriptor for descriptor in descriptors if descriptor is not None])
    except OSError:
        sys.exit(1)
    try:
        serve(hosts, channel, owner)
    finally:
        kill_all_in((client.net, server.net))
    sys.exit(0)


def answer_all(channel: Channel, owner: int, answer: Callable[[dict[str, Any]], None]) -> None:
    """Wait for messages and answer each, until the process that sends them is gone.

    Args:
        channel: To that process; whoever it has started may hold its other end open for longer.
        owner: That process, as a file descriptor.
        answer: Does as a message says.
    """
    while True:
        ready = select.select([channel.fileno(), owner], (), ())[0]
        if owner in ready:
            return
        try:
            message, _ = channel.receive()
            answer(message)
        except (EOFError, OSError):
            return


def direction_of(values: dict[str, Any]) -> Direction:
    """Return the direction that a channel carried as JSON."""
    loss = values["loss"]
    return Direction(**{**values, "loss": Loss(**loss) if loss else None})


def listen(channel: Channel, port: int) -> None:
    """Listen on the server's address, on which this process has to be, and answer with the socket."""
    try:
        with socket.create_server((SERVER_ADDRESS, port), backlog=1024) as listener:
            channel.send({"port": listener.getsockname()[1]}, [listener.fileno()])
    except OSError as error:
        channel.send({"error": f"{SERVER_ADDRESS}:{port}: {error.strerror}"})
