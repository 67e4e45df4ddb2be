"""Makes what an HTTP Archive says of one exchange (http://www.softwareishard.com/blog/har-12-spec/).

Only a client whose exchanges are recorded imports this.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from harfile import Content, Cookie, PostData, Record, Request, Response, Timings

from plait.client.messages import charset_of
from plait.client.secrets import hidden, hide
from plait.errors import PlaitError

if TYPE_CHECKING:
    from plait.client import messages, recording
    from plait.client.statistics import Timing
    from plait.fields import Field

__all__ = ["Shown", "entry"]

_UNKNOWN = -1  # what the format has for what nobody knows, or what did not happen


@dataclass(frozen=True, slots=True)
class Shown:
    """What an archive shows.

    Attributes:
        content_limit: Bytes of each content that it holds at most; 0 for none.
        secrets: Whether it shows credentials and cookies.
    """

    content_limit: int
    secrets: bool


@dataclass(slots=True)
class _Request(Request):
    more: dict[str, Any] | None = None

    def asdict(self) -> dict[str, Any]:
        return {**Request.asdict(self), **(self.more or {})}


@dataclass(slots=True)
class _Response(Response):
    more: dict[str, Any] | None = None

    def asdict(self) -> dict[str, Any]:
        return {**Response.asdict(self), **(self.more or {})}


def entry(record: recording.Record, shown: Shown, epoch: float) -> dict[str, Any]:
    """Return what an archive says of an exchange, as :meth:`harfile.HarFile.add_entry` takes it.

    Args:
        record: The exchange.
        shown: What is shown of it.
        epoch: The time of day at zero of the monotonic clock, in seconds since 1970.
    """
    timing = record.timing
    started = datetime.fromtimestamp(epoch + timing.queued, UTC).isoformat(timespec="milliseconds")
    timings = _timings(timing)
    parts = (timings.blocked, timings.dns, timings.connect, timings.send, timings.wait, timings.receive)
    return {
        "startedDateTime": started.replace("+00:00", "Z"),
        # TLS is part of connect.
        "time": round(sum(part for part in parts if part > 0), 3),
        "request": _request(record, shown),
        "response": _response(record, shown),
        "timings": timings,
        "serverIPAddress": record.address,
        "connection": str(timing.connection) if timing.connection else None,
        "comment": None if record.error is None else str(record.error),
    }


def _timings(timing: Timing) -> Timings:
    queue, dns, connect, tls, send, wait, receive = (_milliseconds(one) for one in timing.phases())
    return Timings(
        blocked=queue,
        dns=dns or _UNKNOWN,
        connect=round(connect + tls, 3) or _UNKNOWN,
        ssl=tls or _UNKNOWN,
        send=send,
        wait=wait,
        receive=receive,
    )


def _milliseconds(seconds: float) -> float:
    return max(0.0, round(seconds * 1000, 3))


def _request(record: recording.Record, shown: Shown) -> Request:
    request, statistics = record.request, record.statistics
    fields = [field for field in request.fields if field[0][:1] != b":"]
    priority = [value.decode("latin-1") for name, value in fields if name == b"priority"]
    sent, query = record.content_sent, urlsplit(request.url).query
    return _Request(
        method=request.method,
        url=request.url,
        httpVersion=record.http_version,
        cookies=[
            Cookie(name=name, value=value if shown.secrets else hidden(value))
            for name, value in _sent_cookies(fields)
        ],
        headers=_headers(fields, shown),
        queryString=[Record(*pair) for pair in parse_qsl(query, keep_blank_values=True)],
        postData=_post_data(request, fields, shown) if sent or request.content else None,
        headersSize=_UNKNOWN if statistics is None else statistics.fields.request,
        bodySize=_UNKNOWN if sent is None else sent,
        more={"_priority": priority[-1]} if priority else None,
    )


def _response(record: recording.Record, shown: Shown) -> Response:
    response, statistics, received = record.response, record.statistics, record.content_received
    more: dict[str, Any] = {}
    if record.error is not None:
        more["_error"] = str(record.error) or type(record.error).__name__
    if statistics is not None:
        more["_transferSize"] = statistics.fields.response_wire + statistics.content_received
    if response is None:
        nothing = Content(size=0, mimeType="x-unknown")
        return _Response(0, "", "", [], [], nothing, "", _UNKNOWN, _UNKNOWN, more=more)
    location = response.headers.get("location", "")
    return _Response(
        status=response.status,
        statusText=response.reason,
        httpVersion=record.http_version,
        cookies=[_set_cookie(value, shown) for value in response.headers.get_all("set-cookie")],
        headers=_headers(response.fields, shown),
        content=_content(response, received, shown),
        redirectURL=urljoin(response.request.url, location) if location else "",
        headersSize=_UNKNOWN if statistics is None else statistics.fields.response,
        bodySize=_UNKNOWN if received is None else received,
        more=more,
    )


def _headers(fields: Iterable[Field], shown: Shown) -> list[Record]:
    headers = []
    for name, value in fields:
        text = value.decode("latin-1")
        headers.append(Record(name.decode("latin-1"), text if shown.secrets else hide(name, text)))
    return headers


# -- content -------------------------------------------------------------------------------------


def _content(response: messages.Response, received: int | None, shown: Shown) -> Content:
    media_type = response.headers.get("content-type", "x-unknown")
    if not response.is_whole:
        size = _UNKNOWN if received is None else received
        return Content(size=size, mimeType=media_type, comment="read piece by piece, and not kept")
    try:
        content = response.content
    except PlaitError as error:
        return Content(size=received or 0, mimeType=media_type, comment=str(error))
    saved = None
    if received is not None and "content-encoding" in response.headers:
        saved = len(content) - received
    text, encoding, remark = _excerpt(content, charset_of(response.headers), shown.content_limit)
    return Content(len(content), saved, media_type, text, encoding, remark)


def _post_data(request: messages.Request, fields: list[Field], shown: Shown) -> PostData:
    media_type = next((value.decode("latin-1") for name, value in fields if name == b"content-type"), "")
    if type(request.content) is not bytes:
        return PostData(media_type, [], "", "sent piece by piece, and not kept")
    text, encoding, remark = _excerpt(request.content, "utf-8", shown.content_limit)
    if encoding is not None:  # for which the format has no place here
        remark = "; ".join(filter(None, ("in base64", remark)))
    return PostData(media_type, [], text or "", remark)


def _excerpt(content: bytes, charset: str, limit: int) -> tuple[str | None, str | None, str | None]:
    """Return content as text, how that is encoded, and a remark."""
    remark = None
    if len(content) > limit:
        remark = f"the first {limit:,} of {len(content):,} bytes" if limit else "not kept"
    content = content[:limit]
    if not content:
        return None, None, remark
    try:
        text = content.decode(charset)
        if "\0" not in text:
            return text, None, remark
    except ValueError:
        pass
    return b64encode(content).decode("ascii"), "base64", remark


# -- cookies -------------------------------------------------------------------------------------


def _sent_cookies(fields: Iterable[Field]) -> Iterator[tuple[str, str]]:
    for name, value in fields:
        if name == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                key, _, text = pair.strip().partition("=")
                yield key, text


def _set_cookie(value: str, shown: Shown) -> Cookie:
    """Read a Set-Cookie field as RFC 6265 §5.2 does, without deciding whether the cookie would be kept."""
    pair, *parts = value.split(";")
    name, _, text = pair.partition("=")
    attributes = {}
    for part in parts:
        key, _, what = part.partition("=")
        attributes[key.strip().lower()] = what.strip()
    text = text.strip()
    return Cookie(
        name=name.strip(),
        value=text if shown.secrets else hidden(text),
        path=attributes.get("path"),
        domain=attributes.get("domain"),
        expires=_date(attributes.get("expires", "")),
        httpOnly="httponly" in attributes,
        secure="secure" in attributes,
    )


def _date(text: str) -> str | None:
    try:
        return parsedate_to_datetime(text).isoformat()
    except (ValueError, TypeError, IndexError):
        return None
