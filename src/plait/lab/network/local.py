"""This machine as a host, and no emulated link at all."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plait.errors import ConfigError
from plait.lab.network.link import LinkReport
from plait.lab.network.namespaces import die_with
from plait.lab.network.profile import Network
from plait.lab.samples import Medium

__all__ = ["LocalHost", "Loopback", "kernel_congestion_control"]


def kernel_congestion_control() -> str | None:
    """Return what TCP uses on this machine; None where the system does not tell."""
    try:
        return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    except OSError:
        return None


class LocalHost:
    """The machine and the network namespace that this process is in."""

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process.

        On Linux it is killed when the thread that called this ends, however that happens. Elsewhere it
        outlives a parent that is killed: the caller must end it, or give it a pipe whose end it watches.

        Args:
            command: The program and its arguments.
            options: As :class:`subprocess.Popen` takes them, but ``preexec_fn``.
        """
        if sys.platform == "linux":
            options["preexec_fn"] = functools.partial(die_with, os.getpid())
        return subprocess.Popen(command, **options)


class Loopback:
    """Whatever there is between this machine and the server, left as it is.

    Attributes:
        medium: Loopback or the real network, as it was given.
        client: This machine.
        server: This machine; of use only when the server runs here.
        server_address: The loopback address.
        congestion_control: TCP's on this machine.
    """

    server_address = "127.0.0.1"

    def __init__(self, medium: Medium) -> None:
        """Name it.

        Args:
            medium: Loopback or the real network.
        """
        self.medium = medium
        self.client = LocalHost()
        self.server = LocalHost()
        self.congestion_control = kernel_congestion_control()

    def begin(self, network: Network | None, seed: int) -> None:
        """Do nothing.

        Args:
            network: None, for this network is what it is.
            seed: Of no use.

        Raises:
            ConfigError: A network was given.
        """
        if network is not None:
            raise ConfigError(f"the network is real, so it cannot be {network.name}")

    def end(self) -> LinkReport:
        """Report that nobody counted."""
        return LinkReport(None, ())
