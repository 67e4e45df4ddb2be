"""One URL: its request, perhaps several attempts at it, and the way of its response to where it belongs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from plait.cli.fetching.content import Demand, open_form, open_upload
from plait.cli.fetching.options import Given
from plait.cli.fetching.output import File, Names, Ordered, Stream, Turn
from plait.cli.fetching.targets import Target, with_name
from plait.client.auth import AuthInput
from plait.errors import (
    ConfigError,
    ConnectFailed,
    LocalProtocolError,
    NameNotResolved,
    PlaitError,
    Timeout,
)

if TYPE_CHECKING:
    from plait.client.async_client import AsyncClient
    from plait.client.async_streams import AsyncResponseStream
    from plait.client.messages import ResponseHead

__all__ = ["Outcome", "Setting", "Transfer"]

#: Statuses that another try may change, for curl and so for --retry.
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_BACKOFF_MAX = 600.0


class Outcome:
    """What came of one URL.

    Attributes:
        target: The URL.
        url: The URL of the response, that of the last redirect.
        response: The response, None when there is none.
        error: Why it is no success, None when it is one.
        size: Bytes of content that were written.
        header_size: Bytes of field sections, as HTTP/1.1 writes them.
        upload_size: Bytes of content that the request announced.
        filename: The file that it was written into, or ``""``.
        tries: How often it was tried.
        began: When, in seconds of ``time.monotonic()``.
        ended: When it was over.
    """

    def __init__(self, target: Target, url: str) -> None:
        self.target = target
        self.url = url
        self.response: AsyncResponseStream | None = None
        self.error: PlaitError | None = None
        self.size = self.header_size = self.upload_size = 0
        self.filename = ""
        self.tries = 0
        self.began = self.ended = monotonic()


class Setting:
    """What all transfers share.

    Args:
        given: The options.
        demand: What every request has.
        client: The client.
        auth: Who asks, where the URL does not say.
        cookies: Cookies that are sent with every request.
        names: Says which file a response goes into.
        stdout: Standard output.
        head_file: Where field sections go besides, or None.
        received: Called with how many bytes of content have come.
    """

    def __init__(
        self,
        given: Given,
        demand: Demand,
        client: AsyncClient,
        auth: AuthInput,
        cookies: Mapping[str, str],
        names: Names,
        stdout: Stream,
        head_file: Stream | None,
        received: Callable[[int], None],
    ) -> None:
        self.given = given
        self.demand = demand
        self.client = client
        self.auth = auth
        self.cookies = cookies
        self.names = names
        self.stdout = stdout
        self.head_file = head_file
        self.received = received

    def check(self) -> None:
        """See to it that what all requests have in common is what a request can have.

        Raises:
            ConfigError: It is not.
        """
        try:
            self.client.build_request(self.demand.method, "http://localhost/", **self.options(None))
        except LocalProtocolError as error:
            raise ConfigError(str(error)) from error

    def options(self, user: AuthInput) -> dict[str, Any]:
        """Return what every request is made with.

        Args:
            user: Who asks according to the URL, or None.
        """
        options: dict[str, Any] = {"headers": self.demand.headers}
        if self.cookies:
            options["cookies"] = self.cookies
        auth = self.auth if user is None else user
        if auth is not None and not any(name.lower() == "authorization" for name, _ in self.demand.headers):
            options["auth"] = auth
        if self.given.priority is not None:
            options["priority"] = self.given.priority
        if self.given.max_time:
            options["timeout"] = self.given.max_time
        return options


class Transfer:
    """Fetches one URL.

    Args:
        setting: What all transfers share.
        target: The URL.
        turn: When it may write to standard output.
    """

    def __init__(self, setting: Setting, target: Target, turn: Turn) -> None:
        self._setting = setting
        self._given = setting.given
        self._target = target
        self._turn = turn
        given = self._given
        self.stdout = Ordered(
            setting.stdout,
            turn,
            refuses_binary=setting.stdout.is_terminal and "-" not in given.output and not given.head,
        )
        self._output: File | Ordered | None = None
        url = target.url
        self._upload: str | None = None
        if target.argument < len(given.upload_file):
            self._upload = given.upload_file[target.argument]
            if self._upload not in ("-", "."):
                url = with_name(url, self._upload)
        self._url = url
        self._offset = 0
        #: Bytes of a file that -C is to go on with, before anything was added.
        self._size: int | None = None
        self._delay = given.retry_delay or 1.0
        self.outcome = Outcome(target, url)

    async def run(self) -> Outcome:
        """Fetch it, as often as it takes; return what came of it.

        Raises:
            OSError: Nobody reads what is written.
            ConfigError: An option is wrong.
        """
        given, outcome = self._given, self.outcome
        while True:
            outcome.tries += 1
            outcome.response = outcome.error = None
            outcome.size = outcome.header_size = 0
            try:
                try:
                    await self._attempt()
                finally:
                    if self._output is not None and self._output is not self.stdout:
                        await self._output.close()
            except ConfigError:
                raise
            except PlaitError as error:
                outcome.error = error
            wait = self._pause()
            if wait is None:
                break
            self.stdout.restart()
            await asyncio.sleep(wait)
            if not given.retry_delay:
                self._delay = min(self._delay * 2, _BACKOFF_MAX)
        outcome.ended = monotonic()
        return outcome

    def _pause(self) -> float | None:
        """Return the seconds after which to try again, None for not at all."""
        given, outcome = self._given, self.outcome
        if outcome.tries > given.retry:
            return None
        wait = self._transient()
        late = outcome.began + (given.retry_max_time or inf)
        return wait if wait is not None and monotonic() + wait <= late else None

    def _transient(self) -> float | None:
        """Return the seconds after which another try may do better, None when none may."""
        given, outcome = self._given, self.outcome
        response, error = outcome.response, outcome.error
        status = 0 if response is None else response.status
        if status in _TRANSIENT:
            assert response is not None
            from plait.client.retries import retry_after

            after = None if given.retry_delay else retry_after(response.headers.get("retry-after", ""))
            return self._delay if after is None else after
        if error is None:
            return None
        transient = isinstance(error, Timeout | NameNotResolved)
        if isinstance(error, ConnectFailed) and error.errno is not None:
            transient = given.retry_connrefused
        return self._delay if transient or given.retry_all_errors else None

    async def _attempt(self) -> None:
        with ExitStack() as opened:
            options = self._options(opened)
            length = options.get("content")
            self.outcome.upload_size = len(length) if isinstance(length, bytes) else 0
            async with self._setting.client.stream(
                self._setting.demand.method, self._url, **options
            ) as response:
                self.outcome.response = response
                self.outcome.url = response.url
                await self._take(response)

    def _options(self, opened: ExitStack) -> dict[str, Any]:
        setting, given, demand = self._setting, self._given, self._setting.demand
        options = setting.options(self._target.user)
        self._output = None
        if not given.remote_header_name:
            setting.names.path_for(self._target)  # which says so now if there is no name
        if given.continue_at is not None:
            self._offset = self._resumed_at(given.continue_at)
            options["headers"] = [*demand.headers, ("range", f"bytes={self._offset}-")]
        if self._upload is not None:
            options["content"] = open_upload(self._upload, opened)
        elif demand.content is not None:
            options["content"] = demand.content
        else:
            form = open_form(given, opened)
            if form is not None:
                options["files"] = form
        return options

    def _resumed_at(self, offset: str) -> int:
        if offset != "-" and not offset.isdigit():
            raise ConfigError(f"-C takes an offset in bytes or '-', not {offset!r}")
        path = self._setting.names.path_for(self._target)
        size = path.stat().st_size if path is not None and path.is_file() else 0
        if offset == "-":
            return size
        if self._size is None:
            self._size = size
        elif path is not None and size > self._size:
            os.truncate(path, self._size)  # what an earlier try has added
        return int(offset)

    def _choose(self, disposition: str | None) -> File | Ordered:
        names, given = self._setting.names, self._given
        path = names.path_for(self._target, disposition)
        if path is None:
            return self.stdout
        return File(
            path,
            make_directories=given.create_dirs,
            lock=names.lock(path),
            resumes=self._offset > 0,
            # What a server names must not write over what is there (and does not with curl).
            new=given.no_clobber or (given.remote_header_name and disposition is not None),
        )

    async def _take(self, response: AsyncResponseStream) -> None:
        """Write a response where it belongs."""
        given, outcome = self._given, self.outcome
        head = b"".join(_heads(one) for one in (*response.history, response))
        outcome.header_size = len(head)
        failed = (given.fail or given.fail_with_body) and not response.ok
        resumes = given.continue_at is not None and self._offset > 0
        whole = response.headers.get("content-range", "").endswith(f"/{self._offset}")
        if resumes and whole and response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here
        if resumes and response.ok and response.status != HTTPStatus.PARTIAL_CONTENT:
            raise PlaitError("the server does not send parts, so the download cannot go on: leave out -C")
        if response.status in _TRANSIENT and self._pause() is not None:
            return  # another will do better
        if given.location and response.is_redirect:  # else it would have been followed
            raise PlaitError("it leads somewhere else, and --max-redirs 0 stays here")
        output = self._output = self._choose(response.headers.get("content-disposition"))
        self._turn.flows = True
        if self._setting.head_file is not None:
            await self._setting.head_file.write(head)
        elif given.dump_header == "-":
            await self.stdout.write(head)
        if given.include or given.head:
            await output.write(head)
        if not (failed and given.fail):
            await self._content(response, output)
            if given.include and response.trailers:
                await output.write(_lines(response.trailers.raw()))
        if isinstance(output, File):
            outcome.filename = output.name
        if failed:
            raise PlaitError(f"the server answered {response.status} {response.reason}".rstrip())

    async def _content(self, response: AsyncResponseStream, output: File | Ordered) -> None:
        outcome, received = self.outcome, self._setting.received
        async for piece in response.iter_bytes():
            outcome.size += len(piece)
            received(len(piece))
            await output.write(piece)
        if not outcome.size and isinstance(output, File):
            await output.write(b"")  # a file without content is one, too


def _heads(response: ResponseHead) -> bytes:
    """Return the field sections as HTTP/1.1 writes them, interim ones first."""
    version = response.http_version
    sections = [(one.status, one.headers) for one in response.interim]
    sections.append((response.status, response.headers))
    return b"".join(
        f"{version} {status} {_reason(status) if version == 'HTTP/1.1' else ''}\r\n".encode()
        + _lines(headers.raw())
        + b"\r\n"
        for status, headers in sections
    )


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _lines(fields: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
