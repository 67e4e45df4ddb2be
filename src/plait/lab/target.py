"""The server that is crawled: where it is, whom to trust, and which versions of HTTP it speaks."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from plait.errors import ConfigError, ConnectFailed

__all__ = ["Target", "is_loopback", "parse_target", "spoken_versions"]

PATIENCE = 10.0
"""Seconds a server has for each step before the crawls begin."""

# The connection preface and an empty SETTINGS frame (RFC 9113 §3.4), and what every answer to it by
# a server of HTTP/2 has in its first frame's type field.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One origin, and how to verify that it is that.

    Attributes:
        scheme: ``https`` or ``http``.
        host: A name or an address, without brackets.
        port: The port.
        cafile: A file with the authority to trust; None for the system's.
        insecure: Take any certificate.
    """

    scheme: str
    host: str
    port: int
    cafile: Path | None = None
    insecure: bool = False

    @property
    def base_url(self) -> str:
        """The origin as a URL without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def tls_context(self, *protocols: str) -> ssl.SSLContext:
        """Make a context that trusts what the crawlers are to trust.

        Args:
            protocols: What to offer in ALPN; nothing leaves that to whom the context is given to.

        Raises:
            ConfigError: The file cannot be read, or is no authority.
        """
        try:
            context = ssl.create_default_context(cafile=self.cafile)
        except ssl.SSLError as error:
            raise ConfigError(f"{self.cafile} holds no certificate that can be trusted") from error
        except OSError as error:
            raise ConfigError(f"cannot read {self.cafile}: {error.strerror}") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols(protocols)
        return context

    def http1_connection(self) -> http.client.HTTPConnection:
        """Make a connection of HTTP/1.1, by a client that is not ours; it connects when it is used."""
        if self.scheme == "http":
            return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=PATIENCE, context=self.tls_context("http/1.1")
        )


def parse_target(url: str, *, cafile: Path | None = None, insecure: bool = False) -> Target:
    """Read the URL of a server.

    Raises:
        ConfigError: It is not ``http://`` or ``https://``, a host and perhaps a port; or the file holds
            no certificate.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or not re.fullmatch(r"[!-~]+", url):
        raise ConfigError(f"{url!r} is not the URL of a server such as https://localhost:8443")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError(
            f"{url!r} is more than a server: give scheme, host and port, and the rest in --paths"
        )
    if parts.scheme == "http" and (cafile or insecure):
        raise ConfigError(f"{url} is not encrypted, so there is no certificate for --cacert or --insecure")
    default = 443 if parts.scheme == "https" else 80
    target = Target(scheme=parts.scheme, host=host, port=port or default, cafile=cafile, insecure=insecure)
    target.tls_context()  # so that a file of no use is refused before anything is asked of the network
    return target


def is_loopback(target: Target) -> bool:
    """Say whether the server is on this machine, reached without a network.

    Raises:
        ConnectFailed: The name has no address.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectFailed(f"{target.host} has no address: {error.strerror}") from error
    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)


def spoken_versions(target: Target) -> frozenset[str]:
    """Find out which versions of HTTP the server speaks, trying each on a connection of its own.

    Returns:
        Some of ``"1"`` and ``"2"``.

    Raises:
        ConnectFailed: It cannot be reached, its certificate is not trusted, or it speaks neither.
    """
    spoken = set()
    if _speaks_http2(target):
        spoken.add("2")
    if _speaks_http1(target):
        spoken.add("1")
    if not spoken:
        raise ConnectFailed(f"{target.base_url} does not answer as an HTTP server does")
    return frozenset(spoken)


@contextmanager
def _failures_named(target: Target) -> Iterator[None]:
    where = target.base_url
    try:
        yield
    except TimeoutError as error:
        raise ConnectFailed(f"{where} did not answer within {PATIENCE:g} seconds") from error
    except ssl.SSLCertVerificationError as error:
        raise ConnectFailed(
            f"the certificate of {where} is not trusted: {error.verify_message}; "
            f"--cacert FILE names its authority, --insecure takes any"
        ) from error
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        raise ConnectFailed(
            f"{where} does not speak TLS as expected ({reason}); without TLS its URL begins with http://"
        ) from error
    except OSError as error:
        raise ConnectFailed(f"cannot connect to {where}: {error.strerror or error}") from error


def _speaks_http2(target: Target) -> bool:
    """Whether ALPN chooses h2 or, without TLS, the connection preface is answered by SETTINGS."""
    with _failures_named(target):
        connection = socket.create_connection((target.host, target.port), PATIENCE)
        with connection:
            if target.scheme == "https":
                return _negotiated(target, connection, "h2") == "h2"
    # Without TLS there is no negotiation (RFC 9113 §3.3), and a server of HTTP/1.1 may break off.
    try:
        with socket.create_connection((target.host, target.port), PATIENCE) as connection:
            connection.sendall(_PREFACE)
            with connection.makefile("rb") as stream:
                header = stream.read(9)
    except OSError:
        return False
    return len(header) == 9 and header[3] == _SETTINGS


def _negotiated(target: Target, connection: socket.socket, protocol: str) -> str | None:
    try:
        with target.tls_context(protocol).wrap_socket(connection, server_hostname=target.host) as wrapped:
            return wrapped.selected_alpn_protocol()
    except ssl.SSLError as error:
        # A server may refuse a handshake without a protocol in common (RFC 7301 §3.2).
        if error.reason and "NO_APPLICATION_PROTOCOL" in error.reason:
            return None
        raise


def _speaks_http1(target: Target) -> bool:
    """Whether a request for / gets a response, whatever it says."""
    connection = target.http1_connection()
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (http.client.HTTPException, OSError):
        return False
    finally:
        connection.close()
    return True
