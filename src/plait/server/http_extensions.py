"""What an ASGI application may send beside a head and content: ASGI's extensions of http.

Each is offered in the scope where it works (``asgi.py``), and is refused where it is not.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from plait.errors import ExchangeError
from plait.fields import FieldSection, outbound_fields
from plait.protocol.exchange import WITHOUT_CONTENT, Half
from plait.protocol.server_exchange import ServerExchange
from plait.server.application_gateway import logger
from plait.server.files import open_regular, read_piece
from plait.server.interfaces import Message
from plait.server.response import OVER, ClientDisconnected, Stage

if TYPE_CHECKING:
    from plait.server.http_bridge import HttpBridge

__all__ = ["EXTENSIONS", "no_pairs", "takes_trailers"]

#: What a path may hold as it stands (RFC 3986 §3.3, §3.4), "%" included.
_IN_TARGET = "/?%:@!$&'()*+,;=-._~"


def no_pairs(message: Message) -> RuntimeError:
    """Make the exception for headers that are not pairs."""
    return RuntimeError(
        f"the headers of {message['type']} must be pairs of bytes, not {message.get('headers')!r}"
    )


def _field_section(message: Message) -> FieldSection:
    headers: Iterable[Iterable[bytes]] = message.get("headers", ())
    try:
        return outbound_fields(headers)
    except (TypeError, ValueError):
        raise no_pairs(message) from None


def takes_trailers(exchange: ServerExchange) -> bool:
    """Whether a client gets trailers: it has asked for them (RFC 9110 §6.5.1), and its version has them."""
    return exchange.request.accepts_trailers and exchange.endpoint.connection.http_version != "1.0"


async def _trailers(bridge: HttpBridge, message: Message) -> None:
    if bridge.stage is not Stage.TRAILERS or bridge.trailers is None:
        raise bridge.misplaced("http.response.trailers")
    exchange = bridge.exchange
    bridge.trailers += _field_section(message)
    if message.get("more_trailers", False):
        return
    bridge.stage = Stage.ENDED
    if exchange.sent is not Half.ENDED:  # as it has to HEAD and with 304, which have no trailers
        if exchange.closed:
            raise ClientDisconnected("the client is gone")
        try:
            exchange.send_trailers(bridge.trailers)
        except ExchangeError as error:
            raise ClientDisconnected("the client is gone") from error
    bridge.wake()


async def _early_hint(bridge: HttpBridge, message: Message) -> None:
    exchange = bridge.exchange
    if bridge.stage in OVER:
        raise bridge.misplaced("http.response.early_hint")
    if exchange.endpoint.connection.http_version == "1.0":
        raise _not_offered("http.response.early_hint")
    links = message.get("links", ())
    if isinstance(links, (str, bytes)):
        raise RuntimeError(f"the links of http.response.early_hint must be a list of bytes, not {links!r}")
    fields = outbound_fields([(b"link", link) for link in links])
    # Once the final head is through a hint would come too late; the specification lets it be ignored.
    if exchange.sent is Half.HEAD and not exchange.closed:
        try:
            exchange.send_informational_response(103, fields)
        except ExchangeError as error:
            raise ClientDisconnected("the client is gone") from error


async def _push(bridge: HttpBridge, message: Message) -> None:
    exchange = bridge.exchange
    if bridge.stage in OVER:
        raise bridge.misplaced("http.response.push")
    if not bridge.gateway.push or exchange.endpoint.connection.http_version != "2":
        raise _not_offered("http.response.push")
    path = message.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise RuntimeError(f"the path of http.response.push must begin with /, not be {path!r}")
    request = exchange.request
    fields = _field_section(message)
    if not exchange.closed:
        # None where the client has said no since: a push is an offer.
        exchange.push(
            [
                (b":method", b"GET"),
                (b":scheme", bridge.driver.scheme.encode()),
                (b":authority", request.authority),
                (b":path", quote(path, safe=_IN_TARGET).encode()),
                *fields,
            ]
        )


async def _path_send(bridge: HttpBridge, message: Message) -> None:
    if bridge.stage is not Stage.CONTENT:
        raise bridge.misplaced("http.response.pathsend")
    path = message.get("path")
    if not isinstance(path, str) or not os.path.isabs(path):
        raise RuntimeError(f"the path of http.response.pathsend must be an absolute one, not {path!r}")
    try:
        descriptor, size = await open_regular(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    try:
        if bridge.exchange.sent is Half.HEAD and bridge.status not in WITHOUT_CONTENT:
            given = [value for name, value in bridge.fields if name == b"content-length"]
            if not given:
                bridge.fields.append((b"content-length", b"%d" % size))
            elif given[0] != b"%d" % size and not bridge.exchange.sends_no_content(bridge.status):
                raise RuntimeError(
                    f"{path!r} has {size} bytes, and the content-length is {given[0].decode()}"
                )
        await _send_file(bridge, descriptor, 0, size, path, more=False)
    finally:
        os.close(descriptor)


async def _zero_copy_send(bridge: HttpBridge, message: Message) -> None:
    if bridge.stage is not Stage.CONTENT:
        raise bridge.misplaced("http.response.zerocopysend")
    file = message.get("file")
    offset, count = message.get("offset"), message.get("count")
    for name, value in (("offset", offset), ("count", count)):
        if value is not None and (not isinstance(value, int) or value < 0):
            raise RuntimeError(f"the {name} of http.response.zerocopysend must be a size, not {value!r}")
    try:
        descriptor = file if isinstance(file, int) else file.fileno()  # type: ignore[union-attr]
        begin = os.lseek(descriptor, 0, os.SEEK_CUR) if offset is None else offset
        left = max(os.fstat(descriptor).st_size - begin, 0)
    except (AttributeError, OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    size = left if count is None else min(left, count)
    await _send_file(bridge, descriptor, begin, size, file, more=message.get("more_body", False))
    if offset is None:
        os.lseek(descriptor, begin + size, os.SEEK_SET)  # where sendfile(2) would leave it


async def _send_file(
    bridge: HttpBridge, descriptor: int, offset: int, size: int, name: object, *, more: bool
) -> None:
    """Send part of a file as content, a piece at a time, as fast as the client takes it."""
    if bridge.exchange.sends_no_content(bridge.status):
        size = 0
    while size:
        try:
            content = await read_piece(descriptor, offset, size)
        except OSError as error:
            raise _unreadable(name, error) from error
        offset += len(content)
        size -= len(content)
        await bridge.send({"type": "http.response.body", "body": content, "more_body": more or size > 0})
        if not (more or size):
            return
    if not more:
        await bridge.send({"type": "http.response.body"})


async def _debug(bridge: HttpBridge, message: Message) -> None:
    if not bridge.gateway.debug:
        raise _not_offered("http.response.debug")
    logger.debug("the application says: %r", message.get("info"))


def _not_offered(kind: str) -> RuntimeError:
    return RuntimeError(f"{kind} is not offered here: it is not in the extensions of the scope")


def _unreadable(name: object, error: Exception) -> RuntimeError:
    # No OSError, which to frameworks means that the client is gone.
    return RuntimeError(f"{name!r} cannot be sent: {getattr(error, 'strerror', None) or error}")


#: What is done with each message.
EXTENSIONS: dict[Any, Callable[[HttpBridge, Message], Awaitable[None]]] = {
    "http.response.trailers": _trailers,
    "http.response.early_hint": _early_hint,
    "http.response.push": _push,
    "http.response.pathsend": _path_send,
    "http.response.zerocopysend": _zero_copy_send,
    "http.response.debug": _debug,
}
