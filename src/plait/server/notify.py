"""Tells a service manager how the server is doing: sd_notify(3), without its library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

__all__ = ["Notifier"]


class Notifier:
    """Sends states to the service manager that started this process, or to nobody.

    Args:
        environment: Where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are looked for;
            by default the process's own.

    Attributes:
        interval: Seconds between two pings, half of what the manager waits for; None when it keeps no
            watch over this process.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        found = os.environ if environment is None else environment
        address = found.get("NOTIFY_SOCKET", "")
        # An at sign stands for the zero byte that begins an abstract address.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.interval = _interval(found) if self._address else None

    def ready(self) -> None:
        """Say that requests are served, at first or again after :meth:`reloading`."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that a reload began; the time tells it from an earlier one (``Type=notify-reload``)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the end began."""
        self._send("STOPPING=1")

    def status(self, sentence: str) -> None:
        """Give the manager a line to show for the service."""
        self._send(f"STATUS={sentence}")

    def alive(self) -> None:
        """Ping the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(1.0)
                sender.sendto(state.encode(), self._address)
        except OSError:
            pass  # the manager went away or is busy: no reason not to serve


def _interval(found: Mapping[str, str]) -> float | None:
    """Read how often the manager wants to hear from this process (sd_watchdog_enabled(3))."""
    patience = found.get("WATCHDOG_USEC", "")
    watched = found.get("WATCHDOG_PID") or str(os.getpid())
    if not patience.isdecimal() or int(patience) == 0 or watched != str(os.getpid()):
        return None
    return int(patience) / 2e6
