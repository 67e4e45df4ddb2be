"""Forms of the access log's lines: combined, JSON, or a format string, compiled to one function.

Format strings have the atoms that gunicorn made common, such as ``%(h)s`` and ``%({referer}i)s``. What
clients and applications send is escaped, so that nobody can end a line or a quoted string, or move a
terminal's cursor.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from plait.errors import ConfigError
from plait.fields import Field
from plait.protocol.server_exchange import ServerExchange

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver

__all__ = ["LineFormat", "compile_format", "printable"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: What could end a quoted string, or a line, or move a terminal's cursor.
_UNSAFE = re.compile(rb"[^ !#-\[\]-~]")
_FAMILIAR_MAX = 256

_COMBINED = '%(h)s - - %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
_PART = re.compile(r"%(?:%|\((?:([A-Za-z])|\{([^{}\s]+)\}([io]))\)s)")

#: Expressions of Python for each atom, over what ``compile_format`` provides.
_ATOMS = {
    "h": "host(client[0]) if client else '-'",
    "l": "'-'",
    "u": "safe(user(request.fields))",
    "t": "f'[{now()}]'",
    "r": "f'{safe(request.method)} {safe(request.target)} HTTP/{exchange.endpoint.connection.http_version}'",
    "m": "safe(request.method)",
    "U": "safe(request.target.partition(mark)[0])",
    "q": "safe(request.target.partition(mark)[2])",
    "H": "f'HTTP/{exchange.endpoint.connection.http_version}'",
    "s": "status or '-'",
    "b": "exchange.sent_bytes or '-'",
    "B": "exchange.sent_bytes",
    "T": "int(seconds)",
    "M": "int(seconds * 1_000)",
    "D": "int(seconds * 1_000_000)",
    "L": "format(seconds, '.6f')",
    "p": "f'<{pid()}>'",
}
_FIELD_ATOMS = {"f": "referer", "a": "user-agent"}
_TIMED = frozenset("TMDL")
_JSON = {
    "time": "quoted(iso())",
    "client": "quoted(client[0]) if client else 'null'",
    "method": "told(request.method)",
    "target": "told(request.target)",
    "authority": "told(request.authority)",
    "protocol": "quoted(exchange.endpoint.connection.http_version)",
    "status": "status or 'null'",
    "bytes": "exchange.sent_bytes",
    "seconds": "format(seconds, '.6f')",
    "referer": "",
    "user_agent": "",
}
_JSON_FIELDS = {"referer": "referer", "user_agent": "user-agent"}


def _escape(value: bytes) -> str:
    return _UNSAFE.sub(lambda match: b"\\x%02x" % match[0][0], value).decode("ascii")


_escape_familiar = lru_cache(1024)(_escape)


def printable(value: bytes) -> str:
    """Make what a client sent fit for a quoted string in a log: printable ASCII, the rest as ``\\xNN``."""
    return _escape_familiar(value) if len(value) <= _FAMILIAR_MAX else _escape(value)


@lru_cache(1024)
def _host(value: str) -> str:
    return _escape(value.encode("utf-8", "replace"))


def _tell(value: bytes | None) -> str:
    return "null" if value is None else json.dumps(value.decode("utf-8", "backslashreplace"))


_tell_familiar = lru_cache(1024)(_tell)


def _told(value: bytes | None) -> str:
    """Write bytes as a string of JSON; what is no UTF-8 among them as ``\\xNN``."""
    return _tell_familiar(value) if value is None or len(value) <= _FAMILIAR_MAX else _tell(value)


def _user(fields: Sequence[Field]) -> bytes:
    """Find the user's name of Basic authentication (RFC 7617), or ``-``."""
    for name, value in fields:
        if name == b"authorization" and value[:6].lower() == b"basic ":
            try:
                return base64.b64decode(value[6:], validate=True).partition(b":")[0] or b"-"
            except binascii.Error:
                break
    return b"-"


class _Clock:
    """Writes the time, once a second anew."""

    def __init__(self, clock: Callable[[], float], form: Callable[[time.struct_time], str]) -> None:
        self._clock = clock
        self._form = form
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._text = self._form(time.localtime(second))
        return self._text


def _common_time(t: time.struct_time) -> str:
    """Write ``27/Jul/2016:11:20:18 +0000``, whatever the language of this place."""
    return time.strftime(f"%d/{_MONTHS[t.tm_mon - 1]}/%Y:%H:%M:%S %z", t)


def _iso_time(t: time.struct_time) -> str:
    """Write ``2016-07-27T11:20:18+0000``."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", t)


@dataclass(frozen=True, slots=True)
class LineFormat:
    """One form of line.

    Attributes:
        line: Makes the line of a finished exchange, of its driver and the status sent.
        timed: Whether it tells how long the exchange took, so ``exchange.begun`` has to be set.
    """

    line: Callable[[ServerExchange, ServerDriver, int], str]
    timed: bool


def compile_format(text: str, clock: Callable[[], float] = time.time) -> LineFormat:
    """Compile a form of line.

    Args:
        text: ``combined``, ``json``, or a format string.
        clock: Seconds since the epoch.

    Raises:
        ConfigError: It is none of them, or the format string has an atom there is not.
    """
    source = _Source()
    if text == "json":
        source.add_json()
    else:
        source.add_format(_COMBINED if text == "combined" else text)
    return source.compile(clock)


class _Source:
    """The source of one function, as it grows: constants are literals, all else is one of the atoms."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._timed = False
        #: Variables for fields of the request ("i") and of the response ("o"), by their names.
        self._fields: dict[str, dict[bytes, str]] = {"i": {}, "o": {}}

    def add_format(self, text: str) -> None:
        end = 0
        for found in _PART.finditer(text):
            self._literal(text, end, found.start())
            end = found.end()
            atom, name, side = found.groups()
            if name:
                self._expression(f"safe({self._field(name, side)} or dash)")
            elif atom in _FIELD_ATOMS:
                self._expression(f"safe({self._field(_FIELD_ATOMS[atom], 'i')} or dash)")
            elif atom is None:
                self._pieces.append("'%'")
            elif atom in _ATOMS:
                self._timed |= atom in _TIMED
                self._expression(_ATOMS[atom])
            else:
                raise ConfigError(f"access_log_format has {found[0]}, which is no atom of access logs")
        self._literal(text, end, len(text))
        if not end:
            raise ConfigError(f"access_log_format must be combined, json or a format string, not {text!r}")

    def add_json(self) -> None:
        self._timed = True
        mark = "{"
        for name, expression in _JSON.items():
            self._pieces.append(repr(f'{mark}"{name}": '))
            field = _JSON_FIELDS.get(name)
            self._expression(f"told({self._field(field, 'i')})" if field else expression)
            mark = ", "
        self._pieces.append("'}'")

    def _literal(self, text: str, start: int, end: int) -> None:
        piece = text[start:end]
        wrong = piece.find("%")
        if wrong >= 0:
            raise ConfigError(
                f"access_log_format has {piece[wrong : wrong + 8]!r}, where %(h)s or %% would do"
            )
        if piece:
            self._pieces.append(repr(piece))

    def _expression(self, expression: str) -> None:
        self._pieces.append(f'f"{{{expression}}}"')

    def _field(self, name: str, side: str) -> str:
        variables = self._fields[side]
        return variables.setdefault(name.lower().encode(), f"{side}_{len(variables)}")

    def compile(self, clock: Callable[[], float]) -> LineFormat:
        lines = [
            "def line(exchange, driver, status):",
            " request = exchange.request",
            " client = driver.client",
        ]
        if self._timed:
            lines.append(" seconds = perf_counter() - exchange.begun")
        for side, section in (("i", "request.fields"), ("o", "exchange.fields")):
            variables = self._fields[side]
            if variables:
                lines.append(f" {' = '.join(variables.values())} = None")
                lines.append(f" for name, value in {section}:")
                for index, (name, variable) in enumerate(variables.items()):
                    lines.append(f"  {'el' if index else ''}if name == {name!r}: {variable} = value")
        lines.append(f" return {' '.join(self._pieces)} '\\n'")
        names: dict[str, Any] = {
            "dash": b"-",
            "host": _host,
            "iso": _Clock(clock, _iso_time),
            "mark": b"?",
            "now": _Clock(clock, _common_time),
            "perf_counter": time.perf_counter,
            "pid": os.getpid,
            "quoted": json.dumps,
            "safe": printable,
            "told": _told,
            "user": _user,
        }
        exec("\n".join(lines), names)
        return LineFormat(names["line"], self._timed)
