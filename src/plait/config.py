"""Options: each spelled once, here.

Every field carries its help text, so that the command line and the documentation derive from it
instead of spelling it again. Times are seconds, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from plait.errors import ConfigError

if TYPE_CHECKING:
    # A client's process starts without it: it is as slow to import as half of plait.
    from pathlib import Path

__all__ = ["HttpVersions", "Limits", "ServerConfig", "ClientConfig", "option"]


#: What HTTP/2 has room for in a window or a stream identifier (RFC 9113 §6.9.1, §5.1.1).
_INT_MAX = 2**31 - 1


def option(default: Any, help: str, **extra: Any) -> Any:
    """Declare one option: its default and the sentence that explains it.

    Args:
        default: The value used when the user gives none.
        help: One sentence for ``--help`` and the docs.
        extra: ``metavar`` for the command line, when the type does not say enough.
    """
    return field(default=default, metadata={"help": help, **extra})


class HttpVersions(Enum):
    """Which versions of HTTP one side speaks."""

    AUTO = "auto"
    HTTP_1 = "1"
    HTTP_2 = "2"


def _require_positive(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not value > 0:  # which NaN is not either
            raise ConfigError(f"{name} must be greater than zero, not {value!r}")
        if type(value) is int and value > _INT_MAX:
            raise ConfigError(f"{name} must be at most {_INT_MAX}, not {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a server takes from one connection before it answers with an error.

    The defaults are the strictest of what well-known servers use that still serve every browser
    and proxy; each is a flag of ``plait serve``.
    """

    max_concurrent_streams: int = option(128, "Concurrent requests one HTTP/2 connection may have open.")
    max_header_fields: int = option(
        100, "Fields in one request, cookie crumbs counted one by one; more get 431."
    )
    max_header_size: int = option(
        65536, "Bytes of one request's field section; more get 431.", metavar="BYTES"
    )
    max_target_size: int = option(16384, "Bytes of one request target; more get 414.", metavar="BYTES")
    max_pipelined: int = option(16, "HTTP/1.1 requests read ahead of the one being answered.")
    stream_window: int = option(
        262144, "Bytes of unread request content one stream may hold.", metavar="BYTES"
    )
    write_buffer: int = option(
        65536, "Bytes of one response queued before the application waits.", metavar="BYTES"
    )
    handshake_timeout: float = option(10.0, "Seconds for the TLS handshake, and for the first request.")
    header_timeout: float = option(10.0, "Seconds for one request's field section to arrive whole.")
    read_timeout: float = option(60.0, "Seconds the application may wait for the next piece of content.")
    write_timeout: float = option(60.0, "Seconds a client may take nothing of a response that is ready.")
    keep_alive: float = option(75.0, "Seconds a connection may stay idle.")
    max_control_frames: int = option(
        1000, "PING, SETTINGS and other frames without content that a client may send in ten seconds."
    )

    def __post_init__(self) -> None:
        _require_positive(self, *self.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerConfig:
    """Everything ``plait serve`` can be told."""

    host: str = option("127.0.0.1", "Address to listen on.")
    port: int = option(8443, "Port to listen on; 0 lets the system choose.")
    listen: tuple[str, ...] = option(
        (),
        "Twisted endpoint string to listen on instead, such as ssl:port=8443:privateKey=k.pem:certKey=c.pem.",
        metavar="ENDPOINT",
    )
    http: HttpVersions = option(HttpVersions.AUTO, "Versions of HTTP to serve: auto, 1 or 2.")
    cert: Path | None = option(None, "Certificate chain, PEM.", metavar="FILE")
    key: Path | None = option(None, "Private key of the certificate, PEM.", metavar="FILE")
    insecure: bool = option(False, "Serve without TLS: HTTP/1.1, and HTTP/2 with prior knowledge.")
    access_log: bool = option(True, "Write one line a request to standard output.")
    grace: float = option(10.0, "Seconds that requests in flight have to finish at shutdown.")
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be from 0 to 65535, not {self.port}")
        if not self.grace >= 0:
            raise ConfigError(f"grace must not be negative, not {self.grace}")
        if (self.cert is None) != (self.key is None):
            missing, given = ("--key", "--cert") if self.key is None else ("--cert", "--key")
            raise ConfigError(f"{given} needs {missing} beside it")
        if self.insecure and self.cert is not None:
            raise ConfigError("--insecure serves without TLS, so it takes no --cert")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientConfig:
    """Everything a client can be told, beside where to send a request."""

    http: HttpVersions = option(HttpVersions.AUTO, "Versions of HTTP to offer.")
    max_in_flight: int = option(
        100, "Exchanges in flight on one HTTP/2 connection, whatever the peer allows."
    )
    max_connections: int = option(6, "HTTP/1.1 connections to one origin.")
    h2_connections: int = option(
        1, "HTTP/2 connections to one origin, opened together; the least busy takes the next request."
    )
    connect_timeout: float = option(10.0, "Seconds to connect, TLS included.")
    read_timeout: float = option(
        60.0, "Seconds without a byte of the response before one exchange is given up."
    )
    pool_timeout: float = option(60.0, "Seconds to wait for a connection with room.")
    keep_alive: float = option(60.0, "Seconds an idle connection is kept.")
    stream_window: int = option(2097152, "Bytes of unread content one response may hold.")
    connection_window: int = option(
        536870912,
        "Bytes of unread content one connection may hold; responses nobody reads hold up no others.",
    )
    max_header_fields: int = option(1000, "Fields in one response.")
    max_header_size: int = option(262144, "Bytes of one response's field section.")
    header_table_size: int = option(
        4096, "Bytes of HPACK's dynamic table in either direction of an HTTP/2 connection; 0 for none."
    )
    count_fields: bool = option(
        False, "Count the bytes of field sections, as HTTP/1.1 writes them and on the wire."
    )

    def __post_init__(self) -> None:
        others = {"http", "header_table_size", "count_fields"}
        _require_positive(self, *(name for name in self.__dataclass_fields__ if name not in others))
        if not 0 <= self.header_table_size <= _INT_MAX:
            raise ConfigError(
                f"header_table_size must be from 0 to {_INT_MAX}, not {self.header_table_size!r}"
            )
