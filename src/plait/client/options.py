"""What requests and clients can be told, as types: nothing of it is needed while a program runs."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from plait.client.auth import AuthInput
    from plait.client.cookies import CookieInput
    from plait.client.forms import FormInput
    from plait.client.interim import Interim
    from plait.client.progress import Progress
    from plait.client.retries import Retries
    from plait.client.timeouts import Timeouts
    from plait.client.trailers import TrailerInput
    from plait.protocol.priorities import Priority
    from plait.urls import Params

__all__ = ["Content", "HeaderInput", "Hooks", "MoreOptions", "RequestOptions", "SessionOptions"]

Content = bytes | bytearray | memoryview | str | Iterable[bytes] | AsyncIterable[bytes]
HeaderInput = Mapping[str, str | None] | Iterable[tuple[str, str | None]]
Hooks = Mapping[str, Iterable[Callable[..., Any]]]


class MoreOptions(TypedDict, total=False):
    """Those of :class:`RequestOptions` that few requests are told."""

    content: Content | None
    json: Any
    data: FormInput | None
    files: Any
    cookies: Mapping[str, str] | None
    auth: AuthInput
    follow_redirects: bool
    progress: Callable[[Progress], Any] | None
    retries: int | Retries
    on_interim: Callable[[Interim], Any] | None
    trailers: TrailerInput | None
    priority: Priority | str


class RequestOptions(MoreOptions, total=False):
    """What a request can be told, beside its method and URL.

    Attributes:
        params: Parameters, added to the URL's query.
        headers: Fields, names and values as str, None to leave out one that the client would add; a
            tuple of tuples is read once for all requests with it.
        content: Content: bytes, str (sent as UTF-8), a file or an iterable of bytes; for the
            asynchronous client an asynchronous iterable, too.
        json: Content, sent as JSON.
        data: Content: a form, names and values.
        files: Content: a form with files, and ``data`` before them; see
            :class:`~plait.client.forms.Multipart`.
        timeout: Seconds in all, after which the request is given up; or a
            :class:`~plait.client.timeouts.Timeouts`, step by step.
        retries: Attempts after one that failed, or a :class:`~plait.client.retries.Retries`, instead of
            what the client was told.
        cookies: Cookies for this request alone, beside those of the client.
        auth: Who asks, for this request instead of the client's; None for nobody.
        follow_redirects: Whether to go where redirects lead, instead of what the client was told.
        progress: Called with a :class:`~plait.client.progress.Progress` as content leaves and comes.
        on_interim: Called with each :class:`~plait.client.interim.Interim` when it comes, before the
            response.
        trailers: Fields behind the content, names and values as str; or a callable that returns them,
            called when the content has ended.
        priority: How urgent the response is (RFC 9218): a :class:`~plait.protocol.priorities.Priority`, or
            the text of a ``priority`` field.
    """

    params: Params | None
    headers: HeaderInput | None
    timeout: float | Timeouts | None


class SessionOptions(TypedDict, total=False):
    """What a client can be told for all of its requests, beside :class:`~plait.config.ClientConfig`.

    Attributes:
        headers: Fields that every request has unless it has others of the same names.
        params: Parameters that every query has unless it has others of the same names.
        cookies: Cookies to begin with: names and values, sent to the base URL's host, or everywhere
            without one.
        auth: Who asks: name and password for Basic, an :class:`~plait.client.auth.Auth`, or a callable
            that is given each request.
        event_hooks: Functions called with each request before it is sent (``"request"``), and with each
            response when it is there (``"response"``).
    """

    headers: HeaderInput | None
    params: Params | None
    cookies: CookieInput | None
    auth: AuthInput
    event_hooks: Hooks | None
