"""TLS contexts of servers; beside ``tls.py``, the only module that sets TLS options."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from plait.config import HttpVersions
from plait.drivers.tls import ALPN, certificates_in, check_key, reason_of
from plait.errors import ConfigError
from plait.server_config import ClientCertificates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["KeyPair", "ServerContext", "server_context"]

_VERIFY = {
    ClientCertificates.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
}


class KeyPair(NamedTuple):
    """The files of one certificate, all PEM.

    Attributes:
        cert: The certificate, and the intermediates after it where there are any.
        key: Its private key, not encrypted; it may be the same file.
        chain: The intermediates when they are kept apart; then only the first certificate of
            ``cert`` is used.
    """

    cert: Path
    key: Path
    chain: Path | None = None


class ServerContext(ssl.SSLContext):
    """A server's TLS context, which knows what it presents.

    Attributes:
        presented: The server's certificate, PEM; None when there are several to choose from by the
            kind of key, since OpenSSL's choice cannot be asked for.
        on_failure: Called with what a handshake failed of, if it is set.
    """

    presented: str | None = None
    on_failure: Callable[[ssl.SSLError], None] | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(made, _Accepted)
        made.incoming, made.outgoing = incoming, outgoing
        made.on_failure = self.on_failure
        return made


class _Accepted(ssl.SSLObject):
    """A server's end of a connection in memory, whose client is told why a handshake failed.

    Event loops close the socket as soon as a handshake fails, and the alert is never sent. So this one
    asks for more bytes instead: the loop sends what there is to send, waits for the client to go away,
    and for its own time limit at most.
    """

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    on_failure: Callable[[ssl.SSLError], None] | None
    _failed = False

    def do_handshake(self) -> None:
        if not self._failed:
            try:
                super().do_handshake()
                return
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                self._failed = True
                if self.on_failure is not None:
                    self.on_failure(error)
                if not self.outgoing.pending:
                    raise  # there is no alert, since the client does not speak TLS at all
        self.incoming.read()  # or what the client goes on to send would pile up
        raise ssl.SSLWantReadError


def server_context(
    *pairs: KeyPair,
    http: HttpVersions = HttpVersions.AUTO,
    client_ca: Path | None = None,
    client_cert: ClientCertificates = ClientCertificates.NONE,
) -> ServerContext:
    """Make the TLS context of a server.

    Args:
        pairs: The certificates of one name, each with another kind of key; a client gets the first
            it can verify. None at all for a context that only chooses among others.
        http: The versions of HTTP to offer in ALPN, HTTP/2 first.
        client_ca: PEM file of the authorities whose clients are let in.
        client_cert: Whether clients are asked for a certificate.

    Raises:
        ConfigError: A file cannot be read or is not PEM, a key is encrypted, or a key and its
            certificate do not belong together.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Accepted
    # RFC 9113 §9.2: TLS 1.2 at least, no compression, no renegotiation. §9.2.2 prohibits every
    # TLS 1.2 suite that is not both ephemeral and AEAD; those of TLS 1.3 all qualify.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(ALPN[http])
    if client_ca is not None and client_cert is not ClientCertificates.NONE:
        certificates_in(client_ca, "CA file")
        try:
            context.load_verify_locations(cafile=client_ca)
        except ssl.SSLError as error:
            raise ConfigError(f"CA file {client_ca} holds a damaged certificate") from error
        context.verify_mode = _VERIFY[client_cert]
    for pair in pairs:
        _present(context, pair)
    if len(pairs) == 1:
        context.presented = certificates_in(pairs[0].cert, "certificate")[0].decode("ascii") + "\n"
    return context


def _present(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Add a certificate to those a context presents."""
    cert, key, chain = pair
    certificates = certificates_in(cert, "certificate")
    check_key(key)

    def refuse_to_ask() -> NoReturn:
        # Without this, OpenSSL asks for the passphrase on the terminal and a server start hangs.
        raise ConfigError(f"private key {key} is encrypted, and plait takes no passphrase; decrypt it first")

    try:
        if chain is None:
            context.load_cert_chain(cert, key, password=refuse_to_ask)
        else:
            import tempfile  # not needed by clients, and as slow to import as ssl itself

            # ssl takes the chain from one file only, so the two parts are put together for it.
            parts = [certificates[0], *certificates_in(chain, "certificate chain")]
            with tempfile.TemporaryDirectory(prefix="plait-") as directory:
                joined = os.path.join(directory, "chain.pem")
                with open(joined, "xb") as file:
                    file.write(b"\n".join(parts) + b"\n")
                context.load_cert_chain(joined, key, password=refuse_to_ask)
    except ssl.SSLError as error:
        raise ConfigError(reason_of(error, cert, key, chain)) from error
