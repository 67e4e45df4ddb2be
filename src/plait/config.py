"""Options: each spelled once, those of a client here and those of a server in ``server_config.py``.

Every field carries its help text, so that the command line and the documentation derive from it
instead of spelling it again. Times are seconds, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from plait.errors import ConfigError

__all__ = ["ClientConfig", "HttpVersions", "no_option", "option", "require_positive"]

#: What HTTP/2 has room for in a window or a stream identifier (RFC 9113 §6.9.1, §5.1.1).
_INT_MAX = 2**31 - 1
#: What is no number of HTTP/2's.
_BEYOND_HTTP = frozenset({"max_content_size", "max_decoded_size"})


def option(default: Any, help: str, **extra: Any) -> Any:
    """Declare one option: its default and the sentence that explains it.

    Args:
        default: The value used when the user gives none.
        help: One sentence for ``--help`` and the docs.
        extra: ``metavar`` for the command line, when the type does not say enough; ``argument`` for
            what is no flag there but an argument; ``off_by_zero`` where 0 means "no limit" or "never";
            ``path_after`` for the mark that a path follows in a string; ``heading`` for the first of
            those that ``--help`` and the docs show together.
    """
    return field(default=default, metadata={"help": help, **extra})


def no_option(name: str, known: Iterable[str]) -> ConfigError:
    """Return the error that there is no option of this name, with the one that may be meant."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"there is no option {name!r}{hint}")


class HttpVersions(Enum):
    """Which versions of HTTP one side speaks."""

    AUTO = "auto"
    HTTP_1 = "1"
    HTTP_2 = "2"


def require_positive(config: object, *names: str) -> None:
    """Refuse what is not above zero, or has no room in HTTP/2.

    Raises:
        ConfigError: One of the options of these names is such.
    """
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int | float) or not value > 0:  # which NaN is not either
            raise ConfigError(f"{name} must be greater than zero, not {value!r}")
        if type(value) is int and value > _INT_MAX and name not in _BEYOND_HTTP:
            raise ConfigError(f"{name} must be at most {_INT_MAX}, not {value}")


# Neither compared nor shown: dataclasses write code for that, option by option, whenever a client starts.
@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class ClientConfig:
    """Everything a client can be told, beside where to send a request.

    What each option is for is in ``docs/client.md``, and in the metadata of its field.

    Raises:
        ConfigError: An option cannot be what it is; the sentence says why.
    """

    http: HttpVersions = option(HttpVersions.AUTO, "Versions of HTTP to offer.")
    max_in_flight: int = option(
        100, "Exchanges in flight on one HTTP/2 connection, whatever the peer allows."
    )
    max_connections: int = option(6, "HTTP/1.1 connections to one origin.")
    h2_connections: int = option(
        1, "HTTP/2 connections to one origin, opened together; the least busy takes the next request."
    )
    max_h2_connections: int = option(
        2,
        "HTTP/2 connections to one origin where requests wait because the server allows no more streams on "
        "those that there are.",
    )
    coalesce: bool = option(
        False,
        "Let an HTTP/2 connection serve other origins, too, for which its certificate is good and whose "
        "address is the same or which it names in an ORIGIN frame.",
    )
    connect_timeout: float = option(10.0, "Seconds to connect: name, TCP and TLS.")
    tls_timeout: float | None = option(None, "Seconds of these that TLS may take; by default all of them.")
    read_timeout: float = option(
        60.0, "Seconds without a byte of the response before one exchange is given up."
    )
    write_timeout: float | None = option(
        None,
        "Seconds without the server taking any of a request's content before it is given up; by default "
        "read_timeout.",
    )
    pool_timeout: float = option(60.0, "Seconds to wait for a connection with room.")
    expect_timeout: float = option(
        1.0, "Seconds that content waits for a 100 (Continue), with expect: 100-continue, before it goes out."
    )
    total_timeout: float | None = option(
        None, "Seconds for one request and its response in all; by default without limit."
    )
    keep_alive: float = option(60.0, "Seconds an idle connection is kept.")
    ping_interval: float | None = option(
        None,
        "Seconds of silence after which an HTTP/2 connection is asked by PING whether it is alive: before it "
        "is used again, and while a response is waited for; by default never.",
    )
    ping_timeout: float = option(5.0, "Seconds to answer, before the connection counts as lost.")
    retries: Any = option(
        0,
        "Attempts after one that failed, when another may do better and does no harm; or a plait.Retries, "
        "which says more.",
    )
    proxy: str | None = option(
        None, "URL of a proxy to go through: http://USER:PASSWORD@HOST:PORT or socks5://HOST:PORT."
    )
    trust_env: bool = option(
        False, "Let HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name the proxy; proxy counts more."
    )
    connect_to: Callable[[str, int], tuple[str, int]] | None = option(
        None,
        "Called with host and port of whom to connect to; returns those to connect to instead. Requests and "
        "certificates have the name that they had.",
    )
    local_address: str | None = option(
        None, "IP address of this machine that connections come from; by default the system's choice."
    )
    cert: Any = option(
        None,
        "The client's own certificate: the path of a PEM file with its key, or a pair of paths, certificate "
        "and key, or a triple, with the key's passphrase.",
    )
    check_certificate: Callable[[str, Sequence[bytes]], bool] | None = option(
        None,
        "Called with each server's name and its certificates, DER, its own first, once they are verified; "
        "False refuses the connection.",
    )
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
    push: bool = option(False, "Let HTTP/2 servers push responses to requests that were not sent yet.")
    max_pushed_size: int = option(
        16777216,
        "Bytes of pushed responses that nobody has taken, on one connection; beyond that the oldest are "
        "dropped.",
    )
    count_fields: bool = option(
        False, "Count the bytes of field sections, as HTTP/1.1 writes them and on the wire."
    )
    measure: bool = option(
        False,
        "Count what each exchange takes, and what holds it up: response.statistics, and more in "
        "statistics.connections.",
    )
    trace: Callable[[Any], object] | None = option(
        None,
        "Called with a plait.FrameEvent for every frame that is sent or received, every head in HTTP/1.1, "
        "and what happens to connections; it must not use the client.",
    )
    record: Callable[[Any], object] | None = option(
        None, "Called with every exchange that is over; a plait.HarRecorder writes them to a file."
    )
    follow_redirects: bool = option(False, "Go where redirects lead.")
    max_redirects: int = option(20, "Redirects that are followed for one request.")
    keep_cookies: bool = option(True, "Keep the cookies that servers set, and send them back.")
    decode: bool = option(
        True, "Ask for the content codings that can be undone, and undo those of responses."
    )
    max_content_size: int = option(
        1073741824,
        "Bytes of content that a response may have where it is gathered; what is streamed has no limit.",
    )
    max_decoded_size: int = option(
        268435456,
        "Bytes that coded content may have once decoded, where it is gathered: a response, a line, an event.",
    )

    def __post_init__(self) -> None:
        others = {
            "http", "header_table_size", "count_fields", "measure", "trace", "record", "follow_redirects",
            "keep_cookies", "decode", "proxy", "trust_env", "local_address", "connect_to", "cert",
            "check_certificate", "retries", "coalesce", "push",
        }  # fmt: skip
        for name, one in self.__dataclass_fields__.items():
            if name not in others and not (one.default is None and getattr(self, name) is None):
                require_positive(self, name)
        if not 0 <= self.header_table_size <= _INT_MAX:
            raise ConfigError(
                f"header_table_size must be from 0 to {_INT_MAX}, not {self.header_table_size!r}"
            )
        for name in ("trace", "record", "connect_to"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise ConfigError(f"{name} must be a function, not {getattr(self, name)!r}")
        if self.local_address is not None:
            from ipaddress import ip_address

            try:
                ip_address(str(self.local_address))
            except ValueError:
                raise ConfigError(
                    f"local_address must be an IP address, not {self.local_address!r}"
                ) from None
