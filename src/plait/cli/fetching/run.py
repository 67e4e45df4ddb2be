"""Runs ``plait fetch``: a client, and as many transfers at once as were asked for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from plait import urls
from plait.cli.fetching.content import Demand
from plait.cli.fetching.making import client_for, who_asks
from plait.cli.fetching.options import Given
from plait.cli.fetching.output import Names, Stream, Turn
from plait.cli.fetching.reports import Reports, reports
from plait.cli.fetching.targets import targets
from plait.cli.fetching.transfer import Setting, Transfer
from plait.cli.fetching.write_out import WriteOut
from plait.errors import ConfigError, ConnectTimeout, LocalProtocolError, PlaitError

if TYPE_CHECKING:
    from plait.client.recording import Record

__all__ = ["run"]


def run(given: Given) -> int:
    """Fetch what was asked for.

    Returns:
        The exit status: 0 when all came, 1 when something went wrong, 2 when a URL is none.

    Raises:
        PlaitError: Something was wrong with the whole of it.
        OSError: Standard output cannot be written to.
    """
    if sys.stderr is None:  # closed by who started this process, so that nobody wants to hear
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 – for as long as the process
    fetch = _Fetch(given)
    loop = asyncio.new_event_loop()
    task = loop.create_task(fetch.all())
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        task.cancel()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        status = loop.run_until_complete(task)
    except asyncio.CancelledError:
        status = 130
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    finally:
        loop.close()
        if interrupted:
            _leave(130)
    if fetch.is_late:
        _leave(status)
    return status


def _leave(status: int) -> None:
    """End the process at once: a thread may still read, write or look up a name, and nothing ends that."""
    sys.stderr.flush()
    os._exit(status)


class _Fetch:
    """One run of the command.

    Args:
        given: The options.

    Attributes:
        is_late: Whether a name may still be looked up although nobody waits for it.
    """

    def __init__(self, given: Given) -> None:
        self._given = given
        self._failed = 0
        self._wrong = 0
        self.is_late = False
        self._demand = Demand(given)
        self._write_out = None if given.write_out is None else WriteOut(given.write_out)
        self._auth = who_asks(given)

    async def all(self) -> int:
        """Fetch everything; return the exit status."""
        given = self._given
        stdout = Stream(_standard_output(), "standard output")
        async with AsyncExitStack() as stack:
            head_file = None
            if given.dump_header not in (None, "-"):
                head_file = stack.enter_context(_created(given.dump_header))
            report = stack.enter_context(reports(given, stdout))
            client = client_for(given, **self._watched(report, stack))
            report.watch(client)
            stack.push_async_callback(client.aclose)
            cookies: dict[str, str] = {}
            if given.cookie:
                from plait.cli.fetching.cookies import cookie_pairs, load_cookies

                cookies = cookie_pairs(given.cookie)
                load_cookies(client.cookies, given.cookie)
            setting = Setting(
                given,
                self._demand,
                client,
                self._auth,
                cookies,
                Names(given),
                stdout,
                head_file,
                report.received,
            )
            setting.check()
            await self._fetch(setting, report)
            if given.cookie_jar is not None:
                from plait.cli.fetching.cookies import cookie_text, save_cookies

                if given.cookie_jar == "-":
                    await stdout.write(cookie_text(client.cookies))
                else:
                    save_cookies(client.cookies, given.cookie_jar)
        return 2 if self._wrong else 1 if self._failed else 0

    def _watched(self, report: Reports, stack: AsyncExitStack) -> dict[str, Any]:
        """Return who looks on at the client, as options of its."""
        given = self._given
        watched: dict[str, Any] = {}
        if given.verbose:
            from plait.cli.fetching.verbose import Telling

            watched["trace"] = Telling(report.say, secrets=given.verbose > 1)
        if given.har is not None:
            watched["record"] = stack.enter_context(_archive(given.har))
        return watched

    async def _fetch(self, setting: Setting, report: Reports) -> None:
        slots = asyncio.Semaphore(self._given.window)
        speaks = self._write_out is not None or self._given.dump_header == "-"
        turn: Turn | None = None
        async with asyncio.TaskGroup() as group, aclosing(targets(self._given, self._demand.query)) as all_:
            async for target in all_:
                await slots.acquire()
                if self._given.paths is None and not _is_url(target.url):
                    self._wrong += 1  # which its transfer finds, too, and says
                # What goes into a file only waits for nobody.
                ordered = speaks or setting.names.is_standard_output(target)
                mine = Turn(turn if ordered else None)
                turn = mine if ordered else turn
                task = group.create_task(self._one(Transfer(setting, target, mine), mine, report))
                task.add_done_callback(lambda _: slots.release())

    async def _one(self, transfer: Transfer, turn: Turn, report: Reports) -> None:
        outcome = await transfer.run()
        if outcome.error is not None:
            self._failed += 1
            self.is_late = self.is_late or isinstance(outcome.error, ConnectTimeout)
            report.failed(outcome)
        if self._write_out is not None:
            text, elsewhere = self._write_out.render(outcome, report.statistics)
            await transfer.stdout.write(text.encode("utf-8", "surrogateescape"), is_text=True)
            report.say(elsewhere)
        await transfer.stdout.close()
        turn.end()
        report.done(outcome)


def _is_url(url: str) -> bool:
    try:
        urls.parse(url)
    except LocalProtocolError:
        return False
    return True


def _standard_output() -> IO[bytes]:
    """Return standard output: one that was closed matters only to who writes to it."""
    if sys.stdout is None:
        return os.fdopen(os.open(os.devnull, os.O_RDONLY), "wb", buffering=0)
    return sys.stdout.buffer


@contextmanager
def _created(name: str) -> Iterator[Stream]:
    try:
        file = Path(name).open("wb")  # noqa: SIM115 – closed below
    except OSError as error:
        raise ConfigError(f"cannot write {name}: {error.strerror}") from error
    try:
        yield Stream(file, name)
    finally:
        with suppress(OSError):  # what it could not take, it said when that was written
            file.close()


@contextmanager
def _archive(name: str) -> Iterator[Callable[[Record], None]]:
    from plait.client.har import HarRecorder

    recorder = HarRecorder(name)
    problem: OSError | None = None

    def record(exchange: Record) -> None:
        nonlocal problem
        try:
            recorder(exchange)
        except OSError as error:
            problem = error

    try:
        yield record
    finally:
        try:
            recorder.close()
        except OSError as error:
            problem = error
        if problem is not None:
            raise PlaitError(f"cannot write {name}: {problem.strerror}") from problem
