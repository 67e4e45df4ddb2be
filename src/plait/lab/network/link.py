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
    """A link between two hosts."""

    @property
    def medium(self) -> Medium:
        """What it is made of."""

    @property
    def client(self) -> Host:
        """Where contenders run."""

    @property
    def server(self) -> Host:
        """Where servers run."""

    @property
    def server_address(self) -> str:
        """The address of the server's host, as the client's host reaches it."""

    @property
    def congestion_control(self) -> str | None:
        """TCP's on both hosts; None where the system does not tell."""

    def begin(self, network: Network | None, seed: int) -> None:
        """Be this network from now on, empty and with nothing counted.

        Args:
            network: How to be; None as this medium is by itself.
            seed: Of everything random.
        """

    def end(self) -> LinkReport:
        """Tell what happened since :meth:`begin`."""
