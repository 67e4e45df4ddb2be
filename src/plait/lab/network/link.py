"""What lies between the contenders and the server, as the lab uses it, whatever it is made of."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from plait.lab.network.profile import Network
from plait.lab.samples import LinkUse, Loss, Medium

__all__ = ["Host", "Link", "LinkReport"]


class LinkReport(NamedTuple):
    """What a link did during one run.

    Attributes:
        use: What it carried and what it added of its own; None where nobody counts.
        losses: Packets lost, dropped and sent again, ``at`` in microseconds of the monotonic clock
            (``time.monotonic``, which every process of the machine reads alike).
    """

    use: LinkUse | None
    losses: tuple[Loss, ...]


class Host(Protocol):
    """One end of a link: where processes can be started."""

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process on this host, which dies with the one that started it.

        Args:
            command: The program and its arguments.
            options: As :class:`subprocess.Popen` takes them, but ``preexec_fn``.
        """


class Link(Protocol):
    """A link between two hosts.

    Attributes:
        medium: What it is made of.
        client: Where contenders run.
        server: Where servers run.
        server_address: The address of the server's host, as the client's host reaches it.
        congestion_control: TCP's on both hosts; None where the system does not tell.
    """

    medium: Medium
    client: Host
    server: Host
    server_address: str
    congestion_control: str | None

    def begin(self, network: Network | None, seed: int) -> None:
        """Be this network from now on, empty and with nothing counted.

        Args:
            network: How to be; None as this medium is by itself.
            seed: Of everything random.
        """

    def end(self) -> LinkReport:
        """Tell what happened since :meth:`begin`."""
