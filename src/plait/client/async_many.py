"""Many requests at once, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast, overload

from plait.client.messages import Request, Response
from plait.client.methods import Methods

if TYPE_CHECKING:
    from plait.client.async_client import AsyncClient, AsyncPending
    from plait.client.async_completions import AsyncCompletions
    from plait.client.async_streams import AsyncResponseStream
    from plait.client.options import RequestOptions

__all__ = ["ManyAtOnce"]


class ManyAtOnce(Methods[Coroutine[Any, Any, Response]]):
    """What an asynchronous client has for many requests."""

    @overload
    def map(
        self,
        requests: Iterable[str | Request] | AsyncIterable[str | Request],
        *,
        method: str = "GET",
        window: int = 100,
        ordered: bool = True,
        return_exceptions: Literal[False] = False,
        stream: Literal[False] = False,
        **options: Unpack[RequestOptions],
    ) -> AsyncGenerator[Response, None]: ...

    @overload
    def map(
        self,
        requests: Iterable[str | Request] | AsyncIterable[str | Request],
        *,
        method: str = "GET",
        window: int = 100,
        ordered: bool = True,
        return_exceptions: bool,
        stream: Literal[False] = False,
        **options: Unpack[RequestOptions],
    ) -> AsyncGenerator[Response | Exception, None]: ...

    @overload
    def map(
        self,
        requests: Iterable[str | Request] | AsyncIterable[str | Request],
        *,
        method: str = "GET",
        window: int = 100,
        ordered: bool = True,
        return_exceptions: Literal[False] = False,
        stream: Literal[True],
        **options: Unpack[RequestOptions],
    ) -> AsyncGenerator[AsyncResponseStream, None]: ...

    @overload
    def map(
        self,
        requests: Iterable[str | Request] | AsyncIterable[str | Request],
        *,
        method: str = "GET",
        window: int = 100,
        ordered: bool = True,
        return_exceptions: bool,
        stream: Literal[True],
        **options: Unpack[RequestOptions],
    ) -> AsyncGenerator[AsyncResponseStream | Exception, None]: ...

    def map(
        self,
        requests: Iterable[str | Request] | AsyncIterable[str | Request],
        *,
        method: str = "GET",
        window: int = 100,
        ordered: bool = True,
        return_exceptions: bool = False,
        stream: bool = False,
        **options: Unpack[RequestOptions],
    ) -> AsyncGenerator[Any, None]:
        """Send many requests, and yield their responses.

        Requests are taken from the iterable, which may be endless, as there is room for them. While the
        caller does something with a response, no further request is sent. Leaving the loop early cancels
        what is on its way.

        Args:
            requests: URLs, and requests that :meth:`build_request` made.
            method: The method of those that are given as URLs.
            window: How many requests may be on their way, or responses be there that were not taken yet.
            ordered: Whether responses come in the order of their requests, or as they come.
            return_exceptions: Whether a request that fails yields its error, and the others go on; each
                ``plait.errors.PlaitError`` names its ``request``. Otherwise it is raised in its place.
            stream: Whether responses are given when their heads are there, to be read piece by piece, as
                :meth:`stream` gives them; each is closed when the next is asked for.
            options: What the requests that are given as URLs have in common; see :meth:`request`.

        Raises:
            ConfigError: ``window`` is less than 1, or what is given is not requests.
            PlaitError: As with :meth:`request`.
            Exception: What the iterable raised, after the responses to the requests before.
        """
        from plait.client.async_completions import results
        from plait.client.many import Starter, check_requests, check_window

        check_window(window)
        check_requests(requests, Iterable | AsyncIterable)
        client = cast("AsyncClient", self)
        streams = None
        if stream:
            from plait.client.async_streams import AsyncStreams

            streams = AsyncStreams(client)
        return results(
            client,
            requests,
            Starter(
                self._core.maker.make, client._submit if streams is None else streams.start, method, options
            ),
            window,
            ordered=ordered,
            return_exceptions=return_exceptions,
            streams=streams,
        )

    @overload
    async def gather(
        self, *requests: AsyncPending | Request | str, return_exceptions: Literal[False] = False
    ) -> list[Response]: ...

    @overload
    async def gather(
        self, *requests: AsyncPending | Request | str, return_exceptions: bool
    ) -> list[Response | Exception]: ...

    async def gather(
        self, *requests: AsyncPending | Request | str, return_exceptions: bool = False
    ) -> list[Any]:
        """Wait for many requests, and return their responses in the order of the arguments.

        All of them are on their way at once; for thousands, :meth:`map` holds fewer. When one fails, its
        error is raised and all others are cancelled, as they are when the waiting is interrupted.

        Args:
            requests: What :meth:`submit` returned, URLs to get, and requests that :meth:`build_request`
                made.
            return_exceptions: Whether errors are returned among the responses instead.

        Raises:
            ConfigError: Something is not a request.
            PlaitError: As with :meth:`request`.
        """
        from plait.client.async_completions import gather
        from plait.client.many import Starter

        client = cast("AsyncClient", self)
        starter = Starter(self._core.maker.make, client._submit, "GET", {})
        return await gather(client, requests, starter, return_exceptions=return_exceptions)

    def as_completed(
        self, pendings: Iterable[AsyncPending] = (), timeout: float | None = None
    ) -> AsyncCompletions:
        """Iterate over requests as they are done; more can be added meanwhile.

        Args:
            pendings: What :meth:`submit` returned.
            timeout: Seconds from now after which iterating raises ``plait.errors.Timeout``; the requests
                go on.
        """
        from plait.client.async_completions import AsyncCompletions

        return AsyncCompletions(cast("AsyncClient", self), pendings, timeout)

    async def wait(
        self, pendings: Iterable[AsyncPending], timeout: float | None = None
    ) -> list[AsyncPending]:
        """Wait until at least one of some requests is done.

        It looks at each of them; for thousands, :meth:`as_completed` does not.

        Args:
            pendings: Requests of this client.
            timeout: Seconds to wait; the requests go on after that, and can be waited for again.

        Returns:
            Those that are done; none of them when the time is over.
        """
        waited_for = list(pendings)
        if not any(one.done for one in waited_for):
            completions = self.as_completed(waited_for)
            try:
                await completions.wait(timeout)
            finally:
                completions.forget()
        return [one for one in waited_for if one.done]
