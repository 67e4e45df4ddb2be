"""What goes into a client and what comes out: requests and responses."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from plait.client.headers import Headers, MutableHeaders
from plait.errors import ConfigError, LocalProtocolError, PlaitError, StatusError
from plait.fields import Field, FieldSection
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.client.cookies import Cookies
    from plait.client.interim import Interim
    from plait.client.measuring import Counts
    from plait.client.plan import Plan
    from plait.client.pushed import Pushed
    from plait.client.sites import Opening
    from plait.client.statistics import ExchangeStatistics, Timing
    from plait.client.timeouts import Timeouts
    from plait.protocol.aside import Aside

    #: What :func:`plait.client.statistics.timing_of` takes.
    Times = tuple[float, float, float, float, Opening | "Circumstances"]

__all__ = ["Circumstances", "Request", "Response", "ResponseHead", "charset_of", "check_request"]

#: Of a response that no exchange gave.
UNTIMED: Times = (0.0, 0.0, 0.0, 0.0, (0, 0.0, 0.0, 0.0, 0.0))
_CHARSET = r";\s*charset\s*=\s*\"?([^\s\";]+)"


class Circumstances:
    """What is known of an exchange beside its moments, where there is more than its connection's opening.

    Attributes:
        opening: How its connection came to be.
        queued: When it began to wait for a connection.
        uploaded: When the last of its content was on its way.
        counts: What was counted of it, None where nothing was.
    """

    __slots__ = ("counts", "opening", "queued", "uploaded")

    def __init__(self, opening: Opening, queued: float, uploaded: float, counts: Counts | None) -> None:
        self.opening = opening
        self.queued = queued
        self.uploaded = uploaded
        self.counts = counts


class Request:
    """One request, validated and ready to be sent, as often as its content allows.

    Attributes:
        origin: Where it goes.
        fields: Its field section, pseudo-fields first: ``:method``, ``:scheme``, ``:authority``,
            ``:path``.
        content: ``b""``, bytes, or an iterable of bytes.
        length: Bytes of content its field section announces, or None.
        idempotent: Whether sending it twice does what sending it once does.
        timeout: Seconds it may take in all, or step by step; None where the client's own limits hold.
        plan: What is done for it beside sending it; None for nothing, by which its response's content is
            left as it comes, too.
    """

    __slots__ = ("content", "fields", "idempotent", "length", "origin", "plan", "timeout")

    def __init__(
        self,
        origin: Origin,
        fields: FieldSection,
        content: bytes | Iterable[bytes] | AsyncIterable[bytes],
        length: int | None,
        idempotent: bool,
        timeout: float | Timeouts | None,
        plan: Plan | None = None,
    ) -> None:
        self.origin = origin
        self.fields = fields
        self.content = content
        self.length = length
        self.idempotent = idempotent
        self.timeout = timeout
        self.plan = plan

    def unasking(self) -> Request:
        """Return the same request, which sends its content without asking first."""
        fields = [field for field in self.fields if field[0] != b"expect"]
        plan = self.plan and self.plan.but(expects_continue=False)
        return Request(self.origin, fields, self.content, self.length, self.idempotent, self.timeout, plan)

    @property
    def replayable(self) -> bool:
        """Whether its content can be sent again."""
        return type(self.content) is bytes or getattr(self.content, "replayable", False)

    @property
    def method(self) -> str:
        """The method."""
        return self.fields[0][1].decode()

    @property
    def url(self) -> str:
        """Where it goes, without a fragment."""
        _, (_, scheme), (_, authority), (_, target) = self.fields[:4]
        return f"{scheme.decode()}://{authority.decode('latin-1')}{target.decode('latin-1')}"

    @property
    def headers(self) -> MutableHeaders:
        """Its fields, which can be changed until it is sent."""
        return MutableHeaders(self.fields)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url}>"


class ResponseHead:
    """What is known of a response before its content.

    Attributes:
        status: The status code.
        fields: The field section as it came: pairs of bytes, names in lower-case.
        http_version: ``"HTTP/2"`` or ``"HTTP/1.1"``.
        history: The responses that led here by redirects, the oldest first.
    """

    __slots__ = ()

    status: int
    fields: Sequence[Field]
    http_version: str
    history: tuple[Response, ...]

    @property
    def _aside(self) -> Aside | None:
        """What came beside the head and the content."""
        raise NotImplementedError

    @property
    def trailers(self) -> Headers:
        """The trailer section (RFC 9110 §6.5): fields that came behind the content; empty without."""
        aside = self._aside
        return Headers(() if aside is None or aside.trailers is None else aside.trailers)

    @property
    def interim(self) -> tuple[Interim, ...]:
        """The interim responses that came first (RFC 9110 §15.2), such as 103 (Early Hints)."""
        aside = self._aside
        if aside is None:
            return ()
        from plait.client.interim import Interim

        return tuple(map(Interim, aside.interim))

    @property
    def pushed(self) -> tuple[Pushed, ...]:
        """What the server pushed beside this response (RFC 9113 §8.4), where the client has ``push=True``.

        Of a streamed response, what was promised so far.
        """
        aside = self._aside
        if aside is None or not aside.promises:
            return ()
        from plait.client.pushed import Pushed

        return tuple(map(Pushed, aside.promises))

    @property
    def headers(self) -> Headers:
        """The field section."""
        raise NotImplementedError

    @property
    def request(self) -> Request:
        """The request that this answers: after redirects, the last."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The URL of the request that this answers."""
        return self.request.url

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def reason(self) -> str:
        """What the status means, in HTTP's own words: HTTP/2 carries no others."""
        from http import HTTPStatus

        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""

    def raise_for_status(self) -> Self:
        """Return this response, unless its status says that something is wrong.

        Raises:
            StatusError: The status is 400 or above; its ``response`` is this one.
        """
        if self.status >= 400:
            whose = "the client" if self.status < 500 else "the server"
            words = f"{self.status} {self.reason}".rstrip()
            error = StatusError(f"{self.url} answered {words}, an error of {whose}", response=self)
            raise error.about(self.history[0].request if self.history else self.request)
        return self

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """What the ``link`` fields say (RFC 8288), by relation, or by URL where there is none."""
        from plait.client.links import parse_links

        return parse_links(", ".join(self.headers.get_all("link")))

    @property
    def cookies(self) -> Cookies:
        """The cookies that this response sets."""
        from plait.client.cookies import Cookies

        cookies = Cookies()
        cookies.take(self.request, self.headers.get_all("set-cookie"))
        return cookies

    @property
    def is_redirect(self) -> bool:
        """Whether it says that the request should go somewhere else."""
        return self.status in (301, 302, 303, 307, 308) and "location" in self.headers

    @property
    def next(self) -> Request | None:
        """The request that a redirect asks for, as ``follow_redirects`` would send it; None without one.

        Raises:
            RemoteProtocolError: It leads nowhere that a request can go.
            LocalProtocolError: The content would have to be sent again, and is gone.
        """
        from plait.client.redirects import next_request

        return next_request(self)


class Response(ResponseHead):
    """A response, complete.

    Attributes:
        status: The status code.
        fields: The field section as it came: pairs of bytes, names in lower-case.
        http_version: ``"HTTP/2"`` or ``"HTTP/1.1"``.
        history: The responses that led here by redirects, the oldest first.
    """

    __slots__ = (
        "_answered",
        "_aside",
        "_content",
        "_done",
        "_encoding",
        "_headers",
        "_how",
        "_request",
        "_sent",
        "_submitted",
        "codings",
        "fields",
        "history",
        "http_version",
        "status",
    )

    def __init__(
        self,
        status: int,
        fields: Sequence[Field],
        content: bytes | None,
        http_version: str,
        request: Request | None = None,
        times: Times = UNTIMED,
        aside: Aside | None = None,
    ) -> None:
        self.status = status
        self.http_version = http_version
        self.history = ()
        #: The content codings that are still to be undone, in the order in which they were applied.
        self.codings: Sequence[str] = ()
        self._content = content
        # One by one: a tuple more for each response is work for the garbage collector.
        self._submitted, self._sent, self._answered, self._done, self._how = times
        self.fields = fields
        self._request = request
        self._aside: Aside | None = aside
        self._headers: Headers | None = None
        self._encoding: str | None = None

    @property
    def headers(self) -> Headers:
        """The field section."""
        if self._headers is None:
            self._headers = Headers(self.fields)
        return self._headers

    @property
    def request(self) -> Request:
        """The request that this answers: after redirects, the last."""
        if self._request is None:
            raise LocalProtocolError("this response was made without a request")
        return self._request

    @property
    def content(self) -> bytes:
        """The content.

        Raises:
            ContentDecodingError: It is not in the coding that it says.
            LocalProtocolError: It is streamed, and this is only its head.
        """
        if self.codings:
            self.decode()
        if self._content is None:
            raise LocalProtocolError("the content of this response is streamed, and not kept here")
        return self._content

    @property
    def is_whole(self) -> bool:
        """Whether the content is here; the head of a streamed response is without."""
        return self._content is not None

    def decode(self) -> None:
        """Undo the content codings, if that is still to be done.

        Raises:
            ContentDecodingError: It is not in the coding that it says.
        """
        codings, content = self.codings, self._content
        if codings and content:
            from plait.client.decoding import decode

            plan = self.request.plan
            assert plan is not None
            try:
                self._content = decode(content, codings, plan.max_decoded_size)
            except PlaitError as error:
                error.about(self.history[0].request if self.history else self.request)
                raise
        self.codings = ()

    @property
    def elapsed(self) -> float:
        """Seconds from the request, when there was a connection for it, to the end of the response."""
        return self._done - self._sent

    @property
    def timing(self) -> Timing:
        """When everything happened."""
        from plait.client.statistics import timing_of

        return timing_of(self._submitted, self._sent, self._answered, self._done, self._how)

    @property
    def statistics(self) -> ExchangeStatistics | None:
        """What the exchange took; None unless the client was made with ``measure``."""
        from plait.client.statistics import statistics_of

        return statistics_of(self._how)

    @property
    def encoding(self) -> str:
        """The charset of the text: what content-type names, or else UTF-8; it can be set."""
        return self._encoding or charset_of(self.headers)

    @encoding.setter
    def encoding(self, charset: str) -> None:
        self._encoding = known_charset(charset)

    @property
    def text(self) -> str:
        """The content as text, in the charset that ``encoding`` says."""
        return self.content.decode(self.encoding, "replace")

    def json(self) -> Any:
        """Return the content, parsed as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        from json import loads

        return loads(self.content)

    def __repr__(self) -> str:
        size = "" if self._content is None else f", {len(self._content)} bytes"
        return f"<Response {self.status}{size}, {self.http_version}>"


def check_request(request: Any) -> Request:
    """Return a request, and refuse anything else.

    Raises:
        ConfigError: It is something else.
    """
    if isinstance(request, Request):
        return request
    raise ConfigError(f"a request is a URL or what build_request made, not {type(request).__name__}")


def charset_of(headers: Headers) -> str:
    """Return the charset that a field section names, or UTF-8 where there is none of that name."""
    match = re.search(_CHARSET, headers.get("content-type", ""), re.IGNORECASE)
    if match is not None:
        try:
            return known_charset(match[1])
        except LocalProtocolError:
            pass
    return "utf-8"


def known_charset(name: str) -> str:
    """Return the name of a charset.

    Raises:
        LocalProtocolError: There is none of that name.
    """
    try:
        b" ".decode(name, "replace")
    except (LookupError, ValueError, TypeError):
        raise LocalProtocolError(f"{name!r} is not the name of a charset") from None
    return name
