"""The options of a server, and its limits: each spelled once, here; see ``config.py``.

A client's process starts without them: there are so many that it would take a tenth longer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from plait.config import HttpVersions, option, require_positive
from plait.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ClientCertificates", "Interface", "Limits", "LogFormat", "LogLevel", "ServerConfig"]

#: RFC 6454 §6.2; what ORIGIN frames tell is proved by a certificate, so there is no http.
_ORIGIN = re.compile(r"https://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?").fullmatch


class Interface(Enum):
    """How the application is called."""

    AUTO = "auto"
    ASGI = "asgi"
    WSGI = "wsgi"


class ClientCertificates(Enum):
    """Whether clients are asked for a certificate."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class LogLevel(Enum):
    """How much the server says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogFormat(Enum):
    """How the server says it."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a server takes from its clients before it answers with an error.

    The defaults are the strictest of what well-known servers use that still serve every browser
    and proxy; each is a flag of ``plait serve``.
    """

    max_connections: int = option(
        10000, "Connections open in one process; more wait to be accepted.", heading="Limits"
    )
    max_concurrent_streams: int = option(128, "Concurrent requests one HTTP/2 connection may have open.")
    max_concurrency: int = option(
        0,
        "Requests whose application may run at once in one process, more get 503; 0 for no limit.",
        off_by_zero=True,
    )
    max_requests_per_connection: int = option(
        0, "Requests after which a connection is closed in good order; 0 for no limit.", off_by_zero=True
    )
    max_header_fields: int = option(
        100, "Fields in one request, cookie crumbs counted one by one; more get 431."
    )
    max_header_size: int = option(
        65536, "Bytes of one request's field section; more get 431.", metavar="BYTES"
    )
    max_target_size: int = option(16384, "Bytes of one request target; more get 414.", metavar="BYTES")
    max_content_size: int = option(
        0, "Bytes of one request's content; more get 413; 0 for no limit.", metavar="BYTES", off_by_zero=True
    )
    max_pipelined: int = option(16, "HTTP/1.1 requests read ahead of the one being answered.")
    max_message_size: int = option(
        16777216, "Bytes of one WebSocket message, decompressed; more close it with 1009.", metavar="BYTES"
    )
    max_resets: int = option(
        256, "Streams a client may reset, or make the server reset, beyond one for each request served."
    )
    max_control_frames: int = option(
        1000, "PING, SETTINGS and other frames without content that a client may send in ten seconds."
    )
    stream_window: int = option(
        262144, "Bytes of unread request content one stream may hold at first.", metavar="BYTES"
    )
    max_stream_window: int = option(
        4194304, "Bytes that window may grow to for an application that reads fast.", metavar="BYTES"
    )
    write_buffer: int = option(
        65536, "Bytes of one response queued before the application waits.", metavar="BYTES"
    )
    max_buffered_per_connection: int = option(
        16777216, "Bytes of unread request content that one connection may hold.", metavar="BYTES"
    )
    max_buffered: int = option(
        536870912,
        "Bytes of content that one process may hold in memory, both ways; beyond, new requests get 503.",
        metavar="BYTES",
    )
    handshake_timeout: float = option(
        10.0, "Seconds for the TLS handshake, and for the first request.", heading="Time limits"
    )
    header_timeout: float = option(10.0, "Seconds for one request's field section to arrive whole.")
    read_timeout: float = option(60.0, "Seconds the application may wait for the next piece of content.")
    write_timeout: float = option(60.0, "Seconds a client may take nothing of a response that is ready.")
    keep_alive: float = option(75.0, "Seconds a connection may stay idle.")
    app_timeout: float = option(
        0.0, "Seconds the application has for one request; 0 for no limit.", off_by_zero=True
    )
    ws_ping_interval: float = option(20.0, "Seconds between WebSocket pings; 0 for none.", off_by_zero=True)
    ws_ping_timeout: float = option(20.0, "Seconds a WebSocket client has to answer a ping.")

    def __post_init__(self) -> None:
        for name, one in self.__dataclass_fields__.items():
            if not (one.metadata.get("off_by_zero") and getattr(self, name) == 0):
                require_positive(self, name)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerConfig:
    """Everything ``plait serve`` can be told."""

    app: Any = option(
        None, "The application, or its name as MODULE:APP.", argument=True, heading="Application"
    )
    interface: Interface = option(Interface.AUTO, "How the application is called.")
    factory: bool = option(False, "MODULE:APP is called without arguments to make the application.")
    twisted: bool = option(False, "MODULE:APP is a Twisted resource, Site or service.")
    app_dir: Path | None = option(
        None, "Directory to import it from; by default the current one.", metavar="DIR"
    )
    root_path: str = option("", "Path below which a proxy has the application.", metavar="PATH")
    env_file: Path | None = option(None, "File of NAME=VALUE lines for the environment.", metavar="FILE")
    threads: int = option(40, "Threads for a WSGI application's requests, in each process.")
    static: Path | None = option(
        None, "Serve the files of a directory, without an application.", metavar="DIR"
    )
    mount: tuple[str, ...] = option(
        (),
        "Serve the files of a directory below a path, beside it.",
        metavar="PATH=DIR",
        path_after="=",
    )
    host: str = option(
        "127.0.0.1", "Address or name to listen on; '' for every address.", heading="Where to listen"
    )
    port: int = option(8443, "Port to listen on; 0 lets the system choose.")
    listen: tuple[str, ...] = option(
        (),
        "Endpoint to listen on instead, as Twisted writes it: tcp:…, ssl:…, unix:PATH, fd:N, systemd:….",
        metavar="ENDPOINT",
    )
    cert: tuple[Path, ...] = option(
        (),
        "Certificate chain, PEM; of several, a client gets the one for the name it asks for.",
        metavar="FILE",
        heading="TLS",
    )
    key: tuple[Path, ...] = option((), "Private key of the certificate, PEM; one for each.", metavar="FILE")
    client_ca: Path | None = option(
        None, "Certificates of the authorities whose clients are let in, PEM.", metavar="FILE"
    )
    client_cert: ClientCertificates = option(
        ClientCertificates.NONE, "Whether clients are asked for a certificate."
    )
    insecure: bool = option(False, "Serve without TLS: HTTP/1.1, and HTTP/2 with prior knowledge or Upgrade.")
    trust: tuple[str, ...] = option(
        (),
        "Address or network of a proxy that is believed about its clients; unix for Unix sockets.",
        metavar="NETWORK",
        heading="Behind a proxy",
    )
    proxy_protocol: bool = option(False, "Expect the PROXY protocol, v1 or v2, from trusted addresses.")
    workers: int = option(1, "Processes that serve.", heading="Processes")
    max_requests: int = option(0, "Requests after which a worker is replaced; 0 for never.")
    max_requests_jitter: int = option(0, "Up to how many more, at random, so that not all go at once.")
    worker_timeout: float = option(30.0, "Seconds without a sign of life after which a worker is killed.")
    grace: float = option(10.0, "Seconds that requests in flight have to finish at shutdown.")
    reload: bool = option(False, "Start anew when a source file changes, for development.")
    reload_dir: tuple[Path, ...] = option(
        (), "Directory to watch for --reload; by default the application's.", metavar="DIR"
    )
    pid_file: Path | None = option(None, "File to write the process id to.", metavar="FILE")
    access_log: bool = option(True, "Write one line a request.", heading="Logs and metrics")
    access_log_file: Path | None = option(
        None, "File for the access log; by default standard output.", metavar="FILE"
    )
    access_log_format: str = option(
        "combined", "Form of its lines: combined, json, or a format string such as '%(h)s %(r)s %(s)s %(D)s'."
    )
    log_file: Path | None = option(
        None, "File for the server's own log; by default standard error.", metavar="FILE"
    )
    log_format: LogFormat = option(LogFormat.TEXT, "Form of the server's own log.")
    log_level: LogLevel = option(LogLevel.INFO, "How much of it.")
    log_config: Path | None = option(
        None, "Logging configuration, JSON or TOML, for logging.config.dictConfig.", metavar="FILE"
    )
    metrics: str = option(
        "", "Address for /metrics, /livez and /readyz, such as 127.0.0.1:9100.", metavar="HOST:PORT"
    )
    http: HttpVersions = option(HttpVersions.AUTO, "Versions of HTTP to serve.", heading="HTTP features")
    push: bool = option(True, "Let the application push to HTTP/2 clients that allow it.")
    websockets: bool = option(True, "Speak WebSocket.")
    ws_compression: bool = option(True, "Offer permessage-deflate to WebSocket clients.")
    alt_svc: str = option("", "Value of Alt-Svc, sent with every response.", metavar="VALUE")
    origin: tuple[str, ...] = option(
        (), "Origin this server also answers for, told in an ORIGIN frame.", metavar="ORIGIN"
    )
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be from 0 to 65535, not {self.port}")
        if not self.grace >= 0:
            raise ConfigError(f"grace must not be negative, not {self.grace}")
        require_positive(self, "threads", "workers", "worker_timeout")
        for name in ("max_requests", "max_requests_jitter"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.static is not None and self.app is not None:
            raise ConfigError("--static serves files without an application; --mount serves them beside one")
        if self.twisted:
            if self.app is None:
                raise ConfigError("--twisted needs the name of what it serves, MODULE:ROOT")
            if self.interface is not Interface.AUTO:
                raise ConfigError(f"--twisted goes without --interface {self.interface.value}")
            if self.root_path:
                raise ConfigError("--twisted goes without --root-path: twisted.web.vhost has its own ways")
        if len(self.cert) != len(self.key):
            missing, given = ("--key", "--cert") if len(self.key) < len(self.cert) else ("--cert", "--key")
            raise ConfigError(f"each {given} needs a {missing} beside it")
        if self.insecure and self.cert:
            raise ConfigError("--insecure serves without TLS, so it takes no --cert")
        if self.client_cert is not ClientCertificates.NONE and self.client_ca is None:
            raise ConfigError("--client-cert needs --client-ca, to know whom to let in")
        # Whoever names authorities believes that only their clients come in.
        if self.client_ca is not None and self.client_cert is ClientCertificates.NONE:
            raise ConfigError("--client-ca is of no use unless --client-cert is optional or required")
        if self.client_ca is not None and self.insecure:
            raise ConfigError("--insecure serves without TLS, so it asks no client for a certificate")
        if not all(" " <= letter <= "~" for letter in self.alt_svc):
            raise ConfigError(f"alt_svc must be the value of a field, not {self.alt_svc!r}")
        for origin in self.origin:
            if not _ORIGIN(origin):
                raise ConfigError(f"an origin has the form https://HOST or https://HOST:PORT, not {origin!r}")
        if self.proxy_protocol and not self.trust:
            raise ConfigError("--proxy-protocol needs --trust, to know whose word to take")
