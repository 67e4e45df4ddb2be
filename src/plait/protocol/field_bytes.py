"""Counts what field sections take in HTTP/1.1 (RFC 9112 §2.1), beside what they took on the wire.

Only a client that was asked to count imports this.
"""

from __future__ import annotations

from http import HTTPStatus
from itertools import chain
from typing import NamedTuple

from plait.protocol.events import Fields

__all__ = ["FieldBytes", "FieldCount"]

_PHRASES = {b"%d" % status: len(status.phrase) for status in HTTPStatus}
#: Colon, space and the end of a line.
_LINE = 4
#: A request line and a host line, without what they say, and the empty line, in the place of the
#: lines that the pseudo-fields would take.
_REQUEST = len(b"  HTTP/1.1\r\nhost: \r\n\r\n") - len(b":method:scheme:authority:path") - 4 * _LINE
#: The same of a status line without code and phrase.
_RESPONSE = len(b"HTTP/1.1  \r\n\r\n") - len(b":status") - _LINE


class FieldBytes(NamedTuple):
    """Bytes of the field sections of one connection, header and trailer, interim responses included.

    Attributes:
        request: The requests' as HTTP/1.1 writes them: the first line, ``name: value`` lines, the empty
            line.
        request_wire: What they took: the same in HTTP/1.1; in HTTP/2 HEADERS and CONTINUATION frames
            with the headers of these frames.
        response: As ``request``, of the responses.
        response_wire: As ``request_wire``, of the responses.
    """

    request: int
    request_wire: int
    response: int
    response_wire: int


class FieldCount:
    """Adds up the field sections of one connection, as HTTP/1.1 writes them.

    Attributes:
        request: Bytes of the requests' sections.
        response: Bytes of the responses' sections.
    """

    __slots__ = ("request", "response")

    def __init__(self) -> None:
        self.request = 0
        self.response = 0

    def add_request(self, fields: Fields) -> None:
        """Count a request's head, its four pseudo-fields first."""
        self.request += _lines(fields) + _REQUEST
        for name, value in fields:
            if name == b":scheme":
                self.request -= len(value)
                break

    def add_response(self, fields: Fields) -> None:
        """Count a response's head, ``:status`` first."""
        self.response += _lines(fields) + _PHRASES.get(fields[0][1], 0) + _RESPONSE

    def add_trailers(self, fields: Fields) -> None:
        """Count a response's trailer section."""
        self.response += _lines(fields) + len(b"\r\n")

    def total(self, request_wire: int, response_wire: int) -> FieldBytes:
        """Put the counts beside what was on the wire."""
        return FieldBytes(self.request, request_wire, self.response, response_wire)


def _lines(fields: Fields) -> int:
    return len(b"".join(chain.from_iterable(fields))) + _LINE * len(fields)
