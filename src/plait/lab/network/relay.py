"""A link made of a process that passes bytes on, and passes them on late: what can be had everywhere.

A relay ends the client's TCP connection and has one of its own to the server, so what it models is above TCP:

- the propagation delay of each direction, with jitter,
- the rate of each direction, for all connections together, with the headers of the packets it would take,
- the establishment of a connection: what the client sends first goes off one round trip after it connected
  (connecting itself returns at once; in a timeline the round trip is part of what follows),
- the wait of a sender while the queue is full.

It models no loss, no packet that is dropped by a full queue, no slow start and no congestion control; and a
request's acknowledgements take nothing of the other direction's rate.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import TracebackType
from typing import IO, Self

from plait.errors import ConfigError, PlaitError
from plait.lab.network.link import LinkReport
from plait.lab.network.local import LocalHost, kernel_congestion_control
from plait.lab.network.profile import Network
from plait.lab.samples import Medium

__all__ = ["RelayLink", "refuse_loss", "splice"]

BACKLOG = 4096
SHUTDOWN_LIMIT = 5.0


def refuse_loss(networks: Iterable[Network]) -> None:
    """Refuse networks that a relay cannot model.

    Args:
        networks: The networks.

    Raises:
        ConfigError: One of them loses packets.
    """
    for network in networks:
        if network.down.loss or network.up.loss:
            raise ConfigError(
                f"a relay cannot lose packets, and {network.name} loses some: leave such networks out, "
                "or use --link tun where it can be had"
            )


class RelayLink:
    """A modelled link to a server on this machine, to be used in a ``with`` statement.

    Attributes:
        medium: :attr:`plait.lab.samples.Medium.MODELLED`.
        client: This machine.
        server: This machine.
        server_address: Where the relay listens.
        port: The port it listens on.
        congestion_control: TCP's on this machine.
    """

    medium = Medium.MODELLED

    def __init__(self, upstream: tuple[str, int]) -> None:
        """Say where connections lead.

        Args:
            upstream: The server's name or address, and its port.
        """
        self.client = LocalHost()
        self.server = LocalHost()
        self.congestion_control = kernel_congestion_control()
        self._upstream = upstream
        host = upstream[0].strip("[]")
        # A client that knows the server by an address on loopback finds the relay there, too.
        self.server_address = host if _is_loopback_address(host) else "127.0.0.1"
        self.port = 0

    def __enter__(self) -> Self:
        """Start the relay; until :meth:`begin` it models nothing.

        Raises:
            PlaitError: The server's name cannot be resolved.
        """
        family = socket.AF_INET6 if ":" in self.server_address else socket.AF_INET
        listener = socket.create_server((self.server_address, 0), family=family, backlog=BACKLOG)
        self.port = listener.getsockname()[1]
        self._process = _start(listener, self._upstream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the relay, and every connection over it."""
        _stop(self._process)

    def begin(self, network: Network | None, seed: int) -> None:
        """Be this network from now on; connections that are left from before are broken off.

        Args:
            network: How to be; None to pass everything on at once.
            seed: Of the jitter.

        Raises:
            ConfigError: The network loses packets.
            PlaitError: The relay ended.
        """
        link = None
        if network is not None:
            refuse_loss([network])
            link = {
                "down": {**asdict(network.down), "loss": None},
                "up": {**asdict(network.up), "loss": None},
                "seed": seed,
            }
        commands, answers = _pipes(self._process)
        try:
            commands.write(json.dumps(link).encode() + b"\n")
            commands.flush()
        except BrokenPipeError:
            pass  # the missing answer says it
        if not answers.readline():
            raise PlaitError(f"the relay ended with status {self._process.wait()}")

    def end(self) -> LinkReport:
        """Report that nobody counted: bytes are not packets."""
        return LinkReport(None, ())


@contextmanager
def splice(listener: socket.socket, upstream: tuple[str, int]) -> Iterator[None]:
    """Pass connections on to a server as they are, in a process of its own.

    Args:
        listener: Where they come in, such as a socket of another network namespace; it is closed here.
        upstream: The server's name or address, and its port, as this process reaches it.

    Raises:
        PlaitError: The server's name cannot be resolved.
    """
    process = _start(listener, upstream)
    try:
        yield
    finally:
        _stop(process)


def _is_loopback_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _start(listener: socket.socket, upstream: tuple[str, int]) -> subprocess.Popen[bytes]:
    with listener:
        host, port = upstream
        try:
            addresses = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise PlaitError(f"cannot resolve {host}: {error.strerror}") from error
        # -P: a module in the current directory must not pass for one of the standard library.
        command = [sys.executable, "-P", "-m", "plait.lab.network.relay_process"]
        command += [str(listener.fileno()), json.dumps(addresses)]
        # In a process group of its own: Ctrl-C is for the comparison, which then ends its relay.
        return LocalHost().popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            process_group=0,
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    commands, answers = _pipes(process)
    try:
        commands.close()
    except BrokenPipeError:
        pass  # it ended before
    try:
        process.wait(SHUTDOWN_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        answers.close()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
