"""Every exception plait raises.

::

    PlaitError
    ├── ConfigError                 a wrong option, path or value, found before any socket opens
    ├── ProtocolError               .status_hint (what a server answers), .error_code (RFC 9113 §7)
    │   ├── LocalProtocolError      we were asked to break a rule
    │   └── RemoteProtocolError     the peer broke one
    ├── ExchangeError               ends one exchange; .unprocessed says whether it may be sent again
    │   ├── ExchangeReset           RST_STREAM, or the HTTP/1.1 message broke off; .error_code
    │   ├── ContentTooLarge         the peer sent more content than it may
    │   ├── ContentDecodingError    a response's content is not in the coding that it says
    │   ├── ConnectionLost          the whole connection went, and this exchange with it
    │   └── WebSocketClosed         a WebSocket has ended; .code, .reason (RFC 6455 §7.4)
    ├── ConnectFailed               DNS, TCP, TLS or ALPN: no connection came to be
    │   ├── NameNotResolved         nobody knows an address for the name
    │   ├── NoCommonProtocol        the server speaks nothing of what is offered
    │   ├── ProxyFailed             nobody gets to the proxy, or through it
    │   └── TlsFailed               there is TCP, and no TLS
    │       └── CertificateRefused  .problem says what is wrong with the certificate
    ├── TooManyRedirects            one redirect led to the next too often
    ├── StatusError                 a status of 400 or above, for who asked to be told; .response
    ├── WebSocketRefused            the server did not open the WebSocket; .response says what it answered
    ├── ClientClosed                the client was closed before or during the exchange
    └── Timeout (a TimeoutError)    one exchange or one connect, never its siblings
        ├── ConnectTimeout
        │   └── TlsTimeout
        ├── PoolTimeout
        ├── ReadTimeout
        │   └── TotalTimeout
        └── WriteTimeout

Two questions are answered by type: whose fault it is, and how much is lost. ``unprocessed``, which all of
them have, tells whether a request is known not to have been acted on, and ``request`` which one it was.
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from typing import Any, Self

__all__ = [
    "PlaitError",
    "ConfigError",
    "ProtocolError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "ExchangeError",
    "ExchangeReset",
    "ContentTooLarge",
    "ContentDecodingError",
    "ConnectionLost",
    "WebSocketClosed",
    "ConnectFailed",
    "NameNotResolved",
    "NoCommonProtocol",
    "ProxyFailed",
    "TlsFailed",
    "CertificateRefused",
    "CertificateProblem",
    "TooManyRedirects",
    "StatusError",
    "WebSocketRefused",
    "ClientClosed",
    "Timeout",
    "ConnectTimeout",
    "TlsTimeout",
    "PoolTimeout",
    "ReadTimeout",
    "TotalTimeout",
    "WriteTimeout",
]


class PlaitError(Exception):
    """The base of every exception plait raises.

    Attributes:
        unprocessed: True when the server is known not to have acted on the request, so that sending it
            again is safe whatever its method (RFC 9113 §8.7).
        request: The :class:`~plait.Request` that came to this, as it was given to the client, before any
            redirect; None where it was none of a client's.
    """

    unprocessed: bool = False
    request: Any = None

    def about(self, request: Any) -> Self:
        """Return this error as that of a request: itself, or a copy where it is another's already.

        One cause, such as a connection that was lost, ends many requests.
        """
        if self.request is None:
            self.request = request
        if self.request is request:
            return self
        other = type(self).__new__(type(self), *self.args)
        other.__dict__.update(self.__dict__, request=request)
        other.__cause__ = self.__cause__
        return other


class ConfigError(PlaitError):
    """An option, a path or a value is wrong; the message is one sentence for the user."""


class ProtocolError(PlaitError):
    """A rule of HTTP was broken.

    Attributes:
        status_hint: The status code a server answers with when it still can.
        error_code: The HTTP/2 error code that says the same (RFC 9113 §7).
    """

    def __init__(self, message: str, *, status_hint: int = 400, error_code: int = 0x01) -> None:
        super().__init__(message)
        self.status_hint = status_hint
        self.error_code = error_code


class LocalProtocolError(ProtocolError):
    """This side was asked to send something HTTP does not allow; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something HTTP does not allow."""


class ExchangeError(PlaitError):
    """One exchange ended before its end.

    Attributes:
        unprocessed: True when the peer is known not to have acted on the request, so that sending
            it again is safe whatever its method (RFC 9113 §8.7).
    """

    def __init__(self, message: str, *, unprocessed: bool = False) -> None:
        super().__init__(message)
        self.unprocessed = unprocessed


class ExchangeReset(ExchangeError):
    """One exchange was reset, by either side.

    Attributes:
        error_code: The HTTP/2 error code (RFC 9113 §7).
    """

    def __init__(self, message: str, *, error_code: int, unprocessed: bool = False) -> None:
        super().__init__(message, unprocessed=unprocessed)
        self.error_code = error_code


class ContentTooLarge(ExchangeError):
    """The peer sent more content than it may; the rest is thrown away."""


class ContentDecodingError(ExchangeError):
    """A response's content is broken off, not in the coding that it says, or too large once decoded."""


class ConnectionLost(ExchangeError):
    """The connection closed while the exchange was open.

    Attributes:
        error_code: The HTTP/2 error code that either side gave as the reason (RFC 9113 §7), or None.
    """

    def __init__(self, message: str, *, error_code: int | None = None, unprocessed: bool = False) -> None:
        super().__init__(message, unprocessed=unprocessed)
        self.error_code = error_code


class WebSocketClosed(ExchangeError):
    """A WebSocket has ended, in good order or not.

    Attributes:
        code: The close code (RFC 6455 §7.4.1): the peer's, or this side's where it closed; 1005 where
            there was none, 1006 where the connection broke.
        reason: What was said of it, or ``""``.
    """

    def __init__(self, message: str, *, code: int, reason: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class ConnectFailed(PlaitError):
    """No connection came to be: name resolution, TCP, TLS or protocol negotiation failed.

    Attributes:
        errno: The system's number for what TCP failed of, such as ``errno.ECONNREFUSED``; None where it
            was nothing of that kind.
    """

    unprocessed = True
    errno: int | None = None


class NameNotResolved(ConnectFailed):
    """The server's name has no address, or nobody could be asked for it."""


class NoCommonProtocol(ConnectFailed):
    """The server speaks none of the protocols offered to it (RFC 7301 §3.2)."""


class ProxyFailed(ConnectFailed):
    """The proxy cannot be reached, or opens no way to the server."""


class TlsFailed(ConnectFailed):
    """The server was reached, and there is no TLS with it."""


class CertificateProblem(Enum):
    """What is wrong with a server's certificate."""

    NAME = "it is for another name"
    EXPIRED = "it has expired"
    NOT_YET_VALID = "it is not valid yet"
    SELF_SIGNED = "it is signed by itself"
    AUTHORITY = "its authority is not trusted"
    REVOKED = "it has been revoked"
    PIN = "it is not the one that was expected"
    OTHER = "it is wrong in some other way"


class CertificateRefused(TlsFailed):
    """The server's certificate is not one to trust.

    Attributes:
        problem: What is wrong with it.
    """

    def __init__(self, message: str, problem: CertificateProblem = CertificateProblem.OTHER) -> None:
        super().__init__(message)
        self.problem = problem


class TooManyRedirects(PlaitError):
    """One redirect led to the next more often than the client follows them."""


class StatusError(PlaitError):
    """The status of a response is 400 or above.

    Attributes:
        response: The response.
    """

    def __init__(self, message: str, *, response: Any) -> None:
        super().__init__(message)
        self.response = response


class WebSocketRefused(PlaitError):
    """The server did not open the WebSocket.

    Attributes:
        response: What it answered: status, fields, and the beginning of the content, all of it where
            that is short.
    """

    def __init__(self, message: str, *, response: Any) -> None:
        super().__init__(message)
        self.response = response


class ClientClosed(PlaitError):
    """The client was closed before the exchange ended."""


class Timeout(PlaitError, TimeoutError):
    """A time limit passed; it ends one exchange or one connect, never its siblings."""


class ConnectTimeout(Timeout):
    """Connecting took too long."""

    unprocessed = True


class TlsTimeout(ConnectTimeout):
    """There was TCP in time, and no TLS."""


class PoolTimeout(Timeout):
    """No connection had room for the exchange in time."""

    unprocessed = True


class ReadTimeout(Timeout):
    """The peer sent nothing for too long."""


class TotalTimeout(ReadTimeout):
    """The request and its response took too long, all in all."""


class WriteTimeout(Timeout):
    """The peer took nothing for too long."""
