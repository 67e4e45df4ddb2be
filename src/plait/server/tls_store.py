"""The certificates of a listener: chosen by the name a client asks for, read anew while it serves."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from plait.config import HttpVersions
from plait.drivers.client_hello import offered_protocols
from plait.drivers.server_tls import KeyPair, ServerContext, server_context
from plait.errors import ConfigError
from plait.server_config import ClientCertificates

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["TlsStore"]

logger = logging.getLogger("plait.server")

#: Seconds between looks at the files.
_LOOK = 10.0
#: The alert that tells a client that it offered nothing this server speaks (RFC 7301 §3.2).
_NO_APPLICATION_PROTOCOL = 120
_CLIENT_HELLO = 1


class _Facts(NamedTuple):
    """What a certificate says about itself."""

    names: frozenset[str]
    kind: str
    not_after: datetime


class TlsStore:
    """The certificates of one listener.

    Connections are accepted with one context, which never changes and presents nothing: it holds the
    keys of the session tickets, so that sessions outlive a certificate, and goes on with the context
    of the certificates that fit the name asked for.

    Args:
        pairs: The certificates; the first is presented to clients that ask for no name or for one
            that none of them has.
        http: The versions of HTTP to offer.
        client_ca: PEM file of the authorities whose clients are let in.
        client_cert: Whether clients are asked for a certificate.
        development: Whether it is plait's own certificate, whose dates are seen to elsewhere.

    Attributes:
        context: What to accept connections with.

    Raises:
        ConfigError: A file cannot be used.
    """

    def __init__(
        self,
        pairs: Sequence[KeyPair],
        http: HttpVersions = HttpVersions.AUTO,
        *,
        client_ca: Path | None = None,
        client_cert: ClientCertificates = ClientCertificates.NONE,
        development: bool = False,
    ) -> None:
        self._pairs = tuple(pairs)
        self._options: dict[str, Any] = {"http": http, "client_ca": client_ca, "client_cert": client_cert}
        self._spoken = {
            HttpVersions.AUTO: {b"h2", b"http/1.1"},
            HttpVersions.HTTP_1: {b"http/1.1"},
            HttpVersions.HTTP_2: {b"h2"},
        }[http]
        self._client_ca = client_ca
        self._development = development
        self._offered: list[bytes] | None = None
        self._next_look = 0.0
        self._seen = self._look()
        self._authorities = self._read_authorities()
        self._load()
        self.context = self._make_front()

    def reload(self) -> None:
        """Read the certificates anew; connections that are open keep what they have.

        Raises:
            ConfigError: A file cannot be used, and everything is as it was.
        """
        self._seen = self._look()
        authorities = self._read_authorities()
        self._load()
        if authorities != self._authorities:
            # A session goes on without asking for the client's certificate again, so none may
            # outlive the authorities that let the client in: new keys for the tickets.
            self._authorities = authorities
            self.context = self._make_front()

    def refresh(self, now: float) -> None:
        """Read the certificates anew if their files have changed; look every ten seconds at most.

        Args:
            now: The time, in seconds of any steady clock.
        """
        if now < self._next_look:
            return
        self._next_look = now + _LOOK
        if self._look() == self._seen:
            return
        try:
            self.reload()
        except ConfigError as error:
            # Perhaps only one of two files has been written yet: its next change is another chance.
            logger.error("the certificates have changed and cannot be used, so the old ones stay: %s", error)
        else:
            logger.info("the certificates have changed and are in use: %s", self._pairs[0].cert)

    # -- files -----------------------------------------------------------------------------------

    def _look(self) -> list[tuple[int, int, int] | None]:
        """Return what tells whether a file was written or replaced."""
        files = [file for pair in self._pairs for file in pair if file is not None]
        if self._client_ca is not None:
            files.append(self._client_ca)
        found: list[tuple[int, int, int] | None] = []
        for file in files:
            try:
                status = os.stat(file)
            except OSError:
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_ino, status.st_size))
        return found

    def _read_authorities(self) -> bytes:
        try:
            return b"" if self._client_ca is None else self._client_ca.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read CA file {self._client_ca}: {error.strerror or error}") from error

    def _load(self) -> None:
        """Make the contexts of all names; nothing has changed when this fails."""
        if len(self._pairs) == 1:
            exact: dict[str, ServerContext] = {}
            default = server_context(self._pairs[0], **self._options)
            facts = [] if self._development else [_facts(self._pairs[0])]
        else:
            # Each alone first, so that what is wrong with one is said of it.
            for pair in self._pairs:
                server_context(pair, **self._options)
            facts = [_facts(pair) for pair in self._pairs]
            exact, default = self._by_name(facts)
        self._contexts = exact
        self._default = default
        for pair, fact in zip(self._pairs, facts, strict=False):
            if fact.not_after < datetime.now(UTC):
                logger.warning("certificate %s has expired on %s", pair.cert, f"{fact.not_after:%Y-%m-%d}")

    def _by_name(self, facts: Sequence[_Facts]) -> tuple[dict[str, ServerContext], ServerContext]:
        made: dict[tuple[KeyPair, ...], ServerContext] = {}

        def context_for(numbers: Iterable[int]) -> ServerContext:
            # One of each kind of key: OpenSSL takes what the client can verify.
            by_kind: dict[str, KeyPair] = {}
            for number in numbers:
                by_kind.setdefault(facts[number].kind, self._pairs[number])
            group = tuple(by_kind.values())
            if group not in made:
                made[group] = server_context(*group, **self._options)
            return made[group]

        holders: dict[str, list[int]] = {}
        for number, fact in enumerate(facts):
            for name in fact.names:
                holders.setdefault(name, []).append(number)
        exact = {name: context_for(holders[name] + holders.get(_wildcard(name), [])) for name in holders}
        # What is presented to everybody else: the first, and its equals with other keys.
        first = facts[0].names
        equals = [
            number for number, fact in enumerate(facts) if number == 0 or (first and fact.names >= first)
        ]
        return exact, context_for(equals)

    # -- handshakes ------------------------------------------------------------------------------

    def _make_front(self) -> ServerContext:
        front = server_context(**self._options)
        front.sni_callback = self._choose
        front.on_failure = _note_failure
        # Python's own answer to a client whose every protocol is foreign is to go on without one,
        # where RFC 7301 §3.2 asks for an alert. The one way to know what was offered is the callback
        # for messages; the context chosen has none, so that it costs nothing after the first.
        if hasattr(front, "_msg_callback"):
            front._msg_callback = self._note_offer
        return front

    def _note_offer(
        self, connection: object, direction: str, version: object, content: object, kind: int, data: bytes
    ) -> None:
        if kind == _CLIENT_HELLO and direction == "read":
            self._offered = offered_protocols(data)

    def _choose(self, tls: ssl.SSLObject, name: str | None, front: ssl.SSLContext) -> int | None:
        """Go on with the certificates for a name (RFC 6066 §3)."""
        offered, self._offered = self._offered, None
        if offered is not None and self._spoken.isdisjoint(offered):
            return _NO_APPLICATION_PROTOCOL
        contexts = self._contexts
        if name is not None and contexts:
            name = name.lower()
            tls.context = contexts.get(name) or contexts.get(_wildcard(name)) or self._default
        else:
            tls.context = self._default
        return None


def _note_failure(error: ssl.SSLError) -> None:
    logger.debug("a TLS handshake failed: %s", (error.reason or str(error)).lower().replace("_", " "))


def _wildcard(name: str) -> str:
    """Return the wildcard that stands for a name, among others (RFC 6125 §6.4.3)."""
    return "*." + name.partition(".")[2]


def _facts(pair: KeyPair) -> _Facts:
    """Read a certificate that OpenSSL has taken already.

    Raises:
        ConfigError: It says something about itself that cannot be read.
    """
    from cryptography import x509  # some 60 ms, and not needed for the development certificate

    try:
        certificate = x509.load_pem_x509_certificate(pair.cert.read_bytes())
        return _Facts(
            _names(certificate), type(certificate.public_key()).__name__, certificate.not_valid_after_utc
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"certificate {pair.cert} cannot be read: {error}") from error


def _names(certificate: x509.Certificate) -> frozenset[str]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
