"""What the WebSockets of both clients have in common."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from plait.client.websocket_calls import Opened, WebSocketCall
from plait.errors import LocalProtocolError

if TYPE_CHECKING:
    from plait.client.core import ClientCore
    from plait.client.messages import Response
    from plait.client.websocket_handshake import Handshake
    from plait.client.websocket_session import ClientSession

__all__ = ["AnyWebSocket", "checked", "fragments_of"]


class AnyWebSocket:
    """A WebSocket, before, while and after it is open.

    Args:
        core: What the client's calls have in common.
        handshake: What is asked for.
    """

    def __init__(self, core: ClientCore, handshake: Handshake) -> None:
        self._core = core
        self._call = WebSocketCall(core, handshake)
        self._write_timeout = self._call.limits.write
        self._opened: Opened | None = None

    @property
    def _session(self) -> ClientSession:
        return self._open.session

    @property
    def _open(self) -> Opened:
        if self._opened is None:
            raise LocalProtocolError("a WebSocket is open inside its with block")
        return self._opened

    @property
    def response(self) -> Response:
        """The head of the response that opened it: status, headers, ``http_version``, ``timing``."""
        return self._open.response

    @property
    def http_version(self) -> str:
        """``"HTTP/2"`` or ``"HTTP/1.1"``."""
        return self._open.response.http_version

    @property
    def subprotocol(self) -> str | None:
        """What the server has chosen of the subprotocols offered, or None."""
        return self._open.subprotocol

    @property
    def close_code(self) -> int | None:
        """The code with which it ended (RFC 6455 §7.4.1): 1006 where it broke; None while it is open."""
        ended = self._session.ended
        return None if ended is None else int(ended.code)

    @property
    def close_reason(self) -> str | None:
        """What was said of its end; None while it is open."""
        ended = self._session.ended
        return None if ended is None else ended.reason

    def __repr__(self) -> str:
        state = "open" if self._opened is not None and self._session.ended is None else "not open"
        return f"<{type(self).__name__} {self._call.request.url}, {state}>"


def checked(message: Any) -> str | bytes:
    """Return what a message, or a fragment of one, is sent as.

    Raises:
        LocalProtocolError: It is neither text nor bytes.
    """
    if isinstance(message, str | bytes):
        return message
    if isinstance(message, bytearray | memoryview):
        return bytes(message)
    raise LocalProtocolError(f"a message is str, bytes or an iterable of them, not {type(message).__name__}")


def fragments_of(message: Any) -> Any:
    """Return the fragments of a message that is to be sent in fragments, None where it is sent whole.

    Raises:
        LocalProtocolError: It is nothing that can be sent.
    """
    if isinstance(message, str | bytes | bytearray | memoryview):
        return None
    if isinstance(message, Mapping) or not isinstance(message, Iterable | AsyncIterable):
        checked(message)
    return message
