"""TLS contexts for both roles; the only module that sets TLS options.

Nothing but :mod:`ssl` is imported here: a client process pays for every import at its start.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from plait.config import ClientCertificates, HttpVersions
from plait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "ClientCertificate",
    "KeyPair",
    "ServerContext",
    "client_context",
    "offering",
    "peer_chain",
    "server_context",
]

AnyPath = str | os.PathLike[str]
#: A PEM file with its key in it; certificate and key; and the key's passphrase.
ClientCertificate = AnyPath | tuple[AnyPath] | tuple[AnyPath, AnyPath] | tuple[AnyPath, AnyPath, str]

_ALPN = {
    HttpVersions.AUTO: ["h2", "http/1.1"],
    HttpVersions.HTTP_1: ["http/1.1"],
    HttpVersions.HTTP_2: ["h2"],
}

_VERIFY = {
    ClientCertificates.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
}

#: _ssl.ENCODING_DER
_DER = 2
_PEM_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_PEM_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


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
    context.set_alpn_protocols(_ALPN[http])
    if client_ca is not None and client_cert is not ClientCertificates.NONE:
        _certificates(client_ca, "CA file")
        try:
            context.load_verify_locations(cafile=client_ca)
        except ssl.SSLError as error:
            raise ConfigError(f"CA file {client_ca} holds a damaged certificate") from error
        context.verify_mode = _VERIFY[client_cert]
    for pair in pairs:
        _present(context, pair)
    if len(pairs) == 1:
        context.presented = _certificates(pairs[0].cert, "certificate")[0].decode("ascii") + "\n"
    return context


def _present(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Add a certificate to those a context presents."""
    cert, key, chain = pair
    certificates = _certificates(cert, "certificate")
    _check_key(key)

    def refuse_to_ask() -> NoReturn:
        # Without this, OpenSSL asks for the passphrase on the terminal and a server start hangs.
        raise ConfigError(f"private key {key} is encrypted, and plait takes no passphrase; decrypt it first")

    try:
        if chain is None:
            context.load_cert_chain(cert, key, password=refuse_to_ask)
        else:
            import tempfile  # not needed by clients, and as slow to import as ssl itself

            # ssl takes the chain from one file only, so the two parts are put together for it.
            parts = [certificates[0], *_certificates(chain, "certificate chain")]
            with tempfile.TemporaryDirectory(prefix="plait-") as directory:
                joined = os.path.join(directory, "chain.pem")
                with open(joined, "xb") as file:
                    file.write(b"\n".join(parts) + b"\n")
                context.load_cert_chain(joined, key, password=refuse_to_ask)
    except ssl.SSLError as error:
        raise ConfigError(_reason(error, cert, key, chain)) from error


def client_context(
    verify: bool | str | os.PathLike[str] | ssl.SSLContext,
    http: HttpVersions = HttpVersions.AUTO,
    cert: ClientCertificate | None = None,
) -> ssl.SSLContext:
    """Make the TLS context of a client.

    Args:
        verify: True checks the server's certificate and name against the system's authorities;
            a path to a PEM file (or to a directory hashed by OpenSSL) checks them against the
            authorities in it and no other; False checks nothing. A context is used as it is,
            except for its ALPN offer, which is set here.
        http: The versions of HTTP to offer in ALPN, HTTP/2 first.
        cert: The client's own certificate, see :class:`~plait.config.ClientConfig`.

    Raises:
        ConfigError: The file of authorities cannot be read or holds no certificate, or the client's own
            certificate or key is of no use.
    """
    if isinstance(verify, ssl.SSLContext):
        context = verify
    elif verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif verify is True:
        context = _system_context()
    else:
        context = _context_trusting(verify)
    if cert is not None:
        _present_own(context, cert)
    context.set_alpn_protocols(_ALPN[http])
    return context


def offering(context: ssl.SSLContext, http: HttpVersions, usually: HttpVersions) -> ssl.SSLContext:
    """Return what makes connections like a client's TLS context, but for what it offers in ALPN.

    A context has one offer for all of its connections, and cannot be copied.

    Args:
        context: The context.
        http: The versions of HTTP to offer.
        usually: Those that it offers otherwise.
    """
    return cast("ssl.SSLContext", _Offering(context, _ALPN[http], _ALPN[usually]))


class _Offering:
    """As much of a context as makes a connection."""

    def __init__(self, context: ssl.SSLContext, offer: list[str], usual: list[str]) -> None:
        self._context = context
        self._offer = offer
        self._usual = usual

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        # A connection has the offer that its context had when it was made.
        context = self._context
        context.set_alpn_protocols(self._offer)
        try:
            return context.wrap_bio(*arguments, **options)
        finally:
            context.set_alpn_protocols(self._usual)


def _system_context() -> ssl.SSLContext:
    if sys.platform in ("darwin", "win32"):
        # The system verifies there, by what its administrators and users have decided; OpenSSL's files,
        # which Python would read, are elsewhere or out of date.
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl.create_default_context()


def _present_own(context: ssl.SSLContext, cert: ClientCertificate) -> None:
    """Have a client present its certificate to servers that ask for one."""
    parts = (cert,) if isinstance(cert, str | os.PathLike) else tuple(cert)
    if not 1 <= len(parts) <= 3:
        raise ConfigError("cert must be a path, a pair of paths or a triple with a passphrase")
    path = parts[0]
    key = parts[1] if len(parts) > 1 else path
    _certificates(path, "certificate")
    _check_key(key)

    def passphrase() -> str:
        if len(parts) < 3:
            # Without this, OpenSSL asks for it on the terminal.
            raise ConfigError(f"private key {key} is encrypted: give its passphrase as the third of cert")
        return str(parts[2])

    try:
        context.load_cert_chain(path, key, password=passphrase)
    except ssl.SSLError as error:
        if len(parts) == 3 and error.reason in ("BAD_DECRYPT", "BAD_PASSWORD_READ", None):
            raise ConfigError(f"private key {key} has another passphrase") from error
        raise ConfigError(_reason(error, path, key, None)) from error


def peer_chain(tls: ssl.SSLObject) -> list[bytes]:
    """Return the certificates that the other side proved to be itself with, DER, its own first.

    Where nothing was verified, they are what it sent.
    """
    inner = tls._sslobj  # type: ignore[attr-defined]  # public from Python 3.13 on
    if tls.context.verify_mode is ssl.CERT_NONE:
        chain = inner.get_unverified_chain()
    else:
        chain = inner.get_verified_chain()
    return [one.public_bytes(_DER) for one in chain or ()]


def _context_trusting(authorities: str | os.PathLike[str]) -> ssl.SSLContext:
    # Given authorities of its own, create_default_context leaves the system's aside; reading those
    # takes tens of milliseconds.
    if os.path.isdir(authorities):
        return ssl.create_default_context(capath=authorities)
    _certificates(authorities, "CA file")
    try:
        return ssl.create_default_context(cafile=authorities)
    except ssl.SSLError as error:
        raise ConfigError(f"CA file {authorities} holds a damaged certificate") from error


def _read(path: str | os.PathLike[str], what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"cannot read {what} {path}: {error.strerror or error}") from error


def _certificates(path: str | os.PathLike[str], what: str) -> list[bytes]:
    found = _PEM_CERTIFICATE.findall(_read(path, what))
    if not found:
        raise ConfigError(f"{what} {path} holds no certificate in PEM format")
    return found


def _check_key(path: AnyPath) -> None:
    if not _PEM_KEY.search(_read(path, "private key")):
        raise ConfigError(f"private key {path} holds no private key in PEM format")


def _reason(error: ssl.SSLError, cert: AnyPath, key: AnyPath, chain: AnyPath | None) -> str:
    """Say which of the files OpenSSL refused, and why; its own words name none."""
    # NO_CERTIFICATE_ASSIGNED: the certificate is for another kind of key, such as RSA and not EC.
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return f"private key {key} does not belong to certificate {cert}"
    if _damaged(cert):
        return f"certificate {cert} is damaged"
    if chain and _damaged(chain):
        return f"certificate chain {chain} is damaged"
    words = (error.reason or "it is damaged").lower().replace("_", " ")
    if error.reason in ("EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"):
        return f"certificate {cert} is too weak for TLS today: {words}"
    return f"private key {key} cannot be used: {words}"


def _damaged(path: AnyPath) -> bool:
    text = b"\n".join(_certificates(path, "certificate")).decode("latin-1")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, TypeError):  # TypeError: characters outside ASCII
        return True
    return False
