"""A link between two hosts of this machine's own making: the kernel's TCP over an emulated network.

Each host is a network namespace with a TUN device, and a process in between (``tun_link``) carries the
packets. Everything vanishes when this process ends, however it does.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from plait.errors import ConfigError, PlaitError
from plait.lab.network.channel import Channel
from plait.lab.network.hosts import SERVER_ADDRESS
from plait.lab.network.link import LinkReport
from plait.lab.network.namespaces import EmulationUnavailable, Namespaces, die_with
from plait.lab.network.profile import Network
from plait.lab.network.shaper import Shaper
from plait.lab.samples import LinkUse, Loss, Medium, Traffic

__all__ = ["EmulationUnavailable", "EmulatedHost", "Emulator", "ServerHost", "bottleneck"]

# A run is not trusted beyond these: the share of its CPU that the link needed, and what is late, as seconds
# or as a share of the round trip, whichever is more.
_BUSY = 0.6
_LATE = 0.001
_LATE_SHARE = 0.05


class EmulatedHost:
    """One end of the link."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process on this host.

        It is killed when this process ends, when the emulator is closed, and, which is Linux's way,
        when the thread that called this ends.

        Args:
            command: The program and its arguments.
            options: As :class:`subprocess.Popen` takes them, but ``preexec_fn``.
        """
        parent = os.getpid()
        namespaces = self._namespaces

        def enter() -> None:
            namespaces.enter()
            die_with(parent)

        return subprocess.Popen(command, preexec_fn=enter, **options)


class ServerHost(EmulatedHost):
    """The end at which servers run, or sockets that relay to a server elsewhere."""

    def __init__(self, namespaces: Namespaces, channel: Channel) -> None:
        super().__init__(namespaces)
        self._channel = channel

    def listen(self, port: int) -> socket.socket:
        """Listen on the server's address, from this process.

        Args:
            port: The port; 0 for one that is free.

        Returns:
            A listening TCP socket. What it accepts came over the link.

        Raises:
            ConfigError: When the port is not to be had.
        """
        answer, descriptors = _ask(self._channel, {"listen": port})
        if "error" in answer:
            raise ConfigError(answer["error"])
        return socket.socket(fileno=descriptors[0])


class Emulator:
    """An emulated link, with the hosts at its ends, to be used in a ``with`` statement.

    Attributes:
        medium: :attr:`plait.lab.samples.Medium.EMULATED`.
        client: Where contenders run.
        server: Where servers run.
        server_address: The server's address, as the client's host reaches it.
        congestion_control: What TCP uses across the link.
    """

    medium = Medium.EMULATED
    server_address = SERVER_ADDRESS
    client: EmulatedHost
    server: ServerHost
    _module = "plait.lab.network.tun_link"  # the process that makes the hosts and joins them

    def __init__(self, *, congestion_control: str | None = None, names: Collection[str] = ()) -> None:
        """Say what the hosts are to be like.

        Args:
            congestion_control: As the kernel calls it; None for cubic, which most servers run, where
                the kernel has it, and for the kernel's default elsewhere.
            names: Names that mean the server on the client's host, whatever they mean elsewhere.

        Raises:
            EmulationUnavailable: When this is not Linux.
            ConfigError: When the kernel does not offer the congestion control.
        """
        if sys.platform != "linux":
            raise EmulationUnavailable(f"{sys.platform} has no network namespaces")
        offered = _read("tcp_available_congestion_control").split()
        if congestion_control is None:
            congestion_control = "cubic" if "cubic" in offered else _read("tcp_congestion_control")
        elif congestion_control not in offered:
            raise ConfigError(
                f"the kernel does not offer the congestion control {congestion_control!r}, but"
                f" {', '.join(offered)}"
            )
        self.congestion_control = congestion_control
        self._names = names

    def __enter__(self) -> Self:
        """Make the hosts and the link.

        Raises:
            EmulationUnavailable: When that is not possible here; the message says what is missing.
        """
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        with theirs:
            self._process = subprocess.Popen(
                # -P: a module in the current directory must not pass for one of the standard library.
                [
                    *(sys.executable, "-P", "-m", self._module),
                    *(str(theirs.fileno()), str(os.getpid()), self.congestion_control, *self._names),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for this process, which then closes the link
            )
        self._descriptors: list[int] = []
        try:
            answer, self._descriptors = _ask(self._channel, None)
            if "error" in answer:
                raise EmulationUnavailable(answer["error"])
        except BaseException:
            self._close()
            raise
        client_net, mount, server_net, *users = self._descriptors
        user = users[0] if users else None
        self.client = EmulatedHost(Namespaces(user, client_net, mount))
        self.server = ServerHost(Namespaces(user, server_net, None), self._channel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Kill what runs on the hosts, and take them away."""
        self._close()

    def begin(self, network: Network | None, seed: int) -> None:
        """Be this network from now on, empty and with nothing counted.

        Args:
            network: How to be; None as fast as can be.
            seed: Of everything random: the same seed loses the same packets of each direction.

        Raises:
            ConfigError: When no link has these figures.
        """
        if network:
            for direction in network.down, network.up:
                Shaper(direction, "")  # refuses here what the link could only die of
        _ask(self._channel, {"begin": asdict(network) if network else None, "seed": seed})

    def end(self) -> LinkReport:
        """Tell what happened since :meth:`begin`, and be as fast as can be until the next."""
        answer, _ = _ask(self._channel, {"end": None})
        use = answer["use"]
        down, up = Traffic(**use.pop("down")), Traffic(**use.pop("up"))
        return LinkReport(
            use=LinkUse(down=down, up=up, **use), losses=tuple(Loss(*loss) for loss in answer["losses"])
        )

    def _close(self) -> None:
        self._channel.close()  # at which the link kills what is left on the hosts, and ends
        self._process.wait()
        for descriptor in self._descriptors:
            os.close(descriptor)


def _read(parameter: str) -> str:
    path = f"/proc/sys/net/ipv4/{parameter}"
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError as error:
        raise EmulationUnavailable(f"{path} cannot be read ({error.strerror})") from error


def _ask(channel: Channel, message: dict[str, Any] | None) -> tuple[dict[str, Any], list[int]]:
    try:
        if message is not None:
            channel.send(message)
        return channel.receive()
    except (EOFError, OSError) as error:
        raise PlaitError("the process that emulates the link has died") from error


def bottleneck(use: LinkUse, network: Network | None = None) -> str | None:
    """Tell whether the emulator itself decided how a run went.

    Args:
        use: What the link did.
        network: What it was told to be; a packet on a long way may be a little later.

    Returns:
        One sentence, when the run is not to be trusted.
    """
    carries = f"it can carry {use.capacity:,.0f} packets per second"
    if use.overruns:
        return f"the emulated link overran: {use.overruns:,} packets came faster than it read; {carries}"
    if use.busy > _BUSY:
        asked = use.busy * use.capacity
        return f"the emulated link was {use.busy:.0%} busy: {carries} and was asked for {asked:,.0f}"
    allowed = max(_LATE, _LATE_SHARE * network.rtt) if network else _LATE
    if use.late_p99 > allowed:
        return (
            f"the emulated link delivered 1 % of its packets more than {use.late_p99 * 1e3:.1f} ms late,"
            f" where {allowed * 1e3:.1f} ms matter; {carries} when it gets the CPU"
        )
    return None
