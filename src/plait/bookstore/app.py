"""The bookstore, an ASGI 3 application: the reference workload of every measurement.

``/`` lists the ids, ``/book?id=N`` gives one book. Everything is encoded before the first request, so
that a measurement sees the server and not the application.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.resources import files
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from plait.bookstore.catalogue import Catalogue

__all__ = ["create_app"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Header: TypeAlias = tuple[bytes, bytes]

_JSON = (b"content-type", b"application/json")
_HTML = (b"content-type", b"text/html; charset=utf-8")
_SVG = (b"content-type", b"image/svg+xml")
_VARY = (b"vary", b"accept")
_ALLOW = (b"allow", b"GET, HEAD")

_ID = re.compile(r"[1-9][0-9]*")
_QVALUE = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")  # RFC 9110 §12.4.2


class _Response:
    """A whole response, made once and sent many times."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, content_type: Header, body: bytes, *more: Header) -> None:
        self.status = status
        # A tuple, because it is shared by every request and middleware may change what it can.
        self.headers = (content_type, (b"content-length", b"%d" % len(body)), *more)
        self.body = body


def _error(status: int, sentence: str, *more: Header) -> _Response:
    return _Response(status, _JSON, json.dumps({"error": sentence}).encode("ascii"), *more)


def create_app(catalogue: Catalogue) -> Application:
    """Make the application that serves a catalogue.

    Args:
        catalogue: The books.

    Returns:
        An ASGI 3 application for the ``http`` and ``lifespan`` scopes; it raises NotImplementedError
        for any other, as ASGI asks.
    """
    # Keyed by the whole query string: the usual request costs one look-up.
    books = {b"id=%d" % book.id: _Response(200, _JSON, book.json) for book in catalogue}
    package = files("plait.bookstore")
    page = _Response(200, _HTML, package.joinpath("page.html").read_bytes(), _VARY)
    ids = _Response(200, _JSON, catalogue.ids_json, _VARY)
    icon = _Response(200, _SVG, package.joinpath("favicon.svg").read_bytes())
    no_path = _error(404, "there is nothing here but / and /book?id=N")
    no_method = _error(405, "only GET and HEAD are served here", _ALLOW)

    def find(scope: Scope) -> _Response:
        path = scope["path"]
        if path == "/book":
            found = books.get(scope["query_string"]) or find_book(scope["query_string"])
        elif path == "/":
            found = page if _prefers_html(scope["headers"]) else ids
        elif path == "/favicon.ico":
            found = icon
        else:
            return no_path
        return found if scope["method"] in ("GET", "HEAD") else no_method

    def find_book(query: bytes) -> _Response:
        parameters = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in parameters if name == "id"]
        if not given:
            return _error(400, "the id is missing")
        if len(given) > 1:
            return _error(400, "the id is given more than once")
        if not _ID.fullmatch(given[0]):
            return _error(400, "an id is a positive integer")
        return books.get(b"id=" + given[0].encode("ascii")) or _error(404, "there is no book with this id")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = find(scope)
            await send(
                {"type": "http.response.start", "status": response.status, "headers": response.headers}
            )
            body = b"" if scope["method"] == "HEAD" else response.body
            await send({"type": "http.response.body", "body": body})
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            raise NotImplementedError(f"the bookstore does not serve {scope['type']}")

    return app


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _prefers_html(headers: Any) -> bool:
    """Whether the client would rather have HTML than JSON; a tie is for JSON."""
    # Several fields of one name mean the same as one with their values joined (RFC 9110 §5.3).
    accept = b",".join([value for name, value in headers if name == b"accept"]).decode("latin-1").lower()
    return "text/html" in accept and _quality(accept, "text/html") > _quality(accept, "application/json")


def _quality(accept: str, wanted: str) -> float:
    """The weight an Accept field gives one media type: its most specific range decides (RFC 9110 §12.5.1)."""
    ranges = ["*/*", wanted.partition("/")[0] + "/*", wanted]  # by rising precedence
    decided, quality = -1, 0.0
    for element in accept.split(","):
        media_range, *parameters = [part.strip(" \t") for part in element.split(";")]
        if media_range in ranges and ranges.index(media_range) > decided:
            decided, quality = ranges.index(media_range), _weight(parameters)
    return quality


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q" and _QVALUE.fullmatch(value):
            return float(value)
    return 1.0
