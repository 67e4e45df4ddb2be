"""Whom a connection's peer has proved to be, for those who let one connection serve several origins."""

from __future__ import annotations

import ssl
from collections.abc import Collection

__all__ = ["Proof", "prove"]


class Proof:
    """What a certificate and an address say of a peer; see :class:`plait.client.pool.Authority`.

    Attributes:
        chain: Its certificates, DER, its own first.
    """

    __slots__ = ("_address", "_names", "chain")

    def __init__(self, names: Collection[str], address: str, chain: list[bytes]) -> None:
        self._names = frozenset(name.lower() for name in names)
        self._address = address
        self.chain = chain

    def covers(self, host: str) -> bool:
        """Whether the certificate is good for a host's name (RFC 6125 §6.4.3)."""
        return host in self._names or f"*.{host.partition('.')[2]}" in self._names

    def is_at(self, addresses: Collection[str]) -> bool:
        """Whether the connection leads to one of some addresses."""
        return self._address in addresses


def prove(tls: ssl.SSLObject, address: str) -> Proof:
    """Return what the peer of a connection has proved: nothing, where nobody verified it."""
    from plait.drivers.tls import peer_chain

    certificate = tls.getpeercert() or {}
    pairs: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())  # type: ignore[assignment]
    names = [value for kind, value in pairs if kind == "DNS"]
    return Proof(names, address, peer_chain(tls))
