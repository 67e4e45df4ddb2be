"""From a host's name to its addresses, and from what can go wrong on the way to a sentence."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from threading import TIMEOUT_MAX, Thread
from typing import Any, NamedTuple

from plait.errors import (
    CertificateProblem,
    CertificateRefused,
    ConnectFailed,
    ConnectTimeout,
    NameNotResolved,
    NoCommonProtocol,
    TlsFailed,
)

__all__ = ["NOBODY", "Address", "Peer", "connect_failure", "family", "resolve"]

#: What getaddrinfo says of one address.
Address = tuple[int, int, int, str, Any]


class Peer(NamedTuple):
    """Who is at the other end of a connection.

    Attributes:
        address: The IP address: the server's, or a proxy's; ``""`` for an application in this process.
        port: The port there.
        tls: The TLS of the connection, or None; ``getpeercert`` and ``cipher`` tell more.
        local: The IP address and the port at this end.
        sock: The socket, to look at it; None for an application in this process.
    """

    address: str
    port: int
    tls: ssl.SSLObject | None = None
    local: tuple[str, int] = ("", 0)
    sock: socket.socket | None = None

    @classmethod
    def of(cls, sock: socket.socket, tls: ssl.SSLObject | None = None) -> Peer:
        """Look who is at the other end of a socket.

        Raises:
            OSError: Nobody is, any more.
        """
        address, port = sock.getpeername()[:2]
        return cls(address, port, tls, sock.getsockname()[:2], sock)


NOBODY = Peer("", 0)

#: What OpenSSL says when the other side talks something else.
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}


#: What OpenSSL's codes mean (x509_vfy.h).
_PROBLEMS = {
    9: CertificateProblem.NOT_YET_VALID,
    10: CertificateProblem.EXPIRED,
    18: CertificateProblem.SELF_SIGNED,
    19: CertificateProblem.AUTHORITY,
    20: CertificateProblem.AUTHORITY,
    21: CertificateProblem.AUTHORITY,
    23: CertificateProblem.REVOKED,
    62: CertificateProblem.NAME,
    64: CertificateProblem.NAME,
}


def family(local: str | None) -> int:
    """Return the family of addresses that can be reached from one of this machine's, None for any."""
    if local is None:
        return socket.AF_UNSPEC
    return socket.AF_INET6 if ":" in local else socket.AF_INET


def resolve(host: str, port: int, seconds: float, local: str | None = None) -> Sequence[Address]:
    """Look a host up; this blocks.

    Args:
        host: A name or an address.
        port: The port, for the result.
        seconds: How long it may take; the system's own limit is that of several tries at each server.
        local: The address that connections come from, or None.

    Raises:
        ConnectFailed: It has no address.
        ConnectTimeout: Nobody said so in time.
    """
    try:
        # An address needs no looking up, and no thread to do that.
        return socket.getaddrinfo(host, port, family(local), socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass
    found: list[Sequence[Address] | Exception] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, family(local), socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    # Nothing else ends a look-up before its time; the thread is left to find out for itself.
    thread = Thread(target=look_up, name=f"look up {host}", daemon=True)
    thread.start()
    thread.join(min(seconds, TIMEOUT_MAX))
    if not found:
        raise ConnectTimeout(f"{host}:{port} was not resolved in time")
    if isinstance(found[0], Exception):
        raise connect_failure(f"{host}:{port}", found[0]) from found[0]
    return found[0]


def connect_failure(peer: str, error: Exception) -> ConnectFailed:
    """Say in a sentence why there is no connection.

    Args:
        peer: Host and port.
        error: What went wrong.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_refused(peer, error)
    if isinstance(error, ssl.SSLError):
        if error.reason in _NOT_TLS:
            return TlsFailed(f"{peer} does not speak TLS")
        if "no application protocol" in str(error):  # an alert that ssl has no name for
            return NoCommonProtocol(f"{peer} speaks none of the protocols offered")
        return TlsFailed(f"no TLS with {peer}: {(error.reason or str(error)).lower().replace('_', ' ')}")
    if isinstance(error, socket.gaierror | UnicodeError):
        return NameNotResolved(f"{peer} cannot be resolved: {getattr(error, 'strerror', None) or error}")
    code = getattr(error, "errno", None)
    failure = ConnectFailed(f"cannot connect to {peer}: {os.strerror(code) if code else error}")
    failure.errno = code
    return failure


def _certificate_refused(peer: str, error: ssl.SSLCertVerificationError) -> CertificateRefused:
    problem = _PROBLEMS.get(error.verify_code, CertificateProblem.OTHER)
    said = error.verify_message.rstrip(".")
    if problem is CertificateProblem.AUTHORITY:
        said = f"{problem.value} ({said})"
    elif problem is CertificateProblem.SELF_SIGNED:
        said = f"{problem.value}, and not among those trusted ({said})"
    elif problem is CertificateProblem.NAME:
        said = f"{problem.value} ({said})"
    return CertificateRefused(f"the certificate of {peer} is refused: {said}", problem)
