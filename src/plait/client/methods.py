"""What both clients say alike: a method for each method, and what all requests have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, TypeVar, Unpack

if TYPE_CHECKING:
    from plait.client.cookies import Cookies
    from plait.client.core import ClientCore
    from plait.client.headers import MutableHeaders
    from plait.client.messages import Request
    from plait.client.options import Content, RequestOptions
    from plait.client.timeouts import Timeouts
    from plait.fields import Field
    from plait.urls import Params, Url

__all__ = ["Methods"]

R = TypeVar("R")


class Methods(Generic[R]):
    """A method for each method, and what all requests have in common; ``R`` is what a request gives."""

    _core: ClientCore

    @property
    def headers(self) -> MutableHeaders:
        """Fields that every request has, unless it has others of the same names."""
        return self._core.maker.headers

    @property
    def params(self) -> Params:
        """Parameters that every query has, unless it has others of the same names; can be set."""
        return self._core.maker.params

    @params.setter
    def params(self, params: Params) -> None:
        self._core.maker.params = params

    @property
    def cookies(self) -> Cookies:
        """The cookies: those given, and those that servers have set."""
        return self._core.maker.cookies

    def build_request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Request:
        """Return a request that is not sent yet; see :meth:`send`.

        Arguments are those of :meth:`request`.

        Raises:
            LocalProtocolError: HTTP cannot carry this.
        """
        return self._core.maker.make(method, url, **options)

    def exact_request(
        self,
        method: str,
        url: str | Url,
        fields: Iterable[Field],
        content: Content | None = None,
        *,
        timeout: float | Timeouts | None = None,
    ) -> Request:
        """Return a request of which the caller has decided everything; see :meth:`send`.

        It has these fields in this order: none of the client's own, no cookies and nobody's name. Its
        response is taken as it comes: redirects are not followed, cookies not kept, codings not undone.

        Args:
            method: The method.
            url: An absolute URL; a :class:`~plait.urls.Url` keeps its target as it is.
            fields: Pairs of name and value, bytes. ``host`` names the server, instead of the URL; those
                about the connection are left out (RFC 9113 §8.2.2).
            content: As in :class:`~plait.client.options.RequestOptions`; where its length is known and not
                said, it is.
            timeout: As there.

        Raises:
            LocalProtocolError: HTTP cannot carry this.
        """
        from plait.client.exact import exact_request

        return exact_request(self._core.maker.exact_plan, method, url, fields, content, timeout)

    def send(self, request: Request) -> R:
        """Send a request made by :meth:`build_request`, or what a response's ``next`` says.

        Raises:
            PlaitError: As with :meth:`request`.
        """
        raise NotImplementedError

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a request and wait for its response.

        Args:
            method: The method.
            url: An absolute URL, or one that continues the base URL.
            options: See :class:`~plait.client.options.RequestOptions`.

        Raises:
            LocalProtocolError: HTTP cannot carry this; nothing was sent.
            ConnectFailed: There is no connection.
            ExchangeError: The exchange broke; ``unprocessed`` tells whether it may have had an effect.
            Timeout: It took too long.
        """
        raise NotImplementedError

    def get(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a GET request; see :meth:`request`."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a HEAD request; see :meth:`request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send an OPTIONS request; see :meth:`request`."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a POST request; see :meth:`request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a PUT request; see :meth:`request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a PATCH request; see :meth:`request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a DELETE request; see :meth:`request`."""
        return self.request("DELETE", url, **options)
