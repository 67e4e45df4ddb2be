"""Whose word is taken for who the client is."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from plait.errors import ConfigError

__all__ = ["Trust"]


class Trust:
    """The proxies in front, as addresses and networks.

    Args:
        names: Addresses and networks, as ``10.0.0.0/8``, and ``unix`` for whoever connects to a Unix
            socket.

    Raises:
        ConfigError: A name is neither.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._unix = False
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for name in names:
            if name == "unix":
                self._unix = True
                continue
            try:
                self._networks.append(ipaddress.ip_network(name))
            except ValueError as error:
                # Such as "10.0.0.1/8 has host bits set".
                raise ConfigError(f"--trust {name!r} is neither an address nor a network: {error}") from error
        # The same few proxies come again and again.
        self._known = lru_cache(1024)(self._knows)

    def __contains__(self, peer: tuple[str, int] | None) -> bool:
        """Whether a peer is trusted; None is one on a Unix socket."""
        return self._unix if peer is None else self._known(peer[0])

    def _knows(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)
