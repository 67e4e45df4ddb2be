"""The opening handshake of a WebSocket, the client's side (RFC 6455 §4.1, RFC 8441 §5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, TypedDict

from websockets.client import ClientProtocol
from websockets.datastructures import Headers as LibraryHeaders
from websockets.exceptions import InvalidHandshake
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_extension, build_subprotocol, validate_subprotocols
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from plait import urls
from plait.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from plait.fields import FieldSection
from plait.protocol.websocket_session import Terms

if TYPE_CHECKING:
    from plait.client.auth import AuthInput
    from plait.client.headers import Headers
    from plait.client.making import RequestMaker
    from plait.client.messages import Request
    from plait.client.options import HeaderInput
    from plait.client.retries import Retries
    from plait.client.timeouts import Timeouts
    from plait.urls import Params

__all__ = ["Handshake", "WebSocketOptions", "is_for_websocket"]

#: What tells a request for a WebSocket from any other.
_VERSION = (b"sec-websocket-version", b"13")
#: Windows of 4 KiB, not 32: messages are short, and every connection has two of them.
_DEFLATE = ClientPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)
#: Bytes that may wait for the server to take them before whoever sends has to wait, too.
_WRITE_BUFFER = 65_536
_INT_MAX = 2**31 - 1
#: What other requests may be told.
_ABOUT_CONTENT = frozenset({"content", "json", "data", "files", "progress", "trailers"})


class WebSocketOptions(TypedDict, total=False):
    """What a WebSocket can be told, beside its URL.

    Attributes:
        subprotocols: What is offered to be spoken on it, best first.
        compression: ``"deflate"`` to offer permessage-deflate (RFC 7692), the default; None for nothing.
        max_message_size: Bytes that a message from the server may have, decompressed; more close the
            WebSocket with 1009. By default 16 MiB; None for any number.
        ping_interval: Seconds after which the server is asked for a sign of life, 20 by default; None for
            never.
        ping_timeout: Seconds that it has for one, 20 by default; None for any number.
        close_timeout: Seconds that it has to answer a Close frame and to end the connection, 10 by default.
        params: Parameters, added to the URL's query.
        headers: Fields of the handshake.
        cookies: Cookies for it alone, beside those of the client.
        auth: Who asks, instead of the client's; None for nobody.
        follow_redirects: Whether to go where redirects lead, instead of what the client was told.
        retries: Attempts after one that failed, instead of what the client was told.
        timeout: Seconds that the handshake may take, or a :class:`~plait.client.timeouts.Timeouts`.
    """

    subprotocols: Sequence[str]
    compression: str | None
    max_message_size: int | None
    ping_interval: float | None
    ping_timeout: float | None
    close_timeout: float
    params: Params | None
    headers: HeaderInput | None
    cookies: Mapping[str, str] | None
    auth: AuthInput
    follow_redirects: bool
    retries: int | Retries
    timeout: float | Timeouts | None


class Handshake:
    """What a client asks for, and what it takes for an answer.

    Args:
        maker: Makes the client's requests.
        url: A ws, wss, http or https URL, or one that continues the base URL.
        options: See :class:`WebSocketOptions`; the rest is the request's.

    Attributes:
        request: The request, a GET: over HTTP/2 another method is sent, and over HTTP/1.1 a few fields more.
        terms: What is taken from the server, and for how long.

    Raises:
        ConfigError: An option is wrong.
        LocalProtocolError: HTTP cannot carry this.
    """

    __slots__ = ("_factories", "_subprotocols", "request", "terms")

    def __init__(
        self,
        maker: RequestMaker,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        compression: str | None = "deflate",
        max_message_size: int | None = 16_777_216,
        ping_interval: float | None = 20.0,
        ping_timeout: float | None = 20.0,
        close_timeout: float = 10.0,
        **options: Any,
    ) -> None:
        if compression not in ("deflate", None):
            raise ConfigError(f'compression must be "deflate" or None, not {compression!r}')
        if max_message_size is not None and not (
            isinstance(max_message_size, int) and 0 < max_message_size <= _INT_MAX
        ):
            raise ConfigError(f"max_message_size must be a number of bytes or None, not {max_message_size!r}")
        self.terms = Terms(
            max_message_size=max_message_size,
            write_buffer=_WRITE_BUFFER,
            ping_interval=_seconds("ping_interval", ping_interval),
            ping_timeout=_seconds("ping_timeout", ping_timeout),
            close_timeout=_seconds("close_timeout", close_timeout),
        )
        self._factories = [_DEFLATE] if compression is not None else []
        own: FieldSection = [_VERSION]
        try:
            validate_subprotocols(subprotocols)  # type: ignore[arg-type]  # a NewType of str
            self._subprotocols = [Subprotocol(name) for name in subprotocols]
            named = build_subprotocol(self._subprotocols).encode("ascii")
        except (TypeError, ValueError):
            raise ConfigError(f"subprotocols must be a list of names, not {subprotocols!r}") from None
        if named:
            own.append((b"sec-websocket-protocol", named))
        if self._factories:
            offer = build_extension([(one.name, one.get_request_params()) for one in self._factories])
            own.append((b"sec-websocket-extensions", offer.encode()))
        if about_content := _ABOUT_CONTENT.intersection(options):
            raise LocalProtocolError(f"a WebSocket's handshake has no {min(about_content)}: send messages")
        self.request = maker.make("GET", urls.of_handshake(url) if isinstance(url, str) else url, **options)
        fields = self.request.fields
        given = [name for name, _ in fields if name.startswith(b"sec-websocket-")]
        if given:
            raise LocalProtocolError(f"the field {given[0].decode()!r} is the WebSocket's own")
        # Nobody decodes what refuses a WebSocket before it is looked at.
        fields[:] = [field for field in fields if field[0] != b"accept-encoding"] + own

    def granted(self, headers: Headers) -> tuple[str | None, list[Extension]]:
        """Return the subprotocol and the extensions that the server has chosen.

        Raises:
            RemoteProtocolError: It chose what it was not offered.
        """
        protocol = ClientProtocol(
            WebSocketURI(False, "", 80, "/", ""),
            extensions=self._factories or None,
            subprotocols=self._subprotocols or None,
        )
        fields = LibraryHeaders(headers.raw())
        try:
            return protocol.process_subprotocol(fields), protocol.process_extensions(fields)
        except InvalidHandshake as error:
            raise RemoteProtocolError(
                f"the server's part of the WebSocket handshake is wrong: {error}"
            ) from error


def is_for_websocket(request: Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return _VERSION in request.fields


def _seconds(name: str, value: float | None) -> float:
    if value is None and name != "close_timeout":
        return inf
    if not isinstance(value, int | float) or not value > 0:  # which NaN is not either
        raise ConfigError(f"{name} must be greater than zero seconds, not {value!r}")
    return value
