"""What a user gets for a request: a response, or the error that came instead of one."""

from __future__ import annotations

from collections.abc import MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from locust.exception import CatchResponseError, LocustError, ResponseError

from plait.client.headers import Headers
from plait.errors import StatusError

if TYPE_CHECKING:
    from locust.event import EventHook

    from plait.client.messages import Response as ClientResponse

__all__ = ["Response"]


class Response:
    """A response, or the error that came instead of one, as Locust's users know it.

    With ``catch_response=True`` it is a context manager, in which :meth:`success` and :meth:`failure` say how
    the request is counted; otherwise it was counted already. What is not told here is told by the
    :class:`plait.Response` within: ``history``, ``http_version``, ``timing`` and others.

    Attributes:
        error: What came instead of a response, or None.
        request_meta: What the ``request`` event is fired with.
        js: The content, parsed as JSON, in the ``rest`` method's block.
    """

    def __init__(
        self,
        response: ClientResponse | None,
        error: Exception | None,
        request_meta: MutableMapping[str, Any],
        event: EventHook,
        *,
        catch: bool,
    ) -> None:
        self._response = response
        self.error = error
        self.request_meta = request_meta
        request_meta["response"] = self
        request_meta["exception"] = None
        self._event = event
        self._catch = catch
        self._entered = False
        self._said: Exception | bool | None = None
        self.js: Any = None
        if not catch:
            self._report(self._judge())

    # -- the response ----------------------------------------------------------------------------

    @property
    def status_code(self) -> int:
        """The status code, 0 without a response."""
        return 0 if self._response is None else self._response.status

    @property
    def ok(self) -> bool:
        """Whether there is a response, with a status below 400."""
        return self._response is not None and self._response.ok

    @property
    def url(self) -> str:
        """The URL of the request that was answered: after redirects, the last."""
        return str(self.request_meta["url"]) if self._response is None else self._response.url

    @property
    def headers(self) -> Headers:
        """The field section, empty without a response."""
        return Headers(()) if self._response is None else self._response.headers

    @property
    def content(self) -> bytes | None:
        """The content, None without a response."""
        return None if self._response is None else self._response.content

    @property
    def text(self) -> str:
        """The content as text, empty without a response."""
        return "" if self._response is None else self._response.text

    @property
    def encoding(self) -> str | None:
        """The charset of the text, which can be set; None without a response."""
        return None if self._response is None else self._response.encoding

    @encoding.setter
    def encoding(self, charset: str) -> None:
        if self._response is not None:
            self._response.encoding = charset

    def json(self) -> Any:
        """Return the content, parsed as JSON.

        Raises:
            ValueError: It is not JSON.
            Exception: What came instead of a response.
        """
        if self._response is None:
            assert self.error is not None
            raise self.error
        return self._response.json()

    def __getattr__(self, name: str) -> Any:
        # Only for what there is not here.
        response = self.__dict__.get("_response")
        if response is None or name.startswith("_"):
            raise AttributeError(f"there is no {name!r} without a response")
        return getattr(response, name)

    def raise_for_status(self) -> None:
        """Raise what :meth:`failure` was told, what came instead of a response, or that a status is an error.

        Raises:
            StatusError: The status is 400 or above; the error's sentence names no URL, so that Locust counts
                those with one name together.
            Exception: See above.
        """
        said = self._said
        error = said if isinstance(said, Exception) else None if said else self._judge()
        if error is not None:
            raise error

    # -- how it is counted -----------------------------------------------------------------------

    def success(self) -> None:
        """Count the request as a success.

        Raises:
            LocustError: This is not in a ``with`` block.
        """
        self._check_entered("success()")
        self._said = True

    def failure(self, error: Any) -> None:
        """Count the request as a failure.

        Args:
            error: Why, an exception or a sentence.

        Raises:
            LocustError: This is not in a ``with`` block.
        """
        self._check_entered("failure(…)")
        self._said = error if isinstance(error, Exception) else CatchResponseError(error)

    def _check_entered(self, what: str) -> None:
        if not self._entered:
            raise LocustError(
                f"response.{what} is for a with block: "
                f"with self.client.get(…, catch_response=True) as response: response.{what}"
            )

    def __enter__(self) -> Self:
        if not self._catch:
            raise LocustError("a response in a with block must be asked for with catch_response=True")
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._said is not None:
            self._report(self._said if isinstance(self._said, Exception) else None)
            return error is None
        if error is None:
            self._report(self._judge())
        elif isinstance(error, ResponseError):
            self._report(error)
        else:
            return False  # the task's own affair; the request is not counted
        return True

    def _judge(self) -> Exception | None:
        """Return what is wrong with it, if nobody says how it is counted."""
        response = self._response
        if response is None or response.status < 400:
            return self.error
        return StatusError(f"{response.status} {response.reason}".rstrip(), response=response)

    def _report(self, error: Exception | None) -> None:
        self.request_meta["exception"] = error
        self._event.fire(**self.request_meta)
