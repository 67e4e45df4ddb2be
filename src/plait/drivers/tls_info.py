"""What ASGI's ``tls`` extension says of one connection."""

from __future__ import annotations

import ssl
from typing import Any

from plait.drivers.server_tls import ServerContext

__all__ = ["describe"]

_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
#: The numbers of the suites met so far, by OpenSSL's names.
_SUITES: dict[str, int] = {}


def describe(tls: ssl.SSLObject) -> dict[str, Any]:
    """Describe a connection whose handshake is done, as ASGI's TLS extension 0.2 has it.

    Args:
        tls: The connection.

    Returns:
        ``server_cert``, the certificate in PEM, or None where several kinds of key were on offer;
        ``client_cert_chain``, the client's verified certificates in PEM, its own first, and its own
        only where a session was resumed; ``client_cert_name`` (RFC 4514), None without a certificate;
        ``client_cert_error``, None, since a certificate that fails ends the handshake;
        ``tls_version`` and ``cipher_suite``, their numbers in TLS.
    """
    context = tls.context
    chain = _client_chain(tls)
    cipher = tls.cipher()
    name = cipher[0] if cipher else ""
    if name and name not in _SUITES:
        # OpenSSL numbers a suite as TLS does, below a mark of its own.
        _SUITES.update((one["name"], one["id"] & 0xFFFF) for one in context.get_ciphers())
    return {
        "server_cert": context.presented if isinstance(context, ServerContext) else None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(one) for one in chain],
        "client_cert_name": _subject(chain[0]) if chain else None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(tls.version() or ""),
        "cipher_suite": _SUITES.get(name),
    }


def _client_chain(tls: ssl.SSLObject) -> list[bytes]:
    """Return the client's certificates in DER, its own first."""
    own = tls.getpeercert(binary_form=True)
    if own is None:
        return []
    if hasattr(tls, "get_verified_chain"):  # from Python 3.13 on
        chain: list[bytes] = tls.get_verified_chain()
    else:
        # Before that, one level below, and in objects of its own.
        chain = [
            ssl.PEM_cert_to_DER_cert(one.public_bytes())
            for one in tls._sslobj.get_verified_chain() or ()  # type: ignore[attr-defined]
        ]
    return chain or [own]


def _subject(certificate: bytes) -> str:
    from cryptography import x509  # slow to import, and only needed where clients have certificates

    return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
