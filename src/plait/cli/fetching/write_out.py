"""``--write-out``: what a response was like, in a format of the user's own, with curl's names for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plait.cli.fetching.content import read_file
from plait.errors import PlaitError

if TYPE_CHECKING:
    from plait.cli.fetching.transfer import Outcome
    from plait.client.statistics import ConnectionStatistics, Statistics

__all__ = ["VARIABLES", "WriteOut", "facts"]

_TOKEN = re.compile(r"%%|%header\{([^}]*)\}|%\{([^}]*)\}|\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_VERSIONS = {"HTTP/2": "2", "HTTP/1.1": "1.1"}


class _Facts:
    """One outcome, with what is known of its connection."""

    def __init__(self, outcome: Outcome, statistics: Statistics) -> None:
        self.outcome = outcome
        self.response = outcome.response
        self.status = 0 if self.response is None else self.response.status
        self.connection: ConnectionStatistics | None = None
        timing = None if self.response is None else self.response.timing
        self.timing = timing
        if timing is not None:
            self.connection = next(
                (one for one in reversed(statistics.connections) if one.number == timing.connection), None
            )

    def header(self, name: str) -> str:
        return "" if self.response is None else self.response.headers.get(name, "")

    def since(self, moment: float | None) -> float:
        """Return seconds from the beginning of the transfer; what was there before took none."""
        return 0.0 if moment is None else max(0.0, moment - self.outcome.began)

    @property
    def total(self) -> float:
        outcome = self.outcome
        return (self.timing.done if self.timing else outcome.ended) - outcome.began

    def speed(self, size: int) -> int:
        return int(size / self.total) if self.total > 0 else 0


def _of_connection(name: str) -> Callable[[_Facts], float]:
    return lambda one: one.since(getattr(one.connection, name, None))


def _certainly_tls(one: _Facts) -> float:
    is_tls = one.outcome.url.startswith("https:")
    return one.since(one.connection.secured) if one.connection is not None and is_tls else 0.0


def _redirect(one: _Facts) -> str:
    try:
        following = one.response.next if one.response is not None else None
    except PlaitError:  # it leads nowhere that a request can go
        return ""
    return "" if following is None else following.url


def _peer(one: _Facts) -> Any:
    return None if one.response is None else one.response.peer


#: Everything that can be written, by curl's name for it.
VARIABLES: dict[str, Callable[[_Facts], Any]] = {
    "content_type": lambda one: one.header("content-type"),
    "errormsg": lambda one: "" if one.outcome.error is None else str(one.outcome.error),
    "exitcode": lambda one: 0 if one.outcome.error is None else 1,
    "filename_effective": lambda one: one.outcome.filename,
    "http_code": lambda one: one.status,
    "http_version": lambda one: _VERSIONS[one.response.http_version] if one.response is not None else "0",
    "local_port": lambda one: 0 if one.connection is None else one.connection.port,
    "method": lambda one: one.response.request.method if one.response is not None else "",
    "num_connects": lambda one: int(
        one.connection is not None and one.connection.started >= one.outcome.began
    ),
    "num_headers": lambda one: 0 if one.response is None else len(one.response.headers.raw()),
    "num_redirects": lambda one: 0 if one.response is None else len(one.response.history),
    "num_retries": lambda one: one.outcome.tries - 1,
    "redirect_url": _redirect,
    "referer": lambda one: one.response.request.headers.get("referer", "") if one.response else "",
    "remote_ip": lambda one: getattr(_peer(one), "address", ""),
    "remote_port": lambda one: getattr(_peer(one), "port", 0),
    "response_code": lambda one: one.status,
    "scheme": lambda one: one.outcome.url.partition(":")[0].upper(),
    "size_download": lambda one: one.outcome.size,
    "size_header": lambda one: one.outcome.header_size,
    "size_upload": lambda one: one.outcome.upload_size,
    "speed_download": lambda one: one.speed(one.outcome.size),
    "speed_upload": lambda one: one.speed(one.outcome.upload_size),
    "time_appconnect": _certainly_tls,
    "time_connect": _of_connection("connected"),
    "time_namelookup": _of_connection("started"),
    "time_pretransfer": lambda one: one.since(one.timing and one.timing.sent),
    "time_starttransfer": lambda one: one.since(one.timing and one.timing.answered),
    "time_total": lambda one: one.total,
    "url": lambda one: one.outcome.target.url,
    "url_effective": lambda one: one.outcome.url,
    "urlnum": lambda one: one.outcome.target.number - 1,
}


def facts(outcome: Outcome, statistics: Statistics) -> dict[str, Any]:
    """Return everything that can be written of one response, by name."""
    one = _Facts(outcome, statistics)
    return {name: variable(one) for name, variable in VARIABLES.items()}


class WriteOut:
    """A format.

    Args:
        text: The format: ``%{name}``, ``%header{name}``, ``%%``, and backslashes before n, r and t; with
            ``@`` at its beginning the file that holds it.

    Raises:
        ConfigError: The file cannot be read.
    """

    def __init__(self, text: str) -> None:
        self._format = read_file(text[1:]).decode("utf-8", "replace") if text.startswith("@") else text

    def render(self, outcome: Outcome, statistics: Callable[[], Statistics]) -> tuple[str, str]:
        """Return what is written of one response, to standard output and to standard error."""
        values = facts(outcome, statistics())
        written = {"stdout": "", "stderr": ""}
        where = "stdout"
        position = 0
        for found in _TOKEN.finditer(self._format):
            written[where] += self._format[position : found.start()]
            position = found.end()
            name = found[2]
            if name in written:
                where = name
            elif name == "onerror":
                if outcome.error is None:
                    position = len(self._format)
                    break
            elif found[0] == "%%":
                written[where] += "%"
            elif found[3] is not None:
                written[where] += _ESCAPES.get(found[3], found[0])
            elif found[1] is not None:
                written[where] += (
                    "" if outcome.response is None else outcome.response.headers.get(found[1], "")
                )
            else:
                written[where] += self._value(name, values, outcome)
        written[where] += self._format[position:]
        return written["stdout"], written["stderr"]

    def _value(self, name: str, values: dict[str, Any], outcome: Outcome) -> str:
        from json import dumps

        if name == "json":
            exact = {key: round(one, 6) if isinstance(one, float) else one for key, one in values.items()}
            return dumps(dict(sorted(exact.items())), separators=(",", ":"))
        if name == "header_json":
            raw = [] if outcome.response is None else outcome.response.headers.raw()
            return dumps({key: [value for one, value in raw if one == key] for key, _ in raw})
        value = values.get(name, "")  # curl writes nothing for what it does not know
        if isinstance(value, float):
            return f"{value:.6f}"
        return f"{value:03}" if name in ("http_code", "response_code") else str(value)
