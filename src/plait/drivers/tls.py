"""TLS contexts of clients; those of servers are in ``server_tls.py``, and begin with what is here.

Nothing but :mod:`ssl` is imported here: a client process pays for every import at its start.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from typing import Any, cast

from plait.config import HttpVersions
from plait.errors import ConfigError

__all__ = [
    "ALPN",
    "BROKEN_OFF",
    "ClientCertificate",
    "certificates_in",
    "check_key",
    "client_context",
    "has_ended",
    "offering",
    "peer_chain",
    "reason_of",
]

AnyPath = str | os.PathLike[str]
#: A PEM file with its key in it; certificate and key; and the key's passphrase.
ClientCertificate = AnyPath | tuple[AnyPath] | tuple[AnyPath, AnyPath] | tuple[AnyPath, AnyPath, str]

ALPN = {
    HttpVersions.AUTO: ["h2", "http/1.1"],
    HttpVersions.HTTP_1: ["http/1.1"],
    HttpVersions.HTTP_2: ["h2"],
}

#: What became of a connection whose TLS the peer did not end.
BROKEN_OFF = "the peer closed the connection without ending TLS"

#: _ssl.ENCODING_DER
_DER = 2
# Compiled when they are needed: most clients have no use for them.
_PEM_CERTIFICATE = rb"(?s)-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----"
_PEM_KEY = rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"


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
    context.set_alpn_protocols(ALPN[http])
    return context


def offering(context: ssl.SSLContext, http: HttpVersions, usually: HttpVersions) -> ssl.SSLContext:
    """Return what makes connections like a client's TLS context, but for what it offers in ALPN.

    A context has one offer for all of its connections, and cannot be copied.

    Args:
        context: The context.
        http: The versions of HTTP to offer.
        usually: Those that it offers otherwise.
    """
    return cast("ssl.SSLContext", _Offering(context, ALPN[http], ALPN[usually]))


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
    certificates_in(path, "certificate")
    check_key(key)

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
        raise ConfigError(reason_of(error, path, key, None)) from error


def has_ended(tls: ssl.SSLObject) -> bool:
    """Whether the peer has ended TLS (close_notify) where the connection below has ended.

    Args:
        tls: The connection's TLS, all of its content read.
    """
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        pass  # this side has ended it as well
    return True


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
    certificates_in(authorities, "CA file")
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


def certificates_in(path: str | os.PathLike[str], what: str) -> list[bytes]:
    """Return the certificates in a PEM file, each in PEM.

    Raises:
        ConfigError: It cannot be read, or there is none; the sentence says what the file is.
    """
    found = re.findall(_PEM_CERTIFICATE, _read(path, what))
    if not found:
        raise ConfigError(f"{what} {path} holds no certificate in PEM format")
    return found


def check_key(path: AnyPath) -> None:
    """Look whether there is a private key in a PEM file.

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    if not re.search(_PEM_KEY, _read(path, "private key")):
        raise ConfigError(f"private key {path} holds no private key in PEM format")


def reason_of(error: ssl.SSLError, cert: AnyPath, key: AnyPath, chain: AnyPath | None) -> str:
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
    text = b"\n".join(certificates_in(path, "certificate")).decode("latin-1")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, TypeError):  # TypeError: characters outside ASCII
        return True
    return False
