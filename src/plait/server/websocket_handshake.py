"""The opening handshake of a WebSocket, the server's side (RFC 6455 §4.2, RFC 8441 §5)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension, parse_subprotocol

from plait.errors import RemoteProtocolError
from plait.fields import Field, FieldSection, RequestHead
from plait.protocol.websocket_key import accept_of

__all__ = ["Handshake", "UPGRADE_REQUIRED"]

#: What 426 says over HTTP/1.1 (RFC 9110 §15.5.22).
UPGRADE_REQUIRED: tuple[Field, ...] = ((b"upgrade", b"websocket"), (b"connection", b"Upgrade"))

#: Windows of 4 KiB, not 32: messages are short, and every connection has two of them. The client's is
#: made smaller only where it says that it can.
_DEFLATE = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)


class Handshake:
    """What a client asks for, and what is granted.

    Args:
        request: The request whose ``protocol`` is ``b"websocket"``.
        http_version: ``"1.1"`` or ``"2"``, where a stream needs no key (RFC 8441 §5).
        compression: Whether permessage-deflate is granted (RFC 7692).

    Attributes:
        subprotocols: What the client offers to speak on the WebSocket, best first.
        extensions: Those granted, ready to use.
        fields: What the server says of it in the response that accepts.

    Raises:
        RemoteProtocolError: The handshake is malformed, or of another version (``status_hint`` 426).
    """

    __slots__ = ("extensions", "fields", "subprotocols")

    def __init__(self, request: RequestHead, http_version: str, *, compression: bool) -> None:
        keys: list[bytes] = []
        versions: list[bytes] = []
        offers: list[str] = []
        names: list[str] = []
        for name, value in request.fields:
            if not name.startswith(b"sec-websocket-"):
                continue
            if name == b"sec-websocket-key":
                keys.append(value)
            elif name == b"sec-websocket-version":
                versions.append(value)
            elif name == b"sec-websocket-extensions":
                offers.append(value.decode("latin-1"))
            elif name == b"sec-websocket-protocol":
                names.append(value.decode("latin-1"))
        if versions != [b"13"]:
            raise RemoteProtocolError("The version of WebSocket spoken here is 13.", status_hint=426)
        self.fields: FieldSection = []
        accept = _accept(keys)
        if accept is not None:
            # Over HTTP/2, too: Envoy hands on there what a client over HTTP/1.1 sent it, and the answer back.
            self.fields.append((b"sec-websocket-accept", accept))
        elif http_version != "2":
            raise RemoteProtocolError("Sec-WebSocket-Key is not one key of 16 bytes in Base64.")
        try:
            self.subprotocols: list[str] = [one for value in names for one in parse_subprotocol(value)]
            self.extensions: list[Extension] = []
            if compression:
                self._grant(offers)
        except InvalidHeader as error:
            raise RemoteProtocolError(f"The WebSocket handshake is malformed: {error}.") from error

    def _grant(self, offers: Sequence[str]) -> None:
        """Take the first offer of permessage-deflate that can be met (RFC 7692 §5.1)."""
        for value in offers:
            for name, parameters in parse_extension(value):
                if name != _DEFLATE.name:
                    continue
                try:
                    granted, extension = _DEFLATE.process_request_params(parameters, self.extensions)
                except NegotiationError:
                    continue
                self.extensions = [extension]
                answer = build_extension([(name, granted)]).encode()
                self.fields.append((b"sec-websocket-extensions", answer))
                return


def _accept(keys: Sequence[bytes]) -> bytes | None:
    """Answer the client's key (RFC 6455 §4.2.2); None where there is none, or no good one."""
    try:
        (key,) = keys
        good = len(b64decode(key, validate=True)) == 16
    except (ValueError, binascii.Error):
        good = False
    if not good:
        return None
    return accept_of(key)
