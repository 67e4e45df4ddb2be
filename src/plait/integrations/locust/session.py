"""A user's session: requests that Locust counts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import unquote, urlsplit

from plait.client.timeouts import Timeouts
from plait.errors import ConfigError, LocalProtocolError, PlaitError
from plait.integrations.locust.response import Response

if TYPE_CHECKING:
    from locust import User
    from locust.event import EventHook

    from plait.client.auth import AuthInput
    from plait.client.cookies import Cookies
    from plait.client.headers import MutableHeaders
    from plait.client.messages import Request
    from plait.client.options import HeaderInput, RequestOptions
    from plait.client.sync_client import Client
    from plait.integrations.locust.sharing import SharedClient
    from plait.urls import Params

__all__ = ["HttpSession"]


class MoreOptions(TypedDict, total=False):
    """What a request can be told beside its content.

    Attributes:
        name: What Locust counts it as; by default its path and query.
        catch_response: Whether a ``with`` block says how it is counted.
        context: Added to the user's own, for listeners of the ``request`` event.
        params: Parameters for the query.
        headers: Fields.
        files: Files of a form.
        cookies: Cookies for this request, beside the user's.
        auth: Who asks.
        allow_redirects: Whether to go where redirects lead; yes, but for HEAD.
        timeout: Seconds to connect, and seconds without a byte of the response; a pair for one each, or a
            :class:`plait.Timeouts`.
    """

    name: str | None
    catch_response: bool
    context: Mapping[str, Any]
    params: Params | None
    headers: HeaderInput | None
    files: Any
    cookies: Mapping[str, str] | None
    auth: AuthInput
    allow_redirects: bool
    timeout: float | tuple[float | None, float | None] | Timeouts | None


class Options(MoreOptions, total=False):
    """What a request can be told.

    Attributes:
        data: Content: bytes, str, a file or an iterable of bytes; or a form, a mapping or pairs.
        json: Content, sent as JSON.
    """

    data: Any
    json: Any


_KNOWN = frozenset({*MoreOptions.__annotations__, *Options.__annotations__})


class HttpSession:
    """Requests of one user, each counted by Locust: ``self.client`` of an ``HttpUser``.

    Args:
        client: The client whose connections they go over.
        base_url: What relative URLs continue; name and password in it are sent by Basic authentication.
        request_event: What is fired for each request.
        user: The user, or None.
        headers: Fields that every request has.

    Attributes:
        request_name: What requests are counted as that are not told a name, None for their paths.

    Raises:
        LocalProtocolError: The base URL is none, or HTTP cannot carry a field.
    """

    def __init__(
        self,
        client: SharedClient,
        base_url: str,
        request_event: EventHook,
        user: User | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        auth = None
        if parts.username is not None:
            auth = unquote(parts.username), unquote(parts.password or "")
            base_url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self.base_url = base_url
        self.request_event = request_event
        self.user = user
        self.request_name: str | None = None
        self._client: Client = client.for_user(base_url, auth, headers or {})

    @property
    def headers(self) -> MutableHeaders:
        """Fields that every request of the user has."""
        return self._client.headers

    @property
    def cookies(self) -> Cookies:
        """The user's cookies."""
        return self._client.cookies

    @contextmanager
    def rename_request(self, name: str) -> Iterator[None]:
        """Count the requests of a ``with`` block under one name."""
        self.request_name = name
        try:
            yield
        finally:
            self.request_name = None

    def request(self, method: str, url: str, **options: Unpack[Options]) -> Response:
        """Send a request, wait for its response, and have it counted.

        What goes wrong on the way is counted, and is the ``error`` of what is returned.

        Args:
            method: The method.
            url: An absolute URL, or one that continues the host's.
            options: See :class:`Options`.

        Raises:
            LocalProtocolError: HTTP cannot carry this; nothing was sent, and nothing is counted.
            ConfigError: An option is wrong.
        """
        name = options.pop("name", None) or self.request_name
        catch = options.pop("catch_response", False)
        context = options.pop("context", {})
        client = self._client
        request = client.build_request(method, url, **_translate(method, options))
        response = error = None
        length = 0
        started = time.time()
        began = time.perf_counter()
        pending = client._submit(request)
        try:
            response = pending.result()
            length = len(response.content)
        except (LocalProtocolError, ConfigError):
            raise
        except PlaitError as failure:
            error = failure
        except BaseException:
            pending.cancel()  # the user is stopped, and its request with it
            raise
        took = (time.perf_counter() - began) * 1000
        meta = {
            "request_type": method,
            "name": name or _target(request),
            "response_time": took,
            "response_length": length,
            "context": {**self.user.context(), **context} if self.user is not None else {**context},
            "start_time": started,
            "url": request.url,
        }
        return Response(response, error, meta, self.request_event, catch=catch)

    def get(self, url: str, **options: Unpack[Options]) -> Response:
        """Send a GET request; see :meth:`request`."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Unpack[Options]) -> Response:
        """Send a HEAD request; see :meth:`request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Unpack[Options]) -> Response:
        """Send an OPTIONS request; see :meth:`request`."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str, data: Any = None, json: Any = None, **options: Unpack[MoreOptions]) -> Response:
        """Send a POST request; see :meth:`request`."""
        return self.request("POST", url, data=data, json=json, **options)

    def put(self, url: str, data: Any = None, json: Any = None, **options: Unpack[MoreOptions]) -> Response:
        """Send a PUT request; see :meth:`request`."""
        return self.request("PUT", url, data=data, json=json, **options)

    def patch(self, url: str, data: Any = None, json: Any = None, **options: Unpack[MoreOptions]) -> Response:
        """Send a PATCH request; see :meth:`request`."""
        return self.request("PATCH", url, data=data, json=json, **options)

    def delete(self, url: str, **options: Unpack[Options]) -> Response:
        """Send a DELETE request; see :meth:`request`."""
        return self.request("DELETE", url, **options)


def _translate(method: str, options: Options) -> RequestOptions:
    """Return what the client calls the options."""
    unknown = options.keys() - _KNOWN
    if unknown:
        raise TypeError(f"a request takes no {min(unknown)!r} here; what all have in common is the user's")
    given: RequestOptions = {}
    for name in ("params", "headers", "json", "files", "cookies", "auth"):
        if (value := options.get(name)) is not None:
            given[name] = value
    data = options.get("data")
    if data is not None:
        is_form = isinstance(data, Mapping | list | tuple) or "files" in given
        given["data" if is_form else "content"] = data
    follows = options.get("allow_redirects", method.upper() != "HEAD")
    if not follows:  # which the client does otherwise
        given["follow_redirects"] = False
    timeout = options.get("timeout")
    if timeout is not None:
        if isinstance(timeout, int | float):
            timeout = (timeout, timeout)
        given["timeout"] = (
            timeout if isinstance(timeout, Timeouts) else Timeouts(connect=timeout[0], read=timeout[1])
        )
    return given


def _target(request: Request) -> str:
    """Return the path and query of a request."""
    return next(value for name, value in request.fields if name == b":path").decode()
